//! Random lives of an allowance, with the wallet and the clock that it has in life. The model knows only sums: what came,
//! what went, and who was promised what.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate as _;
use domain::allowance::{AllowanceCommand, AllowanceEvent, Grant, GrantSource, Part, Period};
use domain::catalogue::{Enforcement, Mode, Policy, Rollover};
use domain::{
    Allowance, AllowanceId, Amount, AssetCode, Event, ExecutionId, GrantId, Scale, WalletPath, event,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{assert_replays, at, cents, config};

/// A month of the tests, in seconds.
const MONTH: i64 = 1_000;

#[derive(Debug, Clone)]
enum Do {
    Wait {
        seconds: i64,
    },
    Deposit {
        amount: i64,
    },
    Withdraw {
        amount: i64,
    },
    Grant {
        id: u8,
        amount: i64,
        priority: u16,
        lasts: Option<i64>,
    },
    Govern {
        policy: Option<(Mode, i64)>,
    },
    /// By somebody whose clock is late by so much.
    Renew {
        late: i64,
    },
    Reserve {
        execution: u8,
        amount: i64,
    },
    Burn {
        execution: u8,
        amount: i64,
    },
    Owe {
        amount: i64,
    },
    Repay,
}

fn modes() -> impl Strategy<Value = Mode> {
    let capped = (0..600_i64).prop_map(|most| Rollover::Capped { most: cents(most) });
    let rollover = prop_oneof![Just(Rollover::None), Just(Rollover::Full), capped];
    prop_oneof![1 => Just(Mode::Lifetime), 3 => rollover.prop_map(|rollover| Mode::Monthly { rollover })]
}

fn governs() -> impl Strategy<Value = Option<(Mode, i64)>> {
    prop_oneof![1 => Just(None), 4 => (modes(), 0..500_i64).prop_map(Some)]
}

fn commands() -> impl Strategy<Value = Vec<Do>> {
    let one = prop_oneof![
        4 => (0..2_500_i64).prop_map(|seconds| Do::Wait { seconds }),
        2 => (0..500_i64).prop_map(|amount| Do::Deposit { amount }),
        1 => (0..500_i64).prop_map(|amount| Do::Withdraw { amount }),
        4 => (0..12_u8, 1..400_i64, 98..103_u16, prop::option::of(1..2_000_i64))
            .prop_map(|(id, amount, priority, lasts)| Do::Grant { id, amount, priority, lasts }),
        2 => governs().prop_map(|policy| Do::Govern { policy }),
        6 => prop_oneof![4 => Just(0), 1 => 0..1_500_i64].prop_map(|late| Do::Renew { late }),
        4 => (0..4_u8, 0..600_i64).prop_map(|(execution, amount)| Do::Reserve { execution, amount }),
        4 => (0..4_u8, prop_oneof![1 => Just(0), 4 => 0..700_i64]).prop_map(|(execution, amount)| Do::Burn { execution, amount }),
        1 => (-5..200_i64).prop_map(|amount| Do::Owe { amount }),
        2 => Just(Do::Repay),
    ];
    prop::collection::vec(one, 0..45)
}

fn id() -> AllowanceId {
    AllowanceId(Uuid::from_u128(7))
}

fn execution(number: u8) -> ExecutionId {
    ExecutionId(Uuid::from_u128(number.into()))
}

fn month(at_second: i64) -> Period {
    let number = at_second.div_euclid(MONTH);
    Period { start: at(number * MONTH), end: at((number + 1) * MONTH) }
}

fn policy((mode, amount): (Mode, i64)) -> Policy {
    let (asset, enforcement) = (AssetCode::new("USD").unwrap(), Enforcement::Hard);
    Policy { mode, amount: cents(amount), asset, enforcement }
}

fn assign() -> AllowanceCommand {
    AllowanceCommand::Assign {
        id: id(),
        wallet: WalletPath::new("customers:42").unwrap(),
        asset: AssetCode::new("USD").unwrap(),
        scale: Scale::new(2).unwrap(),
        level: None,
        user: None,
    }
}

fn minor(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap()
}

fn total(parts: &[Part]) -> i64 {
    parts.iter().map(|part| minor(part.amount)).sum()
}

/// What a renewal is told: the month of the moment, and how many have begun since the last one that was granted.
fn renewal(allowance: &Allowance, policy: Option<Policy>, now: i64, available: i64) -> AllowanceCommand {
    let present = month(now);
    let months = |last: Period| (present.start - last.start).num_seconds() / MONTH;
    let begun = allowance.period.map_or(1, |last| u32::try_from(months(last)).unwrap_or(0));
    AllowanceCommand::Renew { policy, period: (present, begun), available: cents(available) }
}

/// An allowance and the wallet that it is of.
#[derive(Default)]
struct Life {
    live: Allowance,
    kept: Vec<AllowanceEvent>,
    now: i64,
    policy: Option<(Mode, i64)>,
    /// What is in the wallet, and what of it is held for whom.
    money: i64,
    held: BTreeMap<u8, i64>,
    /// What of the money no grant gave.
    own: i64,
    granted: i64,
    burned: i64,
    expired: i64,
    debt: i64,
    lifetime: i64,
    periods: BTreeSet<DateTime<Utc>>,
}

impl Life {
    fn begin() -> Self {
        let mut life = Self::default();
        life.decide(assign(), 0);
        life
    }

    fn available(&self) -> i64 {
        (self.money - self.held.values().sum::<i64>()).max(0)
    }

    fn decide(&mut self, command: AllowanceCommand, now: i64) -> Vec<AllowanceEvent> {
        let events = self.live.decide(command, at(now)).unwrap();
        for happened in &events {
            self.count(happened);
            let payload = event::encode(happened).unwrap();
            self.kept.push(event::decode(happened.kind(), AllowanceEvent::VERSION, &payload).unwrap());
            self.live.apply(happened.clone());
            self.check();
        }
        events
    }

    fn count(&mut self, happened: &AllowanceEvent) {
        match happened {
            AllowanceEvent::Allocated { period, added, carried, .. } => {
                assert!(!added.is_negative() && !carried.is_negative());
                self.granted += minor(*added);
                self.money += minor(*added);
                match period {
                    Some(period) if self.live.period == Some(*period) => {
                        assert!(added.is_zero() && carried.is_positive(), "a month is granted once");
                    }
                    Some(period) => assert!(self.periods.insert(period.start), "a month is granted once"),
                    None => self.lifetime += minor(*added),
                }
            }
            AllowanceEvent::Granted { amount, .. } => {
                self.granted += minor(*amount);
                self.money += minor(*amount);
            }
            AllowanceEvent::Expired { amount, moved, .. } => {
                let kept = minor(*amount) - minor(*moved);
                assert!(kept >= 0 && !moved.is_negative());
                let promised: i64 = self.live.grants.values().map(|grant| minor(grant.reserved)).sum();
                let free = self.own - (self.held.values().sum::<i64>() - promised);
                assert!(kept == 0 || free < 0, "what was not spent in another way leaves the wallet");
                self.expired += minor(*amount);
                self.money -= minor(*moved);
                // The rest was spent in another way, which was taken for the wallet's own.
                self.own += kept;
            }
            AllowanceEvent::Burned { parts, .. } => {
                self.burned += total(parts);
                self.own += total(parts);
            }
            AllowanceEvent::Indebted { amount, .. } => self.debt += minor(*amount),
            AllowanceEvent::DebtRepaid { amount, parts } => {
                self.debt -= minor(*amount);
                self.money -= minor(*amount);
                self.burned += total(parts);
                self.own += total(parts) - minor(*amount);
            }
            AllowanceEvent::Assigned { .. }
            | AllowanceEvent::Reserved { .. }
            | AllowanceEvent::Returned { .. }
            | AllowanceEvent::Exceeded { .. } => {}
        }
    }

    /// What holds after every event.
    fn check(&self) {
        let mut promised: BTreeMap<GrantId, i64> = BTreeMap::new();
        for part in self.live.reserved.values().flatten() {
            assert!(part.amount.is_positive());
            *promised.entry(part.grant).or_default() += minor(part.amount);
        }
        for (id, grant) in self.live.grants.iter() {
            let Grant { amount, remaining, reserved, .. } = grant;
            assert!(0 <= minor(*reserved) && reserved.minor() <= remaining.minor(), "{id} {grant:?}");
            assert!(remaining.minor() <= amount.minor(), "{id} {grant:?}");
            assert_eq!(promised.remove(id).unwrap_or(0), minor(*reserved), "{id} {grant:?}");
        }
        assert_eq!(promised, BTreeMap::new(), "promised of grants that are forgotten");
        let remaining: i64 = self.live.grants.values().map(|grant| minor(grant.remaining)).sum();
        assert_eq!(self.granted, remaining + self.burned + self.expired, "nothing comes or goes unsaid");
        assert_eq!(minor(self.live.debt), self.debt);
        assert!(self.debt >= 0);
        assert_eq!(minor(self.live.lifetime), self.lifetime);
        assert_eq!(self.money, self.own + remaining, "what is in the wallet is granted or its own");
    }

    /// What can be promised at a moment: the free rests in the order in which they are used.
    fn usable(&self, now: i64) -> Vec<(GrantId, i64)> {
        self.free(|grant| grant.expires_at.is_none_or(|end| end > at(now)))
    }

    fn free(&self, of: impl Fn(&Grant) -> bool) -> Vec<(GrantId, i64)> {
        let mut grants: Vec<_> = self.live.grants.iter().filter(|(_, grant)| of(grant)).collect();
        // Stable sorts from the least important reason to the most important one; those without an end come last.
        grants.sort_by_key(|(id, _)| **id);
        grants.sort_by_key(|(_, grant)| grant.expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC));
        grants.sort_by_key(|(_, grant)| grant.priority);
        let free = |grant: &Grant| minor(grant.remaining) - minor(grant.reserved);
        grants.into_iter().map(|(id, grant)| (*id, free(grant))).filter(|(_, free)| *free > 0).collect()
    }

    fn step(&mut self, command: &Do) {
        match *command {
            Do::Wait { seconds } => self.now += seconds,
            Do::Deposit { amount } => (self.money, self.own) = (self.money + amount, self.own + amount),
            Do::Withdraw { amount } => {
                let amount = amount.min(self.available());
                (self.money, self.own) = (self.money - amount, self.own - amount);
            }
            Do::Grant { id, amount, priority, lasts } => {
                let grant = GrantId(Uuid::from_u128(id.into()));
                let (amount, expires_at) = (cents(amount), lasts.map(|lasts| at(self.now + lasts)));
                if !self.live.grants.contains_key(&grant) {
                    self.decide(AllowanceCommand::Grant { grant, amount, priority, expires_at }, self.now);
                }
            }
            Do::Govern { policy } => self.policy = policy,
            Do::Renew { late } => self.renew((self.now - late).max(0)),
            Do::Reserve { execution, amount } => self.reserve(execution, amount),
            Do::Burn { execution, amount } => self.burn(execution, amount),
            Do::Owe { amount } => {
                let owe = AllowanceCommand::Owe { execution: execution(0), amount: cents(amount) };
                self.decide(owe, self.now);
            }
            Do::Repay => {
                let (debt, available, usable) = (self.debt, self.available(), self.usable(self.now));
                let events = self.decide(AllowanceCommand::Repay { available: cents(available) }, self.now);
                assert_eq!(debt - self.debt, debt.min(available));
                assert_parts(&parts(&events), &usable, debt.min(available));
            }
        }
        self.check();
    }

    fn renew(&mut self, now: i64) {
        let again = |life: &Self| renewal(&life.live, life.policy.map(policy), now, life.available());
        let before = self.live.clone();
        let events = self.decide(again(self), now);
        self.check_rollover(&before, &events);
        if let Some((Mode::Lifetime, amount)) = self.policy {
            assert!(self.lifetime >= amount, "a policy that was raised is followed");
        }
        if let (Some((Mode::Monthly { .. }, _)), Some(last)) = (self.policy, self.live.period) {
            assert!(last.start >= month(now).start);
        }
        assert_eq!(self.decide(again(self), now), [], "what was renewed is renewed");
        let due = self.live.due_at().filter(|due| *due <= at(now));
        assert_eq!(due, None, "what was renewed is not due");
    }

    /// What a month is left with is carried whenever it comes back, as far as the policy says and the wallet has it.
    fn check_rollover(&self, before: &Allowance, events: &[AllowanceEvent]) {
        let Some((Mode::Monthly { rollover }, _)) = self.policy else { return };
        for happened in events {
            match (happened, rollover) {
                (AllowanceEvent::Expired { grant, moved, .. }, Rollover::Full) if !before.lapsed => {
                    let of_a_month =
                        before.grants.get(grant).is_some_and(|it| it.source == GrantSource::Period);
                    assert!(!of_a_month || moved.is_zero(), "nothing is lost of a month: {happened:?}");
                }
                (AllowanceEvent::Allocated { period: Some(_), carried, .. }, Rollover::Capped { most }) => {
                    let all = self.live.carried.minor();
                    assert!(carried.is_zero() || all <= most.minor(), "{happened:?} of {most}");
                }
                (AllowanceEvent::Allocated { carried, .. }, Rollover::None) => assert!(carried.is_zero()),
                _ => {}
            }
        }
    }

    fn reserve(&mut self, number: u8, amount: i64) {
        if amount > self.available() {
            return;
        }
        let usable = self.usable(self.now);
        let reserve = AllowanceCommand::Reserve { execution: execution(number), amount: cents(amount) };
        *self.held.entry(number).or_default() += amount;
        let events = self.decide(reserve, self.now);
        let parts = parts(&events);
        assert_parts(&parts, &usable, amount);
    }

    /// What of the money nothing holds and no grant gave; below zero, it was spent in another way.
    fn free_own(&self) -> i64 {
        let free: i64 = self.free(|_| true).into_iter().map(|(_, free)| free).sum();
        self.money - self.held.values().sum::<i64>() - free
    }

    fn burn(&mut self, number: u8, amount: i64) {
        let own = self.free_own();
        let promised = self.live.reserved.get(&execution(number)).cloned().unwrap_or_default();
        let promised_in_all = total(&promised);
        let usable = self.usable(self.now);
        let held = self.held.remove(&number).unwrap_or(0);
        let amount = amount.min(held + (self.money - self.held.values().sum::<i64>() - held).max(0));
        (self.money, self.own) = (self.money - amount, self.own - amount);
        let available = self.money - self.held.values().sum::<i64>();
        let (execution, all) = (execution(number), cents(amount));
        let burn = AllowanceCommand::Burn { execution, amount: all, available: cents(available) };
        let ended = self.free(|grant| grant.expires_at.is_some_and(|end| end <= at(self.now)));
        let events = self.live.decide(burn, at(self.now)).unwrap();
        let parts = parts(&events);
        assert_eq!(events.is_empty(), promised.is_empty() && parts.is_empty());
        let promised: Vec<_> = promised.iter().map(|part| (part.grant, minor(part.amount))).collect();
        let in_order: Vec<_> = promised.into_iter().chain(usable).collect();
        // Then the wallet's own, and then what ended grants have left in it.
        let granted = amount.min(in_order.iter().map(|(_, there)| there).sum());
        let borne = own + held - promised_in_all;
        let of_ended = (amount - granted - borne.max(0)).clamp(0, ended.iter().map(|(_, there)| there).sum());
        let in_order: Vec<_> = in_order.into_iter().chain(ended).collect();
        assert_parts(&parts, &in_order, granted + of_ended);
        for happened in &events {
            self.kept.push(happened.clone());
            self.live.apply(happened.clone());
            self.count(happened);
        }
        assert!(!self.live.reserved.contains_key(&execution));
        assert!(self.free_own() >= own.min(0), "no call takes of what comes in later");
    }
}

/// What was promised or used.
fn parts(events: &[AllowanceEvent]) -> Vec<Part> {
    assert!(events.len() <= 1, "{events:?}");
    match events.first() {
        Some(
            AllowanceEvent::Reserved { parts, .. }
            | AllowanceEvent::Burned { parts, .. }
            | AllowanceEvent::DebtRepaid { parts, .. },
        ) => parts.clone(),
        other => {
            assert!(matches!(other, None | Some(AllowanceEvent::Returned { .. })), "{other:?}");
            vec![]
        }
    }
}

/// `parts` are what one takes who goes through `from` until `amount` is reached.
fn assert_parts(parts: &[Part], from: &[(GrantId, i64)], amount: i64) {
    let mut left = amount;
    let mut expected = Vec::new();
    for (grant, there) in from {
        let taken = left.min(*there);
        if taken > 0 {
            expected.push(Part { grant: *grant, amount: cents(taken) });
            left -= taken;
        }
    }
    assert_eq!(parts, expected);
}

#[test]
fn what_was_granted_is_used_expired_or_there_and_replays() {
    proptest!(config(256), |(commands in commands())| {
        let mut life = Life::begin();
        for command in &commands {
            life.step(command);
        }
        assert_replays(&life.kept, &life.live);
    });
}

/// What a number without grants has after each month: what is left, as far as it is carried, and the month's amount.
fn next_month(rest: i64, rollover: Rollover, amount: i64) -> i64 {
    let carried = match rollover {
        Rollover::None => 0,
        Rollover::Capped { most } => rest.min(minor(most)),
        Rollover::Full => rest,
    };
    carried + amount
}

#[test]
fn whoever_asks_rarely_has_what_they_have_who_ask_every_month() {
    let rollovers = prop_oneof![
        Just(Rollover::None),
        Just(Rollover::Full),
        (0..900_i64).prop_map(|most| Rollover::Capped { most: cents(most) })
    ];
    let calls = prop::collection::vec((0..3_500_i64, 0..700_i64, 1..3_u8), 1..25);
    proptest!(config(256), |(rollover in rollovers, amount in 0..500_i64, calls in calls)| {
        let mut life = Life::begin();
        life.policy = Some((Mode::Monthly { rollover }, amount));
        // The first month is granted at the beginning.
        let (mut rest, mut last) = (amount, 0);
        life.renew(0);
        for (wait, cost, times) in calls {
            life.now += wait;
            let present = life.now / MONTH;
            for _ in last..present {
                rest = next_month(rest, rollover, amount);
            }
            last = present;
            for _ in 0..times {
                life.renew(life.now);
            }
            prop_assert_eq!(life.money, rest);
            let usable: i64 = life.usable(life.now).iter().map(|(_, free)| free).sum();
            prop_assert_eq!(usable, rest);
            life.burn(1, cost);
            rest -= cost.min(rest);
            prop_assert_eq!(life.money, rest);
        }
    });
}
