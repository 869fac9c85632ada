//! Which other sites may ask in a browser.

use std::collections::HashSet;

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header;

use crate::routes::TABLE;

/// How long a browser may remember the answer to its question, in seconds.
const REMEMBER: usize = 600;

/// Lets exactly these sites ask whatever the table of routes has, with cookies; a browser keeps the answers from all
/// others.
pub fn cors(origins: &[String]) -> Cors {
    let methods: HashSet<Method> = TABLE.iter().map(|line| line.method.clone()).collect();
    let cors = Cors::default()
        .allowed_methods(methods)
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_NONE_MATCH])
        .allowed_headers(["Idempotency-Key", "X-Tenant-Slug", "X-CSRF-Token", "X-Request-Id", "traceparent"])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .expose_headers(["Counterfoil-Position", "Idempotency-Replayed", "X-Request-Id"])
        .expose_headers(["Counterfoil-Execution", "Counterfoil-Warning", "Counterfoil-Replayed"])
        .expose_headers(["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"])
        .supports_credentials()
        .block_on_origin_mismatch(false)
        .max_age(REMEMBER);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
