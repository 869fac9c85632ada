//! API keys: shown once, kept as a digest.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use commands::Command;
use domain::application::{ApplicationCommand, Environment, IssuedKey, Replacement, Scope};
use domain::{ApplicationId, KeyId, Network};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::answer::{self, Answer};
use crate::credential::ApiKey;
use crate::cursor::Cursor;
use crate::extract::{
    After, ApplicationAt, Document, KeyAt, Limit, Nothing, Parameters, Read, Write, Writer,
};
use crate::field::{Clearable, Field};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{IssuedKeyBody, KeyBody, List};

const LIST: &str = "keys";
/// The longest that an old key lives on beside its successor, in seconds: 30 days.
const LONGEST_OVERLAP: u32 = 30 * 24 * 60 * 60;
/// How long it does where nothing is said: a day.
const USUAL_OVERLAP: u32 = 24 * 60 * 60;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueKey {
    /// `live` (as where nothing is said) or `test`: the second word of the key, for people who see it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "environment", example = "live")]
    pub environment: Option<Field<Environment>>,
    /// What it may do: `read`, `audit`, `transact`, `administer`, `execute`. None includes another.
    #[schema(value_type = Vec<String>, format = "scope", min_items = 1, example = json!(["read", "transact"]))]
    pub scopes: Vec<Field<Scope>>,
    /// When it ends by itself.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Option<Field<DateTime<Utc>>>,
    /// From where it may be used: addresses or networks such as `192.0.2.0/24`; from everywhere where there are none.
    #[serde(default)]
    #[schema(value_type = Vec<String>, format = "network", max_items = 32, example = json!(["192.0.2.0/24"]))]
    pub addresses: Vec<Field<Network>>,
}

impl Document for IssueKey {}

/// Makes a key. It is shown this once: a repetition with the same idempotency key shows everything but the key.
#[utoipa::path(post, path = "/v1/applications/{id}/keys", tag = "Applications", request_body = IssueKey,
    params(("id" = uuid::Uuid, Path, description = "The application's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, description = "The key", body = IssuedKeyBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn issue(Write { body, writer }: Write<IssueKey>, ApplicationAt(id): ApplicationAt) -> Answer {
    let environment = body.environment.map_or(Environment::Live, |environment| environment.0);
    let (key, secret) = (KeyId(writer.new_id("key")), draw(environment)?);
    let issued = IssuedKey {
        key,
        public_id: secret.public_id().clone(),
        environment,
        digest: secret.digest(),
        scopes: body.scopes.into_iter().map(|scope| scope.0).collect::<BTreeSet<Scope>>(),
        expires_at: body.expires_at.map(|time| time.0),
        addresses: body.addresses.into_iter().map(|network| network.0).collect::<BTreeSet<Network>>(),
    };
    let command = ApplicationCommand::IssueKey(issued);
    let outcome = writer.submit(Command::Application { id, command }).await?;
    writer.settle(&outcome).await;
    let shown: Option<Zeroizing<String>> = (!outcome.replayed).then(|| secret.to_text());
    answer::done(outcome, StatusCode::CREATED, |resource| IssuedKeyBody::of(&resource, key, shown))
}

fn draw(environment: Environment) -> Result<ApiKey, Problem> {
    ApiKey::draw(environment).map_err(Problem::internal)
}

/// Which keys to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListKeys {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListKeys {}

/// Lists the keys of an application, those that are over included, without what makes them keys.
#[utoipa::path(get, path = "/v1/applications/{id}/keys", tag = "Applications",
    params(("id" = uuid::Uuid, Path, description = "The application's id"), ListKeys, After), responses(
    (status = 200, description = "Keys", body = List<KeyBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListKeys>, ApplicationAt(id): ApplicationAt) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last(LIST)).transpose()?.map(KeyId);
    let found = view.ledger().keys(id, after, limit).await?;
    let absent = || Problem::new(code::APPLICATION_NOT_FOUND, "the application does not exist");
    let listed: Vec<KeyId> = found.value.iter().flatten().map(|key| key.id).collect();
    let uses = view.people().key_uses.of(view.tenant(), &listed).await?;
    view.answer_or(found, absent, |keys, _| {
        let used = |id| uses.get(&id).copied();
        let items = keys
            .into_iter()
            .map(|key| KeyBody { last_used_at: used(key.id), ..KeyBody::from(key) })
            .collect();
        Ok(List::page(LIST, items, limit, |last: &KeyBody| last.id.to_string()))
    })
}

/// How long the old key lives on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// For how many seconds the old key is still taken; a day by default, 30 days at the most.
    #[serde(default)]
    #[schema(maximum = 2_592_000, example = 3600)]
    pub overlap_seconds: Option<u32>,
    /// When the new key ends by itself: left out, when the old one was meant to; null, never.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Clearable<DateTime<Utc>>,
}

impl Document for RotateKey {}

/// Makes a key that may do the same, as long as the old one was meant to. The old one is still taken for a while, so that
/// no request fails meanwhile.
#[utoipa::path(post, path = "/v1/applications/{id}/keys/{key}/rotate", tag = "Applications", request_body = RotateKey,
    params(("id" = uuid::Uuid, Path, description = "The application's id"),
        ("key" = uuid::Uuid, Path, description = "The key's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, description = "The new key", body = IssuedKeyBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn rotate(Write { body, writer }: Write<RotateKey>, at: KeyAt) -> Answer {
    let overlap = body.overlap_seconds.unwrap_or(USUAL_OVERLAP);
    if overlap > LONGEST_OVERLAP {
        let detail = format!("an overlap has at most {LONGEST_OVERLAP} seconds");
        return Err(Problem::new(code::INVALID_BODY, detail).at("overlap_seconds"));
    }
    let KeyAt { application: id, key: old } = at;
    let secret = draw(environment_of(&writer, id, old).await?)?;
    let key = KeyId(writer.new_id("key"));
    let replacement = Replacement {
        key,
        public_id: secret.public_id().clone(),
        digest: secret.digest(),
        expires_at: body.expires_at.into(),
    };
    let until = writer.now() + TimeDelta::seconds(overlap.into());
    let command = ApplicationCommand::RotateKey { key: old, replacement, until };
    let outcome = writer.submit(Command::Application { id, command }).await?;
    writer.settle(&outcome).await;
    let shown = (!outcome.replayed).then(|| secret.to_text());
    answer::done(outcome, StatusCode::CREATED, |resource| IssuedKeyBody::of(&resource, key, shown))
}

/// What a key is meant for: the new one is named alike.
async fn environment_of(writer: &Writer, id: ApplicationId, key: KeyId) -> Result<Environment, Problem> {
    let before = KeyId(Uuid::from_u128(key.0.as_u128().saturating_sub(1)));
    let found = writer.ledger().keys(id, Some(before), 1).await?.value;
    let absent = || Problem::new(code::APPLICATION_NOT_FOUND, "the application does not exist");
    let found = found.ok_or_else(absent)?.into_iter().find(|found| found.id == key);
    let absent = || Problem::new(code::KEY_NOT_FOUND, "the key does not exist");
    Ok(found.ok_or_else(absent)?.environment)
}

/// Revokes a key. It is refused within a second, everywhere.
#[utoipa::path(delete, path = "/v1/applications/{id}/keys/{key}", tag = "Applications",
    params(("id" = uuid::Uuid, Path, description = "The application's id"),
        ("key" = uuid::Uuid, Path, description = "The key's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 204, description = "The key is revoked"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn revoke(Write { writer, .. }: Write<Nothing>, at: KeyAt) -> Answer {
    let command = ApplicationCommand::RevokeKey { key: at.key };
    let outcome = writer.submit(Command::Application { id: at.application, command }).await?;
    Ok(answer::gone(&outcome))
}
