use std::borrow::Cow;

use ::journal::Position;
use chrono::{DateTime, Utc};
use domain::tenant::TenantStatus;
use domain::user::UserStatus;
use domain::{Role, Sealed, TenantId, UserId};
use serde::Serialize;
use uuid::Uuid;

use super::{ReadError, Reader, Reflected, sealed, word};
use crate::Kind;
use crate::names::{tenant_status, user_status};

/// A user. What is personal is sealed under the user's key; of an erased user it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// Their id.
    pub id: UserId,
    /// Their email address.
    pub email: Option<Sealed>,
    /// Their name.
    pub name: Option<Sealed>,
    /// Where a picture of them is.
    pub avatar: Option<Sealed>,
    /// Their language and country.
    pub locale: Option<Sealed>,
    /// What they prefer.
    pub preferences: Option<Sealed>,
    /// Whether they can sign in.
    pub status: UserStatus,
    /// Whether they have shown that the email address is theirs.
    pub verified: bool,
    /// Whether they run the installation.
    pub superadmin: bool,
    /// Whether they need a second factor to sign in.
    pub second_factor: bool,
    /// When they signed in last.
    pub last_sign_in: Option<DateTime<Utc>>,
    /// The OpenID issuers by which they can sign in.
    pub issuers: Vec<String>,
    /// The number of their events.
    pub sequence: i64,
    /// When they were registered.
    pub created_at: DateTime<Utc>,
}

pub(super) struct UserRow {
    pub user_id: Uuid,
    pub email: Option<String>,
    pub name: Option<String>,
    pub avatar: Option<String>,
    pub locale: Option<String>,
    pub preferences: Option<String>,
    pub status: String,
    pub verified: bool,
    pub superadmin: bool,
    pub second_factor: bool,
    pub last_sign_in: Option<DateTime<Utc>>,
    pub issuers: Vec<String>,
    pub sequence: i64,
    pub created_at: DateTime<Utc>,
}

impl TryFrom<UserRow> for UserView {
    type Error = ReadError;

    fn try_from(row: UserRow) -> Result<Self, ReadError> {
        let sealed = |text| sealed("a personal field of a user", text);
        Ok(Self {
            id: UserId(row.user_id),
            email: sealed(row.email)?,
            name: sealed(row.name)?,
            avatar: sealed(row.avatar)?,
            locale: sealed(row.locale)?,
            preferences: sealed(row.preferences)?,
            status: word("a user's status", &row.status, user_status(&row.status))?,
            verified: row.verified,
            superadmin: row.superadmin,
            second_factor: row.second_factor,
            last_sign_in: row.last_sign_in,
            issuers: row.issuers,
            sequence: row.sequence,
            created_at: row.created_at,
        })
    }
}

/// A tenant to which a user belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// Its short name.
    pub slug: String,
    /// Its display name.
    pub name: String,
    /// A domain of its own.
    pub domain: Option<String>,
    /// Whether it can be written.
    pub status: TenantStatus,
    /// What the user is there.
    pub role: Role,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Questions about one user. They are those that a user may ask about themselves: row-level security shows no other
/// user's profile and memberships.
#[derive(Debug, Clone, Copy)]
pub struct UserReader<'a> {
    pub(super) reader: &'a Reader,
    pub(super) user: UserId,
}

impl UserReader<'_> {
    /// The user; `None` where there never was such a user.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn profile(&self) -> Result<Reflected<Option<UserView>>, ReadError> {
        let partition = TenantId::PLATFORM.partition(self.reader.partitions);
        let begin = format!(
            "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ; SET LOCAL app.user_id = '{}';
             LOCK TABLE users IN ACCESS SHARE MODE",
            self.user
        );
        let mut tx = ::journal::begin(&self.reader.pool, Cow::Owned(begin)).await?;
        let row = sqlx::query_as!(
            UserRow,
            "SELECT user_id, email, name, avatar, locale, preferences, status, verified, superadmin, second_factor,
                 last_sign_in, issuers, sequence, created_at
             FROM users WHERE user_id = $1 AND partition = $2",
            self.user.0,
            partition.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        let position = sqlx::query_scalar!(
            "SELECT position FROM checkpoints WHERE projection = $1 AND partition = $2",
            Kind::Users.name(),
            partition.0
        )
        .fetch_optional(&mut *tx)
        .await?
        .unwrap_or(0);
        tx.commit().await?;
        let value = row.map(UserView::try_from).transpose()?;
        Ok(Reflected { value, position: Position { partition, position } })
    }

    /// The tenants to which the user belongs, by slug. It reflects no one position, as tenants live in all partitions.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn memberships(&self) -> Result<Vec<Membership>, ReadError> {
        self.belongs(None).await
    }

    /// What the user is in `tenant`; `None` where the user is no member, or there is no such tenant.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn membership(&self, tenant: TenantId) -> Result<Option<Membership>, ReadError> {
        Ok(self.belongs(Some(tenant)).await?.pop())
    }

    /// One statement, and so one snapshot. The user is set before the memberships are looked at, and for each of them
    /// its tenant before the tenants are: what is looked for depends on what setting it returns, and `OFFSET 0` keeps
    /// the planner from taking the two apart. Were it ever otherwise, row-level security would hide every row.
    async fn belongs(&self, tenant: Option<TenantId>) -> Result<Vec<Membership>, ReadError> {
        let rows = sqlx::query!(
            r#"SELECT member.tenant_id, tenant.slug, tenant.name, tenant.domain, tenant.status, member.role, member.since
               FROM (SELECT set_config('app.user_id', $1::uuid::text, true)::uuid AS user_id OFFSET 0) AS asking
               JOIN LATERAL (
                   SELECT tenant_id, partition, role, since FROM members
                   WHERE user_id = asking.user_id AND ($2::uuid IS NULL OR tenant_id = $2) OFFSET 0
               ) AS member ON true
               JOIN LATERAL (
                   SELECT set_config('app.tenant_id', member.tenant_id::text, true)::uuid AS tenant_id OFFSET 0
               ) AS scope ON true
               JOIN LATERAL (
                   SELECT slug, name, domain, status FROM tenants
                   WHERE tenant_id = scope.tenant_id AND partition = member.partition OFFSET 0
               ) AS tenant ON true
               ORDER BY tenant.slug"#,
            self.user.0,
            tenant.map(|tenant| tenant.0)
        )
        .fetch_all(&self.reader.pool)
        .await?;
        let memberships = rows.into_iter().map(|row| {
            Ok(Membership {
                tenant: TenantId(row.tenant_id),
                slug: row.slug,
                name: row.name,
                domain: row.domain,
                status: word("a tenant's status", &row.status, tenant_status(&row.status))?,
                role: row.role.parse().map_err(ReadError::unreadable("a member's role"))?,
                since: row.since,
            })
        });
        memberships.collect()
    }
}
