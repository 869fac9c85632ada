use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::RebuildError;
use crate::Kind;

/// How many rows each table of a read model has in `schema`.
pub(super) async fn rows(
    connection: &mut PgConnection,
    kind: Kind,
    schema: &str,
) -> Result<Vec<(&'static str, i64)>, sqlx::Error> {
    let mut rows = Vec::new();
    for table in kind.tables() {
        let count = format!("SELECT count(*) FROM {schema}.{table}");
        rows.push((*table, sqlx::query_scalar(&count).fetch_one(&mut *connection).await?));
    }
    Ok(rows)
}

/// Checks what must hold within a read model: what the tenants' wallets have sums up to zero, asset by asset; and
/// executions and the quarters of an hour in which they ended have the same number and cost, tenant by tenant.
pub(super) async fn balanced(connection: &mut PgConnection, kind: Kind) -> Result<(), RebuildError> {
    match kind {
        Kind::Balances => wallets(connection).await,
        Kind::Executions => calls(connection).await,
        _ => Ok(()),
    }
}

async fn calls(connection: &mut PgConnection) -> Result<(), RebuildError> {
    let wrong = sqlx::query!(
        r#"SELECT tenant_id, coalesce(e.ended, 0) AS "ended!", coalesce(e.cost, 0)::text AS "cost!",
               coalesce(u.calls, 0)::text AS "calls!", coalesce(u.spent, 0)::text AS "spent!"
           FROM (
               SELECT tenant_id, count(ended_at) AS ended, coalesce(sum(cost), 0) AS cost
               FROM executions GROUP BY tenant_id
           ) AS e FULL JOIN (
               SELECT tenant_id, sum(calls) AS calls, sum(cost) AS spent FROM usage_quarters GROUP BY tenant_id
           ) AS u USING (tenant_id)
           WHERE coalesce(e.ended, 0) <> coalesce(u.calls, 0) OR coalesce(e.cost, 0) <> coalesce(u.spent, 0)
           ORDER BY tenant_id LIMIT 1"#
    )
    .fetch_optional(connection)
    .await?;
    match wrong {
        None => Ok(()),
        Some(row) => Err(RebuildError::Unbalanced(format!(
            "{:?} has {} executions that cost {}, and {} that cost {} by quarters of an hour",
            row.tenant_id, row.ended, row.cost, row.calls, row.spent
        ))),
    }
}

async fn wallets(connection: &mut PgConnection) -> Result<(), RebuildError> {
    let wrong = sqlx::query!(
        r#"SELECT tenant_id, asset, sum(posted)::text AS "sum!" FROM balances
           GROUP BY tenant_id, asset HAVING sum(posted) <> 0 ORDER BY tenant_id, asset LIMIT 1"#
    )
    .fetch_optional(connection)
    .await?;
    match wrong {
        None => Ok(()),
        Some(row) => Err(RebuildError::Unbalanced(format!(
            "the wallets of tenant {} have {} {} in sum",
            row.tenant_id, row.sum, row.asset
        ))),
    }
}

/// What is counted and summed up of a read model in `schema`, as pairs of a name and a number.
fn figures(kind: Kind, schema: &str) -> String {
    match kind {
        Kind::Tenants => format!(
            "SELECT 'tenants', count(*)::text FROM {schema}.tenants
             UNION ALL SELECT 'assets', count(*)::text FROM {schema}.assets
             UNION ALL SELECT 'members of tenant ' || tenant_id || ' as ' || role, count(*)::text
                 FROM {schema}.members GROUP BY tenant_id, role
             UNION ALL SELECT 'invitations ' || status || ' of tenant ' || tenant_id, count(*)::text
                 FROM {schema}.invitations GROUP BY tenant_id, status"
        ),
        Kind::Balances => format!(
            "SELECT 'wallets of ' || asset || ' of tenant ' || tenant_id, concat_ws(' ', count(*), 'posted',
                 sum(greatest(posted, 0)), sum(posted), 'held', sum(held), 'incoming', sum(incoming))
             FROM {schema}.balances GROUP BY tenant_id, asset"
        ),
        Kind::Transactions => format!(
            "SELECT 'transactions ' || status || ' of tenant ' || tenant_id, count(*)::text
             FROM {schema}.transactions GROUP BY tenant_id, status"
        ),
        Kind::Snapshots => format!("SELECT 'snapshots', count(*)::text FROM {schema}.snapshots"),
        Kind::Users => {
            format!("SELECT 'users ' || status, count(*)::text FROM {schema}.users GROUP BY status")
        }
        Kind::Applications => format!(
            "SELECT 'applications ' || status || ' of tenant ' || tenant_id, count(*)::text
             FROM {schema}.applications GROUP BY tenant_id, status
             UNION ALL SELECT 'API keys of tenant ' || tenant_id,
                 concat_ws(' ', count(*), 'revoked', count(revoked_at), 'that expire', count(expires_at))
             FROM {schema}.api_keys GROUP BY tenant_id"
        ),
        Kind::Catalogues => format!(
            "SELECT 'the catalogue of tenant ' || tenant_id, concat_ws(' ', sequence, md5(state::text))
             FROM {schema}.catalogues"
        ),
        Kind::Allowances => format!(
            "SELECT 'allowances of tenant ' || tenant_id, concat_ws(' ', count(*), 'events', sum(sequence), 'debt',
                 sum(debt), 'in debt', count(*) FILTER (WHERE debt > 0), 'due', count(due_at))
             FROM {schema}.allowances GROUP BY tenant_id"
        ),
        Kind::Executions => format!(
            "SELECT 'executions ' || status || ' of tenant ' || tenant_id,
                 concat_ws(' ', count(*), 'events', sum(sequence), 'cost', sum(cost))
             FROM {schema}.executions GROUP BY tenant_id, status
             UNION ALL SELECT 'usage in ' || asset || ' of tenant ' || tenant_id, concat_ws(' ', count(*), 'calls',
                 sum(calls), 'tokens', sum(input), sum(cache_read), sum(cache_write), sum(cache_write_long),
                 sum(output), sum(reasoning), 'cost', sum(cost), 'measured',
                 sum(cardinality(first_token)), sum(cardinality(total)))
             FROM {schema}.usage_quarters GROUP BY tenant_id, asset"
        ),
    }
}

/// The figures of the served read model that are not those of the new one in `schema`.
pub(super) async fn differences(
    connection: &mut PgConnection,
    kind: Kind,
    schema: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let served = read(connection, &figures(kind, "views")).await?;
    let built = read(connection, &figures(kind, schema)).await?;
    let names = served.keys().chain(built.keys()).collect::<std::collections::BTreeSet<_>>();
    let said = |figures: &BTreeMap<String, String>, name| {
        figures.get(name).cloned().unwrap_or_else(|| "none".to_owned())
    };
    let different = names.into_iter().filter(|name| served.get(*name) != built.get(*name));
    Ok(different
        .map(|name| format!("{name}: served {}, rebuilt {}", said(&served, name), said(&built, name)))
        .collect())
}

async fn read(connection: &mut PgConnection, query: &str) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(query).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}
