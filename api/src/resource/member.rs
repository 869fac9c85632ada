use chrono::{DateTime, Utc};
use commands::Resource;
use domain::InvitationId;
use projections::InvitationView;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::person::Email;
use crate::problem::{Problem, code};

/// A member of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberBody {
    /// The user's id.
    pub user: Uuid,
    /// `owner`, `admin`, `member`, `viewer` or `auditor`.
    #[schema(example = "member")]
    pub role: String,
    /// The address; null of somebody who was erased.
    pub email: Option<String>,
    /// The name; null of somebody who was erased.
    pub name: Option<String>,
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Invitation)]
pub struct InvitationBody {
    /// Its id.
    pub id: Uuid,
    /// The address it was sent to; null where its owner was erased, or the invitation has ended and nobody came.
    #[schema(example = "grace@example.com")]
    pub email: Option<String>,
    /// The role it offers.
    #[schema(example = "member")]
    pub role: String,
    /// `open`, `accepted` or `withdrawn`.
    #[schema(example = "open")]
    pub status: String,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
}

impl InvitationBody {
    /// An invitation of the read model, its address opened.
    pub fn new(view: &InvitationView, email: Option<String>) -> Self {
        Self {
            id: view.id.0,
            email,
            role: view.role.to_string(),
            status: view.status.as_str().to_owned(),
            expires_at: view.expires_at,
        }
    }

    /// The invitation that a command has made.
    pub fn of(resource: &Resource, id: InvitationId, email: &Email) -> Result<Self, Problem> {
        let Resource::Tenant(_, tenant) = resource else {
            return Err(Problem::internal("an invitation came to something else than a tenant"));
        };
        let made = tenant.invitations.get(&id);
        let made =
            made.ok_or_else(|| Problem::new(code::INVITATION_NOT_FOUND, "the invitation does not exist"))?;
        Ok(Self {
            id: id.0,
            email: Some(email.as_str().to_owned()),
            role: made.role.to_string(),
            status: "open".to_owned(),
            expires_at: made.expires_at,
        })
    }
}
