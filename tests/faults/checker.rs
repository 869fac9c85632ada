//! The judge: from the recorded history and the journal alone, whether anything was lost, done twice, or decided on a
//! state that never was.
//!
//! No search for a linearization is needed: the journal claims one, the order of its positions. It is enough to show
//! that this order agrees with real time and that a sequential ledger, going through it, comes to the same answers
//! and balances. What was refused has no position; it must be explained by a state between its call and its answer.

use std::collections::HashMap;

use domain::Partition;
use journal::Recorded;
use serde_json::Value;
use uuid::Uuid;

use crate::load::Tenant;
use crate::model::Ledger;
use crate::record::{Answer, Call, Op, cents};

/// What went well, and how much of it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Summary {
    pub events: usize,
    pub acknowledged: usize,
    pub refused: usize,
    /// Without an answer at the end, of which so many were done.
    pub open: usize,
    pub open_done: usize,
    /// Acknowledged only when asked again.
    pub resolved: usize,
}

/// The events of one command.
struct Command<'a> {
    first: i64,
    last: i64,
    tenant: Uuid,
    metadata: Value,
    key: Option<&'a str>,
    events: &'a [Recorded],
    /// The call it belongs to, where it is one of ours.
    call: Option<usize>,
}

/// A refusal, and the states (by position) one of which must explain it.
struct Refusal<'a> {
    call: &'a Call,
    code: &'a str,
    index: Option<u64>,
    low: i64,
    high: i64,
}

type Verdict<T> = Result<T, String>;

/// Judges all partitions. Returns the ledger as the model has it at the end.
pub fn check(partitions: &[Vec<Recorded>], calls: &[Call], tenants: &[Tenant]) -> Verdict<(Summary, Ledger)> {
    let mut commands = Vec::new();
    for events in partitions {
        shape(events)?;
        commands.push(split(events)?);
    }
    let done = attribute(&mut commands, calls, tenants)?;
    let mut summary = answers(&commands, &done, calls)?;
    let mut ledger = Ledger::default();
    let count = Partition(i32::try_from(partitions.len()).unwrap());
    for (partition, commands) in (0..).zip(&commands) {
        in_real_time(commands, calls)?;
        let ours: Vec<&Call> =
            calls.iter().filter(|call| tenants[call.tenant].id.partition(count).0 == partition).collect();
        replay(&mut ledger, commands, calls, &refusals(&ours, commands, calls), tenants)?;
    }
    for tenant in tenants {
        let own = ledger.wallets.iter().filter(|((id, _), _)| *id == tenant.id.0);
        let sum: i128 = own.map(|(_, wallet)| wallet.posted).sum();
        require(sum == 0, || format!("the trial balance of {} is {sum}", tenant.slug))?;
    }
    summary.events = partitions.iter().map(Vec::len).sum();
    Ok((summary, ledger))
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict<()> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// No gap in positions and sequences; time does not run backwards.
fn shape(events: &[Recorded]) -> Verdict<()> {
    let mut sequences: HashMap<Uuid, i64> = HashMap::new();
    for (position, event) in (1..).zip(events) {
        require(event.position == position, || format!("position {position} is missing"))?;
        let sequence = sequences.entry(event.text.aggregate_id).or_default();
        *sequence += 1;
        let (at, stream) = (event.text.sequence, event.text.aggregate_id);
        require(at == *sequence, || format!("stream {stream}: {at} where {sequence} should be"))?;
    }
    let backwards = events.windows(2).find(|pair| pair[0].recorded_at > pair[1].recorded_at);
    require(backwards.is_none(), || format!("time runs backwards: {backwards:?}"))
}

fn split(events: &[Recorded]) -> Verdict<Vec<Command<'_>>> {
    let same = |one: &Recorded, other: &Recorded| one.text.command_id == other.text.command_id;
    let mut commands = Vec::new();
    for events in events.chunk_by(same) {
        let (first, last) = (&events[0], events.last().unwrap());
        let lead = first.lead.as_ref().ok_or_else(|| format!("{} has no lead", first.position))?;
        require(events[1..].iter().all(|event| event.lead.is_none()), || "a command has two leads".into())?;
        let metadata: Value = serde_json::from_str(&lead.metadata).unwrap();
        let count = metadata["events"].as_str().and_then(|count| count.parse().ok());
        require(count == Some(events.len()), || format!("half a command at {}", first.position))?;
        commands.push(Command {
            first: first.position,
            last: last.position,
            tenant: first.text.tenant_id,
            metadata,
            key: lead.key.as_ref().map(|(key, _)| key.as_str()),
            events,
            call: None,
        });
    }
    Ok(commands)
}

/// Finds the call of every command of ours, and the command of every call: at most one.
fn attribute(
    commands: &mut [Vec<Command<'_>>],
    calls: &[Call],
    tenants: &[Tenant],
) -> Verdict<HashMap<usize, (usize, usize)>> {
    let (mut by_key, mut by_request) = (HashMap::new(), HashMap::new());
    for (index, call) in calls.iter().enumerate() {
        match &call.key {
            Some(key) => drop(by_key.insert((tenants[call.tenant].id.0, key.as_str()), index)),
            None => by_request.extend(call.attempts.iter().map(|one| (one.request_id.as_str(), index))),
        }
    }
    let mut done = HashMap::new();
    for (partition, commands) in commands.iter_mut().enumerate() {
        for (place, command) in commands.iter_mut().enumerate() {
            if command.metadata["actor"] != "load" {
                continue;
            }
            let request = command.metadata["request_id"].as_str().unwrap();
            let call = match command.key {
                Some(key) => by_key.get(&(command.tenant, key)),
                None => by_request.get(request),
            };
            let call = *call.ok_or_else(|| format!("nobody asked for {request} at {}", command.first))?;
            let attempts = &calls[call].attempts;
            require(attempts.iter().any(|one| one.request_id == request), || {
                format!("{request} at {} is no attempt of its call", command.first)
            })?;
            let before = done.insert(call, (partition, place));
            require(before.is_none(), || format!("done twice: {:?}", calls[call]))?;
            command.call = Some(call);
        }
    }
    Ok(done)
}

/// What was acknowledged is there, what was refused is not, and answers agree with the journal and each other.
fn answers(
    commands: &[Vec<Command<'_>>],
    done: &HashMap<usize, (usize, usize)>,
    calls: &[Call],
) -> Verdict<Summary> {
    let mut summary = Summary::default();
    for (index, call) in calls.iter().enumerate() {
        let command = done.get(&index).map(|(partition, place)| &commands[*partition][*place]);
        for attempt in &call.attempts {
            let Answer::Made { position, ids } = &attempt.answer else { continue };
            let command = command.ok_or_else(|| format!("acknowledged and lost: {call:?}"))?;
            if let Some(position) = position {
                let last = command.last;
                require(position.position == last, || format!("{last} was answered as {call:?}"))?;
            }
            let there = command.events.iter().filter(|event| event.text.aggregate_type == "transaction");
            require(there.map(|event| &event.text.aggregate_id).eq(ids), || format!("other ids: {call:?}"))?;
        }
        match (call.made(), call.last()) {
            (Some(_), Answer::Made { .. } | Answer::Nothing(_)) => {
                summary.acknowledged += 1;
                let first = call.attempts.iter().find(|one| !matches!(one.answer, Answer::Refused { .. }));
                summary.resolved += usize::from(matches!(first.unwrap().answer, Answer::Nothing(_)));
            }
            // There was no room for a repetition, whatever had become of the command.
            (Some(_), Answer::Refused { code, .. }) if is_for_want_of_room(code) => {
                summary.acknowledged += 1;
            }
            (Some(_), Answer::Refused { .. }) => return Err(format!("refused after it was made: {call:?}")),
            (None, Answer::Refused { .. }) => {
                summary.refused += 1;
                let at = command.map(|command| command.first);
                require(at.is_none(), || format!("refused, and there at {at:?}: {call:?}"))?;
            }
            (None, _) => {
                summary.open += 1;
                summary.open_done += usize::from(command.is_some());
            }
        }
    }
    Ok(summary)
}

/// Whether an answer says nothing about the command, only that there was no room or no time for it.
fn is_for_want_of_room(code: &str) -> bool {
    code == "overloaded" || code == "request_timeout"
}

/// When the attempt that did it began, and by when it was known to be done.
fn interval(command: &Command<'_>, calls: &[Call]) -> Option<(u64, u64)> {
    let call = &calls[command.call?];
    let request = command.metadata["request_id"].as_str()?;
    let began = call.attempts.iter().find(|attempt| attempt.request_id == request)?.invoked;
    let made = call.attempts.iter().filter(|attempt| matches!(attempt.answer, Answer::Made { .. }));
    Some((began, made.map(|attempt| attempt.returned).min().unwrap_or(u64::MAX)))
}

/// What was answered before something else was asked for has the smaller position.
fn in_real_time(commands: &[Command<'_>], calls: &[Call]) -> Verdict<()> {
    let mut earliest = (u64::MAX, 0);
    for command in commands.iter().rev() {
        let Some((began, returned)) = interval(command, calls) else { continue };
        require(earliest.0 > began, || {
            format!("{} was answered before {} was asked for", earliest.1, command.first)
        })?;
        earliest = earliest.min((returned, command.first));
    }
    Ok(())
}

/// Every refusal with the states that may explain it: those that include all that was answered before it was asked
/// for, and nothing that was asked for after it was answered.
fn refusals<'a>(ours: &[&'a Call], commands: &[Command<'_>], calls: &[Call]) -> Vec<Refusal<'a>> {
    let known: Vec<_> = commands
        .iter()
        .filter_map(|command| Some((interval(command, calls)?, command.first, command.last)))
        .collect();
    let mut returned: Vec<(u64, i64)> =
        known.iter().map(|((_, returned), _, last)| (*returned, *last)).collect();
    let mut began: Vec<(u64, i64)> = known.iter().map(|((began, _), first, _)| (*began, *first)).collect();
    returned.sort_unstable();
    began.sort_unstable();
    let mut most = 0;
    for (_, last) in &mut returned {
        most = most.max(*last);
        *last = most;
    }
    let mut least = i64::MAX;
    for (_, first) in began.iter_mut().rev() {
        least = least.min(*first);
        *first = least;
    }
    let mut found = Vec::new();
    for call in ours {
        for attempt in &call.attempts {
            let Answer::Refused { code, index } = &attempt.answer else { continue };
            // Refused for what the request is or for want of room, whatever the state.
            if is_for_want_of_room(code) {
                continue;
            }
            if code == "expiry_in_the_past" && expiry(&call.op).is_some_and(|at| at <= attempt.returned_at) {
                continue;
            }
            let before = returned.partition_point(|(returned, _)| *returned < attempt.invoked);
            let low = before.checked_sub(1).map_or(0, |index| returned[index].1);
            let after = began.partition_point(|(began, _)| *began < attempt.returned);
            let high = began.get(after).map_or(i64::MAX, |(_, first)| first - 1);
            found.push(Refusal { call, code, index: *index, low, high });
        }
    }
    found.sort_by_key(|refusal| refusal.low);
    found
}

/// The soonest expiry that a call asks for.
fn expiry(op: &Op) -> Option<chrono::DateTime<chrono::Utc>> {
    match op {
        Op::Transact(new) => new.expires_at,
        Op::Batch(all) => all.iter().filter_map(|new| new.expires_at).min(),
        _ => None,
    }
}

/// Goes through a partition with the model: it must do what the journal did, come to the same balances, and refuse
/// what was refused.
fn replay(
    ledger: &mut Ledger,
    commands: &[Command<'_>],
    calls: &[Call],
    refusals: &[Refusal<'_>],
    tenants: &[Tenant],
) -> Verdict<()> {
    let mut paths: HashMap<Uuid, String> = HashMap::new();
    let (mut next, mut unexplained): (usize, Vec<&Refusal<'_>>) = (0, Vec::new());
    let mut at = 0;
    for command in commands.iter().map(Some).chain([None]) {
        while refusals.get(next).is_some_and(|refusal| refusal.low <= at) {
            unexplained.push(&refusals[next]);
            next += 1;
        }
        unexplained.retain(|refusal| {
            let tenant = tenants[refusal.call.tenant].id.0;
            ledger.refusal(tenant, &refusal.call.op) != Some((refusal.code, refusal.index))
        });
        let Some(command) = command else { break };
        let late = unexplained.iter().find(|refusal| refusal.high < command.last);
        if let Some(late) = late {
            let Refusal { call, code, low, high, .. } = late;
            return Err(format!("no state from {low} to {high} refuses with {code}: {call:?}"));
        }
        step(ledger, command, calls, &mut paths)?;
        at = command.last;
    }
    match unexplained.first() {
        None => Ok(()),
        Some(Refusal { call, code, low, .. }) => {
            Err(format!("no state from {low} on refuses with {code}: {call:?}"))
        }
    }
}

/// One command of the journal.
fn step(
    ledger: &mut Ledger,
    command: &Command<'_>,
    calls: &[Call],
    paths: &mut HashMap<Uuid, String>,
) -> Verdict<()> {
    let (tenant, at) = (command.tenant, command.first);
    let mut balances: HashMap<Uuid, Value> = HashMap::new();
    for event in command.events.iter().filter(|event| event.text.aggregate_type == "wallet") {
        let mut payload: Value = serde_json::from_str(&event.text.payload).unwrap();
        if event.text.event_type == "opened" {
            let path = payload["path"].as_str().unwrap().to_owned();
            let minimum = payload["minimum"].as_str().map(cents);
            ledger.wallets.entry((tenant, path.clone())).or_default().minimum = minimum;
            paths.insert(event.text.aggregate_id, path);
        } else {
            balances.insert(event.text.aggregate_id, payload["balance"].take());
        }
    }
    let transactions = command.events.iter().filter(|event| event.text.aggregate_type == "transaction");
    let ids: Vec<Uuid> = transactions.map(|event| event.text.aggregate_id).collect();
    if let Some(call) = command.call {
        let op = &calls[call].op;
        if let Some(expires_at) = expiry(op) {
            let recorded_at = command.events[0].recorded_at;
            require(recorded_at < expires_at, || {
                format!("{at} holds until {expires_at}, recorded {recorded_at}")
            })?;
        }
        ledger
            .run(tenant, op, &ids)
            .map_err(|why| format!("{at} was done and is {why:?}: {:?}", calls[call]))?;
    } else if command.metadata["command"] == "expire_transaction" {
        ledger.expire(tenant, ids[0]).map_err(|why| format!("{at} expires and is {why:?}"))?;
    } else {
        require(ids.is_empty() && balances.is_empty(), || {
            format!("nobody asked for {:?}", command.metadata)
        })?;
    }
    for (wallet, balance) in balances {
        let path = paths.get(&wallet).ok_or_else(|| format!("{at} moves a wallet that was never opened"))?;
        let model = &ledger.wallets[&(tenant, path.clone())];
        let number = |name: &str| cents(balance[name].as_str().unwrap());
        let (posted, held, incoming) = (number("posted"), number("held"), number("incoming"));
        require((posted, held, incoming) == (model.posted, model.held, model.incoming), || {
            format!("{at}: {path} has {balance} and should have {model:?}")
        })?;
        require(model.minimum.is_none_or(|minimum| posted - held >= minimum), || {
            format!("{at}: {path} is below its floor: {balance}")
        })?;
    }
    Ok(())
}

/// Each reader saw every event once and in order.
pub fn readers(
    partitions: &[Vec<Recorded>],
    tenants: &[Tenant],
    over_http: &[Vec<Value>],
    in_stream: &[Vec<Recorded>],
) -> Verdict<()> {
    let count = Partition(i32::try_from(partitions.len()).unwrap());
    for (tenant, seen) in tenants.iter().zip(over_http) {
        let own = &partitions[usize::try_from(tenant.id.partition(count).0).unwrap()];
        let own: Vec<i64> = own
            .iter()
            .filter(|event| event.text.tenant_id == tenant.id.0)
            .map(|event| event.position)
            .collect();
        let seen: Vec<i64> =
            seen.iter().map(|event| event["position"].as_str().unwrap().parse().unwrap()).collect();
        require(own == seen, || format!("the reader of {} saw {seen:?}, not {own:?}", tenant.slug))?;
    }
    for (events, seen) in partitions.iter().zip(in_stream) {
        require(events.len() == seen.len(), || {
            format!("the stream's reader saw {} of {} events", seen.len(), events.len())
        })?;
        for (event, seen) in events.iter().zip(seen) {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let same = (event.position, event.recorded_at, &event.text.event_type, event.text.aggregate_id)
                == (seen.position, seen.recorded_at, &seen.text.event_type, seen.text.aggregate_id)
                && value(&event.text.payload) == value(&seen.text.payload);
            require(same, || format!("the stream has {seen:?}, the journal {event:?}"))?;
        }
    }
    Ok(())
}

/// The checker itself: each thing that it forbids, made up, is caught.
mod tests {
    use journal::{EventText, Lead, Position};
    use serde_json::json;

    use super::*;
    use crate::record::{Attempt, NewTransaction, Posting};
    use domain::{Slug, TenantId};

    fn tenant() -> Tenant {
        let id = TenantId::of(&Slug::new("acme").unwrap());
        Tenant { slug: "acme".into(), id, token: String::new() }
    }

    struct Made {
        events: Vec<Recorded>,
        calls: Vec<Call>,
        posted: i128,
    }

    impl Made {
        fn new() -> Self {
            let mut made = Self { events: Vec::new(), calls: Vec::new(), posted: 0 };
            for (number, path, minimum) in [(1, "@world", None), (2, "a", Some("0.00"))] {
                let payload = json!({"path": path, "asset": "USD", "scale": 2, "minimum": minimum});
                made.event(
                    number + 100,
                    ("wallet", number, 1, "opened"),
                    &payload,
                    Some(("setup", "s", None)),
                );
            }
            made
        }

        fn event(
            &mut self,
            command: u128,
            (aggregate_type, id, sequence, event_type): (&str, u128, i64, &str),
            payload: &Value,
            lead: Option<(&str, &str, Option<&str>)>,
        ) {
            let lead = lead.map(|(actor, request, key)| Lead {
                metadata: json!({"actor": actor, "request_id": request, "command": "x",
                    "events": if actor == "load" { "3" } else { "1" }})
                .to_string(),
                key: key.map(|key| (key.to_owned(), Vec::new())),
            });
            self.events.push(Recorded {
                partition: Partition(0),
                position: i64::try_from(self.events.len()).unwrap() + 1,
                recorded_at: chrono::DateTime::default(),
                text: EventText {
                    tenant_id: tenant().id.0,
                    aggregate_type: aggregate_type.to_owned(),
                    aggregate_id: Uuid::from_u128(id),
                    sequence,
                    event_type: event_type.to_owned(),
                    event_version: 1,
                    payload: payload.to_string(),
                    effective_at: None,
                    command_id: Uuid::from_u128(command),
                },
                lead,
            });
        }

        /// A transfer of 5.00 to `a`, in the journal under `key`.
        fn transfer(&mut self, key: &str, request: &str) -> i64 {
            let number = self.events.len() as u128 + 1_000;
            let sequence = i64::try_from((self.events.len() - 2) / 3).unwrap() + 2;
            self.posted += 500;
            self.event(
                number,
                ("transaction", number, 1, "posted"),
                &json!({}),
                Some(("load", request, Some(key))),
            );
            for (id, posted) in [(1, -self.posted), (2, self.posted)] {
                let posted = crate::record::text(posted);
                let balance = json!({"posted": posted, "held": "0.00", "incoming": "0.00"});
                self.event(number, ("wallet", id, sequence, "posted"), &json!({"balance": balance}), None);
            }
            i64::try_from(self.events.len()).unwrap()
        }

        fn call(&mut self, key: &str, amount: i128, invoked: u64, returned: u64, answer: Answer) {
            let (from, to) = if amount < 0 { ("a", "@world") } else { ("@world", "a") };
            let posting = Posting { from: from.into(), to: to.into(), amount: amount.abs() };
            let new =
                NewTransaction { postings: vec![posting], pending: false, expires_at: None, padding: 0 };
            let returned_at = chrono::DateTime::default();
            let request_id = format!("r{invoked}");
            let attempts = vec![Attempt { request_id, invoked, returned, returned_at, answer }];
            self.calls.push(Call { tenant: 0, key: Some(key.into()), op: Op::Transact(new), attempts });
        }

        fn acknowledged(&mut self, key: &str, invoked: u64, returned: u64) {
            let number = self.events.len() as u128 + 1_000;
            let last = self.transfer(key, &format!("r{invoked}"));
            let position = Some(Position { partition: Partition(0), position: last });
            let answer = Answer::Made { position, ids: vec![Uuid::from_u128(number)] };
            self.call(key, 500, invoked, returned, answer);
        }

        fn verdict(self) -> Result<Summary, String> {
            check(&[self.events], &self.calls, &[tenant()]).map(|(summary, _)| summary)
        }

        fn caught(self, why: &str) {
            let said = self.verdict().unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    fn refused(code: &str) -> Answer {
        Answer::Refused { code: code.into(), index: None }
    }

    #[test]
    fn a_history_without_fault_is_accepted() {
        let mut made = Made::new();
        made.acknowledged("one", 1, 4);
        made.acknowledged("two", 2, 3);
        made.call("three", -1_100, 5, 6, refused("insufficient_funds"));
        made.call("four", 500, 7, u64::MAX, Answer::Nothing(String::new()));
        let summary = made.verdict().unwrap();
        assert_eq!((summary.acknowledged, summary.refused, summary.open, summary.open_done), (2, 1, 1, 0));
    }

    #[test]
    fn a_lost_command_is_caught() {
        let mut made = Made::new();
        let position = Some(Position { partition: Partition(0), position: 5 });
        made.call("one", 500, 1, 2, Answer::Made { position, ids: vec![Uuid::nil()] });
        made.caught("acknowledged and lost");
    }

    #[test]
    fn a_command_done_twice_is_caught() {
        let mut made = Made::new();
        made.acknowledged("one", 1, 2);
        made.transfer("one", "r1");
        made.caught("done twice");
    }

    #[test]
    fn a_refused_command_that_left_a_trace_is_caught() {
        let mut made = Made::new();
        made.transfer("one", "r1");
        made.call("one", 500, 1, 2, refused("insufficient_funds"));
        made.caught("refused, and there");
    }

    #[test]
    fn a_refusal_after_the_answer_is_caught_unless_there_was_no_room() {
        for (code, accepted) in [("overloaded", true), ("insufficient_funds", false)] {
            let mut made = Made::new();
            made.acknowledged("one", 1, 2);
            let first = &made.calls[0].attempts[0];
            let again = Attempt {
                request_id: "r3".into(),
                invoked: 3,
                returned: 4,
                answer: refused(code),
                ..first.clone()
            };
            made.calls[0].attempts.push(again);
            assert_eq!(made.verdict().is_ok(), accepted, "{code}");
        }
    }

    #[test]
    fn an_order_against_real_time_is_caught() {
        let mut made = Made::new();
        made.acknowledged("later", 3, 4);
        made.acknowledged("earlier", 1, 2);
        made.caught("was answered before");
    }

    #[test]
    fn a_refusal_without_a_reason_is_caught() {
        let mut made = Made::new();
        made.acknowledged("one", 1, 2);
        made.call("two", -500, 3, 4, refused("insufficient_funds"));
        made.caught("refuses with insufficient_funds");
    }

    #[test]
    fn a_refusal_on_a_state_that_was_over_is_caught() {
        let mut made = Made::new();
        made.acknowledged("one", 1, 2);
        made.acknowledged("two", 5, 6);
        made.call("three", -1_000, 3, 4, refused("insufficient_funds"));
        made.call("four", -1_000, 7, 8, refused("insufficient_funds"));
        made.caught("refuses with insufficient_funds");
    }

    #[test]
    fn a_wrong_balance_and_a_gap_are_caught() {
        let mut made = Made::new();
        made.acknowledged("one", 1, 2);
        made.posted += 1;
        made.acknowledged("two", 3, 4);
        made.caught("and should have");
        let mut made = Made::new();
        made.acknowledged("one", 1, 2);
        made.events.remove(3);
        made.caught("position 4 is missing");
    }

    #[test]
    fn a_command_that_the_model_refuses_is_caught() {
        let mut made = Made::new();
        made.acknowledged("one", 1, 2);
        let Op::Transact(new) = &mut made.calls[0].op else { unreachable!() };
        new.postings = vec![Posting { from: "a".into(), to: "@world".into(), amount: 500 }];
        made.caught("was done and is");
    }

    #[test]
    fn nobody_asked_is_caught() {
        let mut made = Made::new();
        made.transfer("one", "r1");
        made.caught("nobody asked");
    }
}
