//! What surrounds every request: its id, its span in the log, its metrics, a limit of time, and the last look at
//! what goes out, so that no error leaves in another form than a problem.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse};
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

use crate::app::App;
use crate::extract::{REQUEST_ID, RequestId, sane_request_id};
use crate::problem::{self, Problem, code};

/// Surrounds a request.
pub async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
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
    let started = Instant::now();
    let limit = app.map_or(Duration::from_secs(30), |app| app.limits.answer_wait);
    let answered = bounded(request, next, limit).instrument(span.clone()).await;
    let mut response = problems_only(answered, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    // The pattern and not the path: a label must not have as many values as there are wallets.
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    measure(method.as_str(), &route, response.status(), started.elapsed(), &span);
    Ok(response)
}

/// The response of a request, or the request with the error that it came to.
async fn bounded<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
    limit: Duration,
) -> ServiceResponse<BoxBody> {
    let outline = request.request().clone();
    match tokio::time::timeout(limit, next.call(request)).await {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        Ok(Err(error)) => ServiceResponse::new(outline, HttpResponse::from_error(error)),
        Err(_) => {
            let detail = "the answer took too long; whether a command was recorded is not certain, so repeat it \
                          with the same idempotency key";
            ServiceResponse::new(outline, HttpResponse::from_error(Problem::new(code::TIMEOUT, detail)))
        }
    }
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
    ServiceResponse::new(request, problem.response(Some(id)))
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

fn measure(method: &str, route: &str, status: StatusCode, took: Duration, span: &Span) {
    span.record("route", route).record("status", status.as_u16());
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
