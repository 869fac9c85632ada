//! The simulated read models: the contract of [`projections::Views`] over folds in memory.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::transaction::TransactionStatus;
use domain::{
    Allowance, Catalogue, Execution, Partition, Tenant, TenantId, Transaction, TransactionId, Wallet,
};
use journal::{DatabaseError, SNAPSHOT_FORM, Snapshot};
use projections::{Body, Decoded, Fault, Kind, Views};
use sqlx::error::ErrorKind;
use uuid::Uuid;

use crate::store::{Held, broken};
use crate::world::{Part, Process, World};

/// A stream gets a snapshot each time it has grown by this many events.
const EVERY: i64 = 8;

/// An aggregate as a read model has it.
#[derive(Debug, Clone, Default)]
pub struct Row<A> {
    pub tenant: Uuid,
    pub sequence: i64,
    pub state: A,
}

impl<A: Aggregate> Row<A> {
    fn fold(&mut self, decoded: &Decoded, said: &A::Event) -> Result<(), Fault> {
        let text = &decoded.event.text;
        if text.sequence != self.sequence + 1 {
            let reason =
                format!("stream {} is at {}, not before {}", text.aggregate_id, self.sequence, text.sequence);
            return Err(Fault::Poison { at: decoded.event.position, reason });
        }
        self.tenant = text.tenant_id;
        self.sequence = text.sequence;
        self.state.apply(said.clone());
        Ok(())
    }
}

/// The read models of one partition.
#[derive(Default)]
pub struct Tables {
    pub checkpoints: BTreeMap<&'static str, i64>,
    pub tenants: HashMap<Uuid, Row<Tenant>>,
    pub wallets: HashMap<Uuid, Row<Wallet>>,
    pub transactions: HashMap<Uuid, Row<Transaction>>,
    pub catalogues: HashMap<Uuid, Row<Catalogue>>,
    pub allowances: HashMap<Uuid, Row<Allowance>>,
    pub executions: HashMap<Uuid, Row<Execution>>,
    /// Pending holds by the end of their time.
    due: BTreeMap<(DateTime<Utc>, Uuid), Uuid>,
    /// What the snapshots are taken from, and the snapshots.
    grown: (HashMap<Uuid, Row<Tenant>>, HashMap<Uuid, Row<Wallet>>),
    snapshots: HashMap<Uuid, Snapshot>,
}

/// The read models of all partitions.
pub struct Model(pub Vec<Tables>);

impl Model {
    pub fn new(partitions: i32) -> Self {
        Self((0..partitions).map(|_| Tables::default()).collect())
    }

    pub fn snapshot(&self, partition: Partition, form: i32, id: Uuid) -> Option<Snapshot> {
        let tables = &self.0[usize::try_from(partition.0).unwrap()];
        tables.snapshots.get(&id).filter(|_| form == SNAPSHOT_FORM).cloned()
    }

    pub fn due(&self, now: DateTime<Utc>) -> Vec<(TenantId, TransactionId)> {
        let due = self.0.iter().flat_map(|tables| tables.due.range(..=(now, Uuid::max())));
        due.map(|((_, id), tenant)| (TenantId(*tenant), TransactionId(*id))).take(50).collect()
    }
}

impl Tables {
    /// Checks the checkpoint and applies the batch. Whoever calls it stops the world on a poisoned event, so it need
    /// not take anything back.
    fn apply(&mut self, kind: Kind, after: i64, batch: &[Arc<Decoded>]) -> Result<i64, Fault> {
        let checkpoint = self.checkpoints.entry(kind.name()).or_default();
        if *checkpoint != after {
            return Err(Fault::Moved);
        }
        for decoded in batch {
            if decoded.event.position != *checkpoint + 1 {
                let reason = format!("follows {checkpoint}");
                return Err(Fault::Poison { at: decoded.event.position, reason });
            }
            *checkpoint += 1;
        }
        let reached = *checkpoint;
        for decoded in batch {
            let id = decoded.event.text.aggregate_id;
            let body = decoded
                .body
                .as_ref()
                .map_err(|error| Fault::Poison { at: decoded.event.position, reason: error.to_string() })?;
            match (kind, body) {
                (Kind::Tenants, Body::Tenant(said)) => {
                    self.tenants.entry(id).or_default().fold(decoded, said)?;
                }
                (Kind::Balances, Body::Wallet(said)) => {
                    self.wallets.entry(id).or_default().fold(decoded, said)?;
                }
                (Kind::Transactions, Body::Transaction(said)) => {
                    let row = self.transactions.entry(id).or_default();
                    row.fold(decoded, said)?;
                    if let Some(at) = row.state.body.expires_at {
                        match row.state.status {
                            TransactionStatus::Pending => self.due.insert((at, id), row.tenant),
                            _ => self.due.remove(&(at, id)),
                        };
                    }
                }
                (Kind::Snapshots, Body::Tenant(said)) => {
                    let row = self.grown.0.entry(id).or_default();
                    row.fold(decoded, said)?;
                    self.snapshots.extend(taken(id, row).map(|snapshot| (id, snapshot)));
                }
                (Kind::Snapshots, Body::Wallet(said)) => {
                    let row = self.grown.1.entry(id).or_default();
                    row.fold(decoded, said)?;
                    self.snapshots.extend(taken(id, row).map(|snapshot| (id, snapshot)));
                }
                (Kind::Catalogues, Body::Catalogue(said)) => {
                    self.catalogues.entry(id).or_default().fold(decoded, said)?;
                }
                (Kind::Allowances, Body::Allowance(said)) => {
                    self.allowances.entry(id).or_default().fold(decoded, said)?;
                }
                (Kind::Executions, Body::Execution(said)) => {
                    self.executions.entry(id).or_default().fold(decoded, said)?;
                }
                _ => {}
            }
        }
        Ok(reached)
    }
}

fn taken<A: Aggregate>(id: Uuid, row: &Row<A>) -> Option<Snapshot> {
    (row.sequence % EVERY == 0).then(|| Snapshot {
        tenant_id: row.tenant,
        aggregate_type: A::TYPE.to_owned(),
        aggregate_id: id,
        sequence: row.sequence,
        state: serde_json::to_string(&row.state).unwrap(),
    })
}

/// What the database says to a batch that is beyond one of its limits.
#[derive(Debug)]
struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("program limit exceeded")
    }
}

impl Error for TooMuch {}

impl sqlx::error::DatabaseError for TooMuch {
    fn message(&self) -> &'static str {
        "program limit exceeded"
    }
    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("54000".into())
    }
    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }
    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }
    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The way of one process to the read models.
#[derive(Clone)]
pub struct SimViews {
    pub world: Arc<World>,
    pub process: Arc<Process>,
}

impl SimViews {
    async fn reach(&self) -> Result<(), DatabaseError> {
        self.process.live().await;
        self.world.travel().await;
        self.process.live().await;
        if self.world.is_away(Part::Database).await || self.world.unlucky(self.world.profile.view_fault) {
            self.process.live().await;
            self.world.fault("a read model fails");
            return Err(broken());
        }
        Ok(())
    }
}

impl Views for SimViews {
    type Lock = Held;

    async fn lock(&self) -> Result<Option<Held>, DatabaseError> {
        self.reach().await?;
        Ok(Held::take(&self.world, &self.process, "projectors"))
    }

    async fn held(lock: &mut Held) -> bool {
        lock.still().await
    }

    async fn release(lock: Held) {
        drop(lock);
    }

    async fn checkpoint(&self, kind: Kind, partition: Partition) -> Result<i64, DatabaseError> {
        self.reach().await?;
        let position = {
            let model = self.world.model();
            let tables = &model.0[usize::try_from(partition.0).unwrap()];
            tables.checkpoints.get(kind.name()).copied().unwrap_or(0)
        };
        self.world.travel().await;
        self.process.live().await;
        Ok(position)
    }

    async fn write(
        &self,
        kind: Kind,
        partition: Partition,
        after: i64,
        batch: &[Arc<Decoded>],
    ) -> Result<i64, Fault> {
        self.reach().await?;
        let rate = self.world.profile.view_fault;
        let commands = batch.iter().filter(|decoded| decoded.event.lead.is_some()).count();
        if commands > 1 && self.world.unlucky(rate) {
            self.world.fault("a batch is too much for a read model");
            return Err(DatabaseError::Database(Box::new(TooMuch)).into());
        }
        if batch.first().is_some_and(|first| first.event.lead.is_none()) {
            self.world.violation(format!("{} was moved into the middle of a command", kind.name()));
        }
        let applied = {
            let mut model = self.world.model();
            model.0[usize::try_from(partition.0).unwrap()].apply(kind, after, batch)
        };
        self.world.trace((kind.name(), partition, after, batch.len(), applied.is_ok()));
        if let Err(Fault::Poison { at, reason }) = &applied {
            self.world.violation(format!("{} in partition {partition} at {at}: {reason}", kind.name()));
        }
        self.world.travel().await;
        self.process.live().await;
        if self.world.unlucky(rate) {
            self.world.fault("the answer of a read model is lost");
            return Err(broken().into());
        }
        applied
    }
}
