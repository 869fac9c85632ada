use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{Sealed, WebAddress};
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::{Fold, Tracked};
use super::views::same_maps;
use super::{Difference, VerifyError, same};

/// Compares the members of every tenant with the fold.
pub(super) async fn members(connection: &mut PgConnection, fold: &Fold) -> Result<(), VerifyError> {
    let rows = sqlx::query!(
        "SELECT tenant_id, user_id, role, since FROM members WHERE partition = $1",
        fold.partition.0
    )
    .fetch_all(connection)
    .await?;
    let name = |tenant: Uuid, user: Uuid| format!("{user} of tenant {tenant}");
    let found: BTreeMap<String, _> =
        rows.into_iter().map(|row| (name(row.tenant_id, row.user_id), (row.role, Some(row.since)))).collect();
    let expected = fold.tenants.iter().flat_map(|(tenant, tracked)| {
        tracked.state.members.iter().map(move |(user, role)| {
            let since = fold.dated.members.get(&(*tenant, user.0)).copied();
            (name(*tenant, user.0), (role.as_str().to_owned(), since))
        })
    });
    Ok(same_maps("member", &expected.collect(), &found)?)
}

/// Compares the invitations of every tenant with the fold, and that with what the tenants' states say is open.
pub(super) async fn invitations(connection: &mut PgConnection, fold: &Fold) -> Result<(), VerifyError> {
    let rows = sqlx::query!(
        "SELECT tenant_id, invitation_id, email, role, status, expires_at, digest, created_at
         FROM invitations WHERE partition = $1",
        fold.partition.0
    )
    .fetch_all(connection)
    .await?;
    let name = |tenant: Uuid, invitation: Uuid| format!("{invitation} of tenant {tenant}");
    let found: BTreeMap<String, _> = rows
        .into_iter()
        .map(|row| {
            let made = (row.email, row.role, row.digest, row.expires_at, row.created_at);
            (name(row.tenant_id, row.invitation_id), (row.status, made))
        })
        .collect();
    let mut expected = BTreeMap::new();
    for ((tenant, id), invited) in &fold.dated.invitations {
        let made = &invited.invitation;
        let texts = (made.email.to_string(), made.role.as_str().to_owned(), made.digest.to_string());
        let made = (texts.0, texts.1, texts.2, made.expires_at, invited.created_at);
        expected.insert(name(*tenant, *id), (invited.status.as_str().to_owned(), made));
        let open = fold
            .tenants
            .get(tenant)
            .map(|tracked| tracked.state.invitations.iter().any(|(invitation, _)| invitation.0 == *id));
        let place = || format!("whether invitation {} is open", name(*tenant, *id));
        same(place, &open, &Some(invited.status == crate::InvitationStatus::Open))?;
    }
    Ok(same_maps("invitation", &expected, &found)?)
}

/// Compares every user's row with the fold; returns how many there are.
pub(super) async fn users(connection: &mut PgConnection, fold: &Fold) -> Result<i64, VerifyError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT tenant_id, user_id, email, name, avatar, locale, preferences, status, verified, superadmin,
             second_factor, last_sign_in, issuers, sequence, created_at
         FROM users WHERE partition = $1",
        fold.partition.0
    )
    .fetch_all(connection)
    .await?;
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    for row in &rows {
        let Some(user) = fold.users.get(&row.user_id) else {
            let place = format!("the row of user {}", row.user_id);
            let (expected, found) = ("no such user".to_owned(), "a row".to_owned());
            return Err(Difference { place, expected, found }.into());
        };
        compare(row, user)?;
    }
    let expected = i64::try_from(fold.users.len()).unwrap_or(i64::MAX);
    same(|| format!("the number of users in partition {}", fold.partition), &expected, &count)?;
    Ok(count)
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

fn compare(row: &Row, user: &Tracked<domain::User>) -> Result<(), Difference> {
    let place = || format!("the row of user {}", row.user_id);
    let state = &user.state;
    same(place, &(user.tenant_id, user.sequence), &(row.tenant_id, row.sequence))?;
    let required = |field: &Sealed| Some(field.to_string()).filter(|text| !text.is_empty());
    let optional = |field: &Option<Sealed>| field.as_ref().map(ToString::to_string);
    let expected = [
        required(&state.email),
        required(&state.name),
        optional(&state.avatar),
        optional(&state.locale),
        optional(&state.preferences),
    ];
    let found = [&row.email, &row.name, &row.avatar, &row.locale, &row.preferences];
    same(place, &expected.each_ref(), &found)?;
    same(place, &state.status.as_str(), &row.status.as_str())?;
    let flags = [state.verified, state.superadmin, state.second_factor];
    same(place, &flags, &[row.verified, row.superadmin, row.second_factor])?;
    same(place, &(user.began, state.last_sign_in), &(row.created_at, row.last_sign_in))?;
    let issuers: Vec<&str> = state.issuers.iter().map(WebAddress::as_str).collect();
    same(place, &issuers, &row.issuers.iter().map(String::as_str).collect())
}
