use ::journal::Position;
use chrono::{DateTime, Utc};
use domain::{Amount, WalletId, WalletPath};
use serde::Serialize;

use super::wallets::prefix_range;
use super::{ReadError, Reflected, TenantReader, amount};
use crate::Kind;

/// At which time a balance is asked for; nothing set is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PointInTime {
    /// What was recorded by then (inclusive).
    pub as_of: Option<DateTime<Utc>>,
    /// What was true then (inclusive): entries count by the time at which they took effect.
    pub effective_at: Option<DateTime<Utc>>,
}

/// A wallet's balance, now or at a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BalanceView {
    /// The wallet.
    pub path: String,
    /// Its asset.
    pub asset: String,
    /// What it has.
    pub posted: Amount,
    /// What is promised away. Promises have no effective time: with [`PointInTime::effective_at`] it is what was
    /// recorded as promised then (or at `as_of`, where that is earlier).
    pub held: Amount,
    /// What is promised to it; as for `held`.
    pub incoming: Amount,
    /// `posted - held - minimum`, in decimal digits: with an extreme limit it can exceed any [`Amount`].
    pub available: String,
    /// What `posted - held` may not fall below; `None` is no limit.
    pub minimum: Option<Amount>,
}

/// The sums of the wallets of one asset. Decimal digits: sums can exceed any [`Amount`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetSum {
    /// The asset.
    pub asset: String,
    /// What they have.
    pub posted: String,
    /// What they have promised away.
    pub held: String,
    /// What is promised to them.
    pub incoming: String,
    /// How many they are.
    pub wallets: i64,
}

/// Both sides of one asset. In decimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialBalance {
    /// The asset.
    pub asset: String,
    /// The sum of all negative balances, as a positive number.
    pub debits: String,
    /// The sum of all positive balances.
    pub credits: String,
    /// Credits less debits: zero, or the books are wrong.
    pub difference: String,
    /// How many wallets there are.
    pub wallets: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) asset: String,
    pub(super) posted: String,
    pub(super) held: String,
    pub(super) incoming: String,
    pub(super) available: String,
    pub(super) minimum: Option<String>,
}

impl Row {
    fn view(self, path: &WalletPath) -> Result<BalanceView, ReadError> {
        Ok(BalanceView {
            path: path.as_str().to_owned(),
            asset: self.asset,
            posted: amount("a wallet's balance", &self.posted)?,
            held: amount("a wallet's balance", &self.held)?,
            incoming: amount("a wallet's balance", &self.incoming)?,
            available: self.available,
            minimum: self.minimum.map(|minimum| amount("a wallet's minimum", &minimum)).transpose()?,
        })
    }
}

impl TenantReader<'_> {
    /// A wallet's balance. `None` where there is no wallet at `path`, or none was recorded by `at.as_of`.
    ///
    /// Now it comes from the read model; at a point in time from the wallet's stream in the journal, and then
    /// reflects the journal's position.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn balance(
        &self,
        path: &WalletPath,
        at: PointInTime,
    ) -> Result<Reflected<Option<BalanceView>>, ReadError> {
        if at != PointInTime::default() {
            return self.balance_at(path, at).await;
        }
        self.balance_now(path).await
    }

    async fn balance_now(&self, path: &WalletPath) -> Result<Reflected<Option<BalanceView>>, ReadError> {
        let found = self.gathered(WalletId::of(self.tenant, path)).await?;
        let position = Position { partition: self.partition, position: found.position };
        Ok(Reflected { value: found.row.map(|row| row.view(path)).transpose()?, position })
    }

    /// Begins with the balance after the last event recorded by the earlier of the two times, adds what was
    /// recorded later but took effect in time, and takes away what was recorded in time but took effect later.
    async fn balance_at(
        &self,
        path: &WalletPath,
        at: PointInTime,
    ) -> Result<Reflected<Option<BalanceView>>, ReadError> {
        let mut snapshot = self.journal().await?;
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH opened AS (
                SELECT payload->>'asset' AS asset, (payload->>'scale')::integer AS scale,
                    (payload->>'minimum')::numeric AS minimum
                FROM journal.events
                WHERE aggregate_id = $1 AND partition = $2 AND tenant_id = $3 AND sequence = 1
                  AND ($4::timestamptz IS NULL OR recorded_at <= $4)
            ), span AS MATERIALIZED (
                SELECT journal.sequence_at($2, $1, least($4, $5)) AS base,
                    journal.sequence_at($2, $1, coalesce($4, 'infinity')) AS known
            ), last AS (
                SELECT (payload->'balance'->>'posted')::numeric AS posted,
                    (payload->'balance'->>'held')::numeric AS held,
                    (payload->'balance'->>'incoming')::numeric AS incoming
                FROM journal.events
                WHERE aggregate_id = $1 AND partition = $2 AND tenant_id = $3
                  AND sequence <= (SELECT base FROM span)
                  AND event_type IN ('posted', 'held', 'settled', 'released', 'expired', 'reversed')
                ORDER BY sequence DESC LIMIT 1
            ), total AS (
                SELECT coalesce((SELECT posted FROM last), 0)
                    + coalesce((SELECT sum((payload->>'amount')::numeric) FROM journal.events
                        WHERE aggregate_id = $1 AND partition = $2 AND tenant_id = $3
                          AND effective_at <= $5::timestamptz
                          AND sequence > (SELECT base FROM span) AND sequence <= (SELECT known FROM span)), 0)
                    - coalesce((SELECT sum((payload->>'amount')::numeric) FROM journal.events
                        WHERE aggregate_id = $1 AND partition = $2 AND tenant_id = $3
                          AND effective_at > $5::timestamptz
                          AND sequence <= (SELECT base FROM span)), 0) AS posted,
                    coalesce((SELECT held FROM last), 0) AS held,
                    coalesce((SELECT incoming FROM last), 0) AS incoming
            )
            SELECT asset AS "asset!", round(posted, scale)::text AS "posted!", round(held, scale)::text AS "held!",
                round(incoming, scale)::text AS "incoming!",
                round(posted - held - coalesce(minimum, 0), scale)::text AS "available!", minimum::text
            FROM opened, total
            "#,
            WalletId::of(self.tenant, path).0,
            self.partition.0,
            self.tenant.0,
            at.as_of,
            at.effective_at
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        snapshot.answer(row.map(|row| row.view(path)).transpose()?).await
    }

    /// The sums per asset over the wallets whose paths begin with `prefix`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn sums(&self, prefix: &str) -> Result<Reflected<Vec<AssetSum>>, ReadError> {
        let mut snapshot = self.view(Kind::Balances).await?;
        let Some((from, to)) = prefix_range(prefix) else {
            return snapshot.answer(Vec::new()).await;
        };
        let sums = sqlx::query_as!(
            AssetSum,
            r#"SELECT asset, sum(posted)::text AS "posted!", sum(held)::text AS "held!",
                   sum(incoming)::text AS "incoming!", count(*) AS "wallets!"
               FROM balances WHERE tenant_id = $1 AND partition = $2 AND path >= $3 AND path < $4
               GROUP BY asset ORDER BY asset"#,
            self.tenant.0,
            self.partition.0,
            from,
            to
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        snapshot.answer(sums).await
    }

    /// Both sides of every asset that a wallet holds.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn trial_balance(&self) -> Result<Reflected<Vec<TrialBalance>>, ReadError> {
        let mut snapshot = self.view(Kind::Balances).await?;
        let sides = sqlx::query_as!(
            TrialBalance,
            r#"SELECT asset, round(-sum(least(posted, 0)), max(scale))::text AS "debits!",
                   round(sum(greatest(posted, 0)), max(scale))::text AS "credits!",
                   sum(posted)::text AS "difference!", count(*) AS "wallets!"
               FROM balances WHERE tenant_id = $1 AND partition = $2 GROUP BY asset ORDER BY asset"#,
            self.tenant.0,
            self.partition.0
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        snapshot.answer(sides).await
    }
}
