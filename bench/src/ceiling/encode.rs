//! Rows as the database takes them: as arrays, as the values of one row, and in the binary form of COPY.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use journal::NewEvent;
use serde_json::value::RawValue;
use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use sqlx::types::Json;

use crate::measure::Failure;

/// Many rows in one statement.
pub const UNNEST: &str = "
    INSERT INTO ceiling.events (partition, position, tenant_id, aggregate_type, aggregate_id, sequence, event_type,
        event_version, payload, recorded_at, effective_at, command_id, metadata, idempotency_key, fingerprint)
    SELECT $1, $2 + e.place, e.tenant_id, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type,
        e.event_version, e.payload, $3, e.effective_at, e.command_id, e.metadata, e.idempotency_key, e.fingerprint
    FROM UNNEST($4::uuid[], $5::text[], $6::uuid[], $7::bigint[], $8::text[], $9::integer[], $10::jsonb[],
        $11::timestamptz[], $12::uuid[], $13::jsonb[], $14::text[], $15::bytea[])
        WITH ORDINALITY AS e (tenant_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
            effective_at, command_id, metadata, idempotency_key, fingerprint, place)";

/// One row.
pub const SINGLE: &str = "
    INSERT INTO ceiling.events (partition, position, recorded_at, tenant_id, aggregate_type, aggregate_id, sequence,
        event_type, event_version, payload, effective_at, command_id, metadata, idempotency_key, fingerprint)
    VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

/// A stream of rows.
pub const COPY: &str = "
    COPY ceiling.events (partition, position, recorded_at, tenant_id, aggregate_type, aggregate_id, sequence,
        event_type, event_version, payload, effective_at, command_id, metadata, idempotency_key, fingerprint)
    FROM STDIN (FORMAT binary)";

/// What the rows of a batch have in common: the partition, the position before them, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub partition: i32,
    pub position: i64,
    pub recorded_at: DateTime<Utc>,
}

impl Place {
    fn begin(self) -> Result<PgArguments, Failure> {
        let mut values = PgArguments::default();
        values.add(self.partition)?;
        values.add(self.position)?;
        values.add(self.recorded_at)?;
        Ok(values)
    }
}

/// The values of [`UNNEST`].
///
/// # Errors
/// None: what the journal kept can be encoded again.
pub fn arrays(place: Place, rows: &[NewEvent]) -> Result<PgArguments, Failure> {
    fn all<'a, T>(rows: &'a [NewEvent], one: impl Fn(&'a NewEvent) -> T) -> Vec<T> {
        rows.iter().map(one).collect()
    }
    let payloads = rows.iter().map(|row| json(&row.text.payload)).collect::<Result<Vec<_>, _>>()?;
    let metadata =
        rows.iter().map(|row| metadata(row).map(json).transpose()).collect::<Result<Vec<_>, _>>()?;
    let mut values = place.begin()?;
    values.add(all(rows, |row| row.text.tenant_id))?;
    values.add(all(rows, |row| row.text.aggregate_type.as_str()))?;
    values.add(all(rows, |row| row.text.aggregate_id))?;
    values.add(all(rows, |row| row.text.sequence))?;
    values.add(all(rows, |row| row.text.event_type.as_str()))?;
    values.add(all(rows, |row| row.text.event_version))?;
    values.add(payloads)?;
    values.add(all(rows, |row| row.text.effective_at))?;
    values.add(all(rows, |row| row.text.command_id))?;
    values.add(metadata)?;
    values.add(all(rows, |row| key(row).map(|(key, _)| key)))?;
    values.add(all(rows, |row| key(row).map(|(_, fingerprint)| fingerprint)))?;
    Ok(values)
}

/// The values of [`SINGLE`].
///
/// # Errors
/// There is not one row.
pub fn row(place: Place, rows: &[NewEvent]) -> Result<PgArguments, Failure> {
    let [row] = rows else { return Err("one row is wanted".into()) };
    let mut values = place.begin()?;
    values.add(row.text.tenant_id)?;
    values.add(row.text.aggregate_type.as_str())?;
    values.add(row.text.aggregate_id)?;
    values.add(row.text.sequence)?;
    values.add(row.text.event_type.as_str())?;
    values.add(row.text.event_version)?;
    values.add(json(&row.text.payload)?)?;
    values.add(row.text.effective_at)?;
    values.add(row.text.command_id)?;
    values.add(metadata(row).map(json).transpose()?)?;
    values.add(key(row).map(|(key, _)| key))?;
    values.add(key(row).map(|(_, fingerprint)| fingerprint))?;
    Ok(values)
}

/// The bytes of [`COPY`]: <https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.4>.
///
/// # Errors
/// None: what the journal kept can be encoded again.
pub fn binary(place: Place, rows: &[NewEvent]) -> Result<Vec<u8>, Failure> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (row, position) in rows.iter().zip(place.position + 1..) {
        let NewEvent { text, .. } = row;
        bytes.extend(15_i16.to_be_bytes());
        field(&mut bytes, Some(&place.partition.to_be_bytes()))?;
        field(&mut bytes, Some(&position.to_be_bytes()))?;
        field(&mut bytes, Some(&time(place.recorded_at)))?;
        field(&mut bytes, Some(text.tenant_id.as_bytes()))?;
        field(&mut bytes, Some(text.aggregate_type.as_bytes()))?;
        field(&mut bytes, Some(text.aggregate_id.as_bytes()))?;
        field(&mut bytes, Some(&text.sequence.to_be_bytes()))?;
        field(&mut bytes, Some(text.event_type.as_bytes()))?;
        field(&mut bytes, Some(&text.event_version.to_be_bytes()))?;
        field(&mut bytes, Some(&jsonb(&text.payload)))?;
        field(&mut bytes, text.effective_at.map(time).as_ref().map(<[u8; 8]>::as_slice))?;
        field(&mut bytes, Some(text.command_id.as_bytes()))?;
        field(&mut bytes, metadata(row).map(jsonb).as_deref())?;
        field(&mut bytes, key(row).map(|(key, _)| key.as_bytes()))?;
        field(&mut bytes, key(row).map(|(_, fingerprint)| fingerprint))?;
    }
    bytes.extend((-1_i16).to_be_bytes());
    Ok(bytes)
}

fn field(bytes: &mut Vec<u8>, value: Option<&[u8]>) -> Result<(), Failure> {
    let length = value.map_or(Ok(-1), |value| i32::try_from(value.len()))?;
    bytes.extend(length.to_be_bytes());
    bytes.extend(value.unwrap_or_default());
    Ok(())
}

/// Microseconds since the beginning of the year 2000.
fn time(time: DateTime<Utc>) -> [u8; 8] {
    const EPOCH: i64 = 946_684_800_000_000;
    (time.timestamp_micros() - EPOCH).to_be_bytes()
}

/// Its version and its text.
fn jsonb(text: impl Display) -> Vec<u8> {
    format!("\x01{text}").into_bytes()
}

fn json(text: &str) -> Result<Json<&RawValue>, Failure> {
    Ok(Json(serde_json::from_str(text)?))
}

fn metadata(row: &NewEvent) -> Option<&str> {
    row.lead.as_ref().map(|lead| lead.metadata.as_str())
}

fn key(row: &NewEvent) -> Option<(&str, &[u8])> {
    let (key, fingerprint) = row.lead.as_ref()?.key.as_ref()?;
    Some((key, fingerprint))
}
