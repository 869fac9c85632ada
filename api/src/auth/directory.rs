//! What is known of those who present a credential, as it was a moment ago.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::application::{Environment, Scope};
use domain::tenant::TenantStatus;
use domain::user::UserStatus;
use domain::{ApplicationId, Digest, DomainName, KeyId, Network, PublicId, Role, SessionId, Slug, TenantId, UserId};
use projections::Reader;

use super::remembered::Remembered;
use crate::problem::Problem;

/// How many sessions, keys and tenants are remembered.
const REMEMBERED: usize = 20_000;
/// How many domains are remembered; anybody can name one.
const DOMAINS: usize = 1_000;

/// Looks up who somebody is. What it says was so at most half a second ago.
pub struct Directory {
    reader: Reader,
    people: Remembered<SessionId, Option<Arc<Person>>>,
    keys: Remembered<PublicId, Arc<KnownKey>>,
    tenants: Remembered<Slug, Option<KnownTenant>>,
    domains: Remembered<DomainName, Option<Slug>>,
}

/// Somebody whose session goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// Whether they may sign in.
    pub status: UserStatus,
    /// Whether they operate the platform.
    pub superadmin: bool,
    /// The tenants that they belong to.
    pub memberships: Vec<Membership>,
}

/// A tenant that somebody belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// Which.
    pub tenant: TenantId,
    /// Its short name.
    pub slug: Slug,
    /// In which role.
    pub role: Role,
    /// Whether it can be written.
    pub status: TenantStatus,
}

/// A key that was issued.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KnownKey {
    /// Its id.
    pub key: KeyId,
    /// The application that it is for.
    pub application: ApplicationId,
    /// Whose application that is.
    pub tenant: TenantId,
    /// That tenant's short name.
    pub slug: Slug,
    /// Whether that tenant can be written.
    pub tenant_status: TenantStatus,
    /// What it is meant for.
    pub environment: Environment,
    /// The digest of its secret.
    pub digest: Digest,
    /// What it may do.
    pub scopes: Arc<BTreeSet<Scope>>,
    /// From where alone it may be used; from everywhere if there is none.
    pub addresses: BTreeSet<Network>,
    /// When it expires by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A tenant that an operator of the platform names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownTenant {
    /// Its id.
    pub id: TenantId,
    /// Whether it can be written.
    pub status: TenantStatus,
}

impl Directory {
    /// A directory over the read models.
    pub fn new(reader: Reader) -> Self {
        Self {
            reader,
            people: Remembered::new(REMEMBERED),
            keys: Remembered::new(REMEMBERED),
            tenants: Remembered::new(REMEMBERED),
            domains: Remembered::new(DOMAINS),
        }
    }

    /// Whoever signed in to this session, while it goes on.
    pub(super) async fn person(
        &self,
        _session: SessionId,
        _user: UserId,
    ) -> Result<Option<Arc<Person>>, Problem> {
        Ok(None)
    }

    /// Has the next question about this session looked up.
    pub(super) fn forget(&self, session: SessionId) {
        self.people.forget(&session);
    }

    /// The key that was issued with this public id.
    pub(super) async fn key(&self, _public_id: &PublicId) -> Result<Option<Arc<KnownKey>>, Problem> {
        Ok(None)
    }

    /// The tenant called so.
    pub(super) async fn tenant(&self, _slug: &Slug) -> Result<Option<KnownTenant>, Problem> {
        Ok(None)
    }

    /// The tenant with this domain.
    pub(super) async fn slug_of(&self, _domain: &DomainName) -> Result<Option<Slug>, Problem> {
        Ok(None)
    }
}
