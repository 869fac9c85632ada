//! Which problems an operation may answer with. A handler says `default`; here that is spelled out status by status, so
//! that an answer that nobody expects is one that is not described.

use std::collections::BTreeSet;

use actix_web::http::{Method, StatusCode};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Components, Content, Ref, RefOr, Response, ResponseBuilder};

use crate::access::Access;
use crate::problem::{ALL, CONTENT_TYPE};
use crate::routes::TABLE;

/// What any request may meet, whatever it asks for.
const EVERYWHERE: [u16; 4] = [414, 431, 500, 504];
/// What any request under `/v1` may meet: the walls, and what a query or a header can be.
const UNDER_V1: [u16; 4] = [400, 422, 429, 503];
/// What a body may be, and what the state of things may say to a change.
const OF_A_CHANGE: [u16; 5] = [404, 408, 409, 413, 415];

/// What the wallet and the provider may say to a call of a model.
const OF_A_CALL: [u16; 2] = [402, 502];

/// Describes each status once.
pub(super) fn describe(components: &mut Components) {
    let statuses: BTreeSet<u16> = ALL.iter().map(|code| code.status.as_u16()).collect();
    for status in statuses {
        components.responses.insert(name(status), RefOr::T(response(status)));
    }
}

/// Puts the statuses in the place of `default`.
pub(super) fn spell_out(path: &str, method: &Method, operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if responses.remove("default").is_none() {
        return;
    }
    let line = TABLE.iter().find(|line| line.pattern == path && line.method == *method);
    let access = line.map(|line| line.access);
    if *method == Method::GET && access != Some(Access::Public) {
        let unchanged = ResponseBuilder::new().description("Still what `If-None-Match` says").build();
        responses.insert("304".to_owned(), RefOr::T(unchanged));
    }
    for status in possible(path, method, access) {
        let reference = Ref::from_response_name(name(status));
        responses.entry(status.to_string()).or_insert(RefOr::Ref(reference));
    }
}

/// The operations of a path.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::POST, post),
        (Method::PUT, put),
        (Method::PATCH, patch),
        (Method::DELETE, delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn possible(path: &str, method: &Method, access: Option<Access>) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::from(EVERYWHERE);
    if !path.starts_with("/v1/") {
        statuses.insert(429);
        return statuses;
    }
    statuses.extend(UNDER_V1);
    // Whoever comes to get in may be refused as well.
    statuses.extend([401, 403]);
    if *method != Method::GET {
        statuses.extend(OF_A_CHANGE);
    }
    if access == Some(Access::Execute) {
        statuses.extend(OF_A_CALL);
    }
    if path.contains('{') || access == Some(Access::Read) {
        statuses.insert(404);
    }
    statuses
}

fn name(status: u16) -> String {
    format!("Problem{status}")
}

fn response(status: u16) -> Response {
    let codes: Vec<String> = ALL
        .iter()
        .filter(|code| code.status.as_u16() == status)
        .map(|code| format!("`{}`", code.name))
        .collect();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    ResponseBuilder::new()
        .description(format!("{}: {}", reason.unwrap_or("A problem"), codes.join(", ")))
        .content(CONTENT_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))))
        .build()
}
