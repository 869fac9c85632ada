//! Deciding about metered calls, together with what holds and pays for them.

mod ending;

use domain::allowance::{AllowanceCommand, AllowanceRejection};
use domain::catalogue::Enforcement;
use domain::execution::{ExecutionBody, ExecutionCommand, ExecutionRejection};
use domain::transaction::{Posting, TransactionBody};
use domain::{Amount, Execution, ExecutionId, Metadata, MoneyError, TransactionId, Usage, WalletPath};
use serde_json::{Map, Value};

pub(super) use self::ending::{expire, finish};
use super::user::{Bearer, User};
use super::{Deciding, transact, writable_tenant};
use crate::request::{NewCall, Rejection, Resource, TransactionRequest};
use crate::workspace::{Stop, Workspace};

/// Who is paid for metered calls.
const REVENUE: &str = "@revenue";

/// What the metadata of a transaction says that an execution makes: which execution.
const EXECUTION: &str = "execution";

/// Begins a call: the request, and what holds for it.
pub(super) fn request(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: ExecutionId,
    call: &NewCall,
) -> Result<Resource, Stop> {
    writable_tenant(workspace, deciding.tenant)?;
    if workspace.look::<Execution>(id.0)?.is_some() {
        let ours = workspace.belongs(id.0, deciding.tenant);
        return Err(
            if ours { ExecutionRejection::AlreadyExists } else { ExecutionRejection::NotFound }.into()
        );
    }
    let mut user = User::of(workspace, deciding, &call.wallet, call.user.clone())?;
    user.usable(workspace)?;
    user.renew(workspace)?;
    let enforcement = user.enforcement(workspace)?;
    let quoted = call.quotes.iter().find(|quoted| quoted.price.asset == user.asset);
    if quoted.is_none() && !call.quotes.is_empty() {
        return Err(ExecutionRejection::AssetMismatch.into());
    }
    let needed = match quoted {
        Some(quoted) => quoted.price.cost(&call.estimate, user.scale).map_err(Rejection::Single)?,
        None => Amount::zero(user.scale),
    };
    let held = affordable(workspace, &user, &call.wallet, enforcement, needed)?;
    let hold = held.is_positive().then(|| TransactionId::of_execution(id, "hold/0"));
    let body = Box::new(ExecutionBody {
        wallet: call.wallet.clone(),
        asset: user.asset.clone(),
        requested_at: call.requested_at.map_or(workspace.now, |at| at.min(workspace.now)),
        application: call.application,
        user: call.user.clone(),
        model: call.model.clone(),
        operation: call.operation,
        fingerprint: call.fingerprint.clone(),
        estimate: call.estimate,
        basis: call.basis,
        quoted: quoted.cloned(),
        enforcement,
        expires_at: call.expires_at,
    });
    step(workspace, deciding, id, ExecutionCommand::Request { body, hold, held })?;
    let needs = Holding { id, hold, held, needed };
    reserve(workspace, &mut user, deciding, &call.wallet, &needs)?;
    resource(workspace, id)
}

/// Holds more for a call.
pub(super) fn extend(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: ExecutionId,
    estimate: &Usage,
) -> Result<Resource, Stop> {
    writable_tenant(workspace, deciding.tenant)?;
    let execution = running(workspace, deciding, id)?;
    let wallet = &execution.body.wallet;
    let mut user = User::of(workspace, deciding, wallet, execution.body.user.clone())?;
    user.usable(workspace)?;
    user.renew(workspace)?;
    let whole =
        execution.estimate.checked_add(estimate).ok_or(MoneyError::Overflow).map_err(Rejection::Single)?;
    let mut needed = match &execution.body.quoted {
        Some(quoted) => quoted.price.cost(&whole, user.scale).map_err(Rejection::Single)?,
        None => Amount::zero(user.scale),
    };
    for tranche in &execution.holds {
        needed = needed.checked_sub(tranche.held).map_err(Rejection::Single)?;
    }
    if needed.is_negative() {
        needed = Amount::zero(user.scale);
    }
    let held = affordable(workspace, &user, wallet, execution.body.enforcement, needed)?;
    let name = format!("hold/{}", execution.extensions + 1);
    let hold = held.is_positive().then(|| TransactionId::of_execution(id, &name));
    step(workspace, deciding, id, ExecutionCommand::Extend { estimate: *estimate, hold, held })?;
    let needs = Holding { id, hold, held, needed };
    reserve(workspace, &mut user, deciding, wallet, &needs)?;
    resource(workspace, id)
}

/// What is to be held for a call.
struct Holding {
    id: ExecutionId,
    hold: Option<TransactionId>,
    held: Amount,
    needed: Amount,
}

/// How much of `needed` can be held: all of it, or, where nothing is enforced, what there is.
fn affordable(
    workspace: &mut Workspace<'_>,
    user: &User,
    path: &WalletPath,
    enforcement: Enforcement,
    needed: Amount,
) -> Result<Amount, Stop> {
    let available = user.available(workspace)?;
    if enforcement == Enforcement::Hard {
        let debt = user.allowance(workspace)?.debt;
        let wallet = path.clone();
        if debt.is_positive() {
            return Err(AllowanceRejection::InDebt { wallet, debt }.into());
        }
        if available.minor() < needed.minor() {
            return Err(AllowanceRejection::Exhausted { wallet, available, needed }.into());
        }
    }
    Ok(least(needed, available))
}

/// Holds, promises parts of grants, and notes what was let through.
fn reserve(
    workspace: &mut Workspace<'_>,
    user: &mut User,
    deciding: Deciding,
    wallet: &WalletPath,
    &Holding { id, hold, held, needed }: &Holding,
) -> Result<(), Stop> {
    if let Some(transaction) = hold {
        let revenue = user.system(workspace, REVENUE, Bearer::AsItIs)?;
        let posting = posting(user, wallet.clone(), revenue, held);
        pay(workspace, deciding, id, transaction, posting, true)?;
        if user.allowance(workspace)?.exists() {
            user.decide(workspace, AllowanceCommand::Reserve { execution: id, amount: held })?;
        }
    }
    let short = needed.checked_sub(held).map_err(Rejection::Single)?;
    if short.is_positive() {
        user.begin(workspace)?;
        user.decide(workspace, AllowanceCommand::Exceed { execution: id, short })?;
    }
    Ok(())
}

fn posting(user: &User, from: WalletPath, to: WalletPath, amount: Amount) -> Posting {
    Posting { from, to, amount, asset: user.asset.clone() }
}

/// Makes a transaction of an execution, or holds it.
fn pay(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    execution: ExecutionId,
    id: TransactionId,
    posting: Posting,
    pending: bool,
) -> Result<(), Stop> {
    let mut facts = Map::new();
    facts.insert(EXECUTION.to_owned(), Value::String(execution.to_string()));
    let metadata = Metadata::new(facts).map_err(|error| Stop::Broken(error.to_string()))?;
    let postings = vec![posting];
    let request = TransactionRequest { postings, pending, metadata, ..TransactionRequest::default() };
    workspace.fresh(id.0);
    transact::make_as(workspace, deciding, id, &request).map(|_| ())
}

/// The running execution that holds by a transaction. The transaction says which that would be; but its metadata is whatever
/// its maker wrote, so the execution is asked.
pub(super) fn held_by(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
    body: &TransactionBody,
) -> Result<Option<ExecutionId>, Stop> {
    let named = body.metadata.as_map().get(EXECUTION).and_then(Value::as_str);
    let Some(named) = named.and_then(|text| text.parse().ok()).map(ExecutionId) else {
        return Ok(None);
    };
    let holds = workspace.look::<Execution>(named.0)?.is_some_and(|execution| execution.holds_by(id));
    Ok((holds && workspace.belongs(named.0, deciding.tenant)).then_some(named))
}

/// An execution of this tenant.
fn ours(workspace: &mut Workspace<'_>, deciding: Deciding, id: ExecutionId) -> Result<Execution, Stop> {
    let execution: Execution = workspace.get(id.0)?;
    if !workspace.belongs(id.0, deciding.tenant) {
        return Err(ExecutionRejection::NotFound.into());
    }
    Ok(execution)
}

/// An execution of this tenant that goes on.
fn running(workspace: &mut Workspace<'_>, deciding: Deciding, id: ExecutionId) -> Result<Execution, Stop> {
    let execution = ours(workspace, deciding, id)?;
    execution.running()?;
    Ok(execution)
}

/// Decides a step of the execution itself.
fn step(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: ExecutionId,
    command: ExecutionCommand,
) -> Result<(), Stop> {
    let now = workspace.now;
    for event in workspace.get::<Execution>(id.0)?.decide(command, now)? {
        workspace.emit::<Execution>(deciding.tenant.0, deciding.command_id, id.0, event)?;
    }
    Ok(())
}

fn resource(workspace: &mut Workspace<'_>, id: ExecutionId) -> Result<Resource, Stop> {
    Ok(Resource::Execution(id, Box::new(workspace.get(id.0)?)))
}

fn least(a: Amount, b: Amount) -> Amount {
    if a.minor() <= b.minor() { a } else { b }
}
