//! Reading the log of one tenant.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use domain::{Partition, Sealed, SubjectId, TenantId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{AccessLogError, ActorKind};
use crate::vault::{Field, Purpose, Vault};

/// Where a line stands: lists go on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// Which of them.
    pub id: Uuid,
}

/// Which lines to list; all by default.
#[derive(Debug, Clone, Default)]
pub struct AccessFilter {
    /// Those of this caller.
    pub actor: Option<String>,
    /// Those from this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Those before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Only what the platform's operator did from outside.
    pub crossing: bool,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessView {
    /// Where it stands.
    pub place: Place,
    /// What kind of caller it was; `None` for one that this program does not know.
    pub actor_kind: Option<ActorKind>,
    /// Which caller.
    pub actor: String,
    /// Whether it was the platform's operator, from outside.
    pub crossing: bool,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The status of the answer.
    pub status: i32,
    /// The id of the request.
    pub request_id: Option<String>,
    /// Where the request came from; `None` also when the subject is erased.
    pub address: Option<String>,
}

/// Reads the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessReader {
    pool: PgPool,
    vault: Vault,
    partitions: Partition,
}

impl AccessReader {
    /// `pool` acts as [`journal::Role::Reader`].
    pub fn new(pool: PgPool, vault: Vault, partitions: Partition) -> Self {
        Self { pool, vault, partitions }
    }

    /// At most `limit` lines of the tenant, newest first, behind `before`.
    ///
    /// # Errors
    /// The database.
    pub async fn page(
        &self,
        tenant: TenantId,
        filter: &AccessFilter,
        before: Option<Place>,
        limit: i64,
    ) -> Result<Vec<AccessView>, AccessLogError> {
        // A Uuid prints as hexadecimal digits and hyphens: nothing can be injected.
        let begin = format!("BEGIN READ ONLY; SET LOCAL app.tenant_id = '{tenant}'");
        let mut tx = journal::begin(&self.pool, Cow::Owned(begin)).await?;
        let rows = sqlx::query!(
            "SELECT access_id, recorded_at, actor_kind, actor, crossing, method, path, status, request_id, subject_id,
                    address
             FROM identity.access_log
             WHERE tenant_id = $1 AND partition = $2
               AND recorded_at <= coalesce($3::timestamptz, 'infinity')
               AND recorded_at < coalesce($6::timestamptz, 'infinity')
               AND recorded_at >= coalesce($5::timestamptz, '-infinity')
               AND ($3 IS NULL OR (recorded_at, access_id) < ($3, $4))
               AND ($7::text IS NULL OR actor = $7) AND (NOT $8 OR crossing)
             ORDER BY recorded_at DESC, access_id DESC LIMIT $9",
            tenant.0,
            tenant.partition(self.partitions).0,
            before.map(|place| place.at),
            before.map(|place| place.id),
            filter.since,
            filter.until,
            filter.actor.as_deref().map(|actor| actor.replace('\0', "")),
            filter.crossing,
            limit,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let sealed: Vec<_> = rows
            .iter()
            .map(|row| Some((SubjectId(row.subject_id?), Sealed::new(row.address.as_deref()?).ok()?)))
            .collect();
        let mut addresses = self.addresses(&sealed).await.into_iter();
        let line =
            |row: (_, &Option<(SubjectId, Sealed)>)| (row.0, row.1.as_ref().and_then(|_| addresses.next()?));
        let lines = rows.into_iter().zip(&sealed).map(line).map(|(row, address)| AccessView {
            place: Place { at: row.recorded_at, id: row.access_id },
            actor_kind: ActorKind::named(&row.actor_kind),
            actor: row.actor,
            crossing: row.crossing,
            method: row.method,
            path: row.path,
            status: row.status,
            request_id: row.request_id,
            address,
        });
        Ok(lines.collect())
    }

    /// The addresses of those lines that have one, in their order. A log that can be read without them is worth more
    /// than none: when they cannot be revealed, they are left out.
    async fn addresses(&self, sealed: &[Option<(SubjectId, Sealed)>]) -> Vec<Option<String>> {
        let fields: Vec<_> = sealed
            .iter()
            .flatten()
            .map(|(subject, sealed)| Field { subject: *subject, purpose: Purpose::Address, sealed })
            .collect();
        match self.vault.reveal_all(TenantId::PLATFORM, &fields).await {
            Ok(revealed) => revealed,
            Err(error) => {
                tracing::warn!(%error, "addresses of the access log cannot be revealed");
                vec![None; fields.len()]
            }
        }
    }
}
