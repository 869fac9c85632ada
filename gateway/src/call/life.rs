//! From the first attempt to the settlement.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use commands::FinishedCall;
use domain::execution::{AttemptOutcome, End, FailureReason};
use journal::Position;
use tokio::time::Instant;

use super::notice::Notice;
use super::outcome::{Outcome, answered, ended, named};
use super::repeat;
use crate::client::Client;
use crate::dialect::Meter;
use crate::flow::{Ending, Flow, Signals, Stopped};
use crate::gateway::Call;
use crate::hold::Hold;
use crate::ledger::Account;
use crate::outlet::Outlet;
use crate::refusal::Refusal;
use crate::reply::{Reply, ReplyBody};
use crate::running::Run;
use crate::translate::{self, Frame};
use crate::trip::{Opened, Stranded, Streaming, Trip};
use crate::upstream::{Head, Trouble};

/// For how long the end of an answer still waits for a slow reader while the program ends.
const LAST: Duration = Duration::from_secs(10);
/// For how long the rest of a connection is read, so that it can be used again.
const REST: Duration = Duration::from_secs(1);

/// A call that was recorded.
pub(super) struct Life<'a> {
    pub(super) trip: Trip,
    /// Its execution; none where it costs nothing.
    pub(super) account: Option<Account>,
    pub(super) signals: Signals,
    pub(super) frame: Option<Frame>,
    pub(super) call: &'a Call,
    /// What the client is told about it.
    pub(super) notice: Option<Notice>,
    /// Where its answer is remembered, if it has a key.
    pub(super) run: Option<Arc<Run>>,
}

impl Life<'_> {
    /// Lives it: the client has its answer, and the ledger the end.
    pub(super) async fn live(mut self, client: &mut Client) {
        let opened = tokio::select! {
            biased;
            stopped = self.signals.stop(client) => Err(stopped),
            opened = self.trip.open() => Ok(opened),
        };
        match opened {
            Ok(Ok(Opened::Whole { head, body, meter })) => self.whole(client, head, body, &meter).await,
            Ok(Ok(Opened::Stream(streaming))) => return self.stream(client, *streaming).await,
            Ok(Err(stranded)) => self.stranded(client, stranded).await,
            Err(stopped) => self.stopped(client, stopped).await,
        }
        self.keep().await;
    }

    /// The life of a call that costs nothing.
    pub(super) async fn free(mut self, client: &mut Client) -> Result<(), Refusal> {
        let opened = tokio::select! {
            biased;
            stopped = self.signals.stop(client) => Err(stopped),
            opened = self.trip.open() => Ok(opened),
        };
        let opened = opened.map_err(|stopped| {
            self.trip.give_up();
            stopped.refusal()
        })?;
        match opened {
            Ok(Opened::Whole { head, body, .. }) => client.whole(self.reply(head, body, None)),
            Ok(Opened::Stream(_)) => return Err(Refusal::new(500, "internal", "a count is no stream")),
            Err(stranded) => {
                self.trip.landed(AttemptOutcome::ProviderError, None, None);
                client.whole(self.failure(stranded).1);
            }
        }
        Ok(())
    }

    /// An answer that came whole.
    async fn whole(&mut self, client: &mut Client, head: Head, body: Bytes, meter: &Meter) {
        let (usage, source) = meter.settled(self.trip.asked.input.billed());
        let Some((spoken, route)) = self.trip.present().map(|choice| (choice.spoken, choice.quoted())) else {
            return;
        };
        let status = head.status;
        let said = match &self.frame {
            Some(frame) if spoken != self.call.operation => {
                translate::answer(spoken, self.call.operation, &body, meter, frame)
            }
            _ => Ok(body),
        };
        let (mut outcome, mut end) = answered(meter);
        let reply = match said {
            Ok(body) => self.reply(head, body, Some(route.is_some())),
            Err(malformed) => {
                // It was answered and is paid for; only it cannot be told.
                let trouble = Trouble::from(malformed);
                outcome = trouble.outcome();
                end = End::Failed(trouble.reason());
                self.refusal(&trouble.refusal())
            }
        };
        self.trip.landed(outcome, Some(status), Some((usage, source)));
        let position = self.settle(Outcome { end, usage, source, route }).await;
        client.whole(match position {
            Some(position) => reply.with("counterfoil-position", position.to_string()),
            None => reply,
        });
    }

    /// An answer that comes as a stream.
    async fn stream(mut self, client: &mut Client, streaming: Streaming) {
        let Some((spoken, route)) = self.trip.present().map(|choice| (choice.spoken, choice.quoted())) else {
            return;
        };
        let Some(frame) = self.frame.clone() else {
            return;
        };
        let operation = self.call.operation;
        let mut outlet = Outlet::new(spoken, operation, self.trip.asked.usage_asked, frame);
        let mut headers = vec![
            ("content-type".to_owned(), "text/event-stream".to_owned()),
            ("cache-control".to_owned(), "no-cache".to_owned()),
        ];
        headers.extend(self.headers(Some(route.is_some())));
        client.open(200, headers);
        let mut flow = Flow {
            client: &mut *client,
            hold: self.trip.hold.as_mut(),
            outlet: &mut outlet,
            signals: &self.signals,
            deadline: self.trip.deadline,
            sent: 0,
            waited: Duration::ZERO,
        };
        let (ending, meter, rest) = flow.run(streaming).await;
        let (sent, slow) = (flow.sent, flow.is_slow());
        let (usage, source) = meter.settled(self.trip.asked.input.billed());
        let (outcome, end, last, status) = match ending {
            Ending::Whole(event) => {
                self.trip.praise();
                let tasks = &self.trip.shared.tasks;
                tasks.spawn(rest.drain(Instant::now() + REST));
                let (outcome, end) = answered(&meter);
                (outcome, end, outlet.end(event.as_ref(), &meter), Some(200))
            }
            Ending::Trouble(trouble) => {
                tracing::debug!(reason = trouble.reason().as_str(), %trouble, "a stream failed");
                self.trip.blame(&trouble, slow);
                let last = trouble.refusal().in_band(operation, sent);
                (trouble.outcome(), End::Failed(trouble.reason()), last, Some(200))
            }
            Ending::Stopped(stopped) => {
                self.trip.give_up();
                let last = stopped.refusal().in_band(operation, sent);
                (AttemptOutcome::Stopped, ended(&stopped), last, Some(200))
            }
        };
        self.trip.landed(outcome, status, Some((usage, source)));
        self.settle(Outcome { end, usage, source, route }).await;
        // All of it is there now, also for those who ask again: they do not wait for a slow reader.
        client.complete(&last);
        self.keep().await;
        self.last(client, last).await;
    }

    /// Keeps the answer for those who ask again with the key.
    async fn keep(&self) {
        if let (Some(account), Some(run)) = (&self.account, &self.run) {
            repeat::keep(account, run).await;
        }
    }

    /// Sends the end of a stream, and waits for a slow reader as it was waited for before; but not while the program ends.
    async fn last(&self, client: &mut Client, last: Bytes) {
        let ending = async {
            self.signals.ending.cancelled().await;
            tokio::time::sleep(LAST).await;
        };
        let by = self.trip.deadline.max(client.reader().until());
        tokio::select! {
            biased;
            () = client.finish(last, by) => {}
            () = ending => {}
        }
    }

    /// No provider answered.
    async fn stranded(&mut self, client: &mut Client, stranded: Stranded) {
        let (reason, reply) = self.failure(stranded);
        let mut outcome = Outcome::nothing(End::Failed(reason));
        if let Some((usage, source, quoted)) = self.trip.bill.last.take() {
            // It came to nothing, but a provider said what it had used by then.
            (outcome.usage, outcome.source, outcome.route) = (usage, source, Some(quoted));
        }
        self.forget(client, &outcome);
        self.settle(outcome).await;
        client.whole(reply);
    }

    /// It was ended from our side before a provider answered.
    async fn stopped(&mut self, client: &mut Client, stopped: Stopped) {
        self.trip.give_up();
        let mut outcome = Outcome::nothing(ended(&stopped));
        if let Some((usage, source, route)) = self.trip.stopped() {
            (outcome.usage, outcome.source, outcome.route) = (usage, source, route);
        }
        self.forget(client, &outcome);
        self.settle(outcome).await;
        client.whole(self.refusal(&stopped.refusal()));
    }

    /// What came to nothing may be made anew under its key.
    fn forget(&self, client: &Client, outcome: &Outcome) {
        let attempts = self.trip.attempts.iter().map(|tried| &tried.attempt);
        if repeat::is_passing(outcome.end, &outcome.usage, attempts) {
            client.forget();
        }
    }

    /// What a failure is recorded as, and what the client gets: the provider's own words where it refused the request in
    /// the shape that was asked for.
    fn failure(&self, stranded: Stranded) -> (FailureReason, Reply) {
        let trouble = match stranded {
            Stranded::Trouble(trouble) => trouble,
            Stranded::Refused(refusal) => {
                let reason = match (refusal.status, refusal.code.as_ref()) {
                    (402, _) => FailureReason::BudgetExhausted,
                    (403, _) => FailureReason::HoldRefused,
                    (429, _) => FailureReason::ProviderRateLimited,
                    (_, "overloaded" | "unavailable") => FailureReason::LedgerUnavailable,
                    _ => FailureReason::ProviderUnreachable,
                };
                return (reason, self.refusal(&refusal));
            }
        };
        let reason = trouble.reason();
        let own = self.trip.spoken() == Some(self.call.operation);
        let concerns_it = matches!(reason, FailureReason::InvalidRequest | FailureReason::ContentFilter);
        let reply = match trouble {
            Trouble::Answered { head, body, .. } if own && concerns_it && !body.is_empty() => {
                self.reply(head, body, None)
            }
            trouble => self.refusal(&trouble.refusal()),
        };
        (reason, reply)
    }

    /// The headers of ours, for an answer by a provider that has a price or has none, or by nobody.
    fn headers(&self, priced: Option<bool>) -> Vec<(String, String)> {
        let short = self.trip.hold.as_ref().is_some_and(Hold::is_short);
        self.notice.as_ref().map(|notice| notice.headers(priced, short)).unwrap_or_default()
    }

    fn reply(&self, head: Head, body: Bytes, priced: Option<bool>) -> Reply {
        let mut headers = head.headers;
        if !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        headers.extend(self.headers(priced));
        Reply { status: head.status, headers, body: ReplyBody::Whole(body) }
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        let mut reply = refusal.reply(self.call.operation);
        reply.headers.extend(self.headers(None));
        reply
    }

    /// Records the end, and waits until that is done, within bounds: after them it goes on by itself.
    async fn settle(&mut self, outcome: Outcome) -> Option<Position> {
        let account = self.account.as_ref()?;
        let Outcome { end, usage, source, route: paid } = outcome;
        metrics::counter!("counterfoil_gateway_calls_total", "end" => named(end)).increment(1);
        let attempts = std::mem::take(&mut self.trip.attempts);
        let finishing = account.finish(FinishedCall { attempts, end, usage, usage_source: source, paid });
        let waited = tokio::time::timeout(self.trip.shared.options.settle, finishing).await;
        waited.ok()?.ok()?
    }
}
