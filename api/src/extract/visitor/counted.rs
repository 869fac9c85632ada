//! What is counted of those who try to get in.

use domain::UserId;

use super::Visitor;
use crate::people::Step;
use crate::problem::Problem;

impl Visitor {
    /// Counts an attempt on the account of this index.
    pub fn try_account(&self, index: &[u8; 32]) -> Result<(), Problem> {
        self.app.walls.pass_account(&self.request, index)
    }

    /// Counts a request that may send mail to the address of this index, and an attempt on its account: whoever floods
    /// somebody with mail is stopped sooner than whoever guesses at their password.
    pub fn try_letter(&self, index: &[u8; 32]) -> Result<(), Problem> {
        self.try_account(index)?;
        self.app.walls.pass_letter(&self.request, index)
    }

    /// Counts an attempt to show once more who one is.
    pub fn try_proof(&self, user: UserId) -> Result<(), Problem> {
        self.app.walls.pass_proof(&self.request, user)
    }

    /// Remembers that the owner of the account of this index got in from here, unless they are only halfway there.
    pub fn welcome(&self, index: &[u8; 32], step: &Step) {
        if matches!(step, Step::SignedIn(_)) {
            self.app.walls.welcome(&self.request, index);
        }
    }

    /// Refuses whoever comes from where too many credentials were refused, before the next one is looked up.
    pub fn admit(&self) -> Result<(), Problem> {
        self.app.walls.admit_stranger(&self.request)
    }

    /// Counts a refresh token that was refused.
    pub fn refused(&self) -> Result<(), Problem> {
        self.app.walls.pass_stranger(&self.request)
    }
}
