//! A connection to Postgres that breaks while a batch is being written: what the caller is told is what happened,
//! and it happened once.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commands::{Announcer, Command, Context, Failure, Outcome, Pipeline, PipelineOptions, Request};
use counterfoil::system::SystemIds;
use domain::{Clock, Ids};
use journal::{Journal, Role};
use support::ledger::{Ledger, TestClock, amount, transfer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::TaskTracker;

/// A wire to Postgres that can be told to break once.
struct Wire {
    directory: PathBuf,
    /// Before the next words of the client.
    before: Arc<AtomicBool>,
    /// When Postgres says that rows were inserted, which nobody hears.
    after: Arc<AtomicBool>,
}

impl Wire {
    fn to(postgres: &Path, port: u16) -> Self {
        let directory = std::env::temp_dir().join(format!("wire-{}", SystemIds.next().simple()));
        std::fs::create_dir(&directory).unwrap();
        let socket = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(directory.join(&socket)).unwrap();
        let (before, after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let wire = Self { directory, before: Arc::clone(&before), after: Arc::clone(&after) };
        let postgres = postgres.join(socket);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&postgres).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (before, after) = (Arc::clone(&before), Arc::clone(&after));
                let asking = carry(from_client, to_server, move |_| before.swap(false, Ordering::SeqCst));
                let answering = carry(from_server, to_client, move |bytes| {
                    let inserted = bytes.windows(9).any(|window| window == b"INSERT 0 ");
                    inserted && after.swap(false, Ordering::SeqCst)
                });
                // Where one direction ends, both do.
                tokio::spawn(async move {
                    tokio::select! { () = asking => {}, () = answering => {} }
                });
            }
        });
        wire
    }

    fn whole(&self) -> bool {
        !self.before.load(Ordering::SeqCst) && !self.after.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Carries what is said until somebody hangs up or `breaks` says that the wire does.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, breaks: impl Fn(&[u8]) -> bool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let said = bytes.get(..count).unwrap_or_default();
        if breaks(said) || to.write_all(said).await.is_err() {
            return;
        }
    }
}

/// A ledger whose second program writes over a wire.
struct Wired {
    ledger: Ledger,
    wire: Wire,
    pipeline: Pipeline,
}

impl Wired {
    async fn start() -> Self {
        let ledger = Ledger::funded(&["a"]).await;
        let options = ledger.database.options();
        let wire = Wire::to(options.get_socket().unwrap(), options.get_port());
        let pool = journal::connect(options.socket(&wire.directory), Role::Writer, "views", 2).await.unwrap();
        let journal = Journal::open(pool).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&ledger.clock);
        let ids: Arc<dyn Ids> = Arc::new(SystemIds);
        let options = PipelineOptions { patience: Duration::from_secs(20), ..PipelineOptions::default() };
        let tasks = TaskTracker::new();
        let pipeline = Pipeline::start(&journal, &clock, &ids, &options, &Announcer::silent(), &tasks);
        let wired = Self { ledger, wire, pipeline };
        // From now on all it needs is in memory: the next thing that it says to Postgres is an append.
        wired.pay().await.unwrap();
        wired
    }

    /// One payment of 1.00 without a key.
    async fn pay(&self) -> Result<Outcome, Failure> {
        let command = Command::Transact(transfer("a", "b", "1.00"));
        let tenant = self.ledger.tenant;
        self.pipeline.submit(Request { tenant, command, context: Context::default(), key: None }).await
    }

    /// That a payment is acknowledged and was made once, whatever the wire does.
    async fn expect_one_payment(&self) {
        let before = self.ledger.events().await.len();
        let paid = self.ledger.wallet("b").await.balance.posted;
        let outcome = self.pay().await.unwrap();
        assert!(self.wire.whole(), "the wire was to break, and did not");
        let events = self.ledger.events().await;
        assert_eq!(events.len(), before + 3, "it is in the journal once");
        assert_eq!(outcome.position.position, events.last().unwrap().position, "and where the answer says");
        let now = self.ledger.wallet("b").await.balance.posted;
        assert_eq!(now, paid.checked_add(amount("1.00")).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_was_lost_is_found_in_the_journal_and_not_decided_again() {
    let wired = Wired::start().await;
    for _ in 0..3 {
        wired.wire.after.store(true, Ordering::SeqCst);
        wired.expect_one_payment().await;
        wired.expect_one_payment().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_never_arrived_is_decided_again() {
    let wired = Wired::start().await;
    for _ in 0..3 {
        wired.wire.before.store(true, Ordering::SeqCst);
        wired.expect_one_payment().await;
        wired.expect_one_payment().await;
    }
}
