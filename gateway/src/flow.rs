//! The answer on its way: event by event from the provider to the client, metered, while the hold grows.
//!
//! The last event of an answer is not sent here but by who settles it. Whatever ends a stream before its end becomes an
//! error in it, because no SDK tells a stream that was cut from one that is whole.

use std::time::Duration;

use domain::execution::FailureReason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::dialect::{Meter, Sign};
use crate::hold::Hold;
use crate::options::Departure;
use crate::outlet::Outlet;
use crate::refusal::Refusal;
use crate::sse::Event;
use crate::trip::Streaming;
use crate::upstream::{Late, Source, Trouble};

/// A client that keeps a provider waiting for so long in all may be why the provider breaks off.
const SLOW: Duration = Duration::from_secs(1);

/// How a stream ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// As it should; with the provider's last event, where it has one.
    Whole(Option<Event>),
    /// The provider failed.
    Trouble(Trouble),
    /// From our side.
    Stopped(Stopped),
}

/// Why a call was ended from our side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Somebody cancelled it.
    Cancelled,
    /// The program ends.
    Interrupted,
    /// The client has gone.
    ClientGone,
    /// Nothing more is available.
    Exhausted,
    /// The ledger holds no more for another reason.
    Unheld(Refusal),
}

impl Stopped {
    /// What it is recorded as; nothing where it was cancelled.
    pub(crate) fn reason(&self) -> Option<FailureReason> {
        match self {
            Self::Cancelled => None,
            Self::Interrupted => Some(FailureReason::Interrupted),
            Self::ClientGone => Some(FailureReason::ClientGone),
            Self::Exhausted => Some(FailureReason::BudgetExhausted),
            Self::Unheld(refusal) if refusal.status >= 500 => Some(FailureReason::LedgerUnavailable),
            Self::Unheld(_) => Some(FailureReason::HoldRefused),
        }
    }

    /// What the client is told.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Cancelled => {
                Refusal::new(499, "cancelled", "the call was cancelled; what was used is billed")
            }
            Self::Interrupted => {
                Refusal::new(503, "interrupted", "the server is shutting down; what was used is billed")
            }
            Self::ClientGone => Refusal::new(499, "client_gone", "the client has gone"),
            Self::Exhausted => Refusal::new(
                402,
                "budget_exhausted",
                "the wallet is used up and the answer ends here; what was used is billed",
            ),
            Self::Unheld(refusal) => {
                let message =
                    format!("{}; the answer ends here, and what was used is billed", refusal.message);
                Refusal { message, ..refusal.clone() }
            }
        }
    }
}

/// What may end a call from our side.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    pub(crate) cancel: CancellationToken,
    pub(crate) ending: CancellationToken,
    pub(crate) departure: Departure,
}

impl Signals {
    /// Comes when the call is to end. A client that has gone ends it where that is the policy, and is let go where not.
    pub(crate) async fn stop(&self, client: &mut Client) -> Stopped {
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Stopped::Cancelled,
                () = self.ending.cancelled() => return Stopped::Interrupted,
                () = client.departed() => {
                    if self.departure == Departure::Cancel {
                        return Stopped::ClientGone;
                    }
                    client.let_go();
                }
            }
        }
    }
}

/// A stream between provider and client.
pub(crate) struct Flow<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) hold: Option<&'a mut Hold>,
    pub(crate) outlet: &'a mut Outlet,
    pub(crate) signals: &'a Signals,
    /// When the whole call ends.
    pub(crate) deadline: Instant,
    /// How many events the client was sent.
    pub(crate) sent: u64,
    /// For how long the client was waited for.
    pub(crate) waited: Duration,
}

impl Flow<'_> {
    /// Whether the client has kept the provider waiting.
    pub(crate) fn is_slow(&self) -> bool {
        self.waited > SLOW
    }

    /// Lets the answer flow to its end. Gives how it ended, what it came to, and where it came from.
    pub(crate) async fn run(&mut self, streaming: Streaming) -> (Ending, Meter, Source) {
        let Streaming { mut source, mut meter, early, ended, between, by } = streaming;
        let ending = match self.early(early, ended, &meter).await {
            Some(ending) => ending,
            None => loop {
                let limit = by.min(Instant::now() + between);
                let late = if limit == by { Late::Total } else { Late::BetweenTokens };
                if let Some(ending) = self.until_token(&mut source, &mut meter, limit, late).await {
                    break ending;
                }
            },
        };
        (ending, meter, source)
    }

    /// What had come before the client was told anything.
    async fn early(&mut self, mut early: Vec<Event>, ended: bool, meter: &Meter) -> Option<Ending> {
        // Gemini's last event is not told from the others: it goes out as they do.
        let last = if ended && !meter.is_whole() { early.pop() } else { None };
        for event in early {
            if let Some(ending) = self.relay(&event).await {
                return Some(ending);
            }
        }
        if ended {
            return Some(Ending::Whole(last));
        }
        self.pay(meter).await
    }

    /// Reads up to the next part of the answer, which has to come by `limit`.
    async fn until_token(
        &mut self,
        source: &mut Source,
        meter: &mut Meter,
        mut limit: Instant,
        late: Late,
    ) -> Option<Ending> {
        loop {
            let next = tokio::select! {
                biased;
                stopped = self.signals.stop(self.client) => return Some(Ending::Stopped(stopped)),
                next = source.next(limit, late) => next,
            };
            let event = match next {
                Ok(Some(event)) => event,
                Ok(None) if meter.is_whole() => return Some(Ending::Whole(None)),
                Ok(None) => {
                    return Some(Ending::Trouble(Trouble::Cut("the stream ended too early".to_owned())));
                }
                Err(trouble) => return Some(Ending::Trouble(trouble)),
            };
            match meter.event(&event) {
                Err(malformed) => return Some(Ending::Trouble(malformed.into())),
                Ok(Sign::Fault(reported)) => return Some(Ending::Trouble(Trouble::Reported(reported))),
                Ok(Sign::End) => return Some(Ending::Whole(Some(event))),
                Ok(Sign::Quiet) => {
                    let since = Instant::now();
                    if let Some(ending) = self.relay(&event).await {
                        return Some(ending);
                    }
                    // A slow client is not the provider's fault.
                    limit += since.elapsed();
                }
                Ok(Sign::Content) => {
                    return match self.relay(&event).await {
                        Some(ending) => Some(ending),
                        None => self.pay(meter).await,
                    };
                }
            }
        }
    }

    /// Sends what the client gets for an event.
    async fn relay(&mut self, event: &Event) -> Option<Ending> {
        let chunk = match self.outlet.event(event) {
            Ok(chunk) => chunk,
            Err(malformed) => return Some(Ending::Trouble(malformed.into())),
        };
        self.sent += u64::from(!chunk.is_empty());
        let since = Instant::now();
        let there = tokio::select! {
            biased;
            () = self.signals.cancel.cancelled() => return Some(Ending::Stopped(Stopped::Cancelled)),
            () = self.signals.ending.cancelled() => return Some(Ending::Stopped(Stopped::Interrupted)),
            there = self.client.send(chunk, self.deadline) => there,
        };
        self.waited += since.elapsed();
        let stops = !there && self.signals.departure == Departure::Cancel;
        stops.then_some(Ending::Stopped(Stopped::ClientGone))
    }

    /// Makes sure that what passed is held. A ledger that takes its time does not keep a call from ending.
    async fn pay(&mut self, meter: &Meter) -> Option<Ending> {
        let hold = self.hold.as_mut()?;
        let held = tokio::select! {
            biased;
            stopped = self.signals.stop(self.client) => return Some(Ending::Stopped(stopped)),
            held = hold.passed(meter.passed()) => held,
            () = tokio::time::sleep_until(self.deadline) => {
                return Some(Ending::Trouble(Trouble::TimedOut(Late::Total)));
            }
        };
        held.err().map(Ending::Stopped)
    }
}
