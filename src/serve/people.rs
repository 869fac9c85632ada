//! What people are served with, as it is configured: the vault, the identity store, mail and providers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::credential::{SessionKey, SessionKeys};
use api::{Parts, People, PeopleSettings};
use chrono::TimeDelta;
use commands::Pipeline;
use domain::{Clock, Ids, Partition};
use identity::access_log::{AccessLog, AccessLogSettings, AccessReader};
use identity::invited::Invited;
use identity::key_uses::KeyUses;
use identity::mail::MailOptions;
use identity::oidc::{ProviderOptions, ProviderSecret};
use identity::password::PasswordOptions;
use identity::signing::SigningKeys;
use identity::vault::Vault;
use identity::{Accounts, Mailer, Oidc, OneTime, Passwords, SecondFactor, Sessions};
use projections::Reader;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::vault::{open_vault, turns};
use crate::cli::Failure;
use crate::config::{Config, Provider};

/// What authenticators call the installation.
const ISSUER: &str = "Counterfoil";
/// How often the keys of sessions are looked at: so soon every program believes a key that got out no more.
const LOOK: Duration = Duration::from_secs(1);
/// How often the last uses of API keys are written.
const WRITE: Duration = Duration::from_secs(5);
/// How often what has expired is deleted.
const SWEEP: Duration = Duration::from_secs(60);
/// How often the addresses of invitations that have ended are forgotten: what the keys were in is written anew each time.
const FORGET: Duration = Duration::from_secs(3600);

/// People, and what is kept of them beside the journal.
pub(super) struct Identities {
    pub people: Arc<People>,
    /// What access tokens are signed with, kept up to date.
    pub keys: SessionKeys,
    pub(super) pool: PgPool,
    pub(super) vault: Vault,
    signing: SigningKeys,
}

/// What it is put together from.
pub(super) struct Makings<'a> {
    pub config: &'a Config,
    /// Acts as `journal::Role::Identity`.
    pub pool: PgPool,
    /// Acts as `journal::Role::Reader`.
    pub read: PgPool,
    pub partitions: Partition,
    pub pipeline: Pipeline,
    pub reader: Reader,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
}

impl Identities {
    /// Opens the vault and puts everything together. Computes a hash, which takes a moment.
    pub async fn open(makings: Makings<'_>) -> Result<Self, Failure> {
        let Makings { config, pool, read, partitions, pipeline, reader, clock, ids } = makings;
        let vault = open_vault(config, pool.clone(), partitions, Arc::clone(&clock)).await?;
        let (time, new) = (Arc::clone(&clock), Arc::clone(&ids));
        let signing = SigningKeys::open(pool.clone(), vault.clone(), time, new, turns(config)).await?;
        let keys = SessionKeys::new(&config.auth.issuer, &config.auth.audience);
        take_up(&signing, &keys).await?;
        let lasts = TimeDelta::days(config.identity.session_days.get().into());
        let one_time = OneTime::new(pool.clone(), vault.clone(), Arc::clone(&clock), Arc::clone(&ids));
        let public_url = public_url(config);
        let redirect = format!("{public_url}/v1/auth/oidc/{{provider}}/callback");
        let providers = config.oidc.iter().map(provider).collect::<Result<Vec<_>, _>>()?;
        let people = People::new(Parts {
            pipeline,
            reader,
            accounts: Accounts::new(pool.clone(), Arc::clone(&clock)),
            passwords: Passwords::new(&PasswordOptions::default())?,
            sessions: Sessions::new(pool.clone(), Arc::clone(&clock), Arc::clone(&ids), lasts),
            second_factor: SecondFactor::new(pool.clone(), vault.clone(), Arc::clone(&clock), ISSUER),
            invited: Invited::new(pool.clone(), Arc::clone(&clock)),
            key_uses: KeyUses::new(pool.clone(), Arc::clone(&clock), partitions),
            reads: AccessReader::new(read, vault.clone(), partitions),
            oidc: Oidc::new(&providers, &redirect, one_time.clone(), Arc::clone(&clock))?,
            mailer: Mailer::open(&mail(config), Arc::clone(&clock), Arc::clone(&ids))?,
            one_time,
            vault: vault.clone(),
            keys: keys.clone(),
            settings: PeopleSettings {
                public_url,
                access: TimeDelta::minutes(config.identity.access_minutes.get().into()),
                self_service_tenants: config.identity.self_service_tenants,
            },
            clock,
            ids,
        });
        Ok(Self { people: Arc::new(people), keys, pool, vault, signing })
    }

    /// Starts the log of reads. Where it is switched off, it has what operators of the platform do in others' tenants alone.
    pub async fn access_log(
        &self,
        config: &Config,
        partitions: Partition,
        tasks: (&TaskTracker, CancellationToken),
    ) -> Result<AccessLog, Failure> {
        let settings = AccessLogSettings {
            retention_days: config.access_log.retention_days.get(),
            reads: config.access_log.enabled,
        };
        let sources = (Arc::clone(&self.people.clock), Arc::clone(&self.people.ids));
        let (pool, vault) = (self.pool.clone(), self.vault.clone());
        Ok(AccessLog::start(pool, vault, sources, partitions, settings, tasks).await?)
    }

    /// Keeps the keys of sessions up to date and deletes what has expired, for ever. Keeps hold of nothing that commands could be
    /// sent with: the writers end when nobody does any more.
    pub fn upkeep(&self) -> impl Future<Output = ()> + use<> {
        let (people, vault) = (Arc::downgrade(&self.people), self.vault.clone());
        let (signing, keys) = (self.signing.clone(), self.keys.clone());
        let uses = self.people.key_uses.clone();
        let look = LOOK.min(signing.turns().fresh());
        async move {
            let sweeping = async {
                loop {
                    if let Some(people) = people.upgrade() {
                        sweep(&people, &vault).await;
                    }
                    tokio::time::sleep(SWEEP).await;
                }
            };
            let looking = async {
                let mut failing = false;
                loop {
                    tokio::time::sleep(look).await;
                    match take_up(&signing, &keys).await {
                        Ok(()) => failing = false,
                        // Said once, and not every second.
                        Err(error) if !failing => {
                            failing = true;
                            tracing::warn!(%error, "the keys of sessions stay as they were for now");
                        }
                        Err(_) => {}
                    }
                }
            };
            let writing = async {
                loop {
                    tokio::time::sleep(WRITE).await;
                    if let Err(error) = uses.write().await {
                        tracing::warn!(%error, "when keys were last used could not be written");
                    }
                }
            };
            let forgetting = async {
                loop {
                    if let Some(people) = people.upgrade()
                        && let Err(problem) = people.forget_ended_invitations().await
                    {
                        tracing::warn!(%problem, "addresses of invitations that have ended stay for now");
                    }
                    tokio::time::sleep(FORGET).await;
                }
            };
            tokio::join!(sweeping, looking, writing, forgetting);
        }
    }

    /// What to print where nobody operates the platform yet: a link that makes one superadmin.
    pub async fn first_link(&self, base: &str) -> Result<Option<String>, Failure> {
        self.people.catch_up().await;
        if self.people.has_superadmin().await? {
            return Ok(None);
        }
        let token = self.people.bootstrap_token().await?;
        let link = format!("{base}/v1/auth/bootstrap?token={}", token.as_str());
        Ok(Some(format!(
            "Nobody operates this installation yet. Within a day, this makes a superadmin, once:\n\n  \
             curl -sS -H 'Content-Type: application/json' '{link}' \\\n    \
             -d '{{\"email\":\"you@example.com\",\"password\":\"...\"}}'"
        )))
    }
}

/// Believes and uses the keys that are published at present.
async fn take_up(signing: &SigningKeys, keys: &SessionKeys) -> Result<(), Failure> {
    let published = signing.all().await?;
    let current = signing.current().await?;
    let known: Vec<_> =
        published.iter().map(|key| SessionKey { id: key.id.clone(), seed: key.seed().clone() }).collect();
    Ok(keys.take_up(&known, &current.id)?)
}

async fn sweep(people: &People, vault: &Vault) {
    let swept = async {
        people.one_time.sweep().await?;
        people.sessions.sweep().await?;
        people.finish_erasures().await?;
        vault.purge().await?;
        Ok::<_, Failure>(())
    };
    if let Err(error) = swept.await {
        tracing::warn!(%error, "what has expired stays for now");
    }
}

/// The address under which people reach the installation.
#[must_use]
pub fn public_url(config: &Config) -> String {
    let given = config.identity.public_url.clone();
    let scheme = if config.api.tls.certificate.is_some() { "https" } else { "http" };
    given.unwrap_or_else(|| format!("{scheme}://{}", config.listen)).trim_end_matches('/').to_owned()
}

fn mail(config: &Config) -> MailOptions {
    let usual = || -> PathBuf { config.data_dir().join("mail") };
    MailOptions {
        smtp_url: config.mail.smtp_url.clone(),
        smtp_authority: config.mail.smtp_authority.clone(),
        from: config.mail.from.clone(),
        directory: config.mail.directory.clone().unwrap_or_else(usual),
    }
}

fn provider(given: &Provider) -> Result<ProviderOptions, Failure> {
    let Provider { name, issuer, client_id, client_secret, client_secret_env, scopes } = given;
    let secret = match (client_secret.is_empty(), client_secret_env.is_empty()) {
        (true, true) => None,
        (false, true) => Some(ProviderSecret::new(client_secret.clone())),
        (true, false) => {
            let text = std::env::var(client_secret_env)
                .map_err(|error| format!("oidc `{name}`: the variable {client_secret_env}: {error}"))?;
            Some(ProviderSecret::new(text))
        }
        (false, false) => {
            return Err(format!("oidc `{name}`: give client_secret or client_secret_env, not both").into());
        }
    };
    if name == "google" && issuer.is_empty() {
        let secret = secret.ok_or("oidc `google`: a client secret is needed")?;
        return Ok(ProviderOptions::google(client_id.clone(), secret));
    }
    Ok(ProviderOptions {
        name: name.clone(),
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: secret,
        scopes: scopes.clone(),
    })
}
