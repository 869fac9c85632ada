//! What a transfer takes: on the disk, in the write-ahead log, in JetStream, and over HTTP.

use commands::STREAM;
use journal::Role;
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::following::Following;
use crate::http::Server;
use crate::measure::{Case, Failure, real};
use crate::pipeline::WALLETS;
use crate::report::Report;
use crate::world::{Extent, World};

/// Transfers that are asked for together.
const TOGETHER: u64 = 64;
/// The fact of a case with one caller.
fn fact(what: &str) -> Case {
    Case::new("bytes", what, 1)
}

/// One round; sizes do not drift, so the first is enough.
///
/// # Errors
/// What the servers say.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    if number > 0 {
        return Ok(());
    }
    stored(world, report).await?;
    sent(world, report).await
}

/// Sizes of everything that grows with transfers, in bytes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    journal: i64,
    views: i64,
    log: i64,
    stream: u64,
}

impl Sizes {
    async fn of(ledger: &Following, owner: &PgPool) -> Result<Self, Failure> {
        let (journal, views, log): (i64, i64, i64) = sqlx::query_as(
            "SELECT pg_total_relation_size('journal.events'),
                (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
                 WHERE relnamespace = 'views'::regnamespace AND relkind = 'r'),
                (pg_current_wal_insert_lsn() - '0/0')::bigint",
        )
        .fetch_one(owner)
        .await?;
        let stream = ledger.jetstream.get_stream(STREAM).await?.cached_info().state.bytes;
        Ok(Self { journal, views, log, stream })
    }
}

/// On the disk, with 64 transfers committed together, as from 64 callers.
async fn stored(world: &World, report: &mut Report) -> Result<(), Failure> {
    let transfers = if world.extent == Extent::Quick { 10_000 } else { 100_000 };
    let ledger = Following::start(world, "bytes", WALLETS).await?;
    let owner = ledger.database.pool(Role::Owner, 1).await?;
    world.settle().await?;
    let before = Sizes::of(&ledger, &owner).await?;
    for first in (0..transfers).step_by(usize::try_from(TOGETHER)?) {
        let turns = first..transfers.min(first + TOGETHER);
        let requests = turns.map(|turn| ledger.bank.transfer(ledger.bank.pair(0, turn, false)));
        ledger.bank.all(requests.collect::<Result<_, _>>()?).await?;
    }
    ledger.catch_up().await?;
    let after = Sizes::of(&ledger, &owner).await?;
    owner.close().await;
    let each = |bytes: i64| real(bytes.unsigned_abs()) / real(transfers);
    report.fact(fact("journal, with its indexes"), "bytes a transfer", each(after.journal - before.journal));
    report.fact(
        fact("read models, with their indexes"),
        "bytes a transfer",
        each(after.views - before.views),
    );
    report.fact(fact("write-ahead log of all of it"), "bytes a transfer", each(after.log - before.log));
    let stream = real(after.stream - before.stream) / real(transfers);
    report.fact(fact("JetStream"), "bytes a transfer", stream);
    let database = ledger.stop().await;
    world.discard(database).await
}

/// Over HTTP, with all headers.
async fn sent(world: &World, report: &mut Report) -> Result<(), Failure> {
    let server = Server::start(world, "wire", 2).await?;
    let body = r#"{"postings":[{"from":"customers:0","to":"customers:1","amount":"1","asset":"USD"}]}"#;
    let request = format!(
        "POST /v1/transactions HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: wire\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        server.target.address,
        server.target.token,
        body.len()
    );
    let answer = exchange(server.target.address, &request).await?;
    if !answer.starts_with(b"HTTP/1.1 201") {
        return Err(String::from_utf8_lossy(&answer).into_owned().into());
    }
    let token = server.target.token.len();
    report.fact(fact("request, without its token"), "bytes", real((request.len() - token) as u64));
    report.fact(fact("token"), "bytes", real(token as u64));
    report.fact(fact("answer"), "bytes", real(answer.len() as u64));
    server.stop_and_verify(world, 1).await
}

/// Sends a request and reads until the other side closes the connection.
///
/// # Errors
/// The connection breaks.
pub async fn exchange(address: std::net::SocketAddr, request: &str) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}
