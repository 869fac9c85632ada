use chrono::{DateTime, Utc};
use domain::{Allowance, LevelName, UserRef, WalletPath};
use serde::Serialize;
use sqlx::{QueryBuilder, Row as _};

use super::wallets::prefix_range;
use super::{ReadError, Reflected, TenantReader, storable};
use crate::Kind;

/// What a wallet may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AllowanceView {
    /// The wallet's path.
    pub path: String,
    /// The fold of the allowance's stream.
    pub state: Allowance,
    /// When something is to be done by itself: its period ends or a grant expires. A debt is also repaid before.
    pub due_at: Option<DateTime<Utc>>,
    /// The number of its events.
    pub sequence: i64,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// Which allowances to list; everything set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowanceFilter {
    /// Only wallets whose paths begin with this, character by character.
    pub prefix: String,
    /// Only those of this level.
    pub level: Option<LevelName>,
    /// Only those of this user.
    pub user: Option<UserRef>,
    /// Only those with a debt.
    pub in_debt: bool,
}

fn view(
    path: String,
    state: &str,
    due_at: Option<DateTime<Utc>>,
    sequence: i64,
    changed_at: DateTime<Utc>,
) -> Result<AllowanceView, ReadError> {
    let state = serde_json::from_str(state).map_err(ReadError::unreadable("an allowance"))?;
    Ok(AllowanceView { path, state, due_at, sequence, changed_at })
}

impl TenantReader<'_> {
    /// The allowance of the wallet at `path`; `None` where nothing was ever said of it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn allowance(&self, path: &WalletPath) -> Result<Reflected<Option<AllowanceView>>, ReadError> {
        let mut snapshot = self.view(Kind::Allowances).await?;
        let row = sqlx::query!(
            r#"SELECT path, state::text AS "state!", due_at, sequence, recorded_at FROM allowances
               WHERE tenant_id = $1 AND partition = $2 AND path = $3"#,
            self.tenant.0,
            self.partition.0,
            path.as_str()
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        let view = row.map(|row| view(row.path, &row.state, row.due_at, row.sequence, row.recorded_at));
        snapshot.answer(view.transpose()?).await
    }

    /// At most `limit` allowances by path, those behind the path `after`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn allowances(
        &self,
        filter: &AllowanceFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Reflected<Vec<AllowanceView>>, ReadError> {
        let mut snapshot = self.view(Kind::Allowances).await?;
        let after = after.unwrap_or("");
        let Some((from, to)) = prefix_range(&filter.prefix).filter(|_| storable(after)) else {
            return snapshot.answer(Vec::new()).await;
        };
        let mut query = QueryBuilder::new(
            "SELECT path, state::text AS state, due_at, sequence, recorded_at FROM allowances WHERE tenant_id = ",
        );
        query.push_bind(self.tenant.0).push(" AND partition = ").push_bind(self.partition.0);
        query.push(" AND path >= ").push_bind(from.max(after).to_owned());
        query.push(" AND path > ").push_bind(after.to_owned());
        query.push(" AND path < ").push_bind(to);
        if let Some(level) = &filter.level {
            query.push(" AND level = ").push_bind(level.as_str().to_owned());
        }
        if let Some(user) = &filter.user {
            query.push(" AND user_ref = ").push_bind(user.as_str().to_owned());
        }
        if filter.in_debt {
            query.push(" AND debt > 0");
        }
        query.push(" ORDER BY path LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut *snapshot.tx).await?;
        let views = rows.into_iter().map(|row| {
            let state: String = row.try_get("state")?;
            let (due_at, sequence) = (row.try_get("due_at")?, row.try_get("sequence")?);
            view(row.try_get("path")?, &state, due_at, sequence, row.try_get("recorded_at")?)
        });
        let views = views.collect::<Result<_, ReadError>>()?;
        snapshot.answer(views).await
    }
}
