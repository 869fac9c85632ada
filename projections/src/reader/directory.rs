use std::borrow::Cow;

use ::journal::Position;
use chrono::{DateTime, Utc};
use domain::tenant::{Branding, TenantStatus};
use domain::{AssetCode, Scale, Slug, TenantId, UserId};
use serde::Serialize;
use uuid::Uuid;

use super::users::{UserRow, UserView};
use super::{ReadError, Reader, Reflected, TenantReader, storable, word};
use crate::Kind;
use crate::names::tenant_status;

/// A tenant, as it presents itself and as the platform's directory lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantView {
    /// Its id.
    pub id: Uuid,
    /// Its short name.
    pub slug: String,
    /// Its display name.
    pub name: String,
    /// Whether it can be written.
    pub status: TenantStatus,
    /// A domain of its own.
    pub domain: Option<String>,
    /// How it looks.
    pub branding: Branding,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

struct Row {
    id: Uuid,
    slug: String,
    name: String,
    status: String,
    domain: Option<String>,
    branding: serde_json::Value,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for TenantView {
    type Error = ReadError;

    fn try_from(row: Row) -> Result<Self, ReadError> {
        let branding = serde_json::from_value(row.branding);
        Ok(Self {
            id: row.id,
            slug: row.slug,
            name: row.name,
            status: word("a tenant's status", &row.status, tenant_status(&row.status))?,
            domain: row.domain,
            branding: branding.map_err(ReadError::unreadable("a tenant's branding"))?,
            created_at: row.created_at,
        })
    }
}

/// Questions across tenants, for the platform's operators alone.
#[derive(Debug, Clone, Copy)]
pub struct PlatformReader<'a> {
    pub(super) reader: &'a Reader,
}

const BEGIN: &str = "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ; SET LOCAL app.platform = 'on'";

impl PlatformReader<'_> {
    /// At most `limit` tenants by slug, those behind the slug `after`. It reflects no one position, as tenants
    /// live in all partitions.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn tenants(&self, after: Option<&str>, limit: i64) -> Result<Vec<TenantView>, ReadError> {
        let after = after.unwrap_or("");
        if !storable(after) {
            return Ok(Vec::new());
        }
        let mut tx = ::journal::begin(&self.reader.pool, Cow::Borrowed(BEGIN)).await?;
        let tenants = sqlx::query_as!(
            Row,
            "SELECT tenant_id AS id, slug, name, status, domain, branding, recorded_at AS created_at FROM tenants
             WHERE slug > $1 ORDER BY slug LIMIT $2",
            after,
            limit
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        tenants.into_iter().map(TenantView::try_from).collect()
    }

    /// One tenant; `None` where there is none called `slug`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn tenant_by_slug(&self, slug: &Slug) -> Result<Reflected<Option<TenantView>>, ReadError> {
        let id = TenantId::of(slug);
        let partition = id.partition(self.reader.partitions);
        let mut tx = ::journal::begin(&self.reader.pool, Cow::Borrowed(BEGIN)).await?;
        let tenant = sqlx::query_as!(
            Row,
            "SELECT tenant_id AS id, slug, name, status, domain, branding, recorded_at AS created_at FROM tenants
             WHERE tenant_id = $1 AND partition = $2",
            id.0,
            partition.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        let position = sqlx::query_scalar!(
            "SELECT position FROM checkpoints WHERE projection = $1 AND partition = $2",
            Kind::Tenants.name(),
            partition.0
        )
        .fetch_optional(&mut *tx)
        .await?
        .unwrap_or(0);
        tx.commit().await?;
        let value = tenant.map(TenantView::try_from).transpose()?;
        Ok(Reflected { value, position: Position { partition, position } })
    }

    /// At most `limit` users by id, which is the order in which they were registered; those behind the user `after`.
    /// Erased ones are among them, with nothing personal.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn users(
        &self,
        after: Option<UserId>,
        limit: i64,
    ) -> Result<Reflected<Vec<UserView>>, ReadError> {
        let partition = TenantId::PLATFORM.partition(self.reader.partitions);
        let begin = format!("{BEGIN}; LOCK TABLE users IN ACCESS SHARE MODE");
        let mut tx = ::journal::begin(&self.reader.pool, Cow::Owned(begin)).await?;
        let rows = sqlx::query_as!(
            UserRow,
            "SELECT user_id, email, name, avatar, locale, preferences, status, verified, superadmin, second_factor,
                 last_sign_in, issuers, sequence, created_at
             FROM users WHERE user_id > $1 AND partition = $2 ORDER BY user_id LIMIT $3",
            after.unwrap_or_default().0,
            partition.0,
            limit
        )
        .fetch_all(&mut *tx)
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
        let value = rows.into_iter().map(UserView::try_from).collect::<Result<_, _>>()?;
        Ok(Reflected { value, position: Position { partition, position } })
    }
}

impl TenantReader<'_> {
    /// The tenant itself; `None` where it does not exist.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn profile(&self) -> Result<Reflected<Option<TenantView>>, ReadError> {
        let mut snapshot = self.view(Kind::Tenants).await?;
        let row = sqlx::query_as!(
            Row,
            "SELECT tenant_id AS id, slug, name, status, domain, branding, recorded_at AS created_at FROM tenants
             WHERE tenant_id = $1 AND partition = $2",
            self.tenant.0,
            self.partition.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        snapshot.answer(row.map(TenantView::try_from).transpose()?).await
    }

    /// The tenant's assets with their scales, by code.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn assets(&self) -> Result<Reflected<Vec<(AssetCode, Scale)>>, ReadError> {
        let mut snapshot = self.view(Kind::Tenants).await?;
        let rows = sqlx::query!(
            "SELECT code, scale FROM assets WHERE tenant_id = $1 AND partition = $2 ORDER BY code",
            self.tenant.0,
            self.partition.0
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let assets = rows.into_iter().map(|row| {
            let code = AssetCode::new(&row.code).map_err(ReadError::unreadable("an asset's code"))?;
            let scale = u8::try_from(row.scale).map_err(ReadError::unreadable("an asset's scale"))?;
            let scale = Scale::new(scale).map_err(ReadError::unreadable("an asset's scale"))?;
            Ok((code, scale))
        });
        snapshot.answer(assets.collect::<Result<_, ReadError>>()?).await
    }
}
