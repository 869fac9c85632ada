//! What is sealed, and who cannot open it: the vault, the signing keys and the log of reads on a real database.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

#[path = "vault/access_log.rs"]
mod access_log;
#[path = "vault/command_line.rs"]
mod command_line;
#[path = "vault/erasure.rs"]
mod erasure;
#[path = "vault/rotation.rs"]
mod rotation;
#[path = "vault/sealing.rs"]
mod sealing;
#[path = "vault/signing.rs"]
mod signing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil::system::SystemIds;
use domain::{Clock, Ids as _, Partition, Slug, SubjectId, TenantId};
use identity::vault::{MasterKeys, MasterSource, Vault, VaultError};
use journal::Role;
use sqlx::PgPool;
use std::sync::{Mutex, PoisonError};
use support::{Database, PARTITIONS};

/// A clock that stands still until it is turned.
struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    fn at(seconds: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(DateTime::from_timestamp(seconds, 0).unwrap())))
    }

    fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory with a file of master keys.
struct Keys(PathBuf);

impl Keys {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("counterfoil-vault-{}", SystemIds.next().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("master-key")
    }

    fn source(&self) -> MasterSource {
        MasterSource::File(self.path())
    }

    /// A source that gives only the versions that `keep` says.
    fn only(&self, keep: impl Fn(i32) -> bool) -> MasterSource {
        let text = std::fs::read_to_string(self.path()).unwrap();
        let kept: Vec<_> =
            text.lines().filter(|line| keep(line.split_once(':').unwrap().0.parse().unwrap())).collect();
        MasterSource::Command(format!("echo {}", kept.join(",")))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

/// A database of one's own with its master keys.
struct World {
    database: Database,
    keys: Keys,
    clock: Arc<TestClock>,
}

impl World {
    async fn new() -> Self {
        let keys = Keys::new();
        keys.source().make_if_missing().await.unwrap();
        Self { database: Database::fresh().await, keys, clock: TestClock::at(1_800_000_000) }
    }

    async fn pool(&self) -> PgPool {
        self.database.pool(Role::Identity, 4).await
    }

    /// The vault as another program would open it.
    async fn vault(&self) -> Vault {
        self.opened_with(&self.keys.source()).await.unwrap()
    }

    async fn opened_with(&self, source: &MasterSource) -> Result<Vault, VaultError> {
        let master = MasterKeys::load(source).await?;
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&self.clock);
        Vault::open(self.pool().await, master, Partition(PARTITIONS), clock).await
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::of(&Slug::new(name).unwrap())
}

fn somebody() -> SubjectId {
    SubjectId(SystemIds.next())
}
