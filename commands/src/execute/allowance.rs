//! Changing what a wallet may use.

use domain::allowance::AllowanceCommand;
use domain::catalogue::CatalogueRejection;
use domain::{AllowanceId, CatalogueId, TenantId, WalletId, WalletPath};
use uuid::Uuid;

use super::user::User;
use super::{Deciding, writable_tenant};
use crate::request::{AllowanceChange, Rejection, Resource};
use crate::workspace::{Stop, Workspace};

pub(super) fn needs(tenant: TenantId, path: &WalletPath, ids: &mut Vec<Uuid>) {
    let wallet = WalletId::of(tenant, path);
    ids.extend([CatalogueId::of(tenant).0, wallet.0, AllowanceId::of(wallet).0]);
}

pub(super) fn change(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    path: &WalletPath,
    change: &AllowanceChange,
) -> Result<Resource, Stop> {
    writable_tenant(workspace, deciding.tenant)?;
    let mut user = User::of(workspace, deciding, path, None)?;
    match change {
        AllowanceChange::Assign { level, user: name } => {
            if let Some(level) = level {
                let known = user.catalogue.levels.contains_key(level);
                known.then_some(()).ok_or(CatalogueRejection::LevelNotFound)?;
            }
            user.assign(workspace, level.clone(), name.clone())?;
            user.renew(workspace)?;
        }
        AllowanceChange::Grant { grant, amount, priority, expires_at } => {
            let amount = amount.at_scale(user.scale).map_err(Rejection::Single)?;
            user.begin(workspace)?;
            user.renew(workspace)?;
            let (grant, priority, expires_at) = (*grant, *priority, *expires_at);
            user.decide(workspace, AllowanceCommand::Grant { grant, amount, priority, expires_at })?;
            user.repay(workspace)?;
        }
        AllowanceChange::Renew => {
            if !user.renew(workspace)? {
                return Err(Rejection::NothingDue.into());
            }
        }
    }
    Ok(Resource::Allowance(user.id, workspace.get(user.id.0)?))
}
