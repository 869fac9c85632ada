//! What surrounds every request: its id, its span in the log, its metrics, a limit of time, and the last look at
//! what goes out, so that no error leaves in another form than a problem, or than that of the SDK that asks.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse};
use domain::execution::Operation;
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

use crate::access::Access;
use crate::app::App;
use crate::extract::{REQUEST_ID, RequestId, sane_request_id};
use crate::problem::{self, Problem, code};
use crate::reads;
use crate::routes::Matched;
use crate::sdk;
use crate::walls::{Standing, harden};

/// The methods that are told apart in metrics.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Surrounds a request.
pub async fn observe<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let app = request.app_data::<Data<App>>().cloned();
    let id = sane_request_id(request.headers())
        .or_else(|| app.as_ref().map(|app| app.ids.next().to_string()))
        .unwrap_or_default();
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let span = tracing::info_span!(
        "request",
        %method,
        route = field::Empty,
        status = field::Empty,
        tenant = field::Empty,
        request_id = %id,
    );
    // What answers GET answers HEAD; the server leaves the body out.
    if method == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    // The pattern and not the path: a label must not have as many values as there are wallets.
    let Matched { pattern: route, access } = Matched::of(request.request());
    let started = Instant::now();
    // A model takes its time; the gateway has limits of its own.
    let limit = app.as_ref().map_or(Duration::from_secs(30), |app| match access {
        Some(Access::Execute) => app.limits.call_wait,
        _ => app.limits.answer_wait,
    });
    let tls = app.as_ref().is_some_and(|app| app.walls.settings().tls);
    let page = request.path().starts_with("/docs");
    let shape = sdk::shape(request.path());
    let answered = tokio::time::timeout(limit, next.call(request).instrument(span.clone())).await;
    // The request belongs to the router while it is answered, so a late answer is an error without one.
    let answered = answered.unwrap_or_else(|_| Err(late(&id, tls, shape)));
    let status = match &answered {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    measure(method.as_str(), route, status, started.elapsed(), &span);
    let mut response = problems_only(answered?.map_into_boxed_body(), &id);
    if let Some(app) = &app {
        response = reads::log(app, response, &id).await;
    }
    let standing = response.request().extensions().get::<Standing>().copied();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    if let Some(standing) = standing {
        standing.tell(headers);
    }
    harden(headers, page, tls);
    Ok(response)
}

/// The answer took too long.
fn late(id: &str, tls: bool, shape: Option<Operation>) -> Error {
    let detail = "the answer took too long; whether a command was recorded is not certain, so repeat it with the \
                  same idempotency key";
    let problem = Problem::new(code::TIMEOUT, detail);
    let mut response = told(&problem, id, shape);
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    harden(response.headers_mut(), false, tls);
    InternalError::from_response(problem, response).into()
}

/// Gives problems the id of their request, and other errors the form of a problem.
fn problems_only(response: ServiceResponse<BoxBody>, id: &str) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let known = response.response().error().and_then(|error| error.as_error::<Problem>()).cloned();
    let problem = match known {
        Some(problem) => problem,
        None if has_own_form(&response) => return response,
        None => foreign(status),
    };
    let (request, _) = response.into_parts();
    let told = told(&problem, id, sdk::shape(request.path()));
    ServiceResponse::new(request, told)
}

/// A problem in the form of whoever asks.
fn told(problem: &Problem, id: &str, shape: Option<Operation>) -> HttpResponse {
    match shape {
        Some(operation) => sdk::refused(problem, operation),
        None => problem.response(Some(id)),
    }
}

/// Whether an error has a body that is meant for machines: a problem, or the JSON of `/readyz`.
fn has_own_form(response: &ServiceResponse<BoxBody>) -> bool {
    let media = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    media.is_some_and(|media| {
        media.starts_with(problem::CONTENT_TYPE.as_bytes()) || media.starts_with(b"application/json")
    })
}

/// An error that a library answered with.
fn foreign(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::new(code::ROUTE_NOT_FOUND, "there is nothing at this address"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(code::METHOD_NOT_ALLOWED, "the address does not know this method")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(code::BODY_TOO_LARGE, "the body is too large"),
        StatusCode::REQUEST_TIMEOUT => {
            Problem::new(code::REQUEST_TIMEOUT, "the request did not arrive in time")
        }
        status if status.is_client_error() => {
            Problem::new(code::MALFORMED_REQUEST, "the request is not valid")
        }
        status => Problem::internal(format!("a library answered with {status}")),
    }
}

fn measure(method: &str, route: &'static str, status: StatusCode, took: Duration, span: &Span) {
    span.record("route", route).record("status", status.as_u16());
    // A method can be any word that the caller likes, a label cannot.
    let method = if METHODS.contains(&method) { method } else { "other" };
    let labels =
        [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_str().to_owned())];
    metrics::counter!("counterfoil_http_requests_total", &labels).increment(1);
    metrics::histogram!("counterfoil_http_request_seconds", &labels).record(took);
    let _entered = span.enter();
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if status.is_server_error() {
        tracing::warn!(took_us, "answered");
    } else {
        tracing::debug!(took_us, "answered");
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body;
    use actix_web::test::TestRequest;
    use serde_json::Value;

    use super::*;

    fn answered(response: HttpResponse) -> ServiceResponse<BoxBody> {
        let response = ServiceResponse::new(TestRequest::default().to_http_request(), response);
        problems_only(response, "run-7")
    }

    #[actix_web::test]
    async fn an_error_of_a_library_leaves_as_a_problem_with_the_id_of_the_request() {
        for (status, code) in [(404, "route_not_found"), (400, "malformed_request"), (500, "internal")] {
            let status = StatusCode::from_u16(status).unwrap();
            let response = answered(HttpResponse::build(status).body("<html>"));
            assert_eq!(response.status(), status);
            let bytes = body::to_bytes(response.into_body()).await.unwrap();
            let problem: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(
                (problem["code"].as_str(), problem["request_id"].as_str()),
                (Some(code), Some("run-7"))
            );
        }
    }

    #[actix_web::test]
    async fn an_sdk_is_told_in_its_own_shape_whatever_refuses_it() {
        for (path, pointer, said) in [
            ("/openai/v1/files", "/error/code", "route_not_found"),
            ("/anthropic/v1/complete", "/error/type", "not_found_error"),
            ("/gemini/v1beta/files", "/error/status", "NOT_FOUND"),
        ] {
            let problem = Problem::new(code::ROUTE_NOT_FOUND, "nothing is there");
            for answer in [HttpResponse::from_error(problem), HttpResponse::NotFound().body("<html>")] {
                let request = TestRequest::with_uri(path).to_http_request();
                let response = problems_only(ServiceResponse::new(request, answer), "run-7");
                assert_eq!(response.status(), StatusCode::NOT_FOUND);
                assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), "application/json");
                let bytes = body::to_bytes(response.into_body()).await.unwrap();
                let body: Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(body.pointer(pointer).unwrap(), said, "{path}: {body}");
            }
        }
    }

    #[actix_web::test]
    async fn a_problem_keeps_what_it_says_and_gets_the_id_of_the_request() {
        let problem = Problem::new(code::OVERLOADED, "wait a little").retry(3);
        let response = answered(HttpResponse::from_error(problem));
        assert_eq!(response.headers().get("Retry-After").unwrap(), "3");
        let bytes = body::to_bytes(response.into_body()).await.unwrap();
        let problem: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem["detail"], "wait a little");
        assert_eq!(problem["request_id"], "run-7");
    }

    #[actix_web::test]
    async fn what_is_no_error_is_left_alone() {
        let response = answered(HttpResponse::Ok().body("fine"));
        assert_eq!(body::to_bytes(response.into_body()).await.unwrap(), "fine");
    }
}
