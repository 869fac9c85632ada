//! What the clients ask for.

use chrono::{DateTime, TimeDelta, Utc};
use commands::{Command, IdempotencyKey, TransactionRequest};
use domain::transaction::Posting;
use domain::{
    Amount, AssetCode, Metadata, Reason, Reference, Scale, Slug, TenantId, TenantName, TransactionId,
    WalletPath,
};

use crate::chance::Chance;
use crate::world::Profile;

pub type Asked = (Command, Option<IdempotencyKey>);

/// A tenant as its clients know it.
pub struct Customer {
    pub id: TenantId,
    slug: Slug,
    /// Transactions that were answered for lately.
    pub transactions: Vec<TransactionId>,
    /// Commands that were sent with keys lately.
    pub sent: Vec<(Command, IdempotencyKey)>,
}

pub struct Workload {
    pub customers: Vec<Customer>,
    pub chance: Chance,
    wallets: usize,
    hot: u64,
    next: u64,
}

fn path(text: &str) -> WalletPath {
    WalletPath::new(text).unwrap()
}

fn asset(text: &str) -> AssetCode {
    AssetCode::new(text).unwrap()
}

fn amount(minor: i128, digits: u8) -> Amount {
    Amount::from_minor(minor, Scale::new(digits).unwrap())
}

impl Workload {
    pub fn new(seed: u64, profile: &Profile) -> Self {
        let mut chance = Chance::new(seed, 3);
        let customers = (0..profile.tenants).map(|number| {
            let slug = Slug::new(&format!("tenant-{number}")).unwrap();
            Customer { id: TenantId::of(&slug), slug, transactions: Vec::new(), sent: Vec::new() }
        });
        let customers = customers.collect();
        let hot = *chance.pick(&[0, 4, 2, 1]);
        Self { customers, chance, wallets: profile.wallets, hot, next: 1 }
    }

    /// What a tenant begins with.
    pub fn opening(&mut self, customer: usize) -> Vec<Asked> {
        let slug = self.customers[customer].slug.clone();
        let mut asked = vec![
            Command::CreateTenant { slug, name: TenantName::new("A tenant").unwrap(), owner: None },
            Command::RegisterAsset { code: asset("USD"), scale: Scale::new(2).unwrap() },
            Command::RegisterAsset { code: asset("PTS"), scale: Scale::new(0).unwrap() },
        ];
        for number in 0..self.wallets {
            let postings = vec![Posting {
                from: path("@world"),
                to: path(&format!("w{number}")),
                amount: amount(i128::from(self.chance.between(1, 50_000)), 2),
                asset: asset("USD"),
            }];
            let request =
                TransactionRequest { postings, open_wallets: true, ..TransactionRequest::default() };
            asked.push(Command::Transact(request));
        }
        asked.into_iter().map(|command| (command, Some(self.key()))).collect()
    }

    fn key(&mut self) -> IdempotencyKey {
        self.next += 1;
        IdempotencyKey { key: format!("k{}", self.next), fingerprint: self.next.to_be_bytes().to_vec() }
    }

    /// Commands of one tenant that are sent together.
    pub fn next(&mut self, now: DateTime<Utc>) -> (usize, Vec<Asked>) {
        let customer = self.chance.index(self.customers.len());
        let count = if self.chance.one_in(12) { self.chance.size(2, 9) } else { 1 };
        let mut asked = Vec::with_capacity(count);
        for _ in 0..count {
            let again = self.chance.one_in(16);
            let sent = &self.customers[customer].sent;
            if again && !sent.is_empty() {
                let (command, key) = self.chance.pick(sent).clone();
                if self.chance.one_in(3) {
                    // The same key for something else.
                    let other = self.command(customer, now);
                    let fingerprint = b"another request".to_vec();
                    asked.push((other, Some(IdempotencyKey { fingerprint, ..key })));
                } else {
                    asked.push((command, Some(key)));
                }
                continue;
            }
            let command = self.command(customer, now);
            let key = (!self.chance.one_in(3)).then(|| self.key());
            if let Some(key) = &key {
                let slot = self.chance.index(48);
                let sent = &mut self.customers[customer].sent;
                if sent.len() <= slot {
                    sent.push((command.clone(), key.clone()));
                } else {
                    sent[slot] = (command.clone(), key.clone());
                }
            }
            asked.push((command, key));
        }
        (customer, asked)
    }

    fn command(&mut self, customer: usize, now: DateTime<Utc>) -> Command {
        let known = !self.customers[customer].transactions.is_empty();
        match self.chance.between(0, 99) {
            // What needs a transaction waits until there is one.
            64..=82 if !known => Command::Transact(self.hold(customer, now)),
            0..=49 => Command::Transact(self.transfer(customer, now)),
            50..=63 => Command::Transact(self.hold(customer, now)),
            64..=72 => {
                let id = self.transaction(customer);
                Command::Settle { id, amounts: self.amounts() }
            }
            73..=76 => Command::Release { id: self.transaction(customer) },
            77..=82 => {
                let id = self.transaction(customer);
                Command::Reverse { id, amounts: self.amounts() }
            }
            83..=87 => {
                let count = self.chance.size(2, 5);
                Command::Batch((0..count).map(|_| self.transfer(customer, now)).collect())
            }
            88 => Command::Expire { id: self.transaction(customer) },
            89..=91 => Command::OpenWallet {
                path: self.wallet(),
                asset: asset(self.chance.pick::<&str>(&["USD", "USD", "PTS", "EUR"])),
                minimum: self.chance.one_in(2).then(|| amount(-i128::from(self.chance.between(0, 500)), 2)),
                metadata: Metadata::default(),
            },
            92 if self.chance.one_in(3) => Command::FreezeWallet { path: self.wallet() },
            92..=95 => Command::UnfreezeWallet { path: self.wallet() },
            96 => Command::CloseWallet { path: self.wallet() },
            97 => Command::RegisterAsset { code: asset("PTS"), scale: Scale::new(0).unwrap() },
            98 => {
                let slug = self.customers[customer].slug.clone();
                Command::CreateTenant { slug, name: TenantName::new("Once more").unwrap(), owner: None }
            }
            _ => Command::Transact(self.nonsense(customer, now)),
        }
    }

    fn wallet(&mut self) -> WalletPath {
        if self.chance.one_in(25) {
            return path("@fees");
        }
        // A few more than there are at first.
        let number = if self.chance.one_in(self.hot) { 0 } else { self.chance.index(self.wallets + 3) };
        path(&format!("w{number}"))
    }

    /// Mostly one of the tenant's own, sometimes another's or none at all.
    fn transaction(&mut self, customer: usize) -> TransactionId {
        let customer =
            if self.chance.one_in(20) { self.chance.index(self.customers.len()) } else { customer };
        let known = &self.customers[customer].transactions;
        if known.is_empty() || self.chance.one_in(40) {
            return TransactionId::default();
        }
        *self.chance.pick(known)
    }

    fn amounts(&mut self) -> Option<Vec<Amount>> {
        let count = self.chance.size(1, 2);
        self.chance
            .one_in(2)
            .then(|| (0..count).map(|_| amount(i128::from(self.chance.between(0, 900)), 2)).collect())
    }

    fn transfer(&mut self, customer: usize, now: DateTime<Utc>) -> TransactionRequest {
        let count = if self.chance.one_in(6) { self.chance.size(2, 4) } else { 1 };
        let mut postings = Vec::with_capacity(count);
        for _ in 0..count {
            let (from, mut to) = (self.wallet(), self.wallet());
            if from == to && !self.chance.one_in(20) {
                to = path("@fees");
            }
            let most = if self.chance.one_in(10) { 200_000 } else { 2_000 };
            let minor = i128::from(self.chance.between(1, most));
            let (code, digits) = if self.chance.one_in(40) { ("PTS", 0) } else { ("USD", 2) };
            postings.push(Posting { from, to, amount: amount(minor, digits), asset: asset(code) });
        }
        let reference = self.chance.one_in(8).then(|| {
            let number = self.chance.between(0, 400);
            Reference::new(&format!("order-{number}")).unwrap()
        });
        let adjustment = self.chance.one_in(30).then(|| Reason::new("a correction").unwrap());
        let effective_at = self.chance.one_in(20).then(|| now - TimeDelta::days(2));
        let open_wallets = self.chance.one_in(3);
        let _ = customer;
        TransactionRequest {
            postings,
            reference,
            adjustment,
            effective_at,
            open_wallets,
            ..TransactionRequest::default()
        }
    }

    fn hold(&mut self, customer: usize, now: DateTime<Utc>) -> TransactionRequest {
        let milliseconds = i64::try_from(self.chance.between(1, 8_000)).unwrap();
        let expires_at = (!self.chance.one_in(3)).then(|| now + TimeDelta::milliseconds(milliseconds));
        TransactionRequest { pending: true, expires_at, ..self.transfer(customer, now) }
    }

    fn nonsense(&mut self, customer: usize, now: DateTime<Utc>) -> TransactionRequest {
        let mut request = self.transfer(customer, now);
        match self.chance.between(0, 5) {
            0 => request.postings.clear(),
            1 => request.expires_at = Some(now),
            2 => request.postings[0].asset = asset("EUR"),
            3 => request.postings[0].amount = amount(12_345, 3),
            4 => request.postings[0].amount = amount(0, 2),
            _ => {
                request.pending = true;
                request.expires_at = Some(now - TimeDelta::seconds(1));
            }
        }
        request
    }
}
