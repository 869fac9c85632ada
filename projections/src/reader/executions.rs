use chrono::{DateTime, Utc};
use domain::execution::ExecutionStatus;
use domain::{ApplicationId, Execution, ExecutionId, ModelName, ProviderName, UserRef, WalletId, WalletPath};
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{ReadError, Reflected, TenantReader};
use crate::Kind;

/// A metered call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecutionView {
    /// Its id.
    pub id: ExecutionId,
    /// The fold of its stream.
    pub state: Execution,
    /// The position of its first event.
    pub position: i64,
    /// When it was requested.
    pub requested_at: DateTime<Utc>,
    /// When it ended, however that was.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Which executions to list; everything set must hold. The window includes its beginning and not its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecutionFilter {
    /// Only those of this status.
    pub status: Option<ExecutionStatus>,
    /// Only those that this wallet pays for.
    pub wallet: Option<WalletPath>,
    /// Only calls of this application.
    pub application: Option<ApplicationId>,
    /// Only those for this user.
    pub user: Option<UserRef>,
    /// Only those for which this model was asked.
    pub model: Option<ModelName>,
    /// Only those that this provider answered last.
    pub provider: Option<ProviderName>,
    /// Only those requested at this time or later.
    pub requested_from: Option<DateTime<Utc>>,
    /// Only those requested before this time.
    pub requested_to: Option<DateTime<Utc>>,
}

fn view(
    id: Uuid,
    state: &str,
    position: i64,
    requested_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
) -> Result<ExecutionView, ReadError> {
    let state = serde_json::from_str(state).map_err(ReadError::unreadable("an execution"))?;
    Ok(ExecutionView { id: ExecutionId(id), state, position, requested_at, ended_at })
}

impl TenantReader<'_> {
    /// One execution; `None` where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn execution(&self, id: ExecutionId) -> Result<Reflected<Option<ExecutionView>>, ReadError> {
        let mut snapshot = self.view(Kind::Executions).await?;
        let row = sqlx::query!(
            r#"SELECT state::text AS "state!", position, recorded_at, ended_at FROM executions
               WHERE execution_id = $1 AND partition = $2 AND tenant_id = $3"#,
            id.0,
            self.partition.0,
            self.tenant.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        let view = row.map(|row| view(id.0, &row.state, row.position, row.recorded_at, row.ended_at));
        snapshot.answer(view.transpose()?).await
    }

    /// At most `limit` executions, newest first, those before the position `before`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn executions(
        &self,
        filter: &ExecutionFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Reflected<Vec<ExecutionView>>, ReadError> {
        let mut snapshot = self.view(Kind::Executions).await?;
        let rows = self.listed(filter, before, limit).build().fetch_all(&mut *snapshot.tx).await?;
        let views = rows.into_iter().map(|row| {
            let state: String = row.try_get("state")?;
            let (requested_at, ended_at) = (row.try_get("recorded_at")?, row.try_get("ended_at")?);
            view(row.try_get("execution_id")?, &state, row.try_get("position")?, requested_at, ended_at)
        });
        let views = views.collect::<Result<_, ReadError>>()?;
        snapshot.answer(views).await
    }

    fn listed(
        &self,
        filter: &ExecutionFilter,
        before: Option<i64>,
        limit: i64,
    ) -> QueryBuilder<'static, Postgres> {
        let mut query = QueryBuilder::new(
            "SELECT execution_id, state::text AS state, position, recorded_at, ended_at FROM executions \
             WHERE tenant_id = ",
        );
        query.push_bind(self.tenant.0).push(" AND partition = ").push_bind(self.partition.0);
        if let Some(before) = before {
            query.push(" AND position < ").push_bind(before);
        }
        if let Some(status) = filter.status {
            // As a literal: there is an index of all but the most frequent one. Words of this program alone.
            query.push(format!(" AND status = '{}'", status.as_str()));
        }
        if let Some(wallet) = &filter.wallet {
            query.push(" AND wallet_id = ").push_bind(WalletId::of(self.tenant, wallet).0);
        }
        if let Some(application) = filter.application {
            query.push(" AND application_id = ").push_bind(application.0);
        }
        if let Some(user) = &filter.user {
            query.push(" AND user_ref = ").push_bind(user.as_str().to_owned());
        }
        if let Some(model) = &filter.model {
            query.push(" AND model = ").push_bind(model.as_str().to_owned());
        }
        if let Some(provider) = &filter.provider {
            query.push(" AND provider = ").push_bind(provider.as_str().to_owned());
        }
        // The time of recording grows with the position, so a window of one is a window of the other.
        for (at, comparison) in [(filter.requested_from, ">"), (filter.requested_to, "<=")] {
            if let Some(at) = at {
                query.push(format!(" AND position {comparison} (SELECT journal.position_at("));
                query.push_bind(self.partition.0).push(", ").push_bind(self.tenant.0);
                query.push(", ").push_bind(at).push("::timestamptz - interval '1 microsecond'))");
            }
        }
        query.push(" ORDER BY position DESC LIMIT ").push_bind(limit);
        query
    }
}
