//! What somebody holds who has not said yet which tenant it is about: an API key, an invitation.
//!
//! Each question is one statement, and so one snapshot. What is presented is set before its table is looked at, and
//! the tenant found before the tenants are: what is looked for depends on what setting it returns, and `OFFSET 0`
//! keeps the planner from taking the two apart. Were it ever otherwise, row-level security would hide every row.

use domain::tenant::TenantStatus;
use domain::{Digest, PublicId, TenantId};
use serde::Serialize;

use super::members::{InvitationRow, InvitationView};
use super::programs::{ApiKeyView, KeyRow};
use super::{ReadError, Reader, word};
use crate::names::tenant_status;

/// A key by its public half. Whoever presents it has yet to prove that they hold the secret half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedKey {
    /// The tenant whose key it is.
    pub tenant: TenantId,
    /// The tenant's short name.
    pub slug: String,
    /// Whether the tenant can be written.
    pub tenant_status: TenantStatus,
    /// The digest of the secret half.
    pub digest: Digest,
    /// The key. It may be expired or revoked.
    pub key: ApiKeyView,
}

/// An invitation, found by the digest of its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresentedInvitation {
    /// The tenant that invites.
    pub tenant: TenantId,
    /// The tenant's short name.
    pub slug: String,
    /// The tenant's display name.
    pub name: String,
    /// Whether the tenant can be written.
    pub tenant_status: TenantStatus,
    /// The invitation. It may have expired, or ended.
    pub invitation: InvitationView,
}

impl Reader {
    /// The key with this public half; `None` where there is none, or where two tenants have one, of which neither is
    /// preferred. How it ends is read in the journal as far as the read model has not got there, so that a revocation
    /// holds however far behind that is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn presented_key(&self, public_id: &PublicId) -> Result<Option<PresentedKey>, ReadError> {
        let rows = sqlx::query!(
            r#"SELECT key.tenant_id, tenant.slug, tenant.status, key.digest, key.application_id, key.key_id,
                   key.public_id, key.environment, key.scopes, key.addresses, key.expires_at, key.revoked_at,
                   key.created_at, later.revoked_at AS revoked_later, later.expires_at AS expires_later
               FROM (SELECT set_config('app.public_key', $1, true) AS public_id OFFSET 0) AS presented
               JOIN LATERAL (
                   SELECT * FROM api_keys WHERE public_id = presented.public_id LIMIT 2 OFFSET 0
               ) AS key ON true
               JOIN LATERAL (
                   SELECT set_config('app.tenant_id', key.tenant_id::text, true)::uuid AS tenant_id OFFSET 0
               ) AS scope ON true
               JOIN LATERAL (
                   SELECT slug, status FROM tenants
                   WHERE tenant_id = scope.tenant_id AND partition = key.partition OFFSET 0
               ) AS tenant ON true
               JOIN LATERAL (
                   SELECT min(recorded_at) FILTER (WHERE event_type = 'key_revoked') AS revoked_at,
                       min((payload->>'at')::timestamptz) FILTER (WHERE event_type = 'key_expires') AS expires_at
                   FROM journal.events
                   WHERE aggregate_id = key.application_id AND partition = key.partition
                       AND tenant_id = scope.tenant_id
                       AND sequence > (SELECT application.sequence FROM applications AS application
                           WHERE application.tenant_id = scope.tenant_id AND application.partition = key.partition
                               AND application.application_id = key.application_id)
                       AND event_type IN ('key_revoked', 'key_expires') AND payload->>'key' = key.key_id::text
               ) AS later ON true"#,
            public_id.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        let Ok([row]) = <[_; 1]>::try_from(rows) else {
            return Ok(None);
        };
        let key = KeyRow {
            application_id: row.application_id,
            key_id: row.key_id,
            public_id: row.public_id,
            environment: row.environment,
            scopes: row.scopes,
            addresses: row.addresses,
            expires_at: row.expires_later.or(row.expires_at),
            revoked_at: row.revoked_at.or(row.revoked_later),
            created_at: row.created_at,
        };
        Ok(Some(PresentedKey {
            tenant: TenantId(row.tenant_id),
            slug: row.slug,
            tenant_status: word("a tenant's status", &row.status, tenant_status(&row.status))?,
            digest: Digest::new(&row.digest).map_err(ReadError::unreadable("a key's digest"))?,
            key: key.try_into()?,
        }))
    }

    /// The invitation whose token has this digest; `None` where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn presented_invitation(
        &self,
        digest: &Digest,
    ) -> Result<Option<PresentedInvitation>, ReadError> {
        let rows = sqlx::query!(
            r#"SELECT invitation.tenant_id, tenant.slug, tenant.name, tenant.status AS tenant_status,
                   invitation.invitation_id, invitation.email, invitation.role, invitation.status,
                   invitation.expires_at, invitation.created_at
               FROM (SELECT set_config('app.invitation', $1, true) AS digest OFFSET 0) AS presented
               JOIN LATERAL (
                   SELECT * FROM invitations WHERE digest = presented.digest LIMIT 2 OFFSET 0
               ) AS invitation ON true
               JOIN LATERAL (
                   SELECT set_config('app.tenant_id', invitation.tenant_id::text, true)::uuid AS tenant_id OFFSET 0
               ) AS scope ON true
               JOIN LATERAL (
                   SELECT slug, name, status FROM tenants
                   WHERE tenant_id = scope.tenant_id AND partition = invitation.partition OFFSET 0
               ) AS tenant ON true"#,
            digest.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        let Ok([row]) = <[_; 1]>::try_from(rows) else {
            return Ok(None);
        };
        let status = tenant_status(&row.tenant_status);
        let invitation = InvitationRow {
            invitation_id: row.invitation_id,
            email: row.email,
            role: row.role,
            status: row.status,
            expires_at: row.expires_at,
            created_at: row.created_at,
        };
        Ok(Some(PresentedInvitation {
            tenant: TenantId(row.tenant_id),
            slug: row.slug,
            name: row.name,
            tenant_status: word("a tenant's status", &row.tenant_status, status)?,
            invitation: invitation.try_into()?,
        }))
    }
}
