use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use commands::{Command, TransactionRequest};
use domain::wallet::{Balance, WalletEvent};
use domain::{Amount, WalletId, WalletPath, event};
use projections::{PointInTime, Progress, Reader};

use crate::support::ledger::{Ledger, amount, transfer};

/// An event of a wallet, and when it was recorded.
type Told = (DateTime<Utc>, WalletEvent);

async fn told(ledger: &Ledger, path: &WalletPath) -> Vec<Told> {
    let id = WalletId::of(ledger.tenant, path).0;
    let events = ledger.events().await.into_iter().filter(|event| event.text.aggregate_id == id);
    let decode = |event: journal::Recorded| {
        let text = event.text;
        let said = event::decode(&text.event_type, text.event_version, &text.payload).unwrap();
        (event.recorded_at, said)
    };
    events.map(decode).collect()
}

/// The definition, event by event.
fn naive(events: &[Told], at: PointInTime) -> Option<(Amount, Amount, Amount)> {
    let known: Vec<&Told> =
        events.iter().filter(|(recorded, _)| at.as_of.is_none_or(|time| *recorded <= time)).collect();
    let (_, WalletEvent::Opened { scale, .. }) = known.first()? else { return None };
    let mut posted = Amount::zero(*scale);
    let mut promises = Balance::empty(*scale);
    for (recorded, said) in known {
        let effective = domain::Event::effective_at(said).unwrap_or(*recorded);
        if let Some(moved) = said.amount()
            && at.effective_at.is_none_or(|time| effective <= time)
        {
            posted = posted.checked_add(moved).unwrap();
        }
        if let Some(balance) = said.balance()
            && at.effective_at.is_none_or(|time| *recorded <= time)
        {
            promises = balance;
        }
    }
    Some((posted, promises.held, promises.incoming))
}

/// Transactions that took effect before, when and after they were recorded, a minute between them.
async fn history(ledger: &Ledger) {
    let minutes = |minutes| Some(ledger.clock.get() + TimeDelta::minutes(minutes));
    let step = || ledger.clock.advance(TimeDelta::minutes(1));
    for (text, effective_at) in [
        ("1.00", None),
        ("2.00", minutes(-30)),
        ("4.00", minutes(30)),
        ("8.00", minutes(3)),
        ("16.00", minutes(-2)),
    ] {
        step();
        let request = TransactionRequest { effective_at, ..transfer("a", "b", text) };
        let (id, _) = ledger.transaction(request).await.unwrap();
        if text == "2.00" {
            step();
            ledger.run(Command::Reverse { id, amounts: Some(vec![amount("0.50")]) }, None).await.unwrap();
        }
    }
    for effective_at in [None, minutes(-10), minutes(10)] {
        step();
        let hold = TransactionRequest { pending: true, effective_at, ..transfer("a", "b", "5.00") };
        let (id, _) = ledger.transaction(hold.clone()).await.unwrap();
        step();
        ledger.run(Command::Settle { id, amounts: Some(vec![amount("3.00")]) }, None).await.unwrap();
        step();
        let (id, _) = ledger.transaction(hold).await.unwrap();
        step();
        ledger.run(Command::Release { id }, None).await.unwrap();
    }
    step();
    ledger.submit(TransactionRequest { pending: true, ..transfer("a", "b", "0.25") }).await.unwrap();
    step();
    ledger.run(Command::FreezeWallet { path: WalletPath::new("b").unwrap() }, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_at_a_point_in_time_is_what_adding_up_the_events_gives() {
    let ledger = Ledger::funded(&["a"]).await;
    history(&ledger).await;
    let progress = Progress::new(ledger.journal.partition_count());
    let pool = ledger.database.pool(journal::Role::Reader, 4).await;
    let reader = Reader::new(pool, ledger.journal.partition_count(), progress);
    let questions = reader.tenant(ledger.tenant);
    // Every instant at which something was recorded or took effect, and the seconds just before.
    let path = WalletPath::new("b").unwrap();
    let told_of_b = told(&ledger, &path).await;
    let instants = told_of_b
        .iter()
        .flat_map(|(recorded, said)| [Some(*recorded), domain::Event::effective_at(said)])
        .flatten()
        .flat_map(|instant| [instant, instant - TimeDelta::seconds(1)]);
    let instants: BTreeSet<DateTime<Utc>> = instants.collect();
    let times: Vec<Option<DateTime<Utc>>> =
        std::iter::once(None).chain(instants.into_iter().map(Some)).collect();
    let mut answers = BTreeSet::new();
    for path in ["a", "b"] {
        let path = WalletPath::new(path).unwrap();
        let events = told(&ledger, &path).await;
        for as_of in &times {
            for effective_at in &times {
                let at = PointInTime { as_of: *as_of, effective_at: *effective_at };
                if at == PointInTime::default() {
                    continue;
                }
                let found = questions.balance(&path, at).await.unwrap().value;
                let found = found.map(|view| (view.posted, view.held, view.incoming));
                assert_eq!(found, naive(&events, at), "{path} at {at:?}");
                answers.insert(format!("{found:?}"));
            }
        }
    }
    assert!(answers.len() > 40, "the history has many different answers: {}", answers.len());
    let nowhere = WalletPath::new("nowhere").unwrap();
    let at = PointInTime { as_of: Some(ledger.clock.get()), effective_at: None };
    assert_eq!(questions.balance(&nowhere, at).await.unwrap().value, None);
}
