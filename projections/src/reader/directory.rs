use std::borrow::Cow;

use ::journal::Position;
use chrono::{DateTime, Utc};
use domain::{AssetCode, Scale, Slug, TenantId};
use serde::Serialize;
use uuid::Uuid;

use super::{ReadError, Reader, Reflected, TenantReader, storable};
use crate::Kind;

/// A tenant as the platform's directory lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantView {
    /// Its id.
    pub id: Uuid,
    /// Its short name.
    pub slug: String,
    /// Its display name.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
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
            TenantView,
            "SELECT tenant_id AS id, slug, name, recorded_at AS created_at FROM tenants
             WHERE slug > $1 ORDER BY slug LIMIT $2",
            after,
            limit
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(tenants)
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
            TenantView,
            "SELECT tenant_id AS id, slug, name, recorded_at AS created_at FROM tenants
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
        Ok(Reflected { value: tenant, position: Position { partition, position } })
    }
}

impl TenantReader<'_> {
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
