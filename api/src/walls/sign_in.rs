//! How often somebody may try to get in.
//!
//! Two counts stand in the way of a guess: one of the place it comes from and one of the account it is about, so neither
//! many accounts nor many places help. Whoever guesses at an account uses up its count, and would keep its owner out for
//! as long as they go on. So places from which somebody got in lately, all factors shown, have a count of their own there.

use domain::UserId;
use quick_cache::sync::Cache;

use super::Pace;
use super::origin::Place;
use super::rate::{Gate, Standing};

/// The blind index of an email, whether it has an account or not.
pub type AccountIndex = [u8; 32];

/// How many places are remembered from which somebody got in, of all accounts together. Who fails pushes none of them out.
const REMEMBERED: usize = 100_000;

/// The gates before everything that lets people in, or asks them once more who they are.
#[derive(Debug)]
pub struct SignIns {
    places: Gate<Place>,
    accounts: Gate<AccountIndex>,
    familiar: Gate<(AccountIndex, Place)>,
    proofs: Gate<UserId>,
    known: Cache<(AccountIndex, Place), ()>,
}

impl SignIns {
    /// Gates that nobody has passed, each with this pace.
    pub fn new(pace: Pace) -> Self {
        Self {
            places: Gate::new(pace),
            accounts: Gate::new(pace),
            familiar: Gate::new(pace),
            proofs: Gate::new(pace),
            known: Cache::new(REMEMBERED),
        }
    }

    /// Counts an attempt from a place, whatever it is about.
    pub fn pass_place(&self, place: Place) -> Standing {
        self.places.pass(&place)
    }

    /// Counts an attempt on one account.
    pub fn pass_account(&self, account: &AccountIndex, place: Place) -> Standing {
        let here = (*account, place);
        match self.known.get(&here) {
            Some(()) => self.familiar.pass(&here),
            None => self.accounts.pass(account),
        }
    }

    /// Counts an attempt of somebody who is signed in to show once more who they are.
    pub fn pass_proof(&self, user: UserId) -> Standing {
        self.proofs.pass(&user)
    }

    /// Remembers that the owner of an account got in from a place.
    pub fn welcome(&self, account: &AccountIndex, place: Place) {
        self.known.insert((*account, place), ());
    }

    /// Forgets those whose counts are as if they had never asked.
    pub fn upkeep(&self) {
        self.places.upkeep();
        self.accounts.upkeep();
        self.familiar.upkeep();
        self.proofs.upkeep();
    }

    /// How many callers all gates together remember at present.
    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.places.remembered()
            + self.accounts.remembered()
            + self.familiar.remembered()
            + self.proofs.remembered()
    }
}

#[cfg(test)]
mod tests;
