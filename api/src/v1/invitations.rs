//! Invitations by mail.

use actix_web::http::StatusCode;
use chrono::{DateTime, TimeDelta};
use commands::Command;
use domain::tenant::TenantCommand;
use domain::{InvitationId, Role, Sealed};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Answer};
use crate::cursor::Cursor;
use crate::extract::{After, Document, InvitationAt, Limit, Nothing, Parameters, Person, Read, Write};
use crate::field::Field;
use crate::people::INVITATION_HOURS;
use crate::person::{Email, Secret};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{InvitationBody, List, MembershipBody};

const LIST: &str = "invitations";

/// Somebody to be invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// The address that the invitation is sent to, and that alone can accept it.
    #[schema(value_type = String, format = "mail-address", example = "grace@example.com")]
    pub email: Field<Email>,
    /// `owner`, `admin`, `member`, `viewer` or `auditor`; not above one's own.
    #[schema(value_type = String, format = "member-role", example = "member")]
    pub role: Field<Role>,
}

impl Document for Invite {
    const PERSONAL: bool = true;
}

/// Invites somebody by mail. The invitation stands for seven days.
///
/// A repetition with the same idempotency key sends the mail once more, unless the invitation was withdrawn or has
/// expired.
#[utoipa::path(post, path = "/v1/invitations", tag = "Members", request_body = Invite,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, description = "The invitation is on its way", body = InvitationBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn invite(Write { body, writer }: Write<Invite>) -> Answer {
    let (email, role, by) = (body.email.0, body.role.0, writer.role()?);
    let people = writer.people();
    let id = InvitationId(writer.new_id(&people.invitation_of(&email).await?));
    let token = people.invitation_token(id).await?;
    let digest = token.digest()?;
    let invite = |email, expires_at| {
        let invitation = id;
        Command::Tenant(TenantCommand::Invite { invitation, email, role, expires_at, digest, by })
    };
    let outcome = match people.seal_invited(writer.tenant(), id, &email).await {
        Ok(sealed) => {
            let expires_at = writer.now() + TimeDelta::hours(INVITATION_HOURS);
            let outcome = writer.submit(invite(sealed, expires_at)).await?;
            people.mail_invitation(&email, (id, role), &outcome, token)?;
            outcome
        }
        // It has ended and the address was forgotten. A repetition has the first answer and sends nothing; what was not
        // made before is not made now, for it would have expired.
        Err(forgotten) if forgotten.code == code::USER_ERASED => {
            let repeated = writer.submit(invite(Sealed::default(), DateTime::UNIX_EPOCH)).await;
            let expired = |refused: &Problem| refused.code == code::INVITATION_EXPIRED;
            repeated.map_err(|refused| if expired(&refused) { forgotten } else { refused })?
        }
        Err(problem) => return Err(problem),
    };
    answer::done(outcome, StatusCode::CREATED, |resource| InvitationBody::of(&resource, id, &email))
}

/// Which invitations to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListInvitations {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListInvitations {}

/// Lists the tenant's invitations.
#[utoipa::path(get, path = "/v1/invitations", tag = "Members", params(ListInvitations, After), responses(
    (status = 200, description = "Invitations", body = List<InvitationBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListInvitations>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last(LIST)).transpose()?.map(InvitationId);
    let found = view.ledger().invitations(after, limit).await?;
    let mut items = Vec::with_capacity(found.value.len());
    for invitation in found.value {
        let email = view.people().invited_address(view.tenant(), invitation.id, &invitation.email).await?;
        items.push(InvitationBody::new(&invitation, email));
    }
    view.answer(found.position, &List::page(LIST, items, limit, |last: &InvitationBody| last.id.to_string()))
}

/// Withdraws an invitation that was not accepted yet. The address that it was sent to is forgotten.
#[utoipa::path(delete, path = "/v1/invitations/{id}", tag = "Members",
    params(("id" = uuid::Uuid, Path, description = "The invitation's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 204, description = "The invitation is withdrawn"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn withdraw(Write { writer, .. }: Write<Nothing>, InvitationAt(id): InvitationAt) -> Answer {
    let command = TenantCommand::WithdrawInvitation { invitation: id, by: writer.role()? };
    let withdrawn = writer.submit(Command::Tenant(command)).await;
    // Also where it was withdrawn before: forgetting may have been cut off then.
    if withdrawn.as_ref().err().is_none_or(|refused| refused.code == code::INVITATION_WITHDRAWN) {
        writer.people().forget_invitation(writer.tenant(), id).await?;
    }
    Ok(answer::gone(&withdrawn?))
}

/// The token of the mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// The token, as it stands in the mail.
    #[schema(value_type = String, format = "secret", example = "q2Jr0x9f...")]
    pub token: Secret,
}

impl Document for Accept {}

/// Accepts an invitation that was sent to one's own address.
#[utoipa::path(post, path = "/v1/invitations/accept", tag = "Members", request_body = Accept, responses(
    (status = 200, description = "The membership", body = MembershipBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn accept(Person { body, user, session, visitor }: Person<Accept>) -> Answer {
    let (membership, position) = visitor.people().accept(user, &body.token, visitor.origin()).await?;
    visitor.forget(session);
    answer::written(StatusCode::OK, Some(position), false, &MembershipBody::from(membership))
}
