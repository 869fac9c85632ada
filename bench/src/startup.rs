//! How long the program takes from its start until `/readyz` says that it can serve, on small and on large ledgers.
//!
//! A first start, which is not timed, brings the stream and the read models up to date, as a program that was stopped
//! has left them.

use std::time::Duration;

use journal::Role;
use tokio::time::{Instant, sleep};

use crate::bytes::exchange;
use crate::growth::{Fixture, size};
use crate::http::Server;
use crate::measure::{Case, Failure};
use crate::report::Report;
use crate::world::World;

/// How often it is timed.
const STARTS: usize = 3;
/// How long publishing the whole journal may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The fact for a ledger with so many wallets.
pub fn fact(wallets: u64) -> Case {
    Case::new("growth", format!("start-up with {} wallets", size(wallets)), 1)
}

/// Every ledger of growth.
///
/// # Errors
/// What the servers say.
pub async fn round(world: &World, report: &mut Report) -> Result<(), Failure> {
    for fixture in world.fixtures.sizes(world, report).await? {
        let mut first = Server::on(world, fixture.database.clone(), fixture.wallets, true).await?;
        first.catch_up().await?;
        relayed(fixture).await?;
        first.stop().await?;
        for _ in 0..STARTS {
            let mut server = Server::on(world, fixture.database.clone(), fixture.wallets, false).await?;
            while !is_ready(&server).await? {
                sleep(Duration::from_millis(2)).await;
            }
            report.fact(fact(fixture.wallets), "ms", server.spawned.elapsed().as_secs_f64() * 1e3);
            server.stop().await?;
        }
    }
    Ok(())
}

async fn is_ready(server: &Server) -> Result<bool, Failure> {
    let request =
        format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.target.address);
    Ok(exchange(server.target.address, &request).await?.starts_with(b"HTTP/1.1 200"))
}

/// Waits until the whole journal is in the stream.
async fn relayed(fixture: &Fixture) -> Result<(), Failure> {
    let owner = fixture.database.pool(Role::Owner, 1).await?;
    let start = Instant::now();
    loop {
        let missing: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(heads.position - coalesce(relay.position, 0)), 0)::bigint
             FROM journal.heads LEFT JOIN journal.relay USING (partition)",
        )
        .fetch_one(&owner)
        .await?;
        if missing == 0 {
            owner.close().await;
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("{missing} events are still not in the stream").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}
