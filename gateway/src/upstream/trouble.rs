//! What can go wrong with a provider, and what follows from it.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;

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
        let text = described(error.without_url());
        Self::Unreachable(text)
    }

    pub(super) fn receiving(error: reqwest::Error) -> Self {
        Self::Cut(described(error.without_url()))
    }

    /// The HTTP status that it came with or stands for.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { head, .. } => Some(head.status),
            Self::Reported(reported) => Some(reported.status()),
            _ => None,
        }
    }

    /// The code of the reason.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Address(_) | Self::Unreachable(_) => "provider_unreachable",
            Self::TimedOut(_) => "provider_timeout",
            Self::Cut(_) => "stream_cut",
            Self::Malformed(_) => "provider_malformed",
            Self::Answered { reported, .. } | Self::Reported(reported) if reported.is_content_filter() => {
                "content_filter"
            }
            Self::Answered { .. } | Self::Reported(_) => match self.status().unwrap_or_default() {
                429 => "provider_rate_limited",
                401 | 402 | 403 => "provider_refused",
                408 | 409 | 500.. => "provider_error",
                300..400 => "provider_error",
                _ => "invalid_request",
            },
        }
    }

    /// Whether another provider may do better, or the same one later. What is wrong with the request is wrong everywhere,
    /// and a filter's refusal is not to be got round.
    pub(crate) fn is_passing(&self) -> bool {
        !matches!(self.reason(), "invalid_request" | "content_filter") || self.status() == Some(404)
    }

    /// Whether the same provider may do better in a moment.
    pub(crate) fn may_heal(&self) -> bool {
        self.is_passing()
            && !matches!(self, Self::Address(_))
            && !matches!(self.status(), Some(401..=404))
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
        let reason = self.reason();
        let said = |reported: &Reported, otherwise: &str| {
            if reported.message.is_empty() { otherwise.to_owned() } else { reported.message.clone() }
        };
        match self {
            Self::TimedOut(Late::FirstToken) => Refusal::new(504, reason, "the provider did not begin to answer in time"),
            Self::TimedOut(Late::BetweenTokens) => Refusal::new(504, reason, "the provider stopped in the middle of its answer"),
            Self::TimedOut(Late::Total) => Refusal::new(504, reason, "the call took longer than it may"),
            Self::Cut(_) => Refusal::new(502, reason, "the provider's answer was cut off"),
            Self::Malformed(_) => Refusal::new(502, reason, "the provider's answer cannot be read"),
            Self::Answered { reported, .. } | Self::Reported(reported) => match reason {
                "content_filter" => Refusal::new(400, reason, said(reported, "a content filter refused it")),
                "invalid_request" => {
                    Refusal::new(self.status().unwrap_or(400), reason, said(reported, "the provider refused the request"))
                }
                "provider_rate_limited" => {
                    let refusal = Refusal::new(429, reason, "the provider is at its limit");
                    refusal.after(self.retry_after().unwrap_or(Duration::from_secs(1)))
                }
                "provider_refused" => Refusal::new(502, reason, "the provider does not accept our credential"),
                _ => Refusal::new(502, reason, "the provider failed"),
            },
            Self::Address(_) | Self::Unreachable(_) => Refusal::new(502, reason, "the provider cannot be reached"),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(text) | Self::Unreachable(text) | Self::Cut(text) | Self::Malformed(text) => f.write_str(text),
            Self::TimedOut(late) => write!(f, "too late: {late:?}"),
            Self::Answered { head, reported, .. } => write!(f, "{} {}: {}", head.status, reported.code, reported.message),
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
fn described(error: reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
