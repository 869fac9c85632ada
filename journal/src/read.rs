//! Reading: forward by position, streams, and what a batch of commands needs before it is decided.

use chrono::{DateTime, Utc};
use domain::Partition;
use uuid::Uuid;

use crate::{EventText, Journal, Lead, Recorded};

/// A row of `journal.events`; with `event_type` `$snapshot` a row of `views.snapshots` in the same shape.
struct Row {
    partition: i32,
    position: i64,
    tenant_id: Uuid,
    aggregate_type: String,
    aggregate_id: Uuid,
    sequence: i64,
    event_type: String,
    event_version: i32,
    payload: String,
    recorded_at: DateTime<Utc>,
    effective_at: Option<DateTime<Utc>>,
    command_id: Uuid,
    metadata: Option<String>,
    idempotency_key: Option<String>,
    fingerprint: Option<Vec<u8>>,
}

impl From<Row> for Recorded {
    fn from(row: Row) -> Self {
        let key = row.idempotency_key.zip(row.fingerprint);
        Self {
            partition: Partition(row.partition),
            position: row.position,
            recorded_at: row.recorded_at,
            text: EventText {
                tenant_id: row.tenant_id,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                sequence: row.sequence,
                event_type: row.event_type,
                event_version: row.event_version,
                payload: row.payload,
                effective_at: row.effective_at,
                command_id: row.command_id,
            },
            lead: row.metadata.map(|metadata| Lead { metadata, key }),
        }
    }
}

/// The state of a stream at one of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The tenant whose stream it is.
    pub tenant_id: Uuid,
    /// The kind of stream.
    pub aggregate_type: String,
    /// The stream.
    pub aggregate_id: Uuid,
    /// The event after which it was taken.
    pub sequence: i64,
    /// The aggregate as JSON.
    pub state: String,
}

/// Where to begin reading a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStart {
    /// With the latest snapshot of this form, if there is one.
    Snapshot {
        /// The form of state that the reader knows.
        form: i32,
    },
    /// With its first event.
    First,
}

/// The streams that a batch of commands needs before it is decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefetched {
    /// Snapshots of the streams asked for.
    pub snapshots: Vec<Snapshot>,
    /// The events of the streams asked for, behind their snapshots, by stream and sequence.
    pub events: Vec<Recorded>,
}

impl Journal {
    /// Which of these idempotency keys of which tenants were used before: the first events of the commands that
    /// used them.
    ///
    /// # Errors
    /// What the database says.
    pub async fn leads(
        &self,
        partition: Partition,
        keys: &[(Uuid, &str)],
    ) -> Result<Vec<Recorded>, sqlx::Error> {
        let tenants: Vec<Uuid> = keys.iter().map(|(tenant, _)| *tenant).collect();
        let names: Vec<&str> = keys.iter().map(|(_, key)| *key).collect();
        // The limit keeps the planner from anything but the index.
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT e.partition, e.position, e.tenant_id, e.aggregate_type, e.aggregate_id, e.sequence,
                   e.event_type, e.event_version, e.payload::text AS "payload!", e.recorded_at, e.effective_at,
                   e.command_id, e.metadata::text, e.idempotency_key, e.fingerprint
               FROM UNNEST($2::uuid[], $3::text[]) AS wanted (tenant_id, key)
               CROSS JOIN LATERAL (
                   SELECT * FROM journal.events e
                   WHERE e.tenant_id = wanted.tenant_id AND e.idempotency_key = wanted.key AND e.partition = $1
                   LIMIT 1
               ) e"#,
            partition.0,
            &tenants,
            &names as &[&str],
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Recorded::from).collect())
    }

    /// In one query: the given streams, each from its latest snapshot on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prefetch(
        &self,
        partition: Partition,
        streams: &[Uuid],
        start: StreamStart,
    ) -> Result<Prefetched, sqlx::Error> {
        let form = match start {
            StreamStart::Snapshot { form } => Some(form),
            StreamStart::First => None,
        };
        // The limits keep the planner from anything but the indexes.
        let rows = sqlx::query_as!(
            Row,
            r#"
            SELECT s.partition AS "partition!", 0::bigint AS "position!", s.tenant_id AS "tenant_id!",
                s.aggregate_type AS "aggregate_type!", s.aggregate_id AS "aggregate_id!",
                s.sequence AS "sequence!", '$snapshot' AS "event_type!", s.form AS "event_version!",
                s.state::text AS "payload!", 'epoch'::timestamptz AS "recorded_at!",
                NULL::timestamptz AS effective_at, s.aggregate_id AS "command_id!", NULL AS metadata,
                NULL AS idempotency_key, NULL::bytea AS fingerprint
            FROM UNNEST($2::uuid[]) AS wanted (id)
            CROSS JOIN LATERAL (
                SELECT * FROM views.snapshots s
                WHERE s.aggregate_id = wanted.id AND s.partition = $1 AND s.form = $3
                LIMIT 1
            ) s
            UNION ALL
            SELECT e.partition, e.position, e.tenant_id, e.aggregate_type, e.aggregate_id, e.sequence,
                e.event_type, e.event_version, e.payload::text, e.recorded_at, e.effective_at, e.command_id,
                e.metadata::text, e.idempotency_key, e.fingerprint
            FROM UNNEST($2::uuid[]) AS wanted (id)
            LEFT JOIN LATERAL (
                SELECT s.sequence FROM views.snapshots s
                WHERE s.aggregate_id = wanted.id AND s.partition = $1 AND s.form = $3
                LIMIT 1
            ) s ON true
            CROSS JOIN LATERAL (
                SELECT * FROM journal.events e
                WHERE e.aggregate_id = wanted.id AND e.partition = $1 AND e.sequence > coalesce(s.sequence, 0)
                ORDER BY e.sequence OFFSET 0
            ) e
            ORDER BY 5, 6
            "#,
            partition.0,
            streams,
            form,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found = Prefetched::default();
        for row in rows {
            match row.event_type.as_str() {
                "$snapshot" => found.snapshots.push(Snapshot {
                    tenant_id: row.tenant_id,
                    aggregate_type: row.aggregate_type,
                    aggregate_id: row.aggregate_id,
                    sequence: row.sequence,
                    state: row.payload,
                }),
                _ => found.events.push(row.into()),
            }
        }
        Ok(found)
    }

    /// At most `limit` events of a partition behind `after`, in order. What is returned has no gap: an event
    /// is not visible before all its predecessors are.
    ///
    /// # Errors
    /// What the database says.
    pub async fn read(
        &self,
        partition: Partition,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT partition, position, tenant_id, aggregate_type, aggregate_id, sequence, event_type,
                   event_version, payload::text AS "payload!", recorded_at, effective_at, command_id,
                   metadata::text, idempotency_key, fingerprint
               FROM journal.events
               WHERE partition = $1 AND position > $2 AND position <= $2 + $3
               ORDER BY position"#,
            partition.0,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Recorded::from).collect())
    }

    /// The events of one stream up to and with `sequence`, in order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn stream(
        &self,
        partition: Partition,
        aggregate_id: Uuid,
        sequence: i64,
    ) -> Result<Vec<Recorded>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT partition, position, tenant_id, aggregate_type, aggregate_id, sequence, event_type,
                   event_version, payload::text AS "payload!", recorded_at, effective_at, command_id,
                   metadata::text, idempotency_key, fingerprint
               FROM journal.events
               WHERE aggregate_id = $2 AND partition = $1 AND sequence <= $3
               ORDER BY sequence"#,
            partition.0,
            aggregate_id,
            sequence,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Recorded::from).collect())
    }

    /// Notes that JetStream has acknowledged a partition up to `position`. For operators: where to continue, the relay
    /// asks the stream itself.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_relayed(&self, partition: Partition, position: i64) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "INSERT INTO journal.relay (partition, position) VALUES ($1, $2)
             ON CONFLICT (partition) DO UPDATE SET position = excluded.position",
            partition.0,
            position
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
