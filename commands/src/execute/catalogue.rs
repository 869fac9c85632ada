//! Deciding about what a tenant, or the platform, offers.

use domain::catalogue::{CatalogueCommand, CatalogueRejection, Mode, Rollover};
use domain::{Amount, AssetCode, Catalogue, CatalogueId, MoneyError, Tenant, TenantId};

use super::{Deciding, writable_tenant};
use crate::period;
use crate::request::{Rejection, Resource};
use crate::workspace::{Stop, Workspace};

pub(super) fn change(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    command: CatalogueCommand,
) -> Result<Resource, Stop> {
    let Deciding { tenant, command_id } = deciding;
    // The platform is no tenant: it has neither a status nor assets, and no policies.
    let owner = if tenant == TenantId::PLATFORM { None } else { Some(writable_tenant(workspace, tenant)?) };
    check(owner, &command)?;
    let id = CatalogueId::of(tenant);
    let now = workspace.now;
    let event = workspace.get::<Catalogue>(id.0)?.decide(command, now)?;
    workspace.emit::<Catalogue>(tenant.0, command_id, id.0, event)?;
    Ok(Resource::Catalogue(id, workspace.get(id.0)?))
}

/// What a catalogue cannot know by itself: which assets and time zones there are.
fn check(owner: Option<&Tenant>, command: &CatalogueCommand) -> Result<(), Rejection> {
    match (command, owner) {
        (CatalogueCommand::SetTimeZone { zone }, _) if period::zone(Some(zone)).is_none() => {
            Err(Rejection::UnknownTimeZone(zone.clone()))
        }
        (CatalogueCommand::SetPrice { asset, .. }, Some(owner)) => {
            owner.assets.get(asset).ok_or(CatalogueRejection::UnknownAsset)?;
            Ok(())
        }
        (CatalogueCommand::SetPolicy { policy, .. }, owner) => {
            fits(owner, &policy.asset, policy.amount)?;
            match policy.mode {
                Mode::Monthly { rollover: Rollover::Capped { most } } => fits(owner, &policy.asset, most),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether an amount is one of an asset that the tenant has.
fn fits(owner: Option<&Tenant>, asset: &AssetCode, amount: Amount) -> Result<(), Rejection> {
    let scale = owner.and_then(|owner| owner.assets.get(asset)).ok_or(CatalogueRejection::UnknownAsset)?;
    let fits: Result<Amount, MoneyError> = amount.at_scale(*scale);
    fits.map(|_| ()).map_err(Rejection::Single)
}
