//! What time does to an allowance: grants end, and policies grant anew.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::grant::{difference, least, sum};
use super::{Allowance, AllowanceEvent, Grant, GrantSource, Period};
use crate::catalogue::{Mode, Policy, Rollover};
use crate::{Amount, GrantId, MoneyError, Scale};

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
        let monthly = match (policy.map(|policy| policy.mode), amount) {
            (Some(Mode::Monthly { rollover }), Some(amount)) => Some((rollover, amount)),
            _ => None,
        };
        let mut carried = (Amount::zero(self.scale), None);
        // In another time zone the month that was allocated may begin later than it did: it is the same month.
        let anew = self.period.is_none_or(|last| last.start < period.start && begun > 0);
        if let Some((rollover, amount)) = monthly.filter(|_| anew) {
            carried = self.carry(rollover, &mut left);
            events.push(self.allocated(period, amount, rollover, begun, carried));
        }
        let last = self.period.map(|last| (last, self.grant_id(&start(last))));
        // What is left of the last period waits for the next one to begin.
        let waits = if monthly.is_some() && !anew { last.map(|(_, id)| id) } else { None };
        for (id, grant) in self.in_order().filter(|(id, grant)| grant.over(now) && Some(*id) != waits) {
            let kept = if carried.1 == Some(id) { carried.0 } else { Amount::zero(self.scale) };
            let gone = difference(grant.free(), kept);
            let moved = least(gone, left);
            left = difference(left, moved);
            if gone.is_positive() || grant.remaining.is_zero() {
                events.push(AllowanceEvent::Expired { grant: id, amount: gone, moved });
            }
        }
        // A period that none follows ends once, even if nothing is left of it: it would be due for ever.
        if let Some((_, grant)) =
            last.filter(|(last, _)| monthly.is_none() && !self.lapsed && last.end <= now)
        {
            let said = |event: &AllowanceEvent| matches!(event, AllowanceEvent::Expired { grant: of, .. } if *of == grant);
            if !events.iter().any(said) {
                let nothing = Amount::zero(self.scale);
                events.push(AllowanceEvent::Expired { grant, amount: nothing, moved: nothing });
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
        // The first period of all has none before it, and in those after one that lapsed no policy granted anything.
        let missed =
            if self.period.is_some() && !self.lapsed { begun.saturating_sub(1).min(MOST_PERIODS) } else { 0 };
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

    /// What the end of a grant makes of the grants and the period.
    pub(super) fn end(&mut self, id: GrantId, amount: Amount) {
        self.change(id, |grant| grant.remaining = difference(grant.remaining, amount));
        self.lapsed |= self.period.is_some_and(|last| self.grant_id(&start(last)) == id);
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
            Some(period) => (self.period, self.lapsed) = (Some(period), false),
            None => self.lifetime = sum(self.lifetime, added),
        }
    }
}

/// With which priority grants of policies are used.
const POLICY_PRIORITY: u16 = 100;
/// How many periods are looked back at the most: a hundred years of months.
const MOST_PERIODS: u32 = 1_200;

fn cap(rollover: Rollover, rest: Amount, scale: Scale) -> Amount {
    match rollover {
        Rollover::None => Amount::zero(scale),
        Rollover::Full => rest,
        Rollover::Capped { most } => match most.at_scale(scale) {
            Ok(most) => least(rest, most),
            Err(MoneyError::TooPrecise) => least(rest, rounded_down(most, scale)),
            // Beyond every amount.
            Err(_) => rest,
        },
    }
}

fn rounded_down(amount: Amount, coarser: Scale) -> Amount {
    let digits = amount.scale().digits().saturating_sub(coarser.digits());
    let unit = 10_i128.checked_pow(u32::from(digits)).unwrap_or(i128::MAX);
    Amount::from_minor(amount.minor().div_euclid(unit), coarser)
}

fn start(period: Period) -> [u8; 8] {
    period.start.timestamp_micros().to_be_bytes()
}
