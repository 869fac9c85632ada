use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::Fold;
use super::{VerifyError, same};
use crate::usage::{Place, Tally};

/// A row, in the order of the primary key.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    tenant_id: Uuid,
    quarter: DateTime<Utc>,
    wallet_id: Uuid,
    application_id: Uuid,
    user_ref: String,
    provider: String,
    model: String,
    outcome: String,
    asset: String,
    path: String,
    calls: i64,
    tokens: String,
    cost: String,
    first_token: Vec<i64>,
    total: Vec<i64>,
}

impl Row {
    fn of(place: &Place, tally: &Tally) -> Self {
        let place = place.clone();
        Self {
            tenant_id: place.tenant_id,
            quarter: place.quarter,
            wallet_id: place.wallet_id,
            application_id: place.application_id,
            user_ref: place.user,
            provider: place.provider,
            model: place.model,
            outcome: place.outcome.to_owned(),
            asset: place.asset,
            path: tally.path.clone(),
            calls: tally.calls,
            tokens: tally.tokens.map(|tokens| tokens.to_string()).join(" "),
            cost: tally.cost.map_or_else(|| "0".to_owned(), |cost| cost.to_string()),
            first_token: tally.first_token.elements(),
            total: tally.total.elements(),
        }
    }
}

/// Compares the row of every quarter of an hour with what folding the calls came to.
pub(super) async fn usage(connection: &mut PgConnection, fold: &Fold) -> Result<(), VerifyError> {
    let mut expected = fold.calls.tallies.iter();
    let mut rows = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, quarter, wallet_id, application_id, user_ref, provider, model, outcome, asset, path, calls,
               concat_ws(' ', input, cache_read, cache_write, cache_write_long, output, reasoning) AS "tokens!",
               cost::text AS "cost!", first_token, total
           FROM usage_quarters WHERE partition = $1
           ORDER BY tenant_id, wallet_id, quarter, application_id, user_ref, provider, model, outcome, asset"#,
        fold.partition.0
    )
    .fetch(connection);
    while let Some(found) = rows.try_next().await? {
        let counted = expected.next().map(|(place, tally)| Row::of(place, tally));
        let place = || format!("the row of usage of {} in the quarter from {}", found.path, found.quarter);
        same(place, &counted.as_ref(), &Some(&found))?;
    }
    let missing = expected.next().map(|(place, tally)| Row::of(place, tally));
    same(|| format!("the end of the rows of usage in partition {}", fold.partition), &missing, &None)?;
    Ok(())
}
