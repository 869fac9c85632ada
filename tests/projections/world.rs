//! A ledger with its projectors, and what tests ask of both.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use chrono::TimeDelta;
use commands::{Command, STREAM, TransactionRequest};
use cqrs_es::Aggregate as _;
use domain::{
    AssetCode, Metadata, Reason, Reference, Scale, Slug, TenantId, TenantName, Transaction, Wallet,
    WalletPath, event,
};
use journal::{Position, Role};
use projections::{Kind, Progress, Projectors, Reader, Settings, State, TransactionFilter, WalletFilter};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::Guardian;
use crate::support::ledger::{Ledger, amount, posting, transfer};

/// Never reached by a test: what happens with this tick is not the tick's doing.
pub const NEVER: Duration = Duration::from_secs(3_600);

/// Asks again and again, for a minute at the most.
pub async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    for _ in 0..1_200 {
        if ask().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ask().await, "never came to be: {what}");
}

/// A nats-server of its own, and a connection to it.
pub async fn nats() -> (Guardian, async_nats::Client) {
    let nats = tokio::task::spawn_blocking(crate::support::private_nats).await.unwrap();
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    let client = counterfoil::servers::connect_nats(&nats.nats_url(), options).await.unwrap();
    (nats, client)
}

/// Projectors at work.
pub struct Running {
    pub progress: Progress,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts projectors with what they say to readers of their own.
    pub async fn start(ledger: &Ledger, nats: Option<jetstream::Context>, tick: Duration) -> Self {
        let progress = Progress::new(ledger.journal.partition_count());
        let projectors = Projectors {
            database: ledger.database.options(),
            pool: ledger.database.pool(Role::Writer, 8).await,
            journal: ledger.journal.clone(),
            nats,
            progress: progress.clone(),
            settings: Settings { tick, ..Settings::default() },
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(projectors.run(cancel.clone()));
        Self { progress, cancel, task }
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }

    /// Whether all of them are in this state.
    pub fn all(&self, ledger: &Ledger, state: &State) -> bool {
        let mut partitions = ledger.journal.partitions();
        partitions.all(|partition| {
            Kind::ALL.iter().all(|kind| self.progress.mark(*kind, partition).state == *state)
        })
    }

    pub async fn reader(&self, ledger: &Ledger) -> Reader {
        let pool = ledger.database.pool(Role::Reader, 4).await;
        Reader::new(pool, ledger.journal.partition_count(), self.progress.clone())
    }
}

/// The partition's last position.
pub async fn head(ledger: &Ledger) -> Position {
    let partition = ledger.partition();
    Position { partition, position: ledger.journal.head(partition).await.unwrap().position }
}

/// Waits until every read model has every event.
pub async fn caught_up(ledger: &Ledger) {
    let pool = ledger.database.pool(Role::Writer, 1).await;
    eventually("no read model lags", async || {
        let status = projections::status(&pool, &ledger.journal, None).await.unwrap();
        status.iter().all(|one| one.lag == 0)
    })
    .await;
}

/// Verifies everything, and that the verification saw everything.
pub async fn assert_verified(ledger: &Ledger) {
    let report = projections::verify(&verifier(ledger).await, &ledger.journal, |_| {}).await.unwrap();
    let heads: i64 = ledger.journal.heads().await.unwrap().iter().map(|head| head.position).sum();
    assert_eq!(report.events, heads);
}

pub async fn verifier(ledger: &Ledger) -> PgPool {
    ledger.database.pool(Role::Writer, 2).await
}

/// Another tenant of the same database, in the same partition or in another one.
pub async fn neighbour(ledger: &Ledger, same_partition: bool) -> Ledger {
    let mut other = ledger.restarted().await;
    let slug = (0..100)
        .map(|number| Slug::new(&format!("neighbour-{number}")).unwrap())
        .find(|slug| {
            let partition = TenantId::of(slug).partition(ledger.journal.partition_count());
            (partition == ledger.partition()) == same_partition
        })
        .unwrap();
    other.tenant = TenantId::of(&slug);
    other
        .run(Command::CreateTenant { slug, name: TenantName::new("Neighbour").unwrap(), owner: None }, None)
        .await
        .unwrap();
    for (code, digits) in [("USD", 2), ("POINTS", 0)] {
        let (code, scale) = (AssetCode::new(code).unwrap(), Scale::new(digits).unwrap());
        other.run(Command::RegisterAsset { code, scale }, None).await.unwrap();
    }
    other.submit(transfer("@world", "a", "100.00")).await.unwrap();
    let points = vec![posting("@points", "a:points", "77", "POINTS")];
    let points = TransactionRequest { postings: points, open_wallets: true, ..TransactionRequest::default() };
    other.submit(points).await.unwrap();
    other
}

/// Something of everything, beginning with 100.00 in `a`; `round` keeps references apart.
pub async fn traffic(ledger: &Ledger, round: usize) {
    let post = TransactionRequest {
        reference: Some(Reference::new(&format!("order-{round}")).unwrap()),
        effective_at: Some(ledger.clock.get() - TimeDelta::days(3)),
        metadata: Metadata::new(serde_json::from_str(r#"{"order":"7","tags":["x",null]}"#).unwrap()).unwrap(),
        ..transfer("a", "b", "10.00")
    };
    let (id, _) = ledger.transaction(post).await.unwrap();
    ledger.run(Command::Reverse { id, amounts: Some(vec![amount("4.00")]) }, None).await.unwrap();
    ledger.run(Command::Reverse { id, amounts: None }, None).await.unwrap();

    let hold = |text| TransactionRequest { pending: true, ..transfer("a", "shop:1", text) };
    let (id, _) = ledger.transaction(hold("8.00")).await.unwrap();
    ledger.run(Command::Settle { id, amounts: Some(vec![amount("5.00")]) }, None).await.unwrap();
    ledger.run(Command::Reverse { id, amounts: Some(vec![amount("1.00")]) }, None).await.unwrap();
    let (id, _) = ledger.transaction(hold("3.00")).await.unwrap();
    ledger.run(Command::Release { id }, None).await.unwrap();
    ledger.transaction(hold("0.50")).await.unwrap();
    let soon = || Some(ledger.clock.get() + TimeDelta::minutes(1));
    let due = || ledger.transaction(TransactionRequest { expires_at: soon(), ..hold("2.00") });
    // Two neighbours turn the same clock, once each in a round: perhaps between the look at it and the hold.
    if due().await.is_err() && due().await.is_err() {
        due().await.unwrap();
    }
    ledger.clock.advance(TimeDelta::minutes(2));

    let several = TransactionRequest {
        postings: vec![posting("a", "c", "1.00", "USD"), posting("a", "d", "1.50", "USD")],
        ..transfer("a", "c", "1.00")
    };
    ledger.run(Command::Batch(vec![several, transfer("c", "d", "0.25")]), None).await.unwrap();
    let adjustment = Some(Reason::new("a mistake").unwrap());
    ledger.submit(TransactionRequest { adjustment, ..transfer("@world", "d", "0.01") }).await.unwrap();

    let path = WalletPath::new(&format!("empty:{round}")).unwrap();
    let asset = AssetCode::new("USD").unwrap();
    let metadata = Metadata::default();
    let open = Command::OpenWallet { path: path.clone(), asset, minimum: Some(amount("-5.00")), metadata };
    ledger.run(open, None).await.unwrap();
    ledger.run(Command::FreezeWallet { path: path.clone() }, None).await.unwrap();
    ledger.run(Command::UnfreezeWallet { path: path.clone() }, None).await.unwrap();
    ledger.run(Command::CloseWallet { path }, None).await.unwrap();
    assert!(ledger.submit(transfer("a", "b", "1000.00")).await.is_err());
}

/// What the reader says of every wallet and transaction of the tenant is what folding its events says.
pub async fn assert_equal_to_the_fold(ledger: &Ledger, reader: &Reader) {
    let mut wallets: BTreeMap<String, (i64, Wallet)> = BTreeMap::new();
    let mut transactions: BTreeMap<uuid::Uuid, Transaction> = BTreeMap::new();
    let mut paths = BTreeMap::new();
    for text in ledger.events().await.into_iter().map(|event| event.text) {
        if text.tenant_id != ledger.tenant.0 {
            continue;
        }
        let said = (&text.event_type, text.event_version, &text.payload);
        match text.aggregate_type.as_str() {
            Wallet::TYPE => {
                let said = event::decode(said.0, said.1, said.2).unwrap();
                if let domain::wallet::WalletEvent::Opened { path, .. } = &said {
                    paths.insert(text.aggregate_id, path.to_string());
                }
                let (sequence, wallet) =
                    wallets.entry(paths.get(&text.aggregate_id).cloned().unwrap()).or_default();
                wallet.apply(said);
                *sequence = text.sequence;
            }
            Transaction::TYPE => transactions
                .entry(text.aggregate_id)
                .or_default()
                .apply(event::decode(said.0, said.1, said.2).unwrap()),
            _ => {}
        }
    }
    let questions = reader.tenant(ledger.tenant);
    let found = questions.wallets(&WalletFilter::default(), None, 1_000).await.unwrap().value;
    assert!(found.iter().map(|wallet| &wallet.path).eq(wallets.keys()), "the same wallets by path");
    for (view, (sequence, wallet)) in found.iter().zip(wallets.values()) {
        let balance = wallet.balance;
        assert_eq!((view.posted, view.held, view.incoming), (balance.posted, balance.held, balance.incoming));
        assert_eq!(view.available, wallet.available().unwrap().to_string());
        assert_eq!((view.minimum, view.sequence), (wallet.minimum, *sequence), "{}", view.path);
        assert_eq!(view.asset, wallet.asset.as_str());
        assert_eq!(view.status, format!("{:?}", wallet.status).to_lowercase());
        let one = questions.wallet(&wallet.path).await.unwrap().value.unwrap();
        assert_eq!(one, *view);
    }
    let found = questions.transactions(&TransactionFilter::default(), None, 10_000).await.unwrap().value;
    assert!(found.is_sorted_by(|newer, older| newer.position > older.position));
    let found: BTreeMap<_, _> = found.into_iter().map(|view| (view.id.0, view.state)).collect();
    assert_eq!(found, transactions);
}

/// Waits until the projectors listen to JetStream in every partition: what is published from now on reaches them.
pub async fn listening(ledger: &Ledger, context: &jetstream::Context) {
    eventually("the projectors have consumers", async || {
        let Ok(stream) = context.get_stream(STREAM).await else { return false };
        for partition in ledger.journal.partitions() {
            if stream.consumer_info(format!("feed-{partition}")).await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
}
