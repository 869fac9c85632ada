use chrono::{DateTime, Utc};
use domain::wallet::WalletStatus;
use domain::{Amount, AssetCode, WalletId, WalletPath};
use serde::Serialize;

use super::{ReadError, Reflected, TenantReader, amount, storable};
use crate::Kind;
use crate::names::wallet_status;

/// A wallet with its balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalletView {
    /// Its path.
    pub path: String,
    /// The asset it holds.
    pub asset: String,
    /// `open`, `frozen` or `closed`.
    pub status: String,
    /// What `posted - held` may not fall below; `None` is no limit.
    pub minimum: Option<Amount>,
    /// The caller's own facts.
    pub metadata: serde_json::Value,
    /// What it has.
    pub posted: Amount,
    /// What is promised away.
    pub held: Amount,
    /// What is promised to it.
    pub incoming: Amount,
    /// What can be spent, in decimal digits: with an extreme limit it can exceed any [`Amount`].
    pub available: String,
    /// The number of its events.
    pub sequence: i64,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// Which wallets to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WalletFilter {
    /// Only paths that begin with this, character by character.
    pub prefix: String,
    /// Only wallets of this asset.
    pub asset: Option<AssetCode>,
    /// Only wallets of this status.
    pub status: Option<WalletStatus>,
}

struct Row {
    path: String,
    asset: String,
    status: String,
    minimum: Option<String>,
    metadata: serde_json::Value,
    posted: String,
    held: String,
    incoming: String,
    available: String,
    sequence: i64,
    recorded_at: DateTime<Utc>,
}

impl TryFrom<Row> for WalletView {
    type Error = ReadError;

    fn try_from(row: Row) -> Result<Self, ReadError> {
        Ok(Self {
            path: row.path,
            asset: row.asset,
            status: row.status,
            minimum: row.minimum.map(|minimum| amount("a wallet's minimum", &minimum)).transpose()?,
            metadata: row.metadata,
            posted: amount("a wallet's balance", &row.posted)?,
            held: amount("a wallet's balance", &row.held)?,
            incoming: amount("a wallet's balance", &row.incoming)?,
            available: row.available,
            sequence: row.sequence,
            changed_at: row.recorded_at,
        })
    }
}

impl TenantReader<'_> {
    /// One wallet; `None` where there is none at `path`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn wallet(&self, path: &WalletPath) -> Result<Reflected<Option<WalletView>>, ReadError> {
        let mut snapshot = self.view(Kind::Balances).await?;
        let row = sqlx::query_as!(
            Row,
            r#"SELECT path, asset, status, minimum::text, metadata, posted::text AS "posted!",
                   held::text AS "held!", incoming::text AS "incoming!",
                   (posted - held - coalesce(minimum, 0))::text AS "available!", sequence, recorded_at
               FROM balances WHERE wallet_id = $1 AND partition = $2 AND tenant_id = $3"#,
            WalletId::of(self.tenant, path).0,
            self.partition.0,
            self.tenant.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        snapshot.answer(row.map(WalletView::try_from).transpose()?).await
    }

    /// At most `limit` wallets by path, those behind the path `after`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn wallets(
        &self,
        filter: &WalletFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Reflected<Vec<WalletView>>, ReadError> {
        let mut snapshot = self.view(Kind::Balances).await?;
        let after = after.unwrap_or("");
        let Some((from, to)) = prefix_range(&filter.prefix).filter(|_| storable(after)) else {
            return snapshot.answer(Vec::new()).await;
        };
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT path, asset, status, minimum::text, metadata, posted::text AS "posted!",
                   held::text AS "held!", incoming::text AS "incoming!",
                   (posted - held - coalesce(minimum, 0))::text AS "available!", sequence, recorded_at
               FROM balances
               WHERE tenant_id = $1 AND partition = $2 AND path >= $3 AND path < $4 AND path > $5
                 AND ($6::text IS NULL OR asset = $6) AND ($7::text IS NULL OR status = $7)
               ORDER BY path LIMIT $8"#,
            self.tenant.0,
            self.partition.0,
            from,
            to,
            after,
            filter.asset.as_ref().map(AssetCode::as_str),
            filter.status.map(wallet_status),
            limit
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let wallets = rows.into_iter().map(WalletView::try_from).collect::<Result<_, _>>()?;
        snapshot.answer(wallets).await
    }
}

/// The range of paths that begin with `prefix`, from the first on, up to but not including the second; `None`
/// where no path can. Paths are ASCII and compared byte by byte.
pub(super) fn prefix_range(prefix: &str) -> Option<(&str, String)> {
    storable(prefix).then(|| (prefix, format!("{prefix}{}", char::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range_of_paths() {
        let (from, to) = prefix_range("a:1").unwrap();
        let within = |path: &str| from <= path && path < to.as_str();
        for path in ["a:1", "a:12", "a:1:b", "a:1z"] {
            assert!(within(path), "{path}");
        }
        for path in ["a:0", "a:2", "a:", "b", "@a:1"] {
            assert!(!within(path), "{path}");
        }
    }

    #[test]
    fn no_path_begins_with_what_postgres_cannot_take() {
        assert_eq!(prefix_range("a\0"), None);
    }
}
