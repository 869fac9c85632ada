//! Balances that are asked for at the same time, read together.
//!
//! While statements of a tenant are under way, further questions of that tenant gather, and become one statement when
//! one of those has its answer. An answer is never older than its question: what is under way takes nothing in. Where
//! nothing is under way, nothing waits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::{Partition, TenantId, WalletId};
use tokio::sync::oneshot;

use super::balances::Row;
use super::{Reader, TenantReader};
use crate::Kind;

/// How many statements of a tenant are under way at once: while Postgres answers one, the other is on its way.
const STATEMENTS: usize = 2;
/// The most balances that one statement asks for.
const BALANCES: usize = 500;

/// A wallet's row, where there is one, and the position that it reflects.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) position: i64,
    pub(super) row: Option<Row>,
}

#[derive(Debug)]
struct Question {
    wallet: WalletId,
    answer: oneshot::Sender<Found>,
}

/// The questions of all tenants that wait.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    tenants: Mutex<HashMap<TenantId, Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    statements: usize,
    questions: Vec<Question>,
}

impl Gathering {
    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Waiting>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` where a statement may begin at once, and counts as begun; otherwise where the answer will come from.
    fn begin(&self, tenant: TenantId, wallet: WalletId) -> Option<oneshot::Receiver<Found>> {
        let mut tenants = self.tenants();
        let waiting = tenants.entry(tenant).or_default();
        if waiting.statements < STATEMENTS {
            waiting.statements += 1;
            return None;
        }
        let (answer, found) = oneshot::channel();
        waiting.questions.push(Question { wallet, answer });
        Some(found)
    }

    fn is_waiting(&self, tenant: TenantId) -> bool {
        self.tenants().get(&tenant).is_some_and(|waiting| !waiting.questions.is_empty())
    }

    /// What waits for an answer and is still wanted.
    fn take(&self, tenant: TenantId) -> Vec<Question> {
        let mut tenants = self.tenants();
        let Some(waiting) = tenants.get_mut(&tenant) else {
            return Vec::new();
        };
        waiting.questions.retain(|question| !question.answer.is_closed());
        let rest = waiting.questions.split_off(waiting.questions.len().min(BALANCES));
        std::mem::replace(&mut waiting.questions, rest)
    }
}

/// One of a tenant's statements. When it is gone, however it ended, another may take its place; and questions that
/// nobody would answer any more are dropped, which tells their askers.
struct Statement {
    reader: Reader,
    tenant: TenantId,
}

impl Drop for Statement {
    fn drop(&mut self) {
        let mut tenants = self.reader.gathering.tenants();
        if let Some(waiting) = tenants.get_mut(&self.tenant) {
            waiting.statements = waiting.statements.saturating_sub(1);
            if waiting.statements == 0 {
                tenants.remove(&self.tenant);
            }
        }
    }
}

impl TenantReader<'_> {
    /// A wallet's balance now, read with what else is asked for.
    pub(super) async fn gathered(&self, wallet: WalletId) -> Result<Found, sqlx::Error> {
        let Some(answer) = self.reader.gathering.begin(self.tenant, wallet) else {
            let statement = Statement { reader: self.reader.clone(), tenant: self.tenant };
            let found = self.balance_of(wallet).await?;
            // The others' answers do not hold up this one.
            if self.reader.gathering.is_waiting(self.tenant) {
                tokio::spawn(statement.answer(self.partition));
            }
            return Ok(found);
        };
        match answer.await {
            Ok(found) => Ok(found),
            // What went wrong can be said to one alone, so each asks for itself.
            Err(_) => self.balance_of(wallet).await,
        }
    }

    async fn balance_of(&self, wallet: WalletId) -> Result<Found, sqlx::Error> {
        let mut found = self.reader.balances_now(self.tenant, self.partition, &[wallet.0]).await?;
        Ok(Found { position: found.position, row: found.rows.remove(&wallet) })
    }
}

impl Statement {
    /// Answers until nothing waits.
    async fn answer(self, partition: Partition) {
        loop {
            let questions = self.reader.gathering.take(self.tenant);
            if questions.is_empty() {
                return;
            }
            let wallets: Vec<_> = questions.iter().map(|question| question.wallet.0).collect();
            let Ok(found) = self.reader.balances_now(self.tenant, partition, &wallets).await else {
                continue;
            };
            for Question { wallet, answer } in questions {
                let row = found.rows.get(&wallet).cloned();
                // Who does not wait any more is not to be told.
                let _ = answer.send(Found { position: found.position, row });
            }
        }
    }
}

struct Balances {
    position: i64,
    rows: HashMap<WalletId, Row>,
}

impl Reader {
    /// The question that is asked most takes one statement and one round trip. It is a transaction by itself, so the
    /// tenant that it sets is gone at its end, and it has one snapshot, taken when its tables are locked. The tenant is
    /// set before the table is looked at, because what is looked for depends on what setting it returns; `OFFSET 0`
    /// keeps the planner from taking the two apart, and from any way to a row but its key. Were it ever otherwise, row-level security would hide every row.
    async fn balances_now(
        &self,
        tenant: TenantId,
        partition: Partition,
        wallets: &[uuid::Uuid],
    ) -> Result<Balances, sqlx::Error> {
        let rows = sqlx::query!(
            r#"SELECT scope.position AS "position!", found.wallet_id AS "wallet_id?", found.asset AS "asset?",
                   found.posted AS "posted?", found.held AS "held?", found.incoming AS "incoming?",
                   found.available AS "available?", found.minimum
               FROM (
                   SELECT set_config('app.tenant_id', $3::uuid::text, true)::uuid AS tenant_id,
                       coalesce((SELECT position FROM checkpoints WHERE projection = $4 AND partition = $2), 0)
                           AS position
                   OFFSET 0
               ) AS scope CROSS JOIN UNNEST($1::uuid[]) AS asked (wallet_id) LEFT JOIN LATERAL (
                   SELECT wallet_id, asset, posted::text, held::text, incoming::text, minimum::text,
                       (posted - held - coalesce(minimum, 0))::text AS available
                   FROM balances
                   WHERE wallet_id = asked.wallet_id AND partition = $2 AND tenant_id = scope.tenant_id
                   OFFSET 0
               ) AS found ON true"#,
            wallets,
            partition.0,
            tenant.0,
            Kind::Balances.name()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut balances = Balances { position: 0, rows: HashMap::with_capacity(rows.len()) };
        for row in rows {
            balances.position = row.position;
            if let (Some(id), Some(asset), Some(posted), Some(held), Some(incoming), Some(available)) =
                (row.wallet_id, row.asset, row.posted, row.held, row.incoming, row.available)
            {
                let row = Row { asset, posted, held, incoming, available, minimum: row.minimum };
                balances.rows.insert(WalletId(id), row);
            }
        }
        Ok(balances)
    }
}
