use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::wallet::WalletEvent;
use domain::{
    Allowance, Application, AssetCode, Catalogue, Partition, Tenant, TenantId, TransactionId, User, Wallet,
    WalletId,
};
use serde_json::Value;
use uuid::Uuid;

use super::calls::Calls;
use super::dated::Dated;
use super::movement::{after, change};
use super::{Difference, same};
use crate::decoded::{Body, Decoded};

/// An aggregate with where it is.
#[derive(Debug, Default)]
pub(super) struct Tracked<A> {
    pub tenant_id: Uuid,
    pub sequence: i64,
    pub position: i64,
    pub recorded_at: DateTime<Utc>,
    /// When its first event was recorded.
    pub began: DateTime<Utc>,
    pub state: A,
}

/// A kept snapshot that was not met yet.
#[derive(Debug)]
pub(super) struct Kept {
    pub sequence: i64,
    pub state: Value,
}

/// The fold of a partition, with every rule that can be checked event by event.
pub(super) struct Fold {
    pub partition: Partition,
    pub position: i64,
    pub recorded_at: Option<DateTime<Utc>>,
    pub tenants: HashMap<Uuid, Tracked<Tenant>>,
    pub wallets: HashMap<Uuid, Tracked<Wallet>>,
    pub users: HashMap<Uuid, Tracked<User>>,
    pub applications: HashMap<Uuid, Tracked<Application>>,
    pub catalogues: HashMap<Uuid, Tracked<Catalogue>>,
    pub allowances: HashMap<Uuid, Tracked<Allowance>>,
    pub calls: Calls,
    pub dated: Dated,
    snapshots: HashMap<Uuid, Kept>,
    /// The command whose events are being folded, and what they add to `posted` and to the promises, by
    /// transaction and asset. Both must come to nothing. The sums wrap: nothing is nothing in any width.
    command: Uuid,
    sums: BTreeMap<(TransactionId, AssetCode), (i128, i128)>,
}

impl Fold {
    pub(super) fn new(partition: Partition, snapshots: HashMap<Uuid, Kept>) -> Self {
        Self {
            partition,
            position: 0,
            recorded_at: None,
            tenants: HashMap::new(),
            wallets: HashMap::new(),
            users: HashMap::new(),
            applications: HashMap::new(),
            catalogues: HashMap::new(),
            allowances: HashMap::new(),
            calls: Calls::default(),
            dated: Dated::default(),
            snapshots,
            command: Uuid::nil(),
            sums: BTreeMap::new(),
        }
    }

    fn place(&self) -> String {
        format!("p{}:{}", self.partition, self.position)
    }

    pub(super) fn apply(&mut self, decoded: &Decoded) -> Result<(), Difference> {
        let event = &decoded.event;
        if event.text.command_id != self.command {
            self.end_command()?;
            self.command = event.text.command_id;
        }
        self.position += 1;
        let place = self.place();
        same(|| place.clone(), &self.position, &event.position)?;
        if self.recorded_at.is_some_and(|before| event.recorded_at < before) {
            let expected = format!("recorded at {:?} or later", self.recorded_at);
            return Err(Difference { place, expected, found: event.recorded_at.to_string() });
        }
        self.recorded_at = Some(event.recorded_at);
        let body = decoded.body.as_ref().map_err(|error| Difference {
            place: place.clone(),
            expected: "an event that can be read".to_owned(),
            found: error.to_string(),
        })?;
        self.dated.apply(decoded);
        match body {
            Body::Tenant(said) => {
                let id = event.text.aggregate_id;
                let tracked = self.tenants.entry(id).or_default();
                advance(tracked, decoded, said.clone(), &place, &mut self.snapshots)
            }
            Body::Wallet(said) => {
                self.check_wallet(decoded, said, &place)?;
                let tracked = self.wallets.entry(event.text.aggregate_id).or_default();
                advance(tracked, decoded, (**said).clone(), &place, &mut self.snapshots)
            }
            // Transactions are folded by their streams.
            Body::Transaction(_) => Ok(()),
            Body::User(said) => {
                same(|| format!("{place}, a user's tenant"), &TenantId::PLATFORM.0, &event.text.tenant_id)?;
                let tracked = self.users.entry(event.text.aggregate_id).or_default();
                advance(tracked, decoded, said.clone(), &place, &mut self.snapshots)
            }
            Body::Application(said) => {
                let tracked = self.applications.entry(event.text.aggregate_id).or_default();
                advance(tracked, decoded, (**said).clone(), &place, &mut self.snapshots)
            }
            Body::Catalogue(said) => {
                let tracked = self.catalogues.entry(event.text.aggregate_id).or_default();
                advance(tracked, decoded, (**said).clone(), &place, &mut self.snapshots)
            }
            Body::Allowance(said) => {
                let tracked = self.allowances.entry(event.text.aggregate_id).or_default();
                advance(tracked, decoded, (**said).clone(), &place, &mut self.snapshots)
            }
            // Executions, too, are folded by their streams; here only for what they come to.
            Body::Execution(said) => {
                self.calls.apply(decoded, said);
                Ok(())
            }
            Body::Other => Err(Difference {
                place,
                expected: "an event of a kind of stream that is known".to_owned(),
                found: event.text.aggregate_type.clone(),
            }),
        }
    }

    /// Checks that the balance in the event is the one before it and its change, and notes the change.
    fn check_wallet(&mut self, decoded: &Decoded, said: &WalletEvent, place: &str) -> Result<(), Difference> {
        let text = &decoded.event.text;
        let wallet = self.wallets.get(&text.aggregate_id);
        let Some(found) = said.balance() else {
            if let WalletEvent::Opened { path, .. } = said {
                let id = WalletId::of(TenantId(text.tenant_id), path).0;
                same(|| format!("{place}, the stream of wallet {path}"), &id, &text.aggregate_id)?;
            }
            return Ok(());
        };
        let place = || format!("{place}, wallet {}", text.aggregate_id);
        let Some(wallet) = wallet else {
            let (expected, found) = ("a wallet that was opened".to_owned(), text.event_type.clone());
            return Err(Difference { place: place(), expected, found });
        };
        let expected = after(wallet.state.balance, said).map_err(|error| Difference {
            place: place(),
            expected: "a change that fits the balance".to_owned(),
            found: error.to_string(),
        })?;
        same(place, &expected, &found)?;
        if let Some((transaction, amount, promised)) = change(said) {
            let sums = self.sums.entry((transaction, wallet.state.asset.clone())).or_default();
            sums.0 = sums.0.wrapping_add(amount);
            sums.1 = sums.1.wrapping_add(promised);
        }
        Ok(())
    }

    /// Checks double entry over the events of a command, and counts the calls that it ended.
    pub(super) fn end_command(&mut self) -> Result<(), Difference> {
        self.calls.end_command(&format!("p{}:{}", self.partition, self.position))?;
        for ((transaction, asset), sums) in std::mem::take(&mut self.sums) {
            let place =
                || format!("the {asset} moved and promised by transaction {transaction} at {}", self.place());
            same(place, &(0, 0), &sums)?;
        }
        Ok(())
    }

    /// Checks what can only be said at the end: the trial balance, and that no snapshot is of the future.
    pub(super) fn finish(mut self) -> Result<(), Difference> {
        self.end_command()?;
        let mut sums: BTreeMap<(Uuid, &AssetCode), i128> = BTreeMap::new();
        for wallet in self.wallets.values() {
            let sum = sums.entry((wallet.tenant_id, &wallet.state.asset)).or_default();
            *sum = sum.wrapping_add(wallet.state.balance.posted.minor());
        }
        for ((tenant, asset), sum) in sums {
            same(|| format!("the trial balance of tenant {tenant} in {asset}, in minor units"), &0, &sum)?;
        }
        match self.snapshots.into_iter().next() {
            None => Ok(()),
            Some((stream, kept)) => Err(Difference {
                place: format!("the snapshot of stream {stream}"),
                expected: "a sequence that the stream has".to_owned(),
                found: kept.sequence.to_string(),
            }),
        }
    }
}

fn advance<A: Aggregate>(
    tracked: &mut Tracked<A>,
    decoded: &Decoded,
    said: A::Event,
    place: &str,
    snapshots: &mut HashMap<Uuid, Kept>,
) -> Result<(), Difference> {
    let event = &decoded.event;
    let text = &event.text;
    let stream = || format!("{place}, stream {}", text.aggregate_id);
    same(stream, &(tracked.sequence + 1), &text.sequence)?;
    if tracked.sequence == 0 {
        tracked.tenant_id = text.tenant_id;
        tracked.began = event.recorded_at;
    }
    same(stream, &tracked.tenant_id, &text.tenant_id)?;
    tracked.sequence = text.sequence;
    tracked.position = event.position;
    tracked.recorded_at = event.recorded_at;
    tracked.state.apply(said);
    if snapshots.get(&text.aggregate_id).is_some_and(|kept| kept.sequence == text.sequence)
        && let Some(kept) = snapshots.remove(&text.aggregate_id)
    {
        let state = serde_json::to_value(&tracked.state).map_err(|error| Difference {
            place: stream(),
            expected: "a state that can be written".to_owned(),
            found: error.to_string(),
        })?;
        let place = || format!("the snapshot of stream {} at {}", text.aggregate_id, text.sequence);
        same(place, &state, &kept.state)?;
    }
    Ok(())
}
