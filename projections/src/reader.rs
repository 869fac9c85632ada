//! Questions to the read models and the journal.
//!
//! Each question is one read-only transaction with one snapshot. It sees one tenant: row-level security
//! hides the others, and every query filters by tenant and partition all the same.

mod allowances;
mod analytics;
mod balances;
mod catalogue;
mod directory;
mod executions;
mod gathered;
mod journal;
mod members;
mod presented;
mod programs;
mod transactions;
mod users;
mod wait;
mod wallets;

use std::borrow::Cow;
use std::sync::Arc;

use ::journal::Position;
use domain::{Partition, TenantId, UserId};
use sqlx::{PgPool, Postgres, Transaction};

pub use self::allowances::{AllowanceFilter, AllowanceView};
pub(crate) use self::analytics::quarter;
pub use self::analytics::{
    Analysis, BurnRate, Consumption, Dimension, Granularity, Group, LatencyRow, Spender, UsageFilter,
    UsageQuestion, UsageRow, Window, WindowError,
};
pub use self::balances::{AssetSum, BalanceView, PointInTime, TrialBalance};
pub use self::catalogue::CatalogueView;
pub use self::directory::{PlatformReader, TenantView};
pub use self::executions::{ExecutionFilter, ExecutionView};
use self::gathered::Gathering;
pub use self::journal::{AuditFilter, AuditView, EntryView};
pub use self::members::{InvitationView, MemberView};
pub use self::presented::{PresentedInvitation, PresentedKey};
pub use self::programs::{ApiKeyView, ApplicationView};
pub use self::transactions::{TransactionFilter, TransactionView};
pub use self::users::{Membership, UserReader, UserView};
pub use self::wait::Lagging;
pub use self::wallets::{WalletFilter, WalletView};
use crate::{Kind, Progress};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database failed or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Something stored is not of the form that this program knows.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ReadError {
    fn unreadable<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Unreadable { what, reason: error.to_string() }
    }
}

/// An answer, and the position of the tenant's partition that it reflects, read in the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reflected<T> {
    /// The answer.
    pub value: T,
    /// What the read model (or the journal, for what is read there) had reached.
    pub position: Position,
}

/// Opens questions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pool: PgPool,
    partitions: Partition,
    progress: Progress,
    gathering: Arc<Gathering>,
}

impl Reader {
    /// `pool` acts as [`journal::Role::Reader`](::journal::Role::Reader) and finds the read models through its
    /// search path; `partitions` is how many there are.
    pub fn new(pool: PgPool, partitions: Partition, progress: Progress) -> Self {
        Self { pool, partitions, progress, gathering: Arc::default() }
    }

    /// Questions within one tenant.
    pub fn tenant(&self, id: TenantId) -> TenantReader<'_> {
        TenantReader { reader: self, tenant: id, partition: id.partition(self.partitions) }
    }

    /// Questions about one user, whose profile and memberships they are.
    pub fn user(&self, id: UserId) -> UserReader<'_> {
        UserReader { reader: self, user: id }
    }

    /// Questions across tenants, for the platform's operators alone.
    pub fn platform(&self) -> PlatformReader<'_> {
        PlatformReader { reader: self }
    }
}

/// Questions within one tenant.
#[derive(Debug, Clone, Copy)]
pub struct TenantReader<'a> {
    reader: &'a Reader,
    tenant: TenantId,
    partition: Partition,
}

/// A snapshot in which one question is answered.
struct Snapshot {
    tx: Transaction<'static, Postgres>,
    position: Position,
}

impl Snapshot {
    async fn answer<T>(self, value: T) -> Result<Reflected<T>, ReadError> {
        self.tx.commit().await?;
        Ok(Reflected { value, position: self.position })
    }
}

impl TenantReader<'_> {
    /// The partition that the tenant lives in.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Begins a question, in one round trip. The tables of the read model it is about are locked against
    /// being swapped before the snapshot is taken, so that both are of the same rebuild.
    async fn begin(&self, kinds: &[Kind]) -> Result<Transaction<'static, Postgres>, ReadError> {
        let tables: Vec<&str> = kinds.iter().flat_map(|kind| kind.tables()).copied().collect();
        let lock = if tables.is_empty() {
            String::new()
        } else {
            format!("; LOCK TABLE {} IN ACCESS SHARE MODE", tables.join(", "))
        };
        // A Uuid prints as hexadecimal digits and hyphens: nothing can be injected.
        let begin = format!(
            "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ; SET LOCAL app.tenant_id = '{}'{lock}",
            self.tenant
        );
        Ok(::journal::begin(&self.reader.pool, Cow::Owned(begin)).await?)
    }

    /// A snapshot at the position of a read model.
    async fn view(&self, kind: Kind) -> Result<Snapshot, ReadError> {
        self.view_beside(kind, &[]).await
    }

    /// A snapshot at the position of a read model, in which others are looked at too.
    async fn view_beside(&self, kind: Kind, others: &[Kind]) -> Result<Snapshot, ReadError> {
        let mut tx = self.begin(&[&[kind], others].concat()).await?;
        let position = sqlx::query_scalar!(
            "SELECT position FROM checkpoints WHERE projection = $1 AND partition = $2",
            kind.name(),
            self.partition.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        let position = Position { partition: self.partition, position: position.unwrap_or(0) };
        Ok(Snapshot { tx, position })
    }

    /// A snapshot at the position of the journal.
    async fn journal(&self) -> Result<Snapshot, ReadError> {
        let mut tx = self.begin(&[]).await?;
        let position =
            sqlx::query_scalar!("SELECT position FROM journal.heads WHERE partition = $1", self.partition.0)
                .fetch_optional(&mut *tx)
                .await?;
        let position = Position { partition: self.partition, position: position.unwrap_or(0) };
        Ok(Snapshot { tx, position })
    }
}

/// Whether Postgres can take `text` at all; what it cannot take is nowhere in it either.
fn storable(text: &str) -> bool {
    !text.contains('\0')
}

/// What a word in a read model stands for, where it is one that this program knows.
fn word<T>(what: &'static str, text: &str, found: Option<T>) -> Result<T, ReadError> {
    found.ok_or_else(|| ReadError::Unreadable { what, reason: format!("{text:?} is none that is known") })
}

/// A personal field; `None` where there is none, and of what was erased.
fn sealed(what: &'static str, text: Option<String>) -> Result<Option<domain::Sealed>, ReadError> {
    text.map(|text| domain::Sealed::new(&text).map_err(ReadError::unreadable(what))).transpose()
}

fn amount(what: &'static str, text: &str) -> Result<domain::Amount, ReadError> {
    text.parse().map_err(ReadError::unreadable(what))
}
