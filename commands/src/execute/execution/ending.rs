//! How metered calls end: by what they came to, or by their time.

use domain::allowance::AllowanceCommand;
use domain::execution::{Attempt, ExecutionCommand, ExecutionRejection, Settled, Tranche};
use domain::transaction::TransactionStatus;
use domain::{Amount, AssetCode, Execution, ExecutionId, Scale, Transaction, TransactionId};

use super::super::user::{Bearer, DEBTS, User};
use super::super::{Deciding, existing_tenant, transact};
use super::{REVENUE, least, ours, pay, posting, resource, running, step};
use crate::request::{FinishedCall, Rejection, Resource, Tried};
use crate::workspace::{Stop, Workspace};

/// Ends a call and pays for it: from what is held, then from what the wallet has besides, and what is left is owed. What a
/// provider did is recorded whatever has become of the tenant and the wallet since, also when the call has expired: its holds
/// are released then, and it pays as far as the wallet has something.
pub(in crate::execute) fn finish(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: ExecutionId,
    finished: &FinishedCall,
) -> Result<Resource, Stop> {
    existing_tenant(workspace, deciding.tenant)?;
    let execution = ours(workspace, deciding, id)?;
    execution.finishable()?;
    let body = &execution.body;
    let mut user = User::of(workspace, deciding, &body.wallet, body.user.clone())?;
    if finished.paid.as_ref().is_some_and(|paid| paid.price.asset != body.asset) {
        return Err(ExecutionRejection::AssetMismatch.into());
    }
    let cost = match &finished.paid {
        // Of what nobody can have used as much is counted as can be: no end is refused for a number.
        Some(paid) => paid.price.cost(&finished.usage.countable(), user.scale).map_err(Rejection::Single)?,
        None => Amount::zero(user.scale),
    };
    let Shares { used, left, returned } = Shares::of(cost, &pending(workspace, &execution)?)?;
    let from_holds = cost.checked_sub(left).map_err(Rejection::Single)?;
    let overdrawn = least(left, user.available_with(workspace, returned)?);
    let debt = left.checked_sub(overdrawn).map_err(Rejection::Single)?;
    let named = |amount: Amount, what| amount.is_positive().then(|| TransactionId::of_execution(id, what));
    let settled = Box::new(Settled {
        provider: finished.paid.as_ref().map(|paid| paid.provider.clone()),
        model: finished.paid.as_ref().map(|paid| paid.model.clone()),
        usage: finished.usage,
        usage_source: finished.usage_source,
        price_version: finished.paid.as_ref().map(|paid| paid.price.version),
        cost,
        from_holds,
        overdrawn,
        debt,
        overdraw_transaction: named(overdrawn, "overdraw"),
        debt_transaction: named(debt, "debt"),
    });
    let (overdraw, owed) = (settled.overdraw_transaction, settled.debt_transaction);
    let attempts = finished.attempts.iter().map(|tried| counted(tried, &body.asset, user.scale)).collect();
    step(workspace, deciding, id, ExecutionCommand::Finish { attempts, end: finished.end, settled })?;
    for (transaction, part) in used {
        transact::use_up(workspace, deciding, transaction, part)?;
    }
    if let Some(transaction) = overdraw {
        let revenue = user.system(workspace, REVENUE, Bearer::InAnyCase(overdrawn))?;
        let posting = posting(&user, body.wallet.clone(), revenue, overdrawn);
        pay(workspace, deciding, id, transaction, posting, false)?;
    }
    if let Some(transaction) = owed {
        let revenue = user.system(workspace, REVENUE, Bearer::InAnyCase(debt))?;
        let debts = user.system(workspace, DEBTS, Bearer::InAnyCase(debt))?;
        let posting = posting(&user, debts, revenue, debt);
        pay(workspace, deciding, id, transaction, posting, false)?;
        user.begin(workspace)?;
        user.decide(workspace, AllowanceCommand::Owe { execution: id, amount: debt })?;
    }
    // The allowance is not brought up to date first, as it is where a call begins: what a renewal meets (a suspended tenant, a
    // wallet of the tenant's own that was frozen) would refuse an end. Nothing is lost or counted twice by that. What was
    // promised is used of the grants that promised it, though their time be over since. What is used beyond comes from the
    // grants that last, then from the wallet's own, and only then from what ended grants have left in it. The next renewal, by
    // whoever calls next or by the sweeper, ends the rest of them. Nor is a hard limit passed: who calls anew meets that
    // renewal first, and what is beyond the holds comes from money that was given to this wallet, or is owed.
    user.burn(workspace, id, from_holds.checked_add(overdrawn).map_err(Rejection::Single)?)?;
    resource(workspace, id)
}

/// A try with what it cost, where that can be said: also of one that failed, for which nobody is billed.
fn counted(Tried { attempt, price }: &Tried, asset: &AssetCode, scale: Scale) -> Attempt {
    let price = price.as_ref().filter(|price| price.asset == *asset);
    let cost = price.zip(attempt.usage).and_then(|(price, usage)| price.cost(&usage.countable(), scale).ok());
    Attempt { cost, ..attempt.clone() }
}

/// What holds pay of a cost, in their order.
struct Shares {
    used: Vec<(TransactionId, Amount)>,
    /// What they do not cover.
    left: Amount,
    /// What they give back.
    returned: Amount,
}

impl Shares {
    fn of(cost: Amount, holds: &[Tranche]) -> Result<Self, Stop> {
        let mut shares =
            Self { used: Vec::with_capacity(holds.len()), left: cost, returned: Amount::zero(cost.scale()) };
        for tranche in holds {
            let part = least(shares.left, tranche.held);
            shares.left = shares.left.checked_sub(part).map_err(Rejection::Single)?;
            let rest = tranche.held.checked_sub(part).map_err(Rejection::Single)?;
            shares.returned = shares.returned.checked_add(rest).map_err(Rejection::Single)?;
            shares.used.push((tranche.transaction, part));
        }
        Ok(shares)
    }
}

/// Ends a call whose time is over, and gives back what is held for it.
pub(in crate::execute) fn expire(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: ExecutionId,
) -> Result<Resource, Stop> {
    existing_tenant(workspace, deciding.tenant)?;
    let execution = running(workspace, deciding, id)?;
    let mut user = User::of(workspace, deciding, &execution.body.wallet, None)?;
    step(workspace, deciding, id, ExecutionCommand::Expire)?;
    for tranche in pending(workspace, &execution)? {
        transact::use_up(workspace, deciding, tranche.transaction, Amount::zero(tranche.held.scale()))?;
    }
    let nothing = Amount::zero(user.scale);
    user.burn(workspace, id, nothing)?;
    resource(workspace, id)
}

/// The holds of an execution that still hold something. Those of one that expired are released; and whatever became of a
/// hold, the call is paid and ends.
fn pending(workspace: &mut Workspace<'_>, execution: &Execution) -> Result<Vec<Tranche>, Stop> {
    workspace.require(execution.holds.iter().map(|tranche| tranche.transaction.0))?;
    let mut pending = Vec::with_capacity(execution.holds.len());
    for tranche in &execution.holds {
        if workspace.get::<Transaction>(tranche.transaction.0)?.status == TransactionStatus::Pending {
            pending.push(*tranche);
        }
    }
    Ok(pending)
}
