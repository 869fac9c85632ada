//! One attempt: a request to one provider, until a part of the answer is there.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use domain::execution::AttemptOutcome;
use tokio::time::Instant;

use super::{Bill, Flying, Trip};
use crate::dialect::{Meter, Reported, Sign};
use crate::sse::Event;
use crate::upstream::{self, Head, Late, Outgoing, Source, Trouble};

/// How many events may come before the first part of an answer.
const MOST_EARLY: usize = 1_000;

/// A provider answers.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It has answered.
    Whole { head: Head, body: Bytes, meter: Meter },
    /// It began to.
    Stream(Box<Streaming>),
}

/// A stream that began.
#[derive(Debug)]
pub(crate) struct Streaming {
    pub(crate) source: Source,
    pub(crate) meter: Meter,
    /// What came up to the first part of the answer.
    pub(crate) early: Vec<Event>,
    /// Whether that was the whole answer already.
    pub(crate) ended: bool,
    /// The longest pause between two tokens.
    pub(crate) between: Duration,
    /// When the attempt has to be at its end.
    pub(crate) by: Instant,
}

impl Trip {
    /// Asks one provider.
    pub(super) async fn attempt(&mut self, index: usize) -> Result<Opened, Trouble> {
        let Some(choice) = self.choices.get(index) else {
            return Err(Trouble::Address("there is no such provider".to_owned()));
        };
        let since = Instant::now();
        let sent = Arc::new(AtomicBool::new(false));
        self.flying = Some(Flying { choice: index, since, first_token: None, sent: Arc::clone(&sent) });
        let provider = &choice.stop.supplier.provider;
        let limits = provider.timeouts;
        let millis = |limit: u32| Duration::from_millis(limit.into());
        let by = self.deadline.min(since + millis(limits.total_ms));
        let stream = self.asked.stream;
        // An answer that comes whole begins when it is ready.
        let first_by = if stream { by.min(since + millis(limits.first_token_ms)) } else { by };
        let outgoing = Outgoing {
            supplier: &choice.stop.supplier,
            address: self.address(choice),
            headers: &self.headers,
            body: self.body(choice),
            stream,
            sent,
        };
        let now = self.shared.clock.now();
        let late = if stream { Late::FirstToken } else { Late::Total };
        let (head, response) = self.shared.upstreams.send(outgoing, first_by, late, now).await?;
        let mut meter = Meter::new(choice.spoken);
        let options = self.shared.upstreams.options();
        if !stream {
            let body = upstream::read(response, options.most_answer, by).await?;
            if let Sign::Fault(reported) = meter.whole(&body)? {
                let trouble = Trouble::Reported(reported);
                self.bill.note(&meter, &trouble);
                return Err(trouble);
            }
            return Ok(Opened::Whole { head, body, meter });
        }
        let source = Source::new(response, options.most_event);
        let mut streaming = Streaming {
            source,
            meter,
            early: Vec::new(),
            ended: false,
            between: millis(limits.between_tokens_ms),
            by,
        };
        if let Err(trouble) = streaming.begin(first_by, options.most_event, &mut self.bill).await {
            self.bill.note(&streaming.meter, &trouble);
            if streaming.meter.is_refused() {
                // What a filter has ended is at its end, and nobody else is asked, whatever becomes of the rest.
                return Err(Trouble::Reported(Reported::filtered()));
            }
            return Err(trouble);
        }
        if let Some(flying) = &mut self.flying {
            flying.first_token = Some(Instant::now());
        }
        Ok(Opened::Stream(Box::new(streaming)))
    }
}

impl Streaming {
    /// Reads up to the first part of the answer, so that another provider can still be asked if none comes.
    async fn begin(&mut self, by: Instant, most: usize, bill: &mut Bill) -> Result<(), Trouble> {
        let mut bytes = 0;
        loop {
            let Some(event) = self.source.next(by, Late::FirstToken).await? else {
                self.ended = true;
                let cut = || Trouble::Cut("the stream ended before it began".to_owned());
                return if self.meter.is_whole() { Ok(()) } else { Err(cut()) };
            };
            let sign = self.meter.event(&event)?;
            bill.watch(&self.meter);
            bytes += event.raw.len();
            self.early.push(event);
            match sign {
                Sign::Content => return Ok(()),
                Sign::End => {
                    self.ended = true;
                    return Ok(());
                }
                Sign::Fault(reported) => return Err(Trouble::Reported(reported)),
                Sign::Quiet if self.early.len() > MOST_EARLY || bytes > most => {
                    return Err(Trouble::Malformed("a stream without an answer".to_owned()));
                }
                Sign::Quiet => {}
            }
        }
    }
}

/// An outcome as a word.
pub(super) fn named(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Answered => "answered",
        AttemptOutcome::Unreachable => "unreachable",
        AttemptOutcome::TimedOut => "timed_out",
        AttemptOutcome::RateLimited => "rate_limited",
        AttemptOutcome::ProviderError => "provider_error",
        AttemptOutcome::InvalidRequest => "invalid_request",
        AttemptOutcome::ContentFilter => "content_filter",
        AttemptOutcome::Cut => "cut",
        AttemptOutcome::Malformed => "malformed",
        AttemptOutcome::Stopped => "stopped",
    }
}
