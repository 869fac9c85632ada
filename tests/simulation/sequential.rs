//! A ledger of a few lines that does one command after the other. It shares no code with the real one but the types
//! of commands, and says of each what it must come to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use commands::{Command, TransactionRequest};
use domain::transaction::TransactionStatus;
use domain::{Amount, TenantId, TransactionId, WalletId};
use uuid::Uuid;

/// Why a command is refused: its stable code, and which of a batch it was.
pub type Refusal = (&'static str, Option<usize>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Frozen,
    Closed,
}

#[derive(Debug, Clone)]
pub struct Wallet {
    pub asset: String,
    pub status: Status,
    pub posted: i128,
    pub held: i128,
    pub incoming: i128,
    pub minimum: Option<i128>,
    pub expiring: BTreeSet<(DateTime<Utc>, Uuid)>,
}

#[derive(Debug, Clone)]
pub struct Posting {
    pub from: String,
    pub to: String,
    pub asset: String,
    pub amount: i128,
    scale: u8,
}

#[derive(Debug, Clone)]
pub struct Transaction {
    tenant: TenantId,
    pub status: TransactionStatus,
    pub postings: Vec<Posting>,
    expires_at: Option<DateTime<Utc>>,
    pub settled: Option<Vec<i128>>,
    pub reversed: Vec<i128>,
}

impl Transaction {
    fn came_to(&self) -> Vec<i128> {
        self.settled.clone().unwrap_or_else(|| self.postings.iter().map(|posting| posting.amount).collect())
    }
}

/// An event that a command must leave in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Tenant { kind: &'static str },
    Transaction { id: Uuid, kind: &'static str },
    Wallet { id: Uuid, kind: &'static str, balance: Option<[i128; 3]> },
}

type Name = (TenantId, String);

enum Undo {
    Wallet(Name, Option<Wallet>),
    Transaction(Uuid, Option<Transaction>),
    Asset(TenantId, String),
    Tenant(TenantId),
}

/// All tenants of a partition.
#[derive(Default)]
pub struct Sequential {
    tenants: HashMap<TenantId, BTreeMap<String, u8>>,
    wallets: HashMap<Name, Wallet>,
    ids: HashMap<Name, Uuid>,
    transactions: HashMap<Uuid, Transaction>,
    undo: Vec<Undo>,
    events: Vec<Expected>,
}

/// What one wallet bears of some postings.
struct Leg {
    path: String,
    asset: String,
    pays: i128,
    receives: i128,
}

fn legs(postings: &[Posting], amounts: &[i128]) -> Vec<Leg> {
    let mut legs: Vec<Leg> = Vec::new();
    for (posting, amount) in postings.iter().zip(amounts) {
        for (path, pays, receives) in [(&posting.from, *amount, 0), (&posting.to, 0, *amount)] {
            match legs.iter_mut().find(|leg| leg.path == *path && leg.asset == posting.asset) {
                Some(leg) => {
                    leg.pays += pays;
                    leg.receives += receives;
                }
                None => {
                    legs.push(Leg { path: path.clone(), asset: posting.asset.clone(), pays, receives });
                }
            }
        }
    }
    legs
}

fn scaled(amount: Amount, scale: u8) -> Result<i128, &'static str> {
    let more = scale.checked_sub(amount.scale().digits()).ok_or("amount_too_precise")?;
    10_i128
        .checked_pow(more.into())
        .and_then(|factor| amount.minor().checked_mul(factor))
        .ok_or("amount_too_large")
}

impl Sequential {
    /// Does a command at `now`: what it must leave in the journal, or why it must be refused, leaving nothing.
    pub fn attempt(
        &mut self,
        tenant: TenantId,
        command: &Command,
        command_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Vec<Expected>, Refusal> {
        let mark = self.undo.len();
        self.events.clear();
        match self.run(tenant, command, command_id, now) {
            Ok(()) => Ok(std::mem::take(&mut self.events)),
            Err(refusal) => {
                self.roll_back(mark);
                Err(refusal)
            }
        }
    }

    /// What a command would be refused for at `now`, if at all.
    pub fn refusal(&mut self, tenant: TenantId, command: &Command, now: DateTime<Utc>) -> Option<Refusal> {
        let mark = self.undo.len();
        let refusal = self.attempt(tenant, command, Uuid::nil(), now).err();
        self.roll_back(mark);
        refusal
    }

    /// The holds that are over at `now` on the wallets that the command touches.
    pub fn due(&self, tenant: TenantId, command: &Command, now: DateTime<Utc>) -> Vec<TransactionId> {
        let mut paths: Vec<&str> = Vec::new();
        let mut of_request = |request: &'_ TransactionRequest| -> Vec<String> {
            request.postings.iter().flat_map(|p| [p.from.to_string(), p.to.to_string()]).collect()
        };
        let named: Vec<String> = match command {
            Command::Transact(request) => of_request(request),
            Command::Batch(requests) => requests.iter().flat_map(&mut of_request).collect(),
            Command::FreezeWallet { path }
            | Command::UnfreezeWallet { path }
            | Command::CloseWallet { path } => {
                vec![path.to_string()]
            }
            Command::Settle { id, .. } | Command::Release { id } | Command::Reverse { id, .. } => {
                let transaction = self.transactions.get(&id.0).filter(|one| one.tenant == tenant);
                let postings = transaction.into_iter().flat_map(|one| &one.postings);
                postings.flat_map(|posting| [posting.from.clone(), posting.to.clone()]).collect()
            }
            _ => Vec::new(),
        };
        paths.extend(named.iter().map(String::as_str));
        let mut due = BTreeSet::new();
        for path in paths {
            if let Some(wallet) = self.wallets.get(&(tenant, path.to_owned())) {
                due.extend(wallet.expiring.iter().take_while(|(at, _)| *at <= now).copied());
            }
        }
        let mut ids = Vec::new();
        for (_, id) in due {
            if !ids.contains(&TransactionId(id)) {
                ids.push(TransactionId(id));
            }
        }
        ids
    }

    /// What was done stays.
    pub fn settle_down(&mut self) {
        self.undo.clear();
    }

    pub fn transaction(&self, id: Uuid) -> Option<&Transaction> {
        self.transactions.get(&id)
    }

    pub fn wallet(&self, tenant: TenantId, path: &str) -> Option<&Wallet> {
        self.wallets.get(&(tenant, path.to_owned()))
    }

    pub fn assets(&self, tenant: TenantId) -> usize {
        self.tenants.get(&tenant).map_or(0, BTreeMap::len)
    }

    /// All wallets with their ids.
    pub fn wallets(&self) -> impl Iterator<Item = (TenantId, Uuid, &Wallet)> {
        self.wallets.iter().map(|(name, wallet)| (name.0, self.ids[name], wallet))
    }

    fn roll_back(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop().unwrap() {
                Undo::Wallet(name, Some(before)) => drop(self.wallets.insert(name, before)),
                Undo::Wallet(name, None) => drop(self.wallets.remove(&name)),
                Undo::Transaction(id, Some(before)) => drop(self.transactions.insert(id, before)),
                Undo::Transaction(id, None) => drop(self.transactions.remove(&id)),
                Undo::Asset(tenant, code) => drop(self.tenants.get_mut(&tenant).unwrap().remove(&code)),
                Undo::Tenant(tenant) => drop(self.tenants.remove(&tenant)),
            }
        }
    }

    fn run(
        &mut self,
        tenant: TenantId,
        command: &Command,
        command_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if let Command::CreateTenant { .. } = command {
            if self.tenants.contains_key(&tenant) {
                return Err(("tenant_exists", None));
            }
            self.tenants.insert(tenant, BTreeMap::new());
            self.undo.push(Undo::Tenant(tenant));
            self.events.push(Expected::Tenant { kind: "created" });
            return Ok(());
        }
        if !self.tenants.contains_key(&tenant) {
            return Err(("tenant_not_found", None));
        }
        match command {
            Command::CreateTenant { .. } => Ok(()),
            Command::Tenant(_)
            | Command::User { .. }
            | Command::Application { .. }
            | Command::Catalogue(_)
            | Command::Allowance { .. }
            | Command::Execute { .. }
            | Command::ExtendExecution { .. }
            | Command::FinishExecution { .. }
            | Command::ExpireExecution { .. } => Err(("not_in_the_workload", None)),
            Command::RegisterAsset { code, scale } => {
                let assets = self.tenants.get_mut(&tenant).unwrap();
                if assets.contains_key(code.as_str()) {
                    return Err(("asset_exists", None));
                }
                assets.insert(code.to_string(), scale.digits());
                self.undo.push(Undo::Asset(tenant, code.to_string()));
                self.events.push(Expected::Tenant { kind: "asset_registered" });
                Ok(())
            }
            Command::OpenWallet { path, asset, minimum, .. } => {
                let scale = *self.tenants[&tenant].get(asset.as_str()).ok_or(("unknown_asset", None))?;
                let minimum = match minimum {
                    Some(amount) => Some(scaled(*amount, scale).map_err(|code| (code, None))?),
                    None if path.is_system() => None,
                    None => Some(0),
                };
                if self.wallet(tenant, path.as_str()).is_some() {
                    return Err(("wallet_exists", None));
                }
                self.open(tenant, path.as_str(), asset.as_str(), minimum);
                Ok(())
            }
            Command::FreezeWallet { path } => self.set(tenant, path.as_str(), "frozen"),
            Command::UnfreezeWallet { path } => self.set(tenant, path.as_str(), "unfrozen"),
            Command::CloseWallet { path } => self.set(tenant, path.as_str(), "closed"),
            Command::Transact(request) => {
                self.make(tenant, request, command_id, now).map_err(|code| (code, None))
            }
            Command::Batch(requests) => {
                for (index, request) in requests.iter().enumerate() {
                    let id = match index {
                        0 => command_id,
                        _ => Uuid::new_v5(&command_id, &index.to_be_bytes()),
                    };
                    self.make(tenant, request, id, now).map_err(|code| (code, Some(index)))?;
                }
                Ok(())
            }
            Command::Settle { id, amounts } => self.settle(tenant, id.0, amounts.as_deref(), now),
            Command::Release { id } => self.give_back(tenant, id.0, "released", now),
            Command::Expire { id } => self.give_back(tenant, id.0, "expired", now),
            Command::Reverse { id, amounts } => self.reverse(tenant, id.0, amounts.as_deref()),
        }
    }

    fn change(&mut self, tenant: TenantId, path: &str) -> &mut Wallet {
        let name = (tenant, path.to_owned());
        self.undo.push(Undo::Wallet(name.clone(), self.wallets.get(&name).cloned()));
        self.wallets.get_mut(&name).unwrap()
    }

    /// Notes that a wallet has an event now.
    fn borne(&mut self, tenant: TenantId, path: &str, kind: &'static str) {
        let name = (tenant, path.to_owned());
        let moved = !["opened", "frozen", "unfrozen", "closed"].contains(&kind);
        let wallet = &self.wallets[&name];
        let balance = moved.then_some([wallet.posted, wallet.held, wallet.incoming]);
        self.events.push(Expected::Wallet { id: self.ids[&name], kind, balance });
    }

    fn open(&mut self, tenant: TenantId, path: &str, asset: &str, minimum: Option<i128>) {
        let name = (tenant, path.to_owned());
        let wallet = Wallet {
            asset: asset.to_owned(),
            status: Status::Active,
            posted: 0,
            held: 0,
            incoming: 0,
            minimum,
            expiring: BTreeSet::new(),
        };
        self.ids
            .entry(name.clone())
            .or_insert_with(|| WalletId::of(tenant, &domain::WalletPath::new(path).unwrap()).0);
        self.undo.push(Undo::Wallet(name.clone(), None));
        self.wallets.insert(name, wallet);
        self.borne(tenant, path, "opened");
    }

    fn set(&mut self, tenant: TenantId, path: &str, kind: &'static str) -> Result<(), Refusal> {
        let wallet = self.wallet(tenant, path).ok_or(("wallet_not_found", None))?;
        let empty = wallet.posted == 0 && wallet.held == 0 && wallet.incoming == 0;
        let status = match (kind, wallet.status) {
            (_, Status::Closed) => return Err(("wallet_closed", None)),
            ("frozen", Status::Frozen) => return Err(("wallet_frozen", None)),
            ("unfrozen", Status::Active) => return Err(("wallet_not_frozen", None)),
            ("closed", _) if !empty => return Err(("wallet_not_empty", None)),
            ("frozen", _) => Status::Frozen,
            ("unfrozen", _) => Status::Active,
            _ => Status::Closed,
        };
        self.change(tenant, path).status = status;
        self.borne(tenant, path, kind);
        Ok(())
    }

    fn make(
        &mut self,
        tenant: TenantId,
        request: &TransactionRequest,
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), &'static str> {
        let assets = &self.tenants[&tenant];
        let mut postings = Vec::with_capacity(request.postings.len());
        for posting in &request.postings {
            let scale = *assets.get(posting.asset.as_str()).ok_or("unknown_asset")?;
            postings.push(Posting {
                from: posting.from.to_string(),
                to: posting.to.to_string(),
                asset: posting.asset.to_string(),
                amount: scaled(posting.amount, scale)?,
                scale,
            });
        }
        let id = request.reference.as_ref().map_or(id, |reference| TransactionId::of(tenant, reference).0);
        if !request.pending && request.expires_at.is_some() {
            return Err("expiry_without_hold");
        }
        if postings.is_empty() {
            return Err("postings_empty");
        }
        for posting in &postings {
            if posting.from == posting.to {
                return Err("posting_to_same_wallet");
            }
            if posting.amount <= 0 {
                return Err("amount_not_positive");
            }
        }
        if request.expires_at.is_some_and(|at| at <= now) {
            return Err("expiry_in_the_past");
        }
        if self.transactions.contains_key(&id) {
            return Err("reference_taken");
        }
        let amounts: Vec<i128> = postings.iter().map(|posting| posting.amount).collect();
        let legs = legs(&postings, &amounts);
        let kind = if request.pending { "held" } else { "posted" };
        let status = if request.pending { TransactionStatus::Pending } else { TransactionStatus::Posted };
        self.undo.push(Undo::Transaction(id, None));
        let expires_at = request.expires_at;
        let made = Transaction { tenant, status, postings, expires_at, settled: None, reversed: Vec::new() };
        self.transactions.insert(id, made);
        self.events.push(Expected::Transaction { id, kind });
        for leg in legs {
            let system = leg.path.starts_with('@');
            if self.wallet(tenant, &leg.path).is_none() && (request.open_wallets || system) {
                self.open(tenant, &leg.path, &leg.asset, if system { None } else { Some(0) });
            }
            // An adjustment is made at once; a hold is none, whatever it says of itself.
            self.takes_part(tenant, &leg, request.adjustment.is_some() && !request.pending)?;
            if request.pending {
                self.sufficient(tenant, &leg.path, leg.pays)?;
                let wallet = self.change(tenant, &leg.path);
                wallet.held += leg.pays;
                wallet.incoming += leg.receives;
                if let Some(at) = expires_at.filter(|_| leg.pays > 0) {
                    wallet.expiring.insert((at, id));
                }
            } else {
                let net = leg.receives - leg.pays;
                self.sufficient(tenant, &leg.path, -net)?;
                self.change(tenant, &leg.path).posted += net;
            }
            self.borne(tenant, &leg.path, kind);
        }
        Ok(())
    }

    fn takes_part(&self, tenant: TenantId, leg: &Leg, though_frozen: bool) -> Result<(), &'static str> {
        match self.wallet(tenant, &leg.path) {
            None => Err("wallet_not_found"),
            Some(wallet) if wallet.status == Status::Closed => Err("wallet_closed"),
            Some(wallet) if wallet.status == Status::Frozen && !though_frozen => Err("wallet_frozen"),
            Some(wallet) if wallet.asset != leg.asset => Err("asset_mismatch"),
            Some(_) => Ok(()),
        }
    }

    fn sufficient(&self, tenant: TenantId, path: &str, needed: i128) -> Result<(), &'static str> {
        let wallet = self.wallet(tenant, path).unwrap();
        match wallet.minimum {
            Some(minimum) if needed > 0 && wallet.posted - wallet.held - minimum < needed => {
                Err("insufficient_funds")
            }
            _ => Ok(()),
        }
    }

    fn known(&self, tenant: TenantId, id: Uuid) -> Result<Transaction, Refusal> {
        let transaction = self.transactions.get(&id).filter(|one| one.tenant == tenant);
        transaction.cloned().ok_or(("transaction_not_found", None))
    }

    fn pending(transaction: &Transaction, now: DateTime<Utc>) -> Result<(), Refusal> {
        match transaction.status {
            TransactionStatus::Expired => Err(("hold_expired", None)),
            TransactionStatus::Pending if transaction.expires_at.is_some_and(|at| at <= now) => {
                Err(("hold_expired", None))
            }
            TransactionStatus::Pending => Ok(()),
            _ => Err(("transaction_not_pending", None)),
        }
    }

    fn aligned(transaction: &Transaction, amounts: &[Amount]) -> Result<Vec<i128>, Refusal> {
        if amounts.len() != transaction.postings.len() {
            return Err(("amounts_mismatch", None));
        }
        let pairs = amounts.iter().zip(&transaction.postings);
        pairs.map(|(amount, posting)| scaled(*amount, posting.scale).map_err(|code| (code, None))).collect()
    }

    fn within(amounts: &[i128], most: &[i128], beyond: &'static str) -> Result<(), Refusal> {
        for (amount, most) in amounts.iter().zip(most) {
            if *amount < 0 {
                return Err(("amount_not_positive", None));
            }
            if amount > most {
                return Err((beyond, None));
            }
        }
        Ok(())
    }

    fn step(&mut self, id: Uuid, kind: &'static str, change: impl FnOnce(&mut Transaction)) {
        self.undo.push(Undo::Transaction(id, self.transactions.get(&id).cloned()));
        change(self.transactions.get_mut(&id).unwrap());
        self.events.push(Expected::Transaction { id, kind });
    }

    /// Takes a hold back from its wallets, and posts `amounts` of it.
    fn end_hold(&mut self, tenant: TenantId, id: Uuid, kind: &'static str, amounts: &[i128]) {
        let transaction = self.transactions[&id].clone();
        let whole: Vec<i128> = transaction.postings.iter().map(|posting| posting.amount).collect();
        let moved = legs(&transaction.postings, amounts);
        for (leg, moved) in legs(&transaction.postings, &whole).iter().zip(moved) {
            let wallet = self.change(tenant, &leg.path);
            wallet.held -= leg.pays;
            wallet.incoming -= leg.receives;
            wallet.posted += moved.receives - moved.pays;
            if let Some(at) = transaction.expires_at {
                wallet.expiring.remove(&(at, id));
            }
            self.borne(tenant, &leg.path, kind);
        }
    }

    fn settle(
        &mut self,
        tenant: TenantId,
        id: Uuid,
        amounts: Option<&[Amount]>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let transaction = self.known(tenant, id)?;
        Self::pending(&transaction, now)?;
        let held = transaction.came_to();
        let amounts = match amounts {
            Some(amounts) => Self::aligned(&transaction, amounts)?,
            None => held.clone(),
        };
        Self::within(&amounts, &held, "settlement_exceeds_hold")?;
        let settled = amounts.clone();
        self.step(id, "settled", |one| {
            one.status = TransactionStatus::Settled;
            one.settled = Some(settled);
        });
        self.end_hold(tenant, id, "settled", &amounts);
        Ok(())
    }

    fn give_back(
        &mut self,
        tenant: TenantId,
        id: Uuid,
        kind: &'static str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let transaction = self.known(tenant, id)?;
        let status = if kind == "expired" {
            match (transaction.status, transaction.expires_at) {
                (TransactionStatus::Pending, Some(at)) if at <= now => {}
                (TransactionStatus::Pending, _) => return Err(("hold_not_due", None)),
                _ => return Err(("transaction_not_pending", None)),
            }
            TransactionStatus::Expired
        } else {
            Self::pending(&transaction, now)?;
            TransactionStatus::Released
        };
        self.step(id, kind, |one| one.status = status);
        let nothing = vec![0; transaction.postings.len()];
        self.end_hold(tenant, id, kind, &nothing);
        Ok(())
    }

    fn reverse(&mut self, tenant: TenantId, id: Uuid, amounts: Option<&[Amount]>) -> Result<(), Refusal> {
        let transaction = self.known(tenant, id)?;
        if !matches!(transaction.status, TransactionStatus::Posted | TransactionStatus::Settled) {
            return Err(("transaction_not_reversible", None));
        }
        let none = vec![0; transaction.postings.len()];
        let before = if transaction.reversed.is_empty() { none } else { transaction.reversed.clone() };
        let left: Vec<i128> =
            transaction.came_to().iter().zip(&before).map(|(all, gone)| all - gone).collect();
        let amounts = match amounts {
            Some(amounts) => Self::aligned(&transaction, amounts)?,
            None => left.clone(),
        };
        Self::within(&amounts, &left, "reversal_exceeds_original")?;
        if amounts.iter().all(|amount| *amount == 0) {
            return Err(("nothing_to_reverse", None));
        }
        let reversed: Vec<i128> = before.iter().zip(&amounts).map(|(sum, amount)| sum + amount).collect();
        let whole = left == amounts;
        self.step(id, "reversed", |one| {
            one.reversed = reversed;
            if whole {
                one.status = TransactionStatus::Reversed;
            }
        });
        for leg in legs(&transaction.postings, &amounts) {
            if leg.pays == 0 && leg.receives == 0 {
                continue;
            }
            self.takes_part(tenant, &leg, false).map_err(|code| (code, None))?;
            let net = leg.pays - leg.receives;
            self.sufficient(tenant, &leg.path, -net).map_err(|code| (code, None))?;
            self.change(tenant, &leg.path).posted += net;
            self.borne(tenant, &leg.path, "reversed");
        }
        Ok(())
    }
}
