//! What time does to an allowance: grants end, and policies grant anew.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::grant::{difference, least, sum};
use super::{Allowance, AllowanceEvent, Grant, GrantSource, Period};
use crate::catalogue::{Mode, Policy, Rollover};
use crate::{Amount, GrantId};

impl Allowance {
    /// What has to happen by `now`. `begun` periods have begun since the last one that was allocated, `period` is the
    /// present one. Grants of periods in which nobody asked have no events of their own: the present period's grant is
    /// what would be left of them.
    pub(super) fn renew(
        &self,
        policy: Option<&Policy>,
        (period, begun): (Period, u32),
        available: Amount,
        now: DateTime<Utc>,
    ) -> Vec<AllowanceEvent> {
        let mut events = Vec::new();
        // What can still leave the wallet, or be carried on.
        let mut left = available;
        let policy = policy.filter(|policy| policy.asset == self.asset);
        let amount = policy.and_then(|policy| policy.amount.at_scale(self.scale).ok());
        let mut carried = (Amount::zero(self.scale), None);
        if let (Some(policy), Some(amount)) = (policy, amount)
            && let Mode::Monthly { rollover } = policy.mode
            && self.period.is_none_or(|last| last.start < period.start)
        {
            carried = self.carry(rollover, &mut left);
            events.push(self.allocated(period, amount, rollover, begun, carried));
        }
        for (id, grant) in self.in_order().filter(|(_, grant)| grant.over(now)) {
            let kept = if carried.1 == Some(id) { carried.0 } else { Amount::zero(self.scale) };
            let gone = difference(grant.free(), kept);
            let moved = least(gone, left);
            left = difference(left, moved);
            if gone.is_positive() || grant.remaining.is_zero() {
                events.push(AllowanceEvent::Expired { grant: id, amount: gone, moved });
            }
        }
        if let (Some(policy), Some(amount)) = (policy, amount)
            && policy.mode == Mode::Lifetime
        {
            let added = difference(amount, self.lifetime);
            if added.is_positive() {
                let grant = self.grant_id(b"lifetime");
                let carried = Amount::zero(self.scale);
                events.push(AllowanceEvent::Allocated {
                    grant,
                    period: None,
                    added,
                    carried,
                    carried_from: None,
                });
            }
        }
        events
    }

    /// What is carried over from the grant of the period before, and which grant that is.
    fn carry(&self, rollover: Rollover, left: &mut Amount) -> (Amount, Option<GrantId>) {
        let none = (Amount::zero(self.scale), None);
        let Some(last) = self.period else { return none };
        let id = self.grant_id(&start(last));
        let Some(grant) = self.grants.get(&id) else { return none };
        let carried = least(least(grant.free(), cap(rollover, grant.free(), self.scale)), *left);
        *left = difference(*left, carried);
        (carried, carried.is_positive().then_some(id))
    }

    /// The grant of the present period: the policy's amount for each period that has begun, as far as the rollover keeps it.
    fn allocated(
        &self,
        period: Period,
        amount: Amount,
        rollover: Rollover,
        begun: u32,
        (carried, carried_from): (Amount, Option<GrantId>),
    ) -> AllowanceEvent {
        let mut total = sum(carried, amount);
        // The first period of all has none before it that could be carried over.
        let missed = if self.period.is_some() { begun.saturating_sub(1).min(MOST_PERIODS) } else { 0 };
        for _ in 0..missed {
            total = sum(cap(rollover, total, self.scale), amount);
        }
        let added = difference(total, carried);
        let grant = self.grant_id(&start(period));
        AllowanceEvent::Allocated { grant, period: Some(period), added, carried, carried_from }
    }

    fn grant_id(&self, name: &[u8]) -> GrantId {
        GrantId(Uuid::new_v5(&self.id.0, name))
    }

    /// What an allocation makes of the grants.
    pub(super) fn allocate(
        &mut self,
        id: GrantId,
        period: Option<Period>,
        added: Amount,
        carried: Amount,
        carried_from: Option<GrantId>,
    ) {
        if let Some(from) = carried_from {
            self.change(from, |grant| grant.remaining = difference(grant.remaining, carried));
        }
        let grants = std::sync::Arc::make_mut(&mut self.grants);
        let amount = sum(added, carried);
        let source = if period.is_some() { GrantSource::Period } else { GrantSource::Lifetime };
        let grant = grants.entry(id).or_insert_with(|| Grant {
            amount: Amount::zero(added.scale()),
            remaining: Amount::zero(added.scale()),
            reserved: Amount::zero(added.scale()),
            priority: POLICY_PRIORITY,
            expires_at: period.map(|period| period.end),
            source,
        });
        grant.amount = sum(grant.amount, amount);
        grant.remaining = sum(grant.remaining, amount);
        match period {
            Some(period) => self.period = Some(period),
            None => self.lifetime = sum(self.lifetime, added),
        }
    }
}

/// With which priority grants of policies are used.
const POLICY_PRIORITY: u16 = 100;
/// How many periods are looked back at the most: a hundred years of months.
const MOST_PERIODS: u32 = 1_200;

fn cap(rollover: Rollover, rest: Amount, scale: crate::Scale) -> Amount {
    match rollover {
        Rollover::None => Amount::zero(scale),
        Rollover::Full => rest,
        Rollover::Capped { most } => most.at_scale(scale).map_or(rest, |most| least(rest, most)),
    }
}

fn start(period: Period) -> [u8; 8] {
    period.start.timestamp_micros().to_be_bytes()
}
