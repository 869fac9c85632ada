//! What a ledger should do, in a few dozen lines that share nothing with the product: the sequential model that
//! the recorded history is replayed through.

use std::collections::HashMap;

use uuid::Uuid;

use crate::record::{Cents, NewTransaction, Op, Posting};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wallet {
    pub posted: Cents,
    pub held: Cents,
    pub incoming: Cents,
    pub minimum: Option<Cents>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Posted,
    Pending,
    Settled,
    Released,
    Expired,
    Reversed,
}

#[derive(Debug, Clone)]
pub struct Transaction {
    pub postings: Vec<Posting>,
    pub status: Status,
    pub settled: Vec<Cents>,
    pub reversed: Vec<Cents>,
}

/// Why something is refused, and which item of an atomic batch.
pub type Refusal = (&'static str, Option<u64>);

#[derive(Debug, Default)]
pub struct Ledger {
    pub wallets: HashMap<(Uuid, String), Wallet>,
    pub transactions: HashMap<Uuid, Transaction>,
    undo_wallets: Vec<((Uuid, String), Wallet)>,
    undo_transactions: Vec<(Uuid, Option<Transaction>)>,
}

/// What a set of postings means for each wallet, in the order in which they are first named.
fn legs(postings: &[Posting], amounts: &[Cents]) -> Vec<(String, Cents, Cents)> {
    let mut legs: Vec<(String, Cents, Cents)> = Vec::new();
    for (posting, amount) in postings.iter().zip(amounts) {
        for (path, pays, receives) in [(&posting.from, *amount, 0), (&posting.to, 0, *amount)] {
            match legs.iter_mut().find(|leg| leg.0 == *path) {
                Some(leg) => (leg.1, leg.2) = (leg.1 + pays, leg.2 + receives),
                None => legs.push((path.clone(), pays, receives)),
            }
        }
    }
    legs
}

impl Ledger {
    /// Does `op`, or says why not and changes nothing. `ids` are those of the transactions that it makes.
    pub fn run(&mut self, tenant: Uuid, op: &Op, ids: &[Uuid]) -> Result<(), Refusal> {
        self.undo_wallets.clear();
        self.undo_transactions.clear();
        let done = self.attempt(tenant, op, ids);
        if done.is_err() {
            self.undo();
        }
        done
    }

    /// Why `op` would be refused as things stand; nothing where it would be done.
    pub fn refusal(&mut self, tenant: Uuid, op: &Op) -> Option<Refusal> {
        let ids: Vec<Uuid> = (0..16).map(Uuid::from_u128).collect();
        let done = self.run(tenant, op, &ids);
        if done.is_ok() {
            self.undo();
        }
        done.err()
    }

    /// The hold's time is over.
    pub fn expire(&mut self, tenant: Uuid, id: Uuid) -> Result<(), Refusal> {
        self.undo_wallets.clear();
        self.undo_transactions.clear();
        self.give_back(tenant, id, Status::Expired)
    }

    fn undo(&mut self) {
        for (key, wallet) in self.undo_wallets.drain(..).rev() {
            self.wallets.insert(key, wallet);
        }
        for (id, transaction) in self.undo_transactions.drain(..).rev() {
            match transaction {
                Some(transaction) => self.transactions.insert(id, transaction),
                None => self.transactions.remove(&id),
            };
        }
    }

    fn attempt(&mut self, tenant: Uuid, op: &Op, ids: &[Uuid]) -> Result<(), Refusal> {
        match op {
            Op::Transact(new) => self.make(tenant, new, ids[0]),
            Op::Batch(all) => {
                for (index, (new, id)) in (0_u64..).zip(all.iter().zip(ids)) {
                    self.make(tenant, new, *id).map_err(|(code, _)| (code, Some(index)))?;
                }
                Ok(())
            }
            Op::Settle { id, amounts } => self.settle(tenant, *id, amounts.as_deref()),
            Op::Release { id } => self.give_back(tenant, *id, Status::Released),
            Op::Reverse { id, amounts } => self.reverse(tenant, *id, amounts.as_deref()),
        }
    }

    fn make(&mut self, tenant: Uuid, new: &NewTransaction, id: Uuid) -> Result<(), Refusal> {
        let amounts: Vec<Cents> = new.postings.iter().map(|posting| posting.amount).collect();
        for (path, pays, receives) in legs(&new.postings, &amounts) {
            if new.pending {
                self.change(tenant, &path, pays, |wallet| {
                    wallet.held += pays;
                    wallet.incoming += receives;
                })?;
            } else {
                self.change(tenant, &path, pays - receives, |wallet| wallet.posted += receives - pays)?;
            }
        }
        let status = if new.pending { Status::Pending } else { Status::Posted };
        let postings = new.postings.clone();
        let made = Transaction { postings, status, settled: Vec::new(), reversed: Vec::new() };
        self.put(id, made);
        Ok(())
    }

    /// Changes a wallet that must be able to spend `needed` before.
    fn change(
        &mut self,
        tenant: Uuid,
        path: &str,
        needed: Cents,
        change: impl FnOnce(&mut Wallet),
    ) -> Result<(), Refusal> {
        let key = (tenant, path.to_owned());
        if path.starts_with('@') {
            self.wallets.entry(key.clone()).or_default();
        }
        let wallet = self.wallets.get_mut(&key).ok_or(("wallet_not_found", None))?;
        if let Some(minimum) = wallet.minimum
            && needed > 0
            && wallet.posted - wallet.held - minimum < needed
        {
            return Err(("insufficient_funds", None));
        }
        self.undo_wallets.push((key, *wallet));
        change(wallet);
        Ok(())
    }

    fn put(&mut self, id: Uuid, transaction: Transaction) {
        let before = self.transactions.insert(id, transaction);
        self.undo_transactions.push((id, before));
    }

    fn known(&self, id: Uuid) -> Result<Transaction, Refusal> {
        self.transactions.get(&id).cloned().ok_or(("transaction_not_found", None))
    }

    fn pending(&self, id: Uuid) -> Result<Transaction, Refusal> {
        let transaction = self.known(id)?;
        match transaction.status {
            Status::Pending => Ok(transaction),
            Status::Expired => Err(("hold_expired", None)),
            _ => Err(("transaction_not_pending", None)),
        }
    }

    fn settle(&mut self, tenant: Uuid, id: Uuid, amounts: Option<&[Cents]>) -> Result<(), Refusal> {
        let mut transaction = self.pending(id)?;
        let held: Vec<Cents> = transaction.postings.iter().map(|posting| posting.amount).collect();
        let amounts = amounts.map_or_else(|| held.clone(), <[Cents]>::to_vec);
        if amounts.iter().zip(&held).any(|(amount, most)| amount > most) {
            return Err(("settlement_exceeds_hold", None));
        }
        let (was, moves) = (legs(&transaction.postings, &held), legs(&transaction.postings, &amounts));
        for ((path, pays, receives), (_, paid, received)) in was.into_iter().zip(moves) {
            self.change(tenant, &path, 0, |wallet| {
                wallet.held -= pays;
                wallet.incoming -= receives;
                wallet.posted += received - paid;
            })?;
        }
        (transaction.status, transaction.settled) = (Status::Settled, amounts);
        self.put(id, transaction);
        Ok(())
    }

    fn give_back(&mut self, tenant: Uuid, id: Uuid, status: Status) -> Result<(), Refusal> {
        let mut transaction = self.pending(id)?;
        let held: Vec<Cents> = transaction.postings.iter().map(|posting| posting.amount).collect();
        for (path, pays, receives) in legs(&transaction.postings, &held) {
            self.change(tenant, &path, 0, |wallet| {
                wallet.held -= pays;
                wallet.incoming -= receives;
            })?;
        }
        transaction.status = status;
        self.put(id, transaction);
        Ok(())
    }

    fn reverse(&mut self, tenant: Uuid, id: Uuid, amounts: Option<&[Cents]>) -> Result<(), Refusal> {
        let mut transaction = self.known(id)?;
        let whole: Vec<Cents> = match transaction.status {
            Status::Posted => transaction.postings.iter().map(|posting| posting.amount).collect(),
            Status::Settled => transaction.settled.clone(),
            _ => return Err(("transaction_not_reversible", None)),
        };
        let gone = |index: usize| transaction.reversed.get(index).copied().unwrap_or(0);
        let left: Vec<Cents> = whole.iter().enumerate().map(|(index, all)| all - gone(index)).collect();
        let amounts = amounts.map_or_else(|| left.clone(), <[Cents]>::to_vec);
        if amounts.iter().zip(&left).any(|(amount, most)| amount > most) {
            return Err(("reversal_exceeds_original", None));
        }
        if amounts.iter().all(|amount| *amount == 0) {
            return Err(("nothing_to_reverse", None));
        }
        for (path, paid, received) in legs(&transaction.postings, &amounts) {
            self.change(tenant, &path, received - paid, |wallet| wallet.posted += paid - received)?;
        }
        transaction.reversed = amounts.iter().enumerate().map(|(index, more)| gone(index) + more).collect();
        if transaction.reversed == whole {
            transaction.status = Status::Reversed;
        }
        self.put(id, transaction);
        Ok(())
    }
}
