//! The whole ledger in memory, as simply as it can be said: integers in maps, no events, no batches, no cache. What
//! it decides is what the pipeline has to decide.

use std::collections::BTreeMap;

use crate::sequence::{Asset, Do, Make, Posting, Request, WALLETS, Wallet};

/// What a command came to in words, or the code of its refusal.
pub type Answer = Result<String, &'static str>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub asset: Asset,
    pub status: &'static str,
    pub minimum: Option<i64>,
    pub posted: i64,
    pub held: i64,
    pub incoming: i64,
}

#[derive(Debug, Clone)]
struct Transaction {
    postings: Vec<Posting>,
    status: &'static str,
    expires: Option<i64>,
    /// What can be settled, or reversed, of each posting.
    left: Vec<i64>,
}

/// A command cannot be decided before these transactions have expired.
enum Stop {
    Refused(&'static str),
    Due(Vec<u32>),
}

impl From<&'static str> for Stop {
    fn from(code: &'static str) -> Self {
        Self::Refused(code)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub clock: i64,
    /// When something was recorded last.
    recorded: Option<i64>,
    pub accounts: BTreeMap<&'static str, Account>,
    transactions: BTreeMap<u32, Transaction>,
    keys: BTreeMap<u8, (Do, String)>,
}

/// What one wallet pays and receives.
struct Leg {
    wallet: Wallet,
    asset: Asset,
    pays: i64,
    receives: i64,
}

fn legs(postings: &[Posting], amounts: &[i64]) -> Vec<Leg> {
    let mut legs: Vec<Leg> = Vec::new();
    for (posting, amount) in postings.iter().zip(amounts) {
        for (wallet, pays, receives) in [(posting.from, *amount, 0), (posting.to, 0, *amount)] {
            match legs.iter_mut().find(|leg| leg.wallet == wallet && leg.asset == posting.asset) {
                Some(leg) => (leg.pays, leg.receives) = (leg.pays + pays, leg.receives + receives),
                None => legs.push(Leg { wallet, asset: posting.asset, pays, receives }),
            }
        }
    }
    legs
}

impl Model {
    /// Requests that were handed over together.
    pub fn job(&mut self, requests: &[Request]) -> Vec<Answer> {
        let reused = |one: &Request| {
            one.key.and_then(|key| self.keys.get(&key)).is_some_and(|(used_for, _)| *used_for != one.what)
        };
        if requests.iter().any(reused) {
            return requests.iter().map(|_| Err("key_reused")).collect();
        }
        requests.iter().map(|one| self.request(one)).collect()
    }

    fn request(&mut self, request: &Request) -> Answer {
        match request.key.and_then(|key| self.keys.get(&key)) {
            Some((used_for, _)) if *used_for != request.what => return Err("key_reused"),
            Some((_, first)) => return Ok(format!("again: {first}")),
            None => {}
        }
        loop {
            let mut after = self.clone();
            match after.decide(&request.what) {
                Ok(answer) => {
                    after.recorded = Some(after.now());
                    after.keys.extend(request.key.map(|key| (key, (request.what.clone(), answer.clone()))));
                    *self = after;
                    return Ok(answer);
                }
                Err(Stop::Refused(code)) => return Err(code),
                Err(Stop::Due(due)) => {
                    self.recorded = Some(self.now());
                    for id in due {
                        self.give_back(id, "expired");
                    }
                }
            }
        }
    }

    /// Time never runs backwards in what is recorded.
    fn now(&self) -> i64 {
        self.recorded.map_or(self.clock, |last| last.max(self.clock))
    }

    fn decide(&mut self, what: &Do) -> Result<String, Stop> {
        match what {
            Do::Open(wallet, asset, minimum) => {
                if self.accounts.contains_key(wallet.path()) {
                    return Err("wallet_exists".into());
                }
                self.open(*wallet, *asset, *minimum);
                Ok(self.wallet(*wallet))
            }
            Do::Freeze(wallet) | Do::Unfreeze(wallet) | Do::Close(wallet) => self.status(*wallet, what),
            Do::Make(make) => self.make(make),
            Do::Batch(makes) => {
                let made: Result<Vec<String>, Stop> = makes.iter().map(|make| self.make(make)).collect();
                Ok(made?.join(" "))
            }
            Do::Settle(reference, amounts) => self.settle((*reference).into(), amounts.as_ref()),
            Do::Release(reference) => {
                self.pending((*reference).into())?;
                Ok(self.give_back((*reference).into(), "released"))
            }
            Do::Expire(reference) => {
                let now = self.now();
                match self.transactions.get(&(*reference).into()) {
                    None => Err("transaction_not_found".into()),
                    Some(one) if one.status != "pending" => Err("transaction_not_pending".into()),
                    Some(one) if one.expires.is_none_or(|at| at > now) => Err("hold_not_due".into()),
                    Some(_) => Ok(self.give_back((*reference).into(), "expired")),
                }
            }
            Do::Reverse(reference, amounts) => self.reverse((*reference).into(), amounts.as_ref()),
        }
    }

    fn open(&mut self, wallet: Wallet, asset: Asset, minimum: Option<i64>) {
        let minimum = minimum.or(if wallet.path().starts_with('@') { None } else { Some(0) });
        let account = Account { asset, status: "open", minimum, posted: 0, held: 0, incoming: 0 };
        self.accounts.insert(wallet.path(), account);
    }

    /// A wallet in words.
    fn wallet(&self, wallet: Wallet) -> String {
        self.accounts[wallet.path()].in_words()
    }

    fn status(&mut self, wallet: Wallet, what: &Do) -> Result<String, Stop> {
        if !self.accounts.contains_key(wallet.path()) {
            return Err("wallet_not_found".into());
        }
        self.touch(&[wallet])?;
        let account = self.accounts.get_mut(wallet.path()).ok_or("wallet_not_found")?;
        account.status = match (what, account.status) {
            (_, "closed") => return Err("wallet_closed".into()),
            (Do::Freeze(_), "frozen") => return Err("wallet_frozen".into()),
            (Do::Freeze(_), _) => "frozen",
            (Do::Unfreeze(_), "frozen") => "open",
            (Do::Unfreeze(_), _) => return Err("wallet_not_frozen".into()),
            _ if (account.posted, account.held, account.incoming) != (0, 0, 0) => {
                return Err("wallet_not_empty".into());
            }
            _ => "closed",
        };
        Ok(self.wallet(wallet))
    }

    /// Holds that one of the wallets pays expire, when they are due, before anything else happens to it.
    fn touch(&self, wallets: &[Wallet]) -> Result<(), Stop> {
        let due = self.transactions.iter().filter(|(_, one)| {
            one.status == "pending"
                && one.expires.is_some_and(|at| at <= self.now())
                && one.postings.iter().any(|posting| wallets.contains(&posting.from))
        });
        let due: Vec<u32> = due.map(|(id, _)| *id).collect();
        if due.is_empty() { Ok(()) } else { Err(Stop::Due(due)) }
    }

    fn make(&mut self, make: &Make) -> Result<String, Stop> {
        if make.postings.iter().any(|posting| posting.asset == Asset::None) {
            return Err("unknown_asset".into());
        }
        if !make.hold && make.expires.is_some() {
            return Err("expiry_without_hold".into());
        }
        if make.postings.is_empty() {
            return Err("postings_empty".into());
        }
        for posting in &make.postings {
            if posting.from == posting.to {
                return Err("posting_to_same_wallet".into());
            }
            if posting.amount <= 0 {
                return Err("amount_not_positive".into());
            }
        }
        let expires = make.expires.map(|seconds| self.clock + seconds);
        if expires.is_some_and(|at| at <= self.now()) {
            return Err("expiry_in_the_past".into());
        }
        // Those without a reference cannot be named again.
        let unnamed = 1_000 + u32::try_from(self.transactions.len()).unwrap();
        let id = make.reference.map_or(unnamed, u32::from);
        if self.transactions.contains_key(&id) {
            return Err("reference_taken".into());
        }
        let amounts: Vec<i64> = make.postings.iter().map(|posting| posting.amount).collect();
        let legs = legs(&make.postings, &amounts);
        self.touch(&legs.iter().map(|leg| leg.wallet).collect::<Vec<_>>())?;
        for Leg { wallet, asset, pays, receives } in legs {
            if !self.accounts.contains_key(wallet.path()) && (make.open || wallet.path().starts_with('@')) {
                self.open(wallet, asset, None);
            }
            let account = self.taking(wallet, asset, make.adjustment && !make.hold)?;
            let needed = if make.hold { pays } else { pays - receives };
            account.enough(needed)?;
            if make.hold {
                account.held += pays;
                account.incoming += receives;
            } else {
                account.posted += receives - pays;
            }
        }
        let status = if make.hold { "pending" } else { "posted" };
        let made = Transaction { postings: make.postings.clone(), status, expires, left: amounts };
        self.transactions.insert(id, made);
        Ok(status.to_owned())
    }

    /// A wallet that takes part in something new.
    fn taking(&mut self, wallet: Wallet, asset: Asset, although_frozen: bool) -> Result<&mut Account, Stop> {
        let account = self.accounts.get_mut(wallet.path()).ok_or("wallet_not_found")?;
        match account.status {
            "closed" => Err("wallet_closed".into()),
            "frozen" if !although_frozen => Err("wallet_frozen".into()),
            _ if account.asset != asset => Err("asset_mismatch".into()),
            _ => Ok(account),
        }
    }

    /// A transaction that exists, its wallets touched.
    fn touched(&self, id: u32) -> Result<Transaction, Stop> {
        let found = self.transactions.get(&id).ok_or("transaction_not_found")?.clone();
        let wallets: Vec<Wallet> =
            found.postings.iter().flat_map(|posting| [posting.from, posting.to]).collect();
        self.touch(&wallets)?;
        Ok(found)
    }

    fn pending(&self, id: u32) -> Result<Transaction, Stop> {
        let found = self.touched(id)?;
        match found.status {
            "pending" => Ok(found),
            "expired" => Err("hold_expired".into()),
            _ => Err("transaction_not_pending".into()),
        }
    }

    /// Takes a hold back.
    fn give_back(&mut self, id: u32, status: &'static str) -> String {
        let one = self.transactions.get_mut(&id).unwrap();
        one.status = status;
        for posting in &one.postings {
            self.accounts.get_mut(posting.from.path()).unwrap().held -= posting.amount;
            self.accounts.get_mut(posting.to.path()).unwrap().incoming -= posting.amount;
        }
        status.to_owned()
    }

    fn settle(&mut self, id: u32, amounts: Option<&Vec<i64>>) -> Result<String, Stop> {
        let found = self.pending(id)?;
        let amounts = found.part(amounts, "settlement_exceeds_hold")?;
        self.give_back(id, "settled");
        for leg in legs(&found.postings, &amounts) {
            self.accounts.get_mut(leg.wallet.path()).unwrap().posted += leg.receives - leg.pays;
        }
        self.transactions.get_mut(&id).unwrap().left = amounts;
        Ok("settled".to_owned())
    }

    fn reverse(&mut self, id: u32, amounts: Option<&Vec<i64>>) -> Result<String, Stop> {
        let found = self.touched(id)?;
        if !["posted", "settled"].contains(&found.status) {
            return Err("transaction_not_reversible".into());
        }
        let amounts = found.part(amounts, "reversal_exceeds_original")?;
        if amounts.iter().all(|amount| *amount == 0) {
            return Err("nothing_to_reverse".into());
        }
        for leg in legs(&found.postings, &amounts) {
            if leg.pays == 0 && leg.receives == 0 {
                continue;
            }
            let account = self.taking(leg.wallet, leg.asset, false)?;
            account.enough(leg.receives - leg.pays)?;
            account.posted += leg.pays - leg.receives;
        }
        let one = self.transactions.get_mut(&id).unwrap();
        one.left.iter_mut().zip(amounts).for_each(|(left, gone)| *left -= gone);
        if one.left.iter().all(|left| *left == 0) {
            one.status = "reversed";
        }
        Ok(one.status.to_owned())
    }

    /// The sums of what is posted, by asset: always zero.
    pub fn trial_balance(&self) -> [i64; 2] {
        [Asset::Usd, Asset::Tok].map(|asset| {
            let of_asset = self.accounts.values().filter(|account| account.asset == asset);
            of_asset.map(|account| account.posted).sum()
        })
    }
}

impl Account {
    /// Its status, and what is posted, held and incoming.
    pub fn in_words(&self) -> String {
        format!("{} {} {} {}", self.status, self.posted, self.held, self.incoming)
    }

    fn enough(&self, needed: i64) -> Result<(), Stop> {
        match self.minimum {
            Some(minimum) if needed > 0 && self.posted - self.held - minimum < needed => {
                Err("insufficient_funds".into())
            }
            _ => Ok(()),
        }
    }
}

impl Transaction {
    fn part(&self, amounts: Option<&Vec<i64>>, too_much: &'static str) -> Result<Vec<i64>, Stop> {
        let Some(amounts) = amounts else { return Ok(self.left.clone()) };
        if amounts.len() != self.left.len() {
            return Err("amounts_mismatch".into());
        }
        // They are given in hundredths of a unit.
        let minor = |posting: &Posting| if posting.asset == Asset::Tok { 10 } else { 1 };
        let amounts: Vec<i64> =
            amounts.iter().zip(&self.postings).map(|(amount, posting)| amount * minor(posting)).collect();
        for (amount, left) in amounts.iter().zip(&self.left) {
            if *amount < 0 {
                return Err("amount_not_positive".into());
            }
            if amount > left {
                return Err(too_much.into());
            }
        }
        Ok(amounts)
    }
}

/// Every wallet that may come to be.
pub fn paths() -> impl Iterator<Item = &'static str> {
    WALLETS.iter().map(|(path, _)| *path)
}
