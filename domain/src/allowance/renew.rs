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
        // In another time zone the month that was allocated may begin later than it did: it is the same month.
        let anew = self.period.is_none_or(|last| last.start < period.start && begun > 0);
        let mut carried = (Amount::zero(self.scale), None);
        let mut room = match (monthly, self.period) {
            (Some((rollover, amount)), _) if anew => {
                carried = self.carry(rollover, &mut left);
                let (event, taken) = self.allocated(period, amount, rollover, begun, carried);
                events.push(event);
                Some(Room { period, rollover, taken })
            }
            (Some((rollover, _)), Some(period)) if !self.lapsed => {
                Some(Room { period, rollover, taken: self.carried })
            }
            _ => None,
        };
        let last = self.period.map(|last| (last, self.grant_id(&start(last))));
        // What is left of the last period waits for the next one to begin.
        let waits = if monthly.is_some() && !anew { last.map(|(_, id)| id) } else { None };
        for (id, grant) in self.in_order().filter(|(id, grant)| grant.over(now) && Some(*id) != waits) {
            let mut rest = grant.free();
            if carried.1 == Some(id) {
                rest = difference(rest, carried.0);
            } else if let Some(room) = room.as_mut().filter(|_| grant.source == GrantSource::Period) {
                // What was promised when its period ended, and came back, is carried as what was left then.
                let late = least(room.fits(rest), left);
                if late.is_positive() {
                    room.taken = sum(late, room.taken);
                    (rest, left) = (difference(rest, late), difference(left, late));
                    events.push(self.late(room.period, late, id));
                }
            }
            let moved = least(rest, left);
            left = difference(left, moved);
            if rest.is_positive() || grant.remaining.is_zero() {
                events.push(AllowanceEvent::Expired { grant: id, amount: rest, moved });
            }
        }
        events.extend(self.lapse(&events, last.filter(|(last, _)| monthly.is_none() && last.end <= now)));
        events.extend(policy.zip(amount).and_then(|(policy, amount)| self.once(policy, amount)));
        events
    }

    /// A period that none follows ends once, even if nothing is left of it: it would be due for ever.
    fn lapse(&self, events: &[AllowanceEvent], ended: Option<(Period, GrantId)>) -> Option<AllowanceEvent> {
        let (_, grant) = ended.filter(|_| !self.lapsed)?;
        let says = |event: &AllowanceEvent| matches!(event, AllowanceEvent::Expired { grant: of, .. } if *of == grant);
        let nothing = Amount::zero(self.scale);
        let said = events.iter().any(says);
        (!said).then_some(AllowanceEvent::Expired { grant, amount: nothing, moved: nothing })
    }

    /// What a policy that grants once grants besides what was granted.
    fn once(&self, policy: &Policy, amount: Amount) -> Option<AllowanceEvent> {
        let added = difference(amount, self.lifetime);
        let due = policy.mode == Mode::Lifetime && added.is_positive();
        due.then(|| AllowanceEvent::Allocated {
            grant: self.grant_id(b"lifetime"),
            period: None,
            added,
            carried: Amount::zero(self.scale),
            carried_from: None,
            missed: None,
        })
    }

    /// What comes into a period after it has begun.
    fn late(&self, period: Period, carried: Amount, from: GrantId) -> AllowanceEvent {
        AllowanceEvent::Allocated {
            grant: self.grant_id(&start(period)),
            period: Some(period),
            added: Amount::zero(self.scale),
            carried,
            carried_from: Some(from),
            missed: None,
        }
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
    /// With it, what of that comes from periods before.
    fn allocated(
        &self,
        period: Period,
        amount: Amount,
        rollover: Rollover,
        begun: u32,
        (carried, carried_from): (Amount, Option<GrantId>),
    ) -> (AllowanceEvent, Amount) {
        let mut total = sum(carried, amount);
        // The first period of all has none before it, and in those after one that lapsed no policy granted anything.
        let skipped =
            if self.period.is_some() && !self.lapsed { begun.saturating_sub(1).min(MOST_PERIODS) } else { 0 };
        for _ in 0..skipped {
            total = sum(cap(rollover, total, self.scale), amount);
        }
        let added = difference(total, carried);
        let (taken, grant) = (difference(total, amount), self.grant_id(&start(period)));
        let missed = Some(difference(taken, carried)).filter(|missed| missed.is_positive());
        let period = Some(period);
        (AllowanceEvent::Allocated { grant, period, added, carried, carried_from, missed }, taken)
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
        (carried, carried_from): (Amount, Option<GrantId>),
        missed: Option<Amount>,
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
        if period.is_none() {
            self.lifetime = sum(self.lifetime, added);
            return;
        }
        let taken = missed.map_or(carried, |missed| sum(carried, missed));
        self.carried = if self.period == period { sum(taken, self.carried) } else { taken };
        (self.period, self.lapsed) = (period, false);
    }
}

/// A period into which something can still be carried.
struct Room {
    period: Period,
    rollover: Rollover,
    /// What came into it from those before.
    taken: Amount,
}

impl Room {
    /// How much of `rest` the rollover carries besides what it has carried.
    fn fits(&self, rest: Amount) -> Amount {
        difference(cap(self.rollover, sum(rest, self.taken), rest.scale()), self.taken)
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
