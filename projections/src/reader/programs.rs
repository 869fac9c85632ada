use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::application::{ApplicationStatus, Details, Environment, Scope};
use domain::{ApplicationId, KeyId, Network, PublicId};
use serde::Serialize;
use uuid::Uuid;

use super::{ReadError, Reflected, TenantReader, word};
use crate::Kind;
use crate::names::application_status;

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplicationView {
    /// Its id.
    pub id: ApplicationId,
    /// Name, description, category, icon, template and metadata.
    pub details: Details,
    /// Whether it can hold keys.
    pub status: ApplicationStatus,
    /// The number of its events.
    pub sequence: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

struct Row {
    application_id: Uuid,
    details: String,
    status: String,
    sequence: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for ApplicationView {
    type Error = ReadError;

    fn try_from(row: Row) -> Result<Self, ReadError> {
        let details = serde_json::from_str(&row.details);
        Ok(Self {
            id: ApplicationId(row.application_id),
            details: details.map_err(ReadError::unreadable("an application"))?,
            status: word("an application's status", &row.status, application_status(&row.status))?,
            sequence: row.sequence,
            created_at: row.created_at,
        })
    }
}

/// An API key, without its secret half and without the digest of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiKeyView {
    /// Its id.
    pub id: KeyId,
    /// The application that holds it.
    pub application: ApplicationId,
    /// Its public half.
    pub public_id: PublicId,
    /// What it is meant for.
    pub environment: Environment,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From where alone it may be used; from everywhere if there is none.
    pub addresses: BTreeSet<Network>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
}

pub(super) struct KeyRow {
    pub application_id: Uuid,
    pub key_id: Uuid,
    pub public_id: String,
    pub environment: String,
    pub scopes: Vec<String>,
    pub addresses: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

impl TryFrom<KeyRow> for ApiKeyView {
    type Error = ReadError;

    fn try_from(row: KeyRow) -> Result<Self, ReadError> {
        let scopes = row.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>();
        let addresses = row.addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>();
        Ok(Self {
            id: KeyId(row.key_id),
            application: ApplicationId(row.application_id),
            public_id: PublicId::new(&row.public_id).map_err(ReadError::unreadable("a key's public id"))?,
            environment: row.environment.parse().map_err(ReadError::unreadable("a key's environment"))?,
            scopes: scopes.map_err(ReadError::unreadable::<String>("a key's scopes"))?,
            addresses: addresses.map_err(ReadError::unreadable::<domain::NameError>("a key's addresses"))?,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            created_at: row.created_at,
        })
    }
}

impl TenantReader<'_> {
    /// At most `limit` applications by id, which is the order in which they were created; those behind the application
    /// `after`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn applications(
        &self,
        after: Option<ApplicationId>,
        limit: i64,
    ) -> Result<Reflected<Vec<ApplicationView>>, ReadError> {
        let mut snapshot = self.view(Kind::Applications).await?;
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT application_id, details::text AS "details!", status, sequence, created_at FROM applications
               WHERE tenant_id = $1 AND partition = $2 AND application_id > $3 ORDER BY application_id LIMIT $4"#,
            self.tenant.0,
            self.partition.0,
            after.unwrap_or_default().0,
            limit
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let applications = rows.into_iter().map(ApplicationView::try_from).collect::<Result<_, _>>()?;
        snapshot.answer(applications).await
    }

    /// One application; `None` where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn application(
        &self,
        id: ApplicationId,
    ) -> Result<Reflected<Option<ApplicationView>>, ReadError> {
        let mut snapshot = self.view(Kind::Applications).await?;
        let row = sqlx::query_as!(
            Row,
            r#"SELECT application_id, details::text AS "details!", status, sequence, created_at FROM applications
               WHERE tenant_id = $1 AND partition = $2 AND application_id = $3"#,
            self.tenant.0,
            self.partition.0,
            id.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        snapshot.answer(row.map(ApplicationView::try_from).transpose()?).await
    }

    /// At most `limit` keys of an application by id, which is the order in which they were issued; those behind the
    /// key `after`. Expired and revoked ones are among them. `None` where there is no such application.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn keys(
        &self,
        application: ApplicationId,
        after: Option<KeyId>,
        limit: i64,
    ) -> Result<Reflected<Option<Vec<ApiKeyView>>>, ReadError> {
        let mut snapshot = self.view(Kind::Applications).await?;
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM applications WHERE tenant_id = $1 AND partition = $2 AND application_id = $3)
                   AS "exists!""#,
            self.tenant.0,
            self.partition.0,
            application.0
        )
        .fetch_one(&mut *snapshot.tx)
        .await?;
        if !exists {
            return snapshot.answer(None).await;
        }
        let rows = sqlx::query_as!(
            KeyRow,
            "SELECT application_id, key_id, public_id, environment, scopes, addresses, expires_at, revoked_at,
                 created_at
             FROM api_keys
             WHERE tenant_id = $1 AND partition = $2 AND application_id = $3 AND key_id > $4
             ORDER BY key_id LIMIT $5",
            self.tenant.0,
            self.partition.0,
            application.0,
            after.unwrap_or_default().0,
            limit
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let keys = rows.into_iter().map(ApiKeyView::try_from).collect::<Result<_, _>>()?;
        snapshot.answer(Some(keys)).await
    }
}
