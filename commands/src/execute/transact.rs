//! Deciding a transaction and its wallets together.

use domain::transaction::{
    Leg, NewTransaction, Posting, TransactionBody, TransactionCommand, TransactionEvent,
    TransactionRejection, legs,
};
use domain::wallet::{Movement, Step, WalletCommand};
use domain::{Amount, Metadata, MoneyError, Tenant, TenantId, Transaction, TransactionId, Wallet, WalletId};
use uuid::Uuid;

use super::{Deciding, existing_tenant, opening, writable_tenant};
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

pub(super) fn settle(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
    amounts: Option<Vec<Amount>>,
) -> Result<Resource, Stop> {
    let command = TransactionCommand::Settle { amounts };
    let finish = Finish { workspace, deciding, id, whatever_the_tenant: false };
    finish.run(command, |body, settled, held| {
        Ok(Step::Settle {
            amount: net(settled)?,
            outgoing: held.pays,
            incoming: held.receives,
            effective_at: body.effective_at,
            expires_at: body.expires_at,
        })
    })
}

pub(super) fn release(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
) -> Result<Resource, Stop> {
    Finish { workspace, deciding, id, whatever_the_tenant: false }.run(
        TransactionCommand::Release,
        |body, _, held| {
            Ok(Step::Release { outgoing: held.pays, incoming: held.receives, expires_at: body.expires_at })
        },
    )
}

/// Lets a hold expire. The one command that does not look for due holds first: it is what ends them.
pub(super) fn expire(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
) -> Result<Resource, Stop> {
    // What was promised until a time ends at that time, whatever has become of the tenant.
    Finish { workspace, deciding, id, whatever_the_tenant: true }.run(
        TransactionCommand::Expire,
        |body, _, held| {
            Ok(Step::Expire { outgoing: held.pays, incoming: held.receives, expires_at: body.expires_at })
        },
    )
}

pub(super) fn reverse(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
    amounts: Option<Vec<Amount>>,
) -> Result<Resource, Stop> {
    let command = TransactionCommand::Reverse { amounts };
    Finish { workspace, deciding, id, whatever_the_tenant: false }.run(command, |_, reversed, _| {
        let amount = net(reversed)?.checked_neg().map_err(too_large)?;
        Ok(Step::Reverse { amount, effective_at: None })
    })
}

/// Ends a hold of a metered call: what of it was used is settled, the rest released, whatever has become of the tenant since.
pub(super) fn use_up(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: TransactionId,
    used: Amount,
) -> Result<(), Stop> {
    let finish = Finish { workspace, deciding, id, whatever_the_tenant: true };
    if used.is_zero() {
        finish.run(TransactionCommand::Release, |body, _, held| {
            Ok(Step::Release { outgoing: held.pays, incoming: held.receives, expires_at: body.expires_at })
        })?;
    } else {
        let command = TransactionCommand::Settle { amounts: Some(vec![used]) };
        finish.run(command, |body, settled, held| {
            Ok(Step::Settle {
                amount: net(settled)?,
                outgoing: held.pays,
                incoming: held.receives,
                effective_at: body.effective_at,
                expires_at: body.expires_at,
            })
        })?;
    }
    Ok(())
}

/// A step of a transaction that exists already.
struct Finish<'w, 'c> {
    workspace: &'w mut Workspace<'c>,
    deciding: Deciding,
    id: TransactionId,
    /// Also in a tenant that is suspended or closed.
    whatever_the_tenant: bool,
}

impl Finish<'_, '_> {
    /// Decides `command` and has each wallet bear the step that `step` makes of its legs: what the command
    /// moves of it, and what the transaction was made with.
    fn run(
        self,
        command: TransactionCommand,
        step: impl Fn(&TransactionBody, &Leg, &Leg) -> Result<Step, Stop>,
    ) -> Result<Resource, Stop> {
        let Self { workspace, deciding, id, whatever_the_tenant } = self;
        let tenant = existing_tenant(workspace, deciding.tenant)?;
        if !whatever_the_tenant {
            tenant.writable()?;
        }
        let transaction: Transaction = workspace.get(id.0)?;
        if !workspace.belongs(id.0, deciding.tenant) {
            return Err(TransactionRejection::NotFound.into());
        }
        let body = transaction.body.clone();
        let original: Vec<Amount> = body.postings.iter().map(|posting| posting.amount).collect();
        let original = legs(&body.postings, &original).map_err(too_large)?;
        if !matches!(command, TransactionCommand::Expire) {
            touch(workspace, deciding.tenant, &original)?;
        }
        let event = transaction.decide(command, workspace.now)?;
        let moved = match &event {
            TransactionEvent::Settled { amounts } | TransactionEvent::Reversed { amounts } => {
                legs(&body.postings, amounts).map_err(too_large)?
            }
            _ => original.clone(),
        };
        let partial = matches!(event, TransactionEvent::Reversed { .. });
        workspace.require(original.iter().map(|leg| WalletId::of(deciding.tenant, &leg.path).0))?;
        workspace.emit::<Transaction>(deciding.tenant.0, deciding.command_id, id.0, event)?;
        for (moved, original) in moved.iter().zip(&original) {
            if partial && moved.pays.is_zero() && moved.receives.is_zero() {
                continue;
            }
            bear(workspace, deciding, id, original, step(&body, moved, original)?)?;
        }
        Ok(Resource::Transactions(vec![(id, workspace.get(id.0)?)]))
    }
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
