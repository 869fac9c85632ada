//! Deciding a transaction and its wallets together.

use domain::transaction::{
    Leg, NewTransaction, Posting, TransactionBody, TransactionCommand, TransactionEvent,
    TransactionRejection, legs,
};
use domain::wallet::{Movement, Step, WalletCommand};
use domain::{Amount, Metadata, MoneyError, Tenant, TenantId, Transaction, TransactionId, Wallet, WalletId};
use uuid::Uuid;

use super::{Deciding, execution, existing_tenant, opening, writable_tenant};
use crate::request::{Rejection, Resource, TransactionRequest};
use crate::workspace::{Stop, Workspace};

pub(super) fn needs(tenant: TenantId, request: &TransactionRequest, ids: &mut Vec<Uuid>) {
    if let Some(reference) = &request.reference {
        ids.push(TransactionId::of(tenant, reference).0);
    }
    for Posting { from, to, .. } in &request.postings {
        ids.push(WalletId::of(tenant, from).0);
        ids.push(WalletId::of(tenant, to).0);
    }
}

/// Makes the `index`-th transaction of a command.
pub(super) fn make(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    index: usize,
    request: &TransactionRequest,
) -> Result<(TransactionId, Transaction), Stop> {
    writable_tenant(workspace, deciding.tenant)?;
    let id = match &request.reference {
        Some(reference) => TransactionId::of(deciding.tenant, reference),
        None => {
            let id = deciding.transaction_id(index);
            workspace.fresh(id.0);
            id
        }
    };
    make_as(workspace, deciding, id, request)
}

/// Makes a transaction under an id that is given, also in a tenant that is suspended or closed.
pub(super) fn make_as(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
    request: &TransactionRequest,
) -> Result<(TransactionId, Transaction), Stop> {
    let new = scaled(existing_tenant(workspace, deciding.tenant)?, request)?;
    let amounts: Vec<Amount> = new.postings.iter().map(|posting| posting.amount).collect();
    let (expires_at, effective_at) = (new.expires_at, new.effective_at);
    let adjustment = new.adjustment.is_some();
    let command = if request.pending { TransactionCommand::Hold(new) } else { TransactionCommand::Post(new) };
    let event = workspace.get::<Transaction>(id.0)?.decide(command, workspace.now)?;
    let (TransactionEvent::Posted(body) | TransactionEvent::Held(body)) = &event else {
        return Err(Stop::Broken(format!("{event:?} does not make a transaction")));
    };
    let legs = legs(&body.postings, &amounts).map_err(|source| Rejection::Amount { index: 0, source })?;
    touch(workspace, deciding.tenant, &legs)?;
    workspace.emit::<Transaction>(deciding.tenant.0, deciding.command_id, id.0, event)?;
    for leg in &legs {
        open_if_missing(workspace, deciding, leg, request.open_wallets)?;
        let step = if request.pending {
            Step::Hold { outgoing: leg.pays, incoming: leg.receives, expires_at }
        } else {
            Step::Post { amount: net(leg)?, effective_at, adjustment }
        };
        bear(workspace, deciding, id, leg, step)?;
    }
    Ok((id, workspace.get(id.0)?))
}

/// On whose word a step of a transaction is taken that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Somebody asks for it. Refused in a tenant that is suspended or closed, and where a call that is running holds by it.
    Caller,
    /// The metered call that it belongs to ends: what it used is used, whatever has become of the tenant since.
    Execution,
    /// Its time is over: what was promised until a time ends at that time, whatever has become of the tenant.
    Time,
}

/// Takes a step of a transaction that exists already, with all its wallets.
pub(super) fn advance(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
    command: TransactionCommand,
    by: By,
) -> Result<Resource, Stop> {
    let tenant = existing_tenant(workspace, deciding.tenant)?;
    if by == By::Caller {
        tenant.writable()?;
    }
    let transaction: Transaction = workspace.get(id.0)?;
    if !workspace.belongs(id.0, deciding.tenant) {
        return Err(TransactionRejection::NotFound.into());
    }
    let body = transaction.body.clone();
    if by == By::Caller
        && let Some(execution) = execution::held_by(workspace, deciding, id, &body)?
    {
        return Err(Rejection::HoldOfExecution(execution).into());
    }
    let original: Vec<Amount> = body.postings.iter().map(|posting| posting.amount).collect();
    let original = legs(&body.postings, &original).map_err(too_large)?;
    // The one step that does not look for due holds first: it is what ends them.
    if by != By::Time {
        touch(workspace, deciding.tenant, &original)?;
    }
    let event = transaction.decide(command, workspace.now)?;
    let moved = match &event {
        TransactionEvent::Settled { amounts } | TransactionEvent::Reversed { amounts } => {
            legs(&body.postings, amounts).map_err(too_large)?
        }
        _ => original.clone(),
    };
    let steps = moved.iter().zip(&original).map(|(moved, original)| borne(&event, &body, moved, original));
    let steps: Vec<Option<Step>> = steps.collect::<Result<_, Stop>>()?;
    workspace.require(original.iter().map(|leg| WalletId::of(deciding.tenant, &leg.path).0))?;
    workspace.emit::<Transaction>(deciding.tenant.0, deciding.command_id, id.0, event)?;
    for (leg, step) in original.iter().zip(steps) {
        if let Some(step) = step {
            bear(workspace, deciding, id, leg, step)?;
        }
    }
    Ok(Resource::Transactions(vec![(id, workspace.get(id.0)?)]))
}

/// Ends a hold of a metered call: what of it was used is settled, the rest released.
pub(super) fn use_up(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
    used: Amount,
) -> Result<(), Stop> {
    let command = if used.is_zero() {
        TransactionCommand::Release
    } else {
        TransactionCommand::Settle { amounts: Some(vec![used]) }
    };
    advance(workspace, deciding, id, command, By::Execution).map(|_| ())
}

/// What an event of a transaction is to one of its wallets: `moved` of the leg that it was made with. Nothing where the event
/// is about other wallets alone.
fn borne(
    event: &TransactionEvent,
    body: &TransactionBody,
    moved: &Leg,
    made: &Leg,
) -> Result<Option<Step>, Stop> {
    let (outgoing, incoming, expires_at) = (made.pays, made.receives, body.expires_at);
    Ok(Some(match event {
        TransactionEvent::Settled { .. } => {
            let (amount, effective_at) = (net(moved)?, body.effective_at);
            Step::Settle { amount, outgoing, incoming, effective_at, expires_at }
        }
        TransactionEvent::Released {} => Step::Release { outgoing, incoming, expires_at },
        TransactionEvent::Expired {} => Step::Expire { outgoing, incoming, expires_at },
        TransactionEvent::Reversed { .. } if moved.pays.is_zero() && moved.receives.is_zero() => {
            return Ok(None);
        }
        TransactionEvent::Reversed { .. } => {
            Step::Reverse { amount: net(moved)?.checked_neg().map_err(too_large)?, effective_at: None }
        }
        TransactionEvent::Posted(_) | TransactionEvent::Held(_) => {
            return Err(Stop::Broken(format!("{event:?} is no step of a transaction that exists")));
        }
    }))
}

/// The postings with their amounts in the scale of their assets.
fn scaled(tenant: &Tenant, request: &TransactionRequest) -> Result<NewTransaction, Rejection> {
    let postings = request.postings.iter().enumerate().map(|(index, posting)| {
        let asset = &posting.asset;
        let scale = *tenant.assets.get(asset).ok_or_else(|| Rejection::UnknownAsset(asset.clone()))?;
        let amount = posting.amount.at_scale(scale).map_err(|source| Rejection::Amount { index, source })?;
        Ok(Posting { amount, ..posting.clone() })
    });
    Ok(NewTransaction {
        postings: postings.collect::<Result<_, Rejection>>()?,
        reference: request.reference.clone(),
        effective_at: request.effective_at,
        expires_at: request.expires_at,
        adjustment: request.adjustment.clone(),
        metadata: request.metadata.clone(),
    })
}

/// Makes sure that the wallets are in memory and that none of their holds is overdue.
fn touch(workspace: &mut Workspace<'_>, tenant: TenantId, legs: &[Leg]) -> Result<(), Stop> {
    let ids: Vec<Uuid> = legs.iter().map(|leg| WalletId::of(tenant, &leg.path).0).collect();
    workspace.require(ids.iter().copied())?;
    let mut due = Vec::new();
    for id in ids {
        let now = workspace.now;
        // A hold on several of the wallets is due once.
        if let Some(wallet) = workspace.look::<Wallet>(id)? {
            let more: Vec<_> = wallet.due(now).filter(|one| !due.contains(one)).collect();
            due.extend(more);
        }
    }
    if due.is_empty() { Ok(()) } else { Err(Stop::Due(due)) }
}

fn open_if_missing(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    leg: &Leg,
    open_wallets: bool,
) -> Result<(), Stop> {
    let id = WalletId::of(deciding.tenant, &leg.path);
    if !(open_wallets || leg.path.is_system()) || workspace.look::<Wallet>(id.0)?.is_some_and(Wallet::exists)
    {
        return Ok(());
    }
    let tenant = existing_tenant(workspace, deciding.tenant)?;
    let open = opening(tenant, &leg.path, &leg.asset, None, Metadata::default())?;
    let event = Wallet::default().decide(open)?;
    workspace.emit::<Wallet>(deciding.tenant.0, deciding.command_id, id.0, event)
}

fn bear(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    transaction_id: TransactionId,
    leg: &Leg,
    step: Step,
) -> Result<(), Stop> {
    let id = WalletId::of(deciding.tenant, &leg.path);
    let movement = Movement { transaction_id, path: leg.path.clone(), asset: leg.asset.clone(), step };
    let command = WalletCommand::Move(movement);
    let event = match workspace.look::<Wallet>(id.0)? {
        Some(wallet) => wallet.decide(command)?,
        None => Wallet::default().decide(command)?,
    };
    workspace.emit::<Wallet>(deciding.tenant.0, deciding.command_id, id.0, event)
}

fn net(leg: &Leg) -> Result<Amount, Stop> {
    leg.net().map_err(too_large)
}

fn too_large(source: MoneyError) -> Stop {
    Rejection::Amount { index: 0, source }.into()
}
