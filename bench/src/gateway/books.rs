//! Whether the ledger accounts for every call: none is missing, none is there twice, and the money is right.

use journal::Role;

use super::provider::Provider;
use super::shop::{COST, CREDENTIAL, Shop, millionths};
use crate::load::WALLET;
use crate::measure::Failure;
use crate::world::World;

/// Stops the provider and the server, discards its database, and fails unless all of this holds: the provider has
/// answered exactly the calls whose callers have an answer; the journal has an execution for each, which was completed
/// and settled for exactly what its tokens cost; `@revenue` has the sum; nothing is held any more; and every read model
/// equals the journal.
///
/// # Errors
/// Something of that does not hold; or what the servers say.
pub async fn close(shop: Shop, provider: Provider, world: &World, answered: u64) -> Result<(), Failure> {
    shop.server.catch_up().await?;
    let (revenue, _) = shop.balance("@revenue").await?;
    let (_, held) = shop.balance(WALLET).await?;
    let provided = provider.stop(CREDENTIAL).await?;
    let Shop { mut server, .. } = shop;
    server.stop().await?;
    let owner = server.database.pool(Role::Owner, 1).await?;
    let (requested, completed, settled, cost): (i64, i64, i64, String) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE event_type = 'requested'),
            count(*) FILTER (WHERE event_type = 'completed'),
            count(*) FILTER (WHERE event_type = 'settled'),
            coalesce(sum((payload->>'cost')::numeric) FILTER (WHERE event_type = 'settled'), 0)::text
         FROM journal.events WHERE aggregate_type = 'execution'",
    )
    .fetch_one(&owner)
    .await?;
    owner.close().await;
    let cost = millionths(&cost)?;
    for (what, count) in [
        ("answered by the provider", i128::from(provided)),
        ("requested in the journal", requested.into()),
        ("completed in the journal", completed.into()),
        ("settled in the journal", settled.into()),
    ] {
        if count != i128::from(answered) {
            return Err(format!("{answered} calls have an answer, but {count} are {what}").into());
        }
    }
    let due = i128::from(answered) * i128::from(COST);
    if (cost, revenue, held) != (due, due, 0) {
        return Err(format!(
            "{answered} calls cost {due} millionths; settled are {cost}, @revenue has {revenue}, still held are {held}"
        )
        .into());
    }
    server.verify_and_discard(world).await
}
