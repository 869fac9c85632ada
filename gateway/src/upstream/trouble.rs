//! What can go wrong with a provider, and what follows from it.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use domain::execution::{AttemptOutcome, FailureReason};

use super::Head;
use crate::dialect::{Malformed, Reported};
use crate::refusal::Refusal;

/// Which limit was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// That to the first token.
    FirstToken,
    /// That between two.
    BetweenTokens,
    /// That of the whole.
    Total,
}

/// Why an attempt came to nothing, or a stream to no end.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It cannot be called as it is configured.
    Address(String),
    /// No connection: refused, no such name, no agreement on TLS.
    Unreachable(String),
    /// A limit of time.
    TimedOut(Late),
    /// An answer that is no success.
    Answered { head: Head, body: Bytes, reported: Reported, retry_after: Option<Duration> },
    /// An error in the place of an event.
    Reported(Reported),
    /// The connection ended before the answer did.
    Cut(String),
    /// What came is not what it should be.
    Malformed(String),
}

impl Trouble {
    pub(super) fn answered(head: Head, body: Bytes, asked: Option<Duration>) -> Self {
        let reported = Reported::in_body(&body);
        let retry_after = asked.or(reported.retry_after);
        Self::Answered { head, body, reported, retry_after }
    }

    pub(super) fn sending(error: reqwest::Error) -> Self {
        let text = described(&error.without_url());
        Self::Unreachable(text)
    }

    pub(super) fn receiving(error: reqwest::Error) -> Self {
        Self::Cut(described(&error.without_url()))
    }

    /// The HTTP status that it came with or stands for.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { head, .. } => Some(head.status),
            Self::Reported(reported) => Some(reported.status()),
            _ => None,
        }
    }

    /// What it is recorded as.
    pub(crate) fn reason(&self) -> FailureReason {
        match self {
            Self::Address(_) | Self::Unreachable(_) => FailureReason::ProviderUnreachable,
            Self::TimedOut(_) => FailureReason::ProviderTimeout,
            Self::Cut(_) => FailureReason::StreamCut,
            Self::Malformed(_) => FailureReason::MalformedAnswer,
            Self::Answered { reported, .. } | Self::Reported(reported) if reported.is_content_filter() => {
                FailureReason::ContentFilter
            }
            Self::Answered { .. } | Self::Reported(_) => match self.status().unwrap_or_default() {
                429 => FailureReason::ProviderRateLimited,
                // What a provider has against our credential is nothing that the client could change.
                300..=399 | 401..=403 | 408 | 409 | 500.. => FailureReason::ProviderError,
                _ => FailureReason::InvalidRequest,
            },
        }
    }

    /// What an attempt came to that met it.
    pub(crate) fn outcome(&self) -> AttemptOutcome {
        match self.reason() {
            FailureReason::ProviderUnreachable => AttemptOutcome::Unreachable,
            FailureReason::ProviderTimeout => AttemptOutcome::TimedOut,
            FailureReason::ProviderRateLimited => AttemptOutcome::RateLimited,
            FailureReason::StreamCut => AttemptOutcome::Cut,
            FailureReason::MalformedAnswer => AttemptOutcome::Malformed,
            FailureReason::ContentFilter => AttemptOutcome::ContentFilter,
            FailureReason::InvalidRequest => AttemptOutcome::InvalidRequest,
            _ => AttemptOutcome::ProviderError,
        }
    }

    /// Whether another provider may do better, or the same one later. What is wrong with the request is wrong everywhere,
    /// and a filter's refusal is not to be got round.
    pub(crate) fn is_passing(&self) -> bool {
        !matches!(self.reason(), FailureReason::InvalidRequest | FailureReason::ContentFilter)
            || self.status() == Some(404)
    }

    /// Whether the same provider may do better in a moment.
    pub(crate) fn may_heal(&self) -> bool {
        self.is_passing() && !matches!(self, Self::Address(_)) && !matches!(self.status(), Some(401..=404))
    }

    /// Whether it speaks against the provider or the credential: then it counts for the circuit breaker.
    pub(crate) fn is_failure(&self) -> bool {
        self.is_passing() && !matches!(self.status(), Some(404 | 409 | 429))
    }

    /// How long the provider wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            Self::Reported(reported) => reported.retry_after,
            _ => None,
        }
    }

    /// What the client is told. Of the provider's own words only those that concern the request.
    pub(crate) fn refusal(&self) -> Refusal {
        let code = self.reason().as_str();
        let tell = |status, message: &str| Refusal::new(status, code, message.to_owned());
        match self {
            Self::TimedOut(Late::FirstToken) => tell(504, "the provider did not begin to answer in time"),
            Self::TimedOut(Late::BetweenTokens) => {
                tell(504, "the provider stopped in the middle of its answer")
            }
            Self::TimedOut(Late::Total) => tell(504, "the call took longer than it may"),
            Self::Cut(_) => tell(502, "the provider's answer was cut off"),
            Self::Malformed(_) => tell(502, "the provider's answer cannot be read"),
            Self::Address(_) | Self::Unreachable(_) => tell(502, "the provider cannot be reached"),
            Self::Answered { reported, .. } | Self::Reported(reported) => self.told(code, reported),
        }
    }

    fn told(&self, code: &'static str, reported: &Reported) -> Refusal {
        let said = |otherwise: &str| {
            if reported.message.is_empty() { otherwise.to_owned() } else { reported.message.clone() }
        };
        match self.reason() {
            FailureReason::ContentFilter => Refusal::new(400, code, said("a content filter refused it")),
            FailureReason::InvalidRequest => {
                Refusal::new(self.status().unwrap_or(400), code, said("the provider refused the request"))
            }
            FailureReason::ProviderRateLimited => {
                let refusal = Refusal::new(429, code, "the provider is at its limit");
                refusal.after(self.retry_after().unwrap_or(Duration::from_secs(1)))
            }
            _ if matches!(self.status(), Some(401..=403)) => {
                Refusal::new(502, code, "the provider does not accept our credential")
            }
            _ => Refusal::new(502, code, "the provider failed"),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(text) | Self::Unreachable(text) | Self::Cut(text) | Self::Malformed(text) => {
                f.write_str(text)
            }
            Self::TimedOut(late) => write!(f, "too late: {late:?}"),
            Self::Answered { head, reported, .. } => {
                write!(f, "{} {}: {}", head.status, reported.code, reported.message)
            }
            Self::Reported(reported) => write!(f, "{}: {}", reported.code, reported.message),
        }
    }
}

impl From<Malformed> for Trouble {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// An error with its causes, without an address that might tell a secret.
fn described(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
