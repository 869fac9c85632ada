//! How grants are used: promised to calls, burned by them, given back.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::grant::{difference, least, sum};
use super::{Allowance, AllowanceEvent, Grant, GrantSource, Part};
use crate::{Amount, ExecutionId, GrantId};

impl Allowance {
    /// Which free parts of grants cover `amount`, as far as they do.
    pub(super) fn parts(&self, amount: Amount, now: DateTime<Utc>) -> Vec<Part> {
        let mut left = amount;
        let mut parts = Vec::new();
        for (grant, state) in self.in_order().filter(|(_, grant)| !grant.over(now)) {
            let amount = least(state.free(), left);
            if amount.is_positive() {
                parts.push(Part { grant, amount });
                left = difference(left, amount);
            }
        }
        parts
    }

    /// Uses what was promised first, then what is free. What a grant gets back whose time is over ends with the next renewal.
    /// Until that comes, its money is in the wallet, and may have been what paid: then it is used, lest at its end be taken
    /// for it what came into the wallet since.
    pub(super) fn burn(
        &self,
        execution: ExecutionId,
        (amount, available): (Amount, Amount),
        now: DateTime<Utc>,
    ) -> Vec<AllowanceEvent> {
        let mut left = amount;
        let mut parts: Vec<Part> = Vec::new();
        let promised = self.reserved.get(&execution);
        for part in promised.into_iter().flatten() {
            let amount = least(part.amount, left);
            if amount.is_positive() {
                parts.push(Part { grant: part.grant, amount });
                left = difference(left, amount);
            }
        }
        if left.is_positive() {
            let free = self.parts(left, now);
            left = free.iter().fold(left, |left, part| difference(left, part.amount));
            parts.extend(free);
        }
        if left.is_positive() {
            parts.extend(self.spent_of_ended(execution, &parts, (left, available), now));
        }
        if !parts.is_empty() {
            vec![AllowanceEvent::Burned { execution, parts }]
        } else if promised.is_some() {
            vec![AllowanceEvent::Returned { execution }]
        } else {
            vec![]
        }
    }

    /// What was paid out of ended grants, `left` of it at the most: by how much the wallet has less, now that `used` is gone,
    /// than all grants say is in it.
    fn spent_of_ended(
        &self,
        execution: ExecutionId,
        used: &[Part],
        (left, available): (Amount, Amount),
        now: DateTime<Utc>,
    ) -> Vec<Part> {
        let mut after = self.clone();
        after.give_back(execution);
        after.use_up(used);
        let nothing = Amount::zero(self.scale);
        let said = after.grants.values().fold(nothing, |said, grant| sum(said, grant.free()));
        let mut left = least(left, difference(said, available));
        let mut parts = Vec::new();
        for (grant, state) in after.in_order().filter(|(_, grant)| grant.over(now)) {
            let amount = least(state.free(), left);
            if amount.is_positive() {
                parts.push(Part { grant, amount });
                left = difference(left, amount);
            }
        }
        parts
    }

    /// Changes a grant, and forgets it once there is nothing left of it.
    pub(super) fn change(&mut self, id: GrantId, change: impl FnOnce(&mut Grant)) {
        let grants = Arc::make_mut(&mut self.grants);
        if let Some(grant) = grants.get_mut(&id) {
            change(grant);
            // What is granted once is kept, for a policy may add to it.
            if grant.remaining.is_zero() && grant.source != GrantSource::Lifetime {
                grants.remove(&id);
            }
        }
    }

    /// Takes out of grants what was used of them.
    pub(super) fn use_up(&mut self, parts: &[Part]) {
        for part in parts {
            self.change(part.grant, |grant| grant.remaining = difference(grant.remaining, part.amount));
        }
    }

    /// What was promised to an execution is not promised any more.
    pub(super) fn give_back(&mut self, execution: ExecutionId) {
        let Some(parts) = Arc::make_mut(&mut self.reserved).remove(&execution) else { return };
        for part in parts {
            self.change(part.grant, |grant| grant.reserved = difference(grant.reserved, part.amount));
        }
    }
}
