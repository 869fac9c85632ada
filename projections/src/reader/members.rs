use chrono::{DateTime, Utc};
use domain::{InvitationId, Role, Sealed, TenantId, UserId};
use serde::Serialize;
use uuid::Uuid;

use super::{ReadError, Reflected, TenantReader, sealed, word};
use crate::{InvitationStatus, Kind};

/// A member of a tenant. What is personal is sealed under the user's key; it is absent of an erased user, and of one
/// whose registration has not come through yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberView {
    /// Who.
    pub user: UserId,
    /// In which role.
    pub role: Role,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Their email address.
    pub email: Option<Sealed>,
    /// Their name.
    pub name: Option<Sealed>,
}

/// An invitation. The address is sealed under the invitation's own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvitationView {
    /// Its id.
    pub id: InvitationId,
    /// The address it was sent to.
    pub email: Sealed,
    /// The role it offers.
    pub role: Role,
    /// What became of it.
    pub status: InvitationStatus,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

pub(super) struct InvitationRow {
    pub invitation_id: Uuid,
    pub email: String,
    pub role: String,
    pub status: String,
    pub expires_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

impl TryFrom<InvitationRow> for InvitationView {
    type Error = ReadError;

    fn try_from(row: InvitationRow) -> Result<Self, ReadError> {
        Ok(Self {
            id: InvitationId(row.invitation_id),
            email: Sealed::new(&row.email).map_err(ReadError::unreadable("an invitation's address"))?,
            role: row.role.parse().map_err(ReadError::unreadable("an invitation's role"))?,
            status: word("an invitation's status", &row.status, InvitationStatus::named(&row.status))?,
            expires_at: row.expires_at,
            created_at: row.created_at,
        })
    }
}

impl TenantReader<'_> {
    /// At most `limit` members by user, those behind the user `after`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn members(
        &self,
        after: Option<UserId>,
        limit: i64,
    ) -> Result<Reflected<Vec<MemberView>>, ReadError> {
        self.members_between(after.unwrap_or_default(), UserId(Uuid::max()), limit).await
    }

    /// One member; `None` where the user is no member.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn member(&self, user: UserId) -> Result<Reflected<Option<MemberView>>, ReadError> {
        let before = UserId(Uuid::from_u128(user.0.as_u128().saturating_sub(1)));
        let Reflected { mut value, position } = self.members_between(before, user, 1).await?;
        Ok(Reflected { value: value.pop().filter(|member| member.user == user), position })
    }

    /// Members behind `after` up to `to`. For each of them the user is set before their profile is looked at, as in
    /// [`UserReader::memberships`](super::UserReader::memberships): the tenant's session sees no user but these.
    async fn members_between(
        &self,
        after: UserId,
        to: UserId,
        limit: i64,
    ) -> Result<Reflected<Vec<MemberView>>, ReadError> {
        let mut snapshot = self.view_beside(Kind::Tenants, &[Kind::Users]).await?;
        let rows = sqlx::query!(
            r#"SELECT member.user_id, member.role, member.since, profile.email AS "email?", profile.name AS "name?"
               FROM (
                   SELECT user_id, role, since FROM members
                   WHERE tenant_id = $1 AND partition = $2 AND user_id > $3 AND user_id <= $4
                   ORDER BY user_id LIMIT $5
               ) AS member
               LEFT JOIN LATERAL (
                   SELECT set_config('app.user_id', member.user_id::text, true)::uuid AS user_id OFFSET 0
               ) AS scope ON true
               LEFT JOIN LATERAL (
                   SELECT email, name FROM users WHERE user_id = scope.user_id AND partition = $6 OFFSET 0
               ) AS profile ON true
               ORDER BY member.user_id"#,
            self.tenant.0,
            self.partition.0,
            after.0,
            to.0,
            limit,
            TenantId::PLATFORM.partition(self.reader.partitions).0
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let members = rows.into_iter().map(|row| {
            Ok(MemberView {
                user: UserId(row.user_id),
                role: row.role.parse().map_err(ReadError::unreadable("a member's role"))?,
                since: row.since,
                email: sealed("a member's address", row.email)?,
                name: sealed("a member's name", row.name)?,
            })
        });
        snapshot.answer(members.collect::<Result<_, ReadError>>()?).await
    }

    /// At most `limit` invitations by id, which is the order in which they were made; those behind the invitation
    /// `after`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn invitations(
        &self,
        after: Option<InvitationId>,
        limit: i64,
    ) -> Result<Reflected<Vec<InvitationView>>, ReadError> {
        let mut snapshot = self.view(Kind::Tenants).await?;
        let rows = sqlx::query_as!(
            InvitationRow,
            "SELECT invitation_id, email, role, status, expires_at, created_at FROM invitations
             WHERE tenant_id = $1 AND partition = $2 AND invitation_id > $3 ORDER BY invitation_id LIMIT $4",
            self.tenant.0,
            self.partition.0,
            after.unwrap_or_default().0,
            limit
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let invitations = rows.into_iter().map(InvitationView::try_from).collect::<Result<_, _>>()?;
        snapshot.answer(invitations).await
    }

    /// One invitation; `None` where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn invitation(&self, id: InvitationId) -> Result<Reflected<Option<InvitationView>>, ReadError> {
        let mut snapshot = self.view(Kind::Tenants).await?;
        let row = sqlx::query_as!(
            InvitationRow,
            "SELECT invitation_id, email, role, status, expires_at, created_at FROM invitations
             WHERE tenant_id = $1 AND partition = $2 AND invitation_id = $3",
            self.tenant.0,
            self.partition.0,
            id.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        snapshot.answer(row.map(InvitationView::try_from).transpose()?).await
    }
}
