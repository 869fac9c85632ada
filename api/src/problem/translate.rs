//! What the inner layers say, as problems.

use std::fmt;

use commands::{Failure, Rejection};
use projections::ReadError;
use serde_json::error::Category;

use super::{Code, Problem, code};
use crate::credential::CredentialError;

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(rejection) => rejection.into(),
            Failure::KeyReused => {
                Self::new(code::IDEMPOTENCY_KEY_REUSED, "the idempotency key was used for another request")
                    .at("Idempotency-Key")
            }
            Failure::Overloaded => {
                Self::new(code::OVERLOADED, "too many commands are waiting; nothing was done").retry(1)
            }
            Failure::Unavailable(reason) => {
                tracing::error!(reason, "a command could not be recorded");
                let detail = "the journal cannot be written at the moment; whether the command was recorded \
                              is not certain, so repeat it with the same idempotency key";
                Self::new(code::UNAVAILABLE, detail).retry(2)
            }
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let code = Code::named(rejection.code()).unwrap_or(code::INTERNAL);
        let index = rejection.index().and_then(|index| u32::try_from(index).ok());
        let detail = match &rejection {
            Rejection::HoldOfExecution(id) => {
                format!("{rejection}; `POST /v1/executions/{id}/cancel` cancels it")
            }
            rejection => rejection.to_string(),
        };
        Self { index, ..Self::new(code, detail) }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(error) => {
                tracing::error!(%error, "a question could not be answered");
                Self::new(code::UNAVAILABLE, "the database cannot be read at the moment").retry(2)
            }
            error @ ReadError::Unreadable { .. } => Self::internal(error),
        }
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        let code = match error {
            CredentialError::Malformed => code::TOKEN_MALFORMED,
            CredentialError::Expired => code::TOKEN_EXPIRED,
            CredentialError::UnknownKey
            | CredentialError::Signature
            | CredentialError::WrongIssuer
            | CredentialError::WrongAudience
            | CredentialError::NotYetValid => code::TOKEN_INVALID,
        };
        Self::new(code, error.to_string())
    }
}

impl Problem {
    /// The same problem, perhaps gone after `seconds`.
    #[must_use]
    pub fn retry(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Something failed that the caller has no part in. The reason is for the log alone.
    pub fn internal(reason: impl fmt::Display) -> Self {
        tracing::error!(%reason, "a request failed");
        Self::new(code::INTERNAL, "the request could not be answered; the log of the server says why")
    }

    /// What serde says about a body.
    pub fn from_json(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        match error.inner().classify() {
            Category::Data => {
                let problem = from_serde(code::INVALID_BODY, &error.inner().to_string());
                match error.path().to_string() {
                    path if path == "." => problem,
                    path => problem.at(path),
                }
            }
            Category::Syntax | Category::Eof | Category::Io => {
                Self::new(code::MALFORMED_JSON, error.inner().to_string())
            }
        }
    }

    /// What serde says about a query string.
    pub fn from_query(message: &str) -> Self {
        let problem = from_serde(code::INVALID_QUERY, message);
        match problem.code {
            code::UNKNOWN_FIELD | code::MISSING_FIELD => Self { code: code::INVALID_QUERY, ..problem },
            _ => problem,
        }
    }
}

/// A message of serde. Our own fields begin theirs with a code ([`crate::field`]).
fn from_serde(otherwise: Code, message: &str) -> Problem {
    let own = message.split_once(": ").and_then(|(name, rest)| Some((Code::named(name)?, rest)));
    if let Some((code, detail)) = own {
        return Problem::new(code, detail);
    }
    let code = if message.starts_with("unknown field") {
        code::UNKNOWN_FIELD
    } else if message.starts_with("missing field") {
        code::MISSING_FIELD
    } else {
        otherwise
    };
    Problem::new(code, message)
}
