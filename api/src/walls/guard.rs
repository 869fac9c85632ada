//! The first look at a request: how large it is, and whether it tries to get in too often.

use actix_web::Error;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::access::Access;
use crate::app::App;
use crate::problem::{Problem, code};
use crate::routes::Matched;

/// Refuses what is not looked at any further.
pub async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match request.app_data::<Data<App>>().map(|app| look(app, &request)) {
        Some(Err(problem)) => Ok(request.error_response(problem).map_into_right_body()),
        _ => Ok(next.call(request).await?.map_into_left_body()),
    }
}

fn look(app: &App, request: &ServiceRequest) -> Result<(), Problem> {
    let settings = app.walls.settings();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > settings.query_bytes {
        let detail = format!("path and query have at most {} bytes together", settings.query_bytes);
        return Err(Problem::new(code::URI_TOO_LONG, detail));
    }
    if size(request.headers()) > settings.header_bytes {
        let detail = format!("the headers have at most {} bytes together", settings.header_bytes);
        return Err(Problem::new(code::HEADERS_TOO_LARGE, detail));
    }
    // The pattern and not the path, which can be written in many ways.
    let Matched { pattern, access } = Matched::of(request.request());
    // Who goes on with a session has got in already, and does not stand in line with those who try to.
    let lets_in = pattern.starts_with("/v1/") && pattern != "/v1/auth/refresh";
    match access {
        // It costs as little as a refusal, and a program that seems dead is started again.
        Some(Access::Public) if pattern == "/healthz" => Ok(()),
        Some(Access::Public) if lets_in => app.walls.pass_sign_in(request.request()),
        Some(Access::Public) | None => app.walls.pass_anonymous(request.request()),
        // By what is shown, or where it is missed.
        Some(_) => Ok(()),
    }
}

/// As many bytes as the headers took on the wire.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}
