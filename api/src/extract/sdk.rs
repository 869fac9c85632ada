//! What is read of a request that an SDK has made: its body as it is, its key, and who asks.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use commands::Context;
use domain::TenantId;
use tokio::sync::OwnedSemaphorePermit;

use super::{body, headers, write};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// The caller's idempotency key.
pub fn key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    headers::idempotency_key(request.headers())
}

/// The body, and the room that it takes.
pub async fn body(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    tenant: TenantId,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let limit = app.limits.call_bytes;
    let admitted = write::admit(app, tenant, request, limit)?;
    let bytes = body::read(request, payload, limit, app.limits.body_wait).await?;
    Ok((bytes, admitted))
}

/// Who asks, for the audit log.
pub fn context(app: &App, request: &HttpRequest, caller: &Caller) -> Context {
    write::context(app, caller, request)
}
