//! The allowance: what a wallet was granted to use, and what it owes.
//!
//! The money itself is in the wallet. An allowance knows which part of it came by which grant, so that it is used in the right
//! order and what is left of a grant can be taken back when its time is over; what no grant covers is the wallet's own. Each
//! step of an allowance is committed together with the transactions that move the money.

mod command;
mod event;
mod grant;
mod rejection;
mod renew;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::AllowanceCommand;
pub use event::AllowanceEvent;
pub use grant::{Grant, GrantSource, Part, Period};
pub use rejection::AllowanceRejection;

use crate::{
    AllowanceId, Amount, AssetCode, ExecutionId, GrantId, LevelName, Moment, Scale, UserRef, WalletPath,
};
use grant::{difference, least, sum};

/// How many grants a wallet can have at a time.
pub const MAX_GRANTS: usize = 1_000;

/// An allowance's state. The default is one of which nothing was ever said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowance {
    /// Its id.
    pub id: AllowanceId,
    /// The wallet; empty while nothing was said.
    pub wallet: WalletPath,
    /// The wallet's asset.
    pub asset: AssetCode,
    /// The asset's scale.
    pub scale: Scale,
    /// The level of service.
    pub level: Option<LevelName>,
    /// The user.
    pub user: Option<UserRef>,
    /// The last period for which something was allocated.
    pub period: Option<Period>,
    /// Whether that period ended without a policy to follow it. Nothing falls due by its end then.
    #[serde(default)]
    pub lapsed: bool,
    /// What came into that period from those before it, asked for or not.
    #[serde(default)]
    pub carried: Amount,
    /// What was allocated once.
    pub lifetime: Amount,
    /// The grants that are not used up or over.
    pub grants: Arc<BTreeMap<GrantId, Grant>>,
    /// What is promised to executions that go on.
    pub reserved: Arc<BTreeMap<ExecutionId, Vec<Part>>>,
    /// What it owes.
    pub debt: Amount,
}

impl Allowance {
    /// Whether anything was said of it.
    pub fn exists(&self) -> bool {
        !self.wallet.as_str().is_empty()
    }

    /// When time does something to it by itself: a grant or the period ends. Nothing is known of a policy here.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        let grants = self.grants.values().filter(|grant| grant.free().is_positive());
        let ends = grants.filter_map(|grant| grant.expires_at);
        ends.chain(self.period.filter(|_| !self.lapsed).map(|period| period.end)).min()
    }

    /// The grants in the order in which they are used.
    pub fn in_order(&self) -> impl Iterator<Item = (GrantId, &Grant)> {
        let mut grants: Vec<_> = self.grants.iter().map(|(id, grant)| (*id, grant)).collect();
        grants.sort_unstable_by_key(|(id, grant)| grant.order(*id));
        grants.into_iter()
    }

    /// Decides a command at `now`.
    ///
    /// # Errors
    /// The first [`AllowanceRejection`] that applies, in the order of that enum.
    pub fn decide(
        &self,
        command: AllowanceCommand,
        now: DateTime<Utc>,
    ) -> Result<Vec<AllowanceEvent>, AllowanceRejection> {
        if let AllowanceCommand::Assign { id, wallet, asset, scale, level, user } = command {
            if wallet.is_system() {
                return Err(AllowanceRejection::SystemWallet);
            }
            return Ok(vec![AllowanceEvent::Assigned { id, wallet, asset, scale, level, user }]);
        }
        if !self.exists() {
            return Err(AllowanceRejection::NotFound);
        }
        Ok(match command {
            AllowanceCommand::Assign { .. } => Vec::new(),
            AllowanceCommand::Grant { grant, amount, priority, expires_at } => {
                if self.grants.contains_key(&grant) {
                    return Err(AllowanceRejection::GrantExists);
                }
                if !amount.is_positive() {
                    return Err(AllowanceRejection::NotPositive);
                }
                if expires_at.is_some_and(|at| at <= now) {
                    return Err(AllowanceRejection::ExpiryInThePast);
                }
                if self.grants.len() >= MAX_GRANTS {
                    return Err(AllowanceRejection::TooManyGrants);
                }
                vec![AllowanceEvent::Granted { grant, amount, priority, expires_at }]
            }
            AllowanceCommand::Renew { policy, period, available } => {
                self.renew(policy.as_ref(), period, available, now)
            }
            AllowanceCommand::Reserve { execution, amount } => {
                let parts = self.parts(amount, now);
                if parts.is_empty() { vec![] } else { vec![AllowanceEvent::Reserved { execution, parts }] }
            }
            AllowanceCommand::Burn { execution, amount, available } => {
                self.burn(execution, (amount, available), now)
            }
            AllowanceCommand::Owe { amount, .. } if !amount.is_positive() => vec![],
            AllowanceCommand::Owe { execution, amount } => {
                vec![AllowanceEvent::Indebted { execution, amount }]
            }
            AllowanceCommand::Repay { available } => {
                let amount = least(self.debt, available);
                // Grants pay as they would have paid for the call: a grant that came in and went to a debt is used.
                let parts = self.parts(amount, now);
                let repaid = AllowanceEvent::DebtRepaid { amount, parts };
                if amount.is_positive() { vec![repaid] } else { vec![] }
            }
            AllowanceCommand::Exceed { execution, short } => {
                vec![AllowanceEvent::Exceeded { execution, short }]
            }
        })
    }
}

impl Aggregate for Allowance {
    const TYPE: &'static str = "allowance";
    type Command = AllowanceCommand;
    type Event = AllowanceEvent;
    type Error = AllowanceRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: AllowanceCommand,
        moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), AllowanceRejection> {
        for event in self.decide(command, moment.0)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: AllowanceEvent) {
        match event {
            AllowanceEvent::Assigned { id, wallet, asset, scale, level, user } => {
                if !self.exists() {
                    self.id = id;
                    let nothing = Amount::zero(scale);
                    (self.carried, self.lifetime, self.debt) = (nothing, nothing, nothing);
                }
                (self.wallet, self.asset, self.scale) = (wallet, asset, scale);
                (self.level, self.user) = (level, user);
            }
            AllowanceEvent::Allocated { grant, period, added, carried, carried_from, missed } => {
                self.allocate(grant, period, added, (carried, carried_from), missed);
            }
            AllowanceEvent::Granted { grant, amount, priority, expires_at } => {
                let reserved = Amount::zero(amount.scale());
                let (remaining, source) = (amount, GrantSource::Given);
                let state = Grant { amount, remaining, reserved, priority, expires_at, source };
                Arc::make_mut(&mut self.grants).insert(grant, state);
            }
            AllowanceEvent::Expired { grant, amount, .. } => self.end(grant, amount),
            AllowanceEvent::Reserved { execution, parts } => {
                for part in &parts {
                    self.change(part.grant, |grant| grant.reserved = sum(grant.reserved, part.amount));
                }
                Arc::make_mut(&mut self.reserved).entry(execution).or_default().extend(parts);
            }
            AllowanceEvent::Burned { execution, parts } => {
                self.give_back(execution);
                self.use_up(&parts);
            }
            AllowanceEvent::Returned { execution } => self.give_back(execution),
            AllowanceEvent::Indebted { amount, .. } => self.debt = sum(self.debt, amount),
            AllowanceEvent::DebtRepaid { amount, parts } => {
                self.debt = difference(self.debt, amount);
                self.use_up(&parts);
            }
            AllowanceEvent::Exceeded { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
