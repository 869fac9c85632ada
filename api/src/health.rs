//! Whether the program is alive, can serve, and how it fares.

mod seen;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::ProblemBody;

pub use seen::{Finding, Health, HealthCheck};

/// How one thing is that the program depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// What was looked at: `database`, `nats`, `projection balances`.
    pub name: String,
    /// How it is.
    pub state: CheckState,
    /// What is wrong or lags, where something is. Anybody may read it, so it is one of a few texts; why it is so stands in
    /// the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub detail: Option<&'static str>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Impaired; requests are answered all the same.
    Degraded,
    /// Gone; requests cannot be answered.
    Failed,
}

/// Whether requests can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// The worst of the checks.
    pub state: CheckState,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Says that the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "Operations", security(()), responses(
    (status = 200, description = "The process is alive", body = String, content_type = "text/plain")
))]
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).content_type("text/plain").body("ok\n")
}

/// Says whether requests can be answered, and what lags or is gone.
///
/// What is said was so half a second ago at the most.
#[utoipa::path(get, path = "/readyz", tag = "Operations", security(()), responses(
    (status = 200, description = "Requests can be answered, perhaps impaired", body = Readiness),
    (status = 429, description = "Too many requests without a credential", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "Requests cannot be answered", body = Readiness)
))]
pub async fn ready(app: Data<App>) -> HttpResponse {
    let (status, readiness) = judge(app.health.checks().await);
    HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(readiness)
}

/// Shows the metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Operations", security(()), responses(
    (status = 200, description = "Metrics", body = String, content_type = "text/plain"),
    (status = 429, description = "Too many requests without a credential", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn metrics(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(app.metrics.render())
}

fn judge(checks: Vec<Check>) -> (StatusCode, Readiness) {
    let state = checks.iter().map(|check| check.state).max().unwrap_or(CheckState::Ok);
    let status = if state == CheckState::Failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Readiness { state, checks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(states: &[CheckState]) -> (StatusCode, CheckState) {
        let check = |state: &CheckState| Check { name: "x".into(), state: *state, detail: None };
        let (status, readiness) = judge(states.iter().map(check).collect());
        (status, readiness.state)
    }

    #[test]
    fn what_is_degraded_still_serves_and_what_failed_does_not() {
        use CheckState::{Degraded, Failed, Ok};
        assert_eq!(judged(&[Ok, Degraded]), (StatusCode::OK, Degraded));
        assert_eq!(judged(&[Degraded, Failed, Ok]), (StatusCode::SERVICE_UNAVAILABLE, Failed));
    }
}
