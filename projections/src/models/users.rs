use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{NameError, Partition, Sealed, User, WebAddress};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use super::fold::{Folded, Mark, Rows, begun, fold, unreadable};
use crate::decoded::Decoded;
use crate::names::user_status;

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut rows = load(connection, partition, batch).await?;
    fold(&mut rows, batch, |_, _, _| Ok(()))?;
    write(connection, partition, &rows).await
}

struct Row {
    tenant_id: Uuid,
    user_id: Uuid,
    email: Option<String>,
    name: Option<String>,
    avatar: Option<String>,
    locale: Option<String>,
    preferences: Option<String>,
    status: String,
    verified: bool,
    superadmin: bool,
    second_factor: bool,
    last_sign_in: Option<DateTime<Utc>>,
    issuers: Vec<String>,
    sequence: i64,
    created_at: DateTime<Utc>,
}

/// What a kept row says that no fold has written.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the status {0:?}")]
    Status(String),
}

impl TryFrom<Row> for Folded<User> {
    type Error = Unreadable;

    fn try_from(row: Row) -> Result<Self, Unreadable> {
        let sealed = |text: Option<String>| text.map(|text| Sealed::new(&text)).transpose();
        let issuers = row.issuers.iter().map(|issuer| WebAddress::new(issuer));
        let state = User {
            status: user_status(&row.status).ok_or(Unreadable::Status(row.status))?,
            // An erased one has none.
            email: sealed(row.email)?.unwrap_or_default(),
            name: sealed(row.name)?.unwrap_or_default(),
            avatar: sealed(row.avatar)?,
            locale: sealed(row.locale)?,
            preferences: sealed(row.preferences)?,
            verified: row.verified,
            superadmin: row.superadmin,
            second_factor: row.second_factor,
            last_sign_in: row.last_sign_in,
            issuers: Arc::new(issuers.collect::<Result<BTreeSet<_>, _>>()?),
        };
        let created = Mark { position: 0, at: row.created_at };
        Ok(Self::kept(row.tenant_id, row.sequence, created, state))
    }
}

/// The users that were registered before this batch.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<Rows<User>, Fault> {
    let known = begun(batch);
    if known.is_empty() {
        return Ok(Rows::new());
    }
    let rows = sqlx::query_as!(
        Row,
        "SELECT tenant_id, user_id, email, name, avatar, locale, preferences, status, verified, superadmin,
             second_factor, last_sign_in, issuers, sequence, created_at
         FROM users WHERE user_id = ANY($1) AND partition = $2",
        &known,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = Rows::new();
    for row in rows {
        let id = row.user_id;
        let user = row.try_into().map_err(|error: Unreadable| unreadable(batch, id, error))?;
        folded.insert(id, user);
    }
    Ok(folded)
}

#[derive(Default)]
struct Columns<'a> {
    tenant_id: Vec<Uuid>,
    id: Vec<Uuid>,
    email: Vec<Option<&'a str>>,
    name: Vec<Option<&'a str>>,
    avatar: Vec<Option<&'a str>>,
    locale: Vec<Option<&'a str>>,
    preferences: Vec<Option<&'a str>>,
    status: Vec<&'static str>,
    verified: Vec<bool>,
    superadmin: Vec<bool>,
    second_factor: Vec<bool>,
    last_sign_in: Vec<Option<DateTime<Utc>>>,
    /// Postgres has no arrays of arrays of different lengths.
    issuers: Vec<serde_json::Value>,
    sequence: Vec<i64>,
    created_at: Vec<DateTime<Utc>>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a Rows<User>) -> Self {
        let mut columns = Self::default();
        for (id, Folded { tenant_id, sequence, first, state, .. }) in rows {
            columns.tenant_id.push(*tenant_id);
            columns.id.push(*id);
            columns.email.push(Some(state.email.as_str()).filter(|text| !text.is_empty()));
            columns.name.push(Some(state.name.as_str()).filter(|text| !text.is_empty()));
            columns.avatar.push(state.avatar.as_ref().map(Sealed::as_str));
            columns.locale.push(state.locale.as_ref().map(Sealed::as_str));
            columns.preferences.push(state.preferences.as_ref().map(Sealed::as_str));
            columns.status.push(state.status.as_str());
            columns.verified.push(state.verified);
            columns.superadmin.push(state.superadmin);
            columns.second_factor.push(state.second_factor);
            columns.last_sign_in.push(state.last_sign_in);
            columns.issuers.push(state.issuers.iter().map(WebAddress::as_str).collect());
            columns.sequence.push(*sequence);
            columns.created_at.push(first.at);
        }
        columns
    }
}

async fn write(connection: &mut PgConnection, partition: Partition, rows: &Rows<User>) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(rows);
    sqlx::query!(
        "INSERT INTO users (partition, tenant_id, user_id, email, name, avatar, locale, preferences, status, verified,
             superadmin, second_factor, last_sign_in, issuers, sequence, created_at)
         SELECT $1, c.tenant_id, c.user_id, c.email, c.name, c.avatar, c.locale, c.preferences, c.status, c.verified,
             c.superadmin, c.second_factor, c.last_sign_in,
             ARRAY(SELECT jsonb_array_elements_text(c.issuers)), c.sequence, c.created_at
         FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
             $10::boolean[], $11::boolean[], $12::boolean[], $13::timestamptz[], $14::jsonb[], $15::bigint[],
             $16::timestamptz[])
             AS c (tenant_id, user_id, email, name, avatar, locale, preferences, status, verified, superadmin,
                 second_factor, last_sign_in, issuers, sequence, created_at)
         ON CONFLICT (user_id, partition) DO UPDATE
         SET email = excluded.email, name = excluded.name, avatar = excluded.avatar, locale = excluded.locale,
             preferences = excluded.preferences, status = excluded.status, verified = excluded.verified,
             superadmin = excluded.superadmin, second_factor = excluded.second_factor,
             last_sign_in = excluded.last_sign_in, issuers = excluded.issuers, sequence = excluded.sequence",
        partition.0,
        &columns.tenant_id,
        &columns.id,
        &columns.email as &[Option<&str>],
        &columns.name as &[Option<&str>],
        &columns.avatar as &[Option<&str>],
        &columns.locale as &[Option<&str>],
        &columns.preferences as &[Option<&str>],
        &columns.status as &[&str],
        &columns.verified,
        &columns.superadmin,
        &columns.second_factor,
        &columns.last_sign_in as &[Option<DateTime<Utc>>],
        &columns.issuers,
        &columns.sequence,
        &columns.created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}
