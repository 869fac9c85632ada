//! What is known of those who present a credential, as it was a moment ago.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};
use domain::application::{Environment, Scope};
use domain::tenant::TenantStatus;
use domain::user::UserStatus;
use domain::{
    ApplicationId, Digest, KeyId, Network, PublicId, Role, SessionId, Slug, TenantId, UserId, WalletPath,
};
use identity::Sessions;
use projections::{PresentedKey, Reader, TenantView};

use super::remembered::Remembered;
use crate::problem::Problem;

/// How many sessions, keys and tenants are remembered.
const REMEMBERED: usize = 20_000;

/// Looks up who somebody is. What it says was so at most half a second ago.
pub struct Directory {
    reader: Reader,
    sessions: Sessions,
    people: Remembered<SessionId, Option<Arc<Person>>>,
    keys: Remembered<PublicId, Arc<KnownKey>>,
    tenants: Remembered<Slug, Option<KnownTenant>>,
    wallets: Remembered<(TenantId, ApplicationId), Option<WalletPath>>,
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
    /// A domain of its own.
    pub domain: Option<String>,
    /// In which role.
    pub role: Role,
    /// Whether it can be written.
    pub status: TenantStatus,
}

/// A key that was issued.
#[derive(Debug)]
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
    /// Whether its use was noted since it was looked up. Once is enough.
    pub noted: AtomicBool,
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
    /// A directory over the read models and the sessions.
    pub fn new(reader: Reader, sessions: Sessions) -> Self {
        Self {
            reader,
            sessions,
            people: Remembered::new(REMEMBERED),
            keys: Remembered::new(REMEMBERED),
            tenants: Remembered::new(REMEMBERED),
            wallets: Remembered::new(REMEMBERED),
        }
    }

    /// Whoever signed in to this session, while it goes on.
    pub(super) async fn person(
        &self,
        session: SessionId,
        user: UserId,
    ) -> Result<Option<Arc<Person>>, Problem> {
        self.people.get(&session, self.look_for(session, user)).await
    }

    async fn look_for(&self, session: SessionId, user: UserId) -> Result<Option<Arc<Person>>, Problem> {
        let alive = self.sessions.alive(session).await?;
        if alive.is_none_or(|alive| alive.user != user) {
            return Ok(None);
        }
        let reader = self.reader.user(user);
        let (profile, memberships) = (reader.profile().await?.value, reader.memberships().await?);
        let Some(profile) = profile else { return Ok(None) };
        let memberships = memberships.into_iter().map(Membership::try_from).collect::<Result<_, _>>()?;
        Ok(Some(Arc::new(Person { status: profile.status, superadmin: profile.superadmin, memberships })))
    }

    /// Has the next question about this session looked up.
    pub fn forget(&self, session: SessionId) {
        self.people.forget(&session);
    }

    /// The key that was issued with this public id. One that there is not is looked for each time: anybody can make up
    /// ids, and they must not push out those that are.
    pub(super) async fn key(&self, public_id: &PublicId) -> Result<Option<Arc<KnownKey>>, Problem> {
        let look = async {
            let found =
                self.reader.presented_key(public_id).await.map_err(|error| Absent::Failed(error.into()))?;
            let key = KnownKey::try_from(found.ok_or(Absent::Unknown)?).map_err(Absent::Failed)?;
            Ok(Arc::new(key))
        };
        match self.keys.get(public_id, look).await {
            Ok(key) => Ok(Some(key)),
            Err(Absent::Unknown) => Ok(None),
            Err(Absent::Failed(problem)) => Err(problem),
        }
    }

    /// The wallet that pays for what an application calls, where its metadata names one.
    pub async fn wallet_of(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<Option<WalletPath>, Problem> {
        let look = async {
            let found = self.reader.tenant(tenant).application(application).await?.value;
            let named = found.as_ref().and_then(|found| found.details.metadata.as_map().get("wallet")?.as_str());
            Ok::<_, Problem>(named.and_then(|path| WalletPath::new(path).ok()))
        };
        self.wallets.get(&(tenant, application), look).await
    }

    /// The tenant called so.
    pub(super) async fn tenant(&self, slug: &Slug) -> Result<Option<KnownTenant>, Problem> {
        let look = async {
            let found = self.reader.platform().tenant_by_slug(slug).await?.value;
            let known = |tenant: TenantView| KnownTenant { id: TenantId(tenant.id), status: tenant.status };
            Ok::<_, Problem>(found.map(known))
        };
        self.tenants.get(slug, look).await
    }
}

/// Why there is nothing to remember.
enum Absent {
    Unknown,
    Failed(Problem),
}

impl TryFrom<projections::Membership> for Membership {
    type Error = Problem;

    fn try_from(found: projections::Membership) -> Result<Self, Problem> {
        let projections::Membership { tenant, slug, domain, status, role, .. } = found;
        Ok(Self { tenant, slug: Slug::new(&slug).map_err(Problem::internal)?, domain, role, status })
    }
}

impl TryFrom<PresentedKey> for KnownKey {
    type Error = Problem;

    fn try_from(found: PresentedKey) -> Result<Self, Problem> {
        let PresentedKey { tenant, slug, tenant_status, digest, key } = found;
        Ok(Self {
            key: key.id,
            application: key.application,
            tenant,
            slug: Slug::new(&slug).map_err(Problem::internal)?,
            tenant_status,
            environment: key.environment,
            digest,
            scopes: Arc::new(key.scopes),
            addresses: key.addresses,
            expires_at: key.expires_at,
            revoked: key.revoked_at.is_some(),
            noted: AtomicBool::new(false),
        })
    }
}
