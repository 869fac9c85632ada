//! Deciding one command on speculative state. In memory, without waiting; every check is here or in the domain.

mod allowance;
mod catalogue;
mod execution;
mod people;
mod transact;
mod user;

use domain::tenant::{TenantCommand, TenantRejection};
use domain::transaction::TransactionCommand;
use domain::wallet::{WalletCommand, WalletRejection};
use domain::{
    Amount, AssetCode, CatalogueId, Metadata, Tenant, TenantId, TransactionId, Wallet, WalletId, WalletPath,
};
use uuid::Uuid;

use self::transact::By;
use crate::request::{Command, Rejection, Resource};
use crate::workspace::{Stop, Workspace};

/// The command that is being decided: whose, and under which ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deciding {
    pub(crate) tenant: TenantId,
    /// The id that all its events carry. Transactions without a reference derive theirs from it.
    pub(crate) command_id: Uuid,
}

impl Deciding {
    /// The id of the `index`-th transaction that the command makes without a reference: the command's own id
    /// for the first, derived ones for the rest. The same at every attempt.
    fn transaction_id(&self, index: usize) -> TransactionId {
        if index == 0 {
            return TransactionId(self.command_id);
        }
        TransactionId(Uuid::new_v5(&self.command_id, &index.to_be_bytes()))
    }
}

/// The streams that a command is sure to need, for loading them with the rest of its batch.
pub(crate) fn needs(tenant: TenantId, command: &Command, ids: &mut Vec<Uuid>) {
    ids.push(tenant.0);
    match command {
        Command::CreateTenant { .. } | Command::RegisterAsset { .. } | Command::Tenant(_) => {}
        Command::User { id, .. } => ids.push(id.0),
        Command::Application { id, .. } => ids.push(id.0),
        Command::OpenWallet { path, .. }
        | Command::FreezeWallet { path }
        | Command::UnfreezeWallet { path }
        | Command::CloseWallet { path } => ids.push(WalletId::of(tenant, path).0),
        Command::Transact(request) => transact::needs(tenant, request, ids),
        Command::Batch(requests) => {
            for request in requests {
                transact::needs(tenant, request, ids);
            }
        }
        Command::Settle { id, .. }
        | Command::Release { id }
        | Command::Expire { id }
        | Command::Reverse { id, .. } => ids.push(id.0),
        Command::Catalogue(_) => ids.push(CatalogueId::of(tenant).0),
        Command::Allowance { path, .. } => allowance::needs(tenant, path, ids),
        Command::Execute { id, call } => {
            ids.push(id.0);
            allowance::needs(tenant, &call.wallet, ids);
        }
        Command::ExtendExecution { id, .. }
        | Command::FinishExecution { id, .. }
        | Command::ExpireExecution { id } => ids.push(id.0),
    }
}

/// Decides `command`: its events are in the workspace, and what it made or changed is returned.
pub(crate) fn execute(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    command: &Command,
) -> Result<Resource, Stop> {
    let tenant = deciding.tenant;
    match command {
        Command::CreateTenant { slug, name, owner } => {
            people::create_tenant(workspace, deciding, slug, name, *owner)
        }
        Command::Tenant(command) => change_tenant(workspace, deciding, command.clone()),
        Command::User { id, command } => people::user(workspace, deciding, *id, command.clone()),
        Command::Application { id, command } => {
            people::application(workspace, deciding, *id, command.clone())
        }
        Command::RegisterAsset { code, scale } => {
            let register = TenantCommand::RegisterAsset { code: code.clone(), scale: *scale };
            change_tenant(workspace, deciding, register)
        }
        Command::OpenWallet { path, asset, minimum, metadata } => {
            let known = writable_tenant(workspace, tenant)?;
            let open = opening(known, path, asset, *minimum, metadata.clone())?;
            change_wallet(workspace, deciding, path, open)
        }
        Command::FreezeWallet { path } => existing_wallet(workspace, deciding, path, WalletCommand::Freeze),
        Command::UnfreezeWallet { path } => {
            existing_wallet(workspace, deciding, path, WalletCommand::Unfreeze)
        }
        Command::CloseWallet { path } => existing_wallet(workspace, deciding, path, WalletCommand::Close),
        Command::Transact(request) => {
            let made = transact::make(workspace, deciding, 0, request)?;
            Ok(Resource::Transactions(vec![made]))
        }
        Command::Batch(requests) => {
            let mut made = Vec::with_capacity(requests.len());
            for (index, request) in requests.iter().enumerate() {
                made.push(transact::make(workspace, deciding, index, request).map_err(
                    |stop| match stop {
                        Stop::Rejected(rejection) => {
                            Stop::Rejected(Rejection::InBatch { index, rejection: Box::new(rejection) })
                        }
                        stop => stop,
                    },
                )?);
            }
            Ok(Resource::Transactions(made))
        }
        Command::Settle { id, amounts } => {
            let settle = TransactionCommand::Settle { amounts: amounts.clone() };
            transact::advance(workspace, deciding, *id, settle, By::Caller)
        }
        Command::Release { id } => {
            transact::advance(workspace, deciding, *id, TransactionCommand::Release, By::Caller)
        }
        Command::Expire { id } => {
            transact::advance(workspace, deciding, *id, TransactionCommand::Expire, By::Time)
        }
        Command::Reverse { id, amounts } => {
            let reverse = TransactionCommand::Reverse { amounts: amounts.clone() };
            transact::advance(workspace, deciding, *id, reverse, By::Caller)
        }
        Command::Catalogue(command) => catalogue::change(workspace, deciding, command.clone()),
        Command::Allowance { path, change } => allowance::change(workspace, deciding, path, change),
        Command::Execute { id, call } => execution::request(workspace, deciding, *id, call),
        Command::ExtendExecution { id, estimate } => execution::extend(workspace, deciding, *id, estimate),
        Command::FinishExecution { id, finished } => execution::finish(workspace, deciding, *id, finished),
        Command::ExpireExecution { id } => execution::expire(workspace, deciding, *id),
    }
}

fn existing_tenant<'w>(workspace: &'w mut Workspace<'_>, id: TenantId) -> Result<&'w Tenant, Stop> {
    let tenant = workspace.look::<Tenant>(id.0)?.filter(|tenant| tenant.exists());
    tenant.ok_or_else(|| TenantRejection::NotFound.into())
}

/// The tenant of a command that is refused while the tenant is suspended, and after it was closed.
fn writable_tenant<'w>(workspace: &'w mut Workspace<'_>, id: TenantId) -> Result<&'w Tenant, Stop> {
    let tenant = existing_tenant(workspace, id)?;
    tenant.writable()?;
    Ok(tenant)
}

fn change_tenant(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    command: TenantCommand,
) -> Result<Resource, Stop> {
    let Deciding { tenant, command_id } = deciding;
    let now = workspace.now;
    let event = workspace.get::<Tenant>(tenant.0)?.decide(command, now)?;
    workspace.emit::<Tenant>(tenant.0, command_id, tenant.0, event)?;
    Ok(Resource::Tenant(tenant, workspace.get(tenant.0)?))
}

/// The command that opens a wallet, its asset looked up and its minimum brought to the asset's scale.
fn opening(
    tenant: &Tenant,
    path: &WalletPath,
    asset: &AssetCode,
    minimum: Option<Amount>,
    metadata: Metadata,
) -> Result<WalletCommand, Stop> {
    let scale = *tenant.assets.get(asset).ok_or_else(|| Rejection::UnknownAsset(asset.clone()))?;
    let minimum = match minimum {
        Some(amount) => Some(amount.at_scale(scale).map_err(Rejection::Minimum)?),
        None if path.is_system() => None,
        None => Some(Amount::zero(scale)),
    };
    Ok(WalletCommand::Open { path: path.clone(), asset: asset.clone(), scale, minimum, metadata })
}

fn existing_wallet(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    path: &WalletPath,
    command: WalletCommand,
) -> Result<Resource, Stop> {
    writable_tenant(workspace, deciding.tenant)?;
    let wallet: Wallet = workspace.get(WalletId::of(deciding.tenant, path).0)?;
    if !wallet.exists() {
        // Before it exists the aggregate does not know its own path.
        return Err(WalletRejection::NotFound(path.clone()).into());
    }
    let due: Vec<_> = wallet.due(workspace.now).collect();
    if !due.is_empty() {
        return Err(Stop::Due(due));
    }
    change_wallet(workspace, deciding, path, command)
}

fn change_wallet(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    path: &WalletPath,
    command: WalletCommand,
) -> Result<Resource, Stop> {
    let Deciding { tenant, command_id } = deciding;
    let id = WalletId::of(tenant, path);
    let event = workspace.get::<Wallet>(id.0)?.decide(command)?;
    workspace.emit::<Wallet>(tenant.0, command_id, id.0, event)?;
    Ok(Resource::Wallet(id, workspace.get(id.0)?))
}
