//! Deciding about who comes to the ledger: a tenant's first owner, users, and applications with their keys.

use domain::application::{ApplicationCommand, ApplicationRejection};
use domain::tenant::TenantCommand;
use domain::user::{UserCommand, UserRejection};
use domain::{Application, ApplicationId, Role, Slug, TenantId, TenantName, User, UserId};

use super::{Deciding, change_tenant, existing_tenant};
use crate::request::Resource;
use crate::workspace::{Stop, Workspace};

/// Makes a tenant and its first owner a member.
pub(super) fn create_tenant(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    slug: &Slug,
    name: &TenantName,
    owner: Option<UserId>,
) -> Result<Resource, Stop> {
    let create = TenantCommand::Create { slug: slug.clone(), name: name.clone() };
    let made = change_tenant(workspace, deciding, create)?;
    let Some(user) = owner else { return Ok(made) };
    // The installation alone makes owners out of nothing.
    let add = TenantCommand::AddMember { user, role: Role::Owner, by: Role::Superadmin };
    change_tenant(workspace, deciding, add)
}

/// Users are the platform's, so a request of any other tenant finds none.
pub(super) fn user(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: UserId,
    command: UserCommand,
) -> Result<Resource, Stop> {
    let Deciding { tenant, command_id } = deciding;
    if tenant != TenantId::PLATFORM {
        return Err(UserRejection::NotFound.into());
    }
    let now = workspace.now;
    let event = workspace.get::<User>(id.0)?.decide(command, now)?;
    workspace.emit::<User>(tenant.0, command_id, id.0, event)?;
    Ok(Resource::User(id, workspace.get(id.0)?))
}

pub(super) fn application(
    workspace: &mut Workspace<'_>,
    deciding: Deciding,
    id: ApplicationId,
    command: ApplicationCommand,
) -> Result<Resource, Stop> {
    let Deciding { tenant, command_id } = deciding;
    let owner = existing_tenant(workspace, tenant)?;
    // A key may be used for reading even while nothing can be written, so it can be revoked even then.
    if !command.only_revokes() {
        owner.writable()?;
    }
    let now = workspace.now;
    let application: Application = workspace.get(id.0)?;
    // Callers name applications by their ids, so a partition's other tenants can name them too.
    if application.exists() && !workspace.belongs(id.0, tenant) {
        return Err(ApplicationRejection::NotFound.into());
    }
    for event in application.decide(command, now)? {
        workspace.emit::<Application>(tenant.0, command_id, id.0, event)?;
    }
    Ok(Resource::Application(id, workspace.get(id.0)?))
}
