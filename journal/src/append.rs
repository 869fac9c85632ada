//! Appending: one statement moves the head of a partition and inserts the events behind it.

use chrono::{DateTime, Utc};
use domain::Partition;
use uuid::Uuid;

use crate::{Journal, NewEvent};

/// The newest position of a partition, as its writer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The partition.
    pub partition: Partition,
    /// The position of its newest event; 0 when it has none.
    pub position: i64,
    /// The epoch of the writer that may move it.
    pub epoch: i64,
    /// When the newest event was recorded.
    pub recorded_at: Option<DateTime<Utc>>,
}

/// Why an append did not happen. In every case nothing was written, but after [`AppendError::Database`] that
/// is not certain: the answer may have been lost on the way back.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer moved the head, or took over its epoch.
    #[error("the partition has moved on")]
    HeadMoved,
    /// Another event has this place in a stream.
    #[error("a stream has moved on")]
    StreamTaken,
    /// An idempotency key of the batch was used before.
    #[error("an idempotency key was used before")]
    KeyTaken,
    /// The database will never take what the batch says, however often it is tried.
    #[error("the database refuses the events: {0}")]
    Refused(sqlx::Error),
    /// The database failed or could not be reached.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for AppendError {
    /// The one place where constraints get their meaning.
    fn from(error: sqlx::Error) -> Self {
        let Some(refusal) = error.as_database_error() else {
            return Self::Database(error);
        };
        match refusal.constraint() {
            Some("events_position_key") => return Self::HeadMoved,
            Some("events_stream_key") => return Self::StreamTaken,
            Some("events_idempotency_key") => return Self::KeyTaken,
            _ => {}
        }
        // Data exceptions, constraints, limits: they lie in the events. The rest may pass.
        // https://www.postgresql.org/docs/15/errcodes-appendix.html
        let in_the_events =
            refusal.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)));
        if in_the_events { Self::Refused(error) } else { Self::Database(error) }
    }
}

/// The columns of a batch, ready to be sent as arrays.
#[derive(Default)]
struct Columns<'a> {
    tenant_id: Vec<Uuid>,
    aggregate_type: Vec<&'a str>,
    aggregate_id: Vec<Uuid>,
    sequence: Vec<i64>,
    event_type: Vec<&'a str>,
    event_version: Vec<i32>,
    payload: Vec<&'a str>,
    effective_at: Vec<Option<DateTime<Utc>>>,
    command_id: Vec<Uuid>,
    metadata: Vec<Option<&'a str>>,
    key: Vec<Option<&'a str>>,
    fingerprint: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn of(events: &'a [NewEvent]) -> Self {
        let mut columns = Self::default();
        for NewEvent { text, lead } in events {
            columns.tenant_id.push(text.tenant_id);
            columns.aggregate_type.push(&text.aggregate_type);
            columns.aggregate_id.push(text.aggregate_id);
            columns.sequence.push(text.sequence);
            columns.event_type.push(&text.event_type);
            columns.event_version.push(text.event_version);
            columns.payload.push(&text.payload);
            columns.effective_at.push(text.effective_at);
            columns.command_id.push(text.command_id);
            let key = lead.as_ref().and_then(|lead| lead.key.as_ref());
            columns.metadata.push(lead.as_ref().map(|lead| lead.metadata.as_str()));
            columns.key.push(key.map(|(key, _)| key.as_str()));
            columns.fingerprint.push(key.map(|(_, fingerprint)| fingerprint.as_slice()));
        }
        columns
    }
}

impl Journal {
    /// The heads of all partitions, in order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn heads(&self) -> Result<Vec<Head>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"SELECT partition, position, epoch, nullif(recorded_at, '-infinity') AS "recorded_at?"
               FROM journal.heads ORDER BY partition"#
        )
        .fetch_all(&self.pool)
        .await?;
        let heads = rows.into_iter().map(|row| Head {
            partition: Partition(row.partition),
            position: row.position,
            epoch: row.epoch,
            recorded_at: row.recorded_at,
        });
        Ok(heads.collect())
    }

    /// The head of one partition.
    ///
    /// # Errors
    /// What the database says.
    pub async fn head(&self, partition: Partition) -> Result<Head, sqlx::Error> {
        let row = sqlx::query!(
            r#"SELECT position, epoch, nullif(recorded_at, '-infinity') AS "recorded_at?"
               FROM journal.heads WHERE partition = $1"#,
            partition.0
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Head { partition, position: row.position, epoch: row.epoch, recorded_at: row.recorded_at })
    }

    /// The head of one partition, in a new epoch: what was sent to be appended before and has not been is refused from
    /// here on, and what is being appended at this moment is waited for. Afterwards nothing of the past can still
    /// become true.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim(&self, partition: Partition) -> Result<Head, sqlx::Error> {
        let (position, epoch, recorded_at) = sqlx::query_as(
            "UPDATE journal.heads SET epoch = epoch + 1 WHERE partition = $1
             RETURNING position, epoch, nullif(recorded_at, '-infinity')",
        )
        .bind(partition.0)
        .fetch_one(&self.pool)
        .await?;
        Ok(Head { partition, position, epoch, recorded_at })
    }

    /// Appends `events` behind `head`, all or none, recorded at `recorded_at`, and returns the new head. The
    /// first event gets position `head.position + 1`, the next ones follow.
    ///
    /// The caller numbers the streams (`sequence`) and keeps `recorded_at` from running backwards; the
    /// database refuses whatever does not fit.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(
        &self,
        head: Head,
        recorded_at: DateTime<Utc>,
        events: &[NewEvent],
    ) -> Result<Head, AppendError> {
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let new = Head { position: head.position + count, recorded_at: Some(recorded_at), ..head };
        let columns = Columns::of(events);
        let inserted = sqlx::query!(
            r#"
            WITH head AS (
                UPDATE journal.heads SET position = $4, recorded_at = $5
                WHERE partition = $1 AND position = $2 AND epoch = $3 AND recorded_at <= $5
                RETURNING partition
            )
            INSERT INTO journal.events (partition, position, tenant_id, aggregate_type, aggregate_id, sequence,
                event_type, event_version, payload, recorded_at, effective_at, command_id, metadata,
                idempotency_key, fingerprint)
            SELECT head.partition, $2 + e.place, e.tenant_id, e.aggregate_type, e.aggregate_id, e.sequence,
                e.event_type, e.event_version, e.payload::jsonb, $5, e.effective_at, e.command_id,
                e.metadata::jsonb, e.idempotency_key, e.fingerprint
            FROM head, UNNEST($6::uuid[], $7::text[], $8::uuid[], $9::bigint[], $10::text[], $11::integer[],
                $12::text[], $13::timestamptz[], $14::uuid[], $15::text[], $16::text[], $17::bytea[])
                WITH ORDINALITY AS e (tenant_id, aggregate_type, aggregate_id, sequence, event_type,
                    event_version, payload, effective_at, command_id, metadata, idempotency_key, fingerprint,
                    place)
            "#,
            head.partition.0,
            head.position,
            head.epoch,
            new.position,
            recorded_at,
            &columns.tenant_id,
            &columns.aggregate_type as &[&str],
            &columns.aggregate_id,
            &columns.sequence,
            &columns.event_type as &[&str],
            &columns.event_version,
            &columns.payload as &[&str],
            &columns.effective_at as &[Option<DateTime<Utc>>],
            &columns.command_id,
            &columns.metadata as &[Option<&str>],
            &columns.key as &[Option<&str>],
            &columns.fingerprint as &[Option<&[u8]>],
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        if inserted == 0 && !events.is_empty() { Err(AppendError::HeadMoved) } else { Ok(new) }
    }
}
