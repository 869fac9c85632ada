use chrono::{DateTime, Utc};
use domain::Partition;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::latency::Histogram;
use crate::usage::{Tallies, Tally};

#[derive(Default)]
struct Columns<'a> {
    tenant_id: Vec<Uuid>,
    quarter: Vec<DateTime<Utc>>,
    wallet_id: Vec<Uuid>,
    application_id: Vec<Uuid>,
    user: Vec<&'a str>,
    provider: Vec<&'a str>,
    model: Vec<&'a str>,
    outcome: Vec<&'static str>,
    asset: Vec<&'a str>,
    path: Vec<&'a str>,
    calls: Vec<i64>,
    tokens: [Vec<String>; 6],
    cost: Vec<String>,
    /// Postgres has no arrays of arrays of different lengths.
    first_token: Vec<String>,
    total: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(tallies: &'a Tallies) -> Self {
        let mut columns = Self::default();
        for (place, tally) in tallies {
            columns.tenant_id.push(place.tenant_id);
            columns.quarter.push(place.quarter);
            columns.wallet_id.push(place.wallet_id);
            columns.application_id.push(place.application_id);
            columns.user.push(&place.user);
            columns.provider.push(&place.provider);
            columns.model.push(&place.model);
            columns.outcome.push(place.outcome);
            columns.asset.push(&place.asset);
            columns.tally(tally);
        }
        columns
    }

    fn tally(&mut self, tally: &'a Tally) {
        self.path.push(&tally.path);
        self.calls.push(tally.calls);
        for (column, tokens) in self.tokens.iter_mut().zip(tally.tokens) {
            column.push(tokens.to_string());
        }
        self.cost.push(tally.cost.map_or_else(|| "0".to_owned(), |cost| cost.to_string()));
        self.first_token.push(literal(&tally.first_token));
        self.total.push(literal(&tally.total));
    }
}

/// An array as Postgres reads it.
fn literal(histogram: &Histogram) -> String {
    let elements: Vec<String> = histogram.elements().iter().map(ToString::to_string).collect();
    format!("{{{}}}", elements.join(","))
}

/// Adds what calls came to to the rows of their quarters of an hour.
pub(super) async fn add(
    connection: &mut PgConnection,
    partition: Partition,
    tallies: &Tallies,
) -> Result<(), Fault> {
    if tallies.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(tallies);
    let [input, cache_read, cache_write, cache_write_long, output, reasoning] = &columns.tokens;
    sqlx::query!(
        "INSERT INTO usage_quarters AS u (partition, tenant_id, quarter, wallet_id, application_id, user_ref, provider,
             model, outcome, asset, path, calls, input, cache_read, cache_write, cache_write_long, output, reasoning,
             cost, first_token, total)
         SELECT $1, c.tenant_id, c.quarter, c.wallet_id, c.application_id, c.user_ref, c.provider, c.model, c.outcome,
             c.asset, c.path, c.calls, c.input::numeric, c.cache_read::numeric, c.cache_write::numeric,
             c.cache_write_long::numeric, c.output::numeric, c.reasoning::numeric, c.cost::numeric,
             c.first_token::bigint[], c.total::bigint[]
         FROM UNNEST($2::uuid[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[],
             $9::text[], $10::text[], $11::text[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[],
             $17::text[], $18::text[], $19::text[], $20::text[], $21::text[])
             AS c (tenant_id, quarter, wallet_id, application_id, user_ref, provider, model, outcome, asset, path,
                 calls, input, cache_read, cache_write, cache_write_long, output, reasoning, cost, first_token, total)
         ON CONFLICT (tenant_id, wallet_id, quarter, application_id, user_ref, provider, model, outcome, asset,
             partition) DO UPDATE
         SET calls = u.calls + excluded.calls, input = u.input + excluded.input,
             cache_read = u.cache_read + excluded.cache_read, cache_write = u.cache_write + excluded.cache_write,
             cache_write_long = u.cache_write_long + excluded.cache_write_long, output = u.output + excluded.output,
             reasoning = u.reasoning + excluded.reasoning, cost = u.cost + excluded.cost,
             first_token = views.merged(u.first_token, excluded.first_token),
             total = views.merged(u.total, excluded.total)",
        partition.0,
        &columns.tenant_id,
        &columns.quarter,
        &columns.wallet_id,
        &columns.application_id,
        &columns.user as &[&str],
        &columns.provider as &[&str],
        &columns.model as &[&str],
        &columns.outcome as &[&str],
        &columns.asset as &[&str],
        &columns.path as &[&str],
        &columns.calls,
        input,
        cache_read,
        cache_write,
        cache_write_long,
        output,
        reasoning,
        &columns.cost,
        &columns.first_token,
        &columns.total
    )
    .execute(connection)
    .await?;
    Ok(())
}
