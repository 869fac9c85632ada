//! An installation's identities, on a database of its own, with a clock that tests turn.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil::system::{SystemClock, SystemIds};
use domain::{Clock, Ids, Partition, UserId};
use identity::accounts::Reserved;
use identity::password::PasswordHash;
use identity::sessions::SESSION_LASTS;
use identity::vault::{MasterKeys, MasterSource, Vault};
use identity::{Accounts, OneTime, SecondFactor, Sessions};
use journal::Role;

use crate::support::{Database, PARTITIONS};

/// The machine's clock, turned by the test.
pub struct TurnedClock(Mutex<TimeDelta>);

impl TurnedClock {
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct World {
    pub database: Database,
    pub clock: Arc<TurnedClock>,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub one_time: OneTime,
    pub second_factor: SecondFactor,
}

impl World {
    pub async fn new() -> Self {
        let database = Database::fresh().await;
        let pool = database.pool(Role::Identity, 8).await;
        let turned = Arc::new(TurnedClock(Mutex::default()));
        let clock: Arc<dyn Clock> = Arc::<TurnedClock>::clone(&turned);
        let ids: Arc<dyn Ids> = Arc::new(SystemIds);
        let source = MasterSource::Command(format!("echo 1:{}=", "Q".repeat(43)));
        let keys = MasterKeys::load(&source).await.unwrap();
        let vault = Vault::open(pool.clone(), keys, Partition(PARTITIONS), Arc::clone(&clock)).await.unwrap();
        Self {
            accounts: Accounts::new(pool.clone(), Arc::clone(&clock)),
            sessions: Sessions::new(pool.clone(), Arc::clone(&clock), Arc::clone(&ids), SESSION_LASTS),
            one_time: OneTime::new(pool.clone(), vault.clone(), Arc::clone(&clock), ids),
            second_factor: SecondFactor::new(pool, vault, clock, "Counterfoil"),
            database,
            clock: turned,
        }
    }

    /// A user with an account.
    pub async fn user(&self, email: &str) -> UserId {
        let user = UserId(SystemIds.next());
        assert_eq!(self.accounts.reserve(&index(email), user).await.unwrap(), Reserved::New);
        user
    }
}

/// In the place of a blind index: the accounts do not mind how it is made.
pub fn index(email: &str) -> [u8; 32] {
    let mut index = [0; 32];
    for (place, byte) in index.iter_mut().zip(email.bytes()) {
        *place = byte;
    }
    index
}

/// A hash of bcrypt, of a cost that does not matter here. The last letter is one of `u`, `q`, `y`: others have bits that
/// belong to no byte.
pub fn hash(last: char) -> PasswordHash {
    let text = format!("$2y$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3{last}");
    PasswordHash::parse(&text).unwrap()
}
