//! Problems: every error of the API, as RFC 9457 problem details.

mod codes;
mod identity;
mod page;
mod translate;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

pub use codes::{ALL, Code};
pub use page::page;

pub mod code {
    //! The codes by name.
    pub use super::codes::*;
}

/// The media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error as the caller sees it. What must not be seen is logged where the problem is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind it is.
    pub code: Code,
    /// What happened this time.
    pub detail: String,
    /// The field, parameter or header that is wrong, where it is one: `postings[0].amount`.
    pub field: Option<String>,
    /// Which item of a batch is meant, from 0.
    pub index: Option<u32>,
    /// After how many seconds it may be worth another try.
    pub retry_after: Option<u32>,
    /// The methods that the address knows, where the method was wrong.
    pub allow: Option<Box<str>>,
}

impl Problem {
    /// A problem with a sentence about this occurrence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, detail, field: None, index: None, retry_after: None, allow: None }
    }

    /// The same problem, at `field`.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What is written, with the id of the request where there is one.
    pub fn body(&self, request_id: Option<&str>) -> ProblemBody {
        let error = self.field.clone().map(|field| FieldError { field, detail: self.detail.clone() });
        ProblemBody {
            r#type: format!("/docs/problems#{}", self.code.name),
            title: self.code.title.into(),
            status: self.code.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.name.into(),
            index: self.index,
            request_id: request_id.map(str::to_owned),
            errors: error.into_iter().collect(),
        }
    }

    /// The whole response.
    pub fn response(&self, request_id: Option<&str>) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status);
        if self.code.status == StatusCode::UNAUTHORIZED {
            let challenge = if self.code == codes::TOKEN_MISSING {
                Cow::Borrowed("Bearer realm=\"counterfoil\"")
            } else {
                Cow::Owned(format!(
                    "Bearer realm=\"counterfoil\", error=\"invalid_token\", error_description=\"{}\"",
                    self.code.title
                ))
            };
            response.insert_header((header::WWW_AUTHENTICATE, challenge.as_ref()));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_ref()));
        }
        response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
        let body = serde_json::to_string(&self.body(request_id)).unwrap_or_default();
        response.content_type(CONTENT_TYPE).body(body)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response(None)
    }
}

/// Any problem, in the description of an operation; which ones it may be is spelled out afterwards.
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let any = ResponseBuilder::new().description("A problem").content(CONTENT_TYPE, content).build();
        BTreeMap::from([("default".to_owned(), RefOr::T(any))])
    }
}

/// Problem details for an HTTP API (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the kind of problem is described, relative to this server.
    #[schema(example = "/docs/problems#insufficient_funds")]
    pub r#type: String,
    /// What the kind of problem means.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// The stable code, for programs.
    #[schema(example = "insufficient_funds")]
    pub code: String,
    /// Which item of a batch is meant, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The id of the request, as in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// A field, a query parameter or a header that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: `postings[0].amount`.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_inside_is_not_told_to_strangers() {
        let problem =
            Problem::internal("error returned from postgres://ledger:secret@db: relation views.users");
        let told = serde_json::to_string(&problem.body(Some("request"))).unwrap() + &problem.to_string();
        for word in ["postgres", "secret", "views"] {
            assert!(!told.contains(word), "{told}");
        }
        assert_eq!(problem.code.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
