use chrono::{DateTime, Utc};
use domain::Catalogue;
use serde::Serialize;

use super::{ReadError, Reflected, TenantReader};
use crate::Kind;

/// What a tenant offers: levels, policies, providers, models, prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogueView {
    /// The fold of its stream. The credentials in it are sealed.
    pub state: Catalogue,
    /// The number of its events.
    pub sequence: i64,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

impl TenantReader<'_> {
    /// The tenant's catalogue; of [`TenantId::PLATFORM`](domain::TenantId::PLATFORM) the one that all tenants share.
    /// `None` where nothing was ever offered.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn catalogue(&self) -> Result<Reflected<Option<CatalogueView>>, ReadError> {
        self.catalogue_behind(0).await
    }

    /// The tenant's catalogue where it has more than `sequence` events, for those who remember it as of that one.
    /// `None` where it has not changed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn catalogue_behind(
        &self,
        sequence: i64,
    ) -> Result<Reflected<Option<CatalogueView>>, ReadError> {
        let mut snapshot = self.view(Kind::Catalogues).await?;
        let row = sqlx::query!(
            r#"SELECT sequence, recorded_at, state::text AS "state!" FROM catalogues
               WHERE tenant_id = $1 AND partition = $2 AND sequence > $3"#,
            self.tenant.0,
            self.partition.0,
            sequence
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        let view = row.map(|row| {
            let state = serde_json::from_str(&row.state).map_err(ReadError::unreadable("a catalogue"))?;
            Ok::<_, ReadError>(CatalogueView { state, sequence: row.sequence, changed_at: row.recorded_at })
        });
        snapshot.answer(view.transpose()?).await
    }
}
