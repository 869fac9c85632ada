//! Batches of lines, written by one task.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::{Partition, SubjectId, TenantId};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{AccessLogError, Line, count_lost};
use crate::vault::{Purpose, Vault, VaultError};

/// The most lines in one statement.
const BATCH: usize = 500;
/// For how long lines gather.
const GATHER: Duration = Duration::from_millis(200);
/// How long it takes between two attempts to write the same lines.
const RETRY: Duration = Duration::from_secs(1);
/// How often the same lines are tried before they are given up.
const ATTEMPTS: u32 = 30;

/// Writes lines.
pub(super) struct Writer {
    pool: PgPool,
    vault: Vault,
    partitions: Partition,
}

/// Lines, column by column.
#[derive(Default)]
struct Columns {
    partitions: Vec<i32>,
    tenants: Vec<uuid::Uuid>,
    ids: Vec<uuid::Uuid>,
    times: Vec<chrono::DateTime<chrono::Utc>>,
    kinds: Vec<String>,
    actors: Vec<String>,
    crossing: Vec<bool>,
    methods: Vec<String>,
    paths: Vec<String>,
    statuses: Vec<i32>,
    requests: Vec<Option<String>>,
    subjects: Vec<Option<uuid::Uuid>>,
    addresses: Vec<Option<String>>,
}

impl Writer {
    pub(super) fn new(pool: PgPool, vault: Vault, partitions: Partition) -> Self {
        Self { pool, vault, partitions }
    }

    /// Writes what comes until `stop`, and then what still waits.
    pub(super) async fn run(
        self: Arc<Self>,
        mut waiting: mpsc::Receiver<Line>,
        lost: Arc<AtomicU64>,
        stop: CancellationToken,
    ) {
        let mut lines = Vec::with_capacity(BATCH);
        loop {
            let found = tokio::select! {
                biased;
                found = waiting.recv_many(&mut lines, BATCH) => found,
                () = stop.cancelled() => {
                    waiting.close();
                    waiting.recv_many(&mut lines, BATCH).await
                }
            };
            if found == 0 {
                return;
            }
            if lines.len() < BATCH && !stop.is_cancelled() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
                while lines.len() < BATCH
                    && let Ok(line) = waiting.try_recv()
                {
                    lines.push(line);
                }
            }
            if !self.insist(&lines, &stop).await {
                count_lost(&lost, u64::try_from(lines.len()).unwrap_or(u64::MAX));
            }
            lines.clear();
        }
    }

    /// Tries for a while. Lines that were written after all, though the answer was lost, are not written twice.
    async fn insist(&self, lines: &[Line], stop: &CancellationToken) -> bool {
        for attempt in 1..=ATTEMPTS {
            let Err(error) = self.write(lines).await else {
                return true;
            };
            tracing::warn!(%error, attempt, "the access log cannot be written");
            if stop.is_cancelled() {
                return false;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        false
    }

    /// Writes the lines in one statement.
    pub(super) async fn write(&self, lines: &[Line]) -> Result<(), AccessLogError> {
        let rows = self.columns(lines).await?;
        let insert = sqlx::query!(
            "INSERT INTO identity.access_log
                 (partition, tenant_id, access_id, recorded_at, actor_kind, actor, crossing, method, path, status,
                  request_id, subject_id, address)
             SELECT * FROM UNNEST($1::integer[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[],
                 $7::boolean[], $8::text[], $9::text[], $10::integer[], $11::text[], $12::uuid[], $13::text[])
             ON CONFLICT DO NOTHING",
            &rows.partitions,
            &rows.tenants,
            &rows.ids,
            &rows.times,
            &rows.kinds,
            &rows.actors,
            &rows.crossing,
            &rows.methods,
            &rows.paths,
            &rows.statuses,
            &rows.requests as &[Option<String>],
            &rows.subjects as &[Option<uuid::Uuid>],
            &rows.addresses as &[Option<String>],
        );
        insert.execute(&self.pool).await?;
        Ok(())
    }

    async fn columns(&self, lines: &[Line]) -> Result<Columns, AccessLogError> {
        let mut rows = Columns::default();
        for Line { access, id, at } in lines {
            rows.partitions.push(access.tenant.partition(self.partitions).0);
            rows.tenants.push(access.tenant.0);
            rows.ids.push(*id);
            rows.times.push(*at);
            rows.kinds.push(access.actor_kind.as_str().to_owned());
            rows.actors.push(storable(&access.actor));
            rows.crossing.push(access.crossing);
            rows.methods.push(storable(&access.method));
            rows.paths.push(storable(&access.path));
            rows.statuses.push(access.status.into());
            rows.requests.push(access.request_id.as_deref().map(storable));
            let sealed = match &access.address {
                Some((subject, address)) => self.sealed(*subject, address).await?,
                None => None,
            };
            let (subject, address) = sealed.unzip();
            rows.subjects.push(subject.map(|subject: SubjectId| subject.0));
            rows.addresses.push(address);
        }
        Ok(rows)
    }

    /// The address under its subject's key; nothing if the subject is erased, or no key can be had: the line counts more
    /// than the address on it.
    async fn sealed(
        &self,
        subject: SubjectId,
        address: &str,
    ) -> Result<Option<(SubjectId, String)>, AccessLogError> {
        match self.vault.seal(TenantId::PLATFORM, subject, Purpose::Address, address).await {
            Ok(sealed) => Ok(Some((subject, sealed.as_str().to_owned()))),
            Err(VaultError::Database(error)) => Err(error.into()),
            Err(VaultError::Erased) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, "an address is left out of the access log");
                Ok(None)
            }
        }
    }
}

/// The text without what Postgres cannot take.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}
