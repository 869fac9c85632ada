//! What people are served with, as it is configured.

use std::path::PathBuf;
use std::sync::Arc;

use api::credential::SessionKeys;
use api::{Parts, People, PeopleSettings};
use chrono::TimeDelta;
use commands::Pipeline;
use domain::{Clock, Ids};
use identity::invited::Invited;
use identity::mail::MailOptions;
use identity::oidc::{ProviderOptions, ProviderSecret};
use identity::password::PasswordOptions;
use identity::vault::Vault;
use identity::{Accounts, Mailer, Oidc, OneTime, Passwords, SecondFactor, Sessions};
use projections::Reader;
use sqlx::PgPool;

use crate::cli::Failure;
use crate::config::{Config, Provider};

/// What authenticators call the installation.
const ISSUER: &str = "Counterfoil";

/// What it is put together from.
pub(super) struct Makings<'a> {
    pub config: &'a Config,
    /// Acts as `journal::Role::Identity`.
    pub pool: PgPool,
    pub vault: Vault,
    pub pipeline: Pipeline,
    pub reader: Reader,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub keys: SessionKeys,
}

/// Puts it together. Computes a hash, which takes a moment.
pub(super) fn people(makings: Makings<'_>) -> Result<People, Failure> {
    let Makings { config, pool, vault, pipeline, reader, clock, ids, keys } = makings;
    let lasts = TimeDelta::days(config.identity.session_days.get().into());
    let one_time = OneTime::new(pool.clone(), vault.clone(), Arc::clone(&clock), Arc::clone(&ids));
    let public_url = public_url(config);
    let redirect = format!("{public_url}/v1/auth/oidc/{{provider}}/callback");
    let providers = config.oidc.iter().map(provider).collect::<Result<Vec<_>, _>>()?;
    Ok(People::new(Parts {
        pipeline,
        reader,
        accounts: Accounts::new(pool.clone(), Arc::clone(&clock)),
        passwords: Passwords::new(&PasswordOptions::default())?,
        sessions: Sessions::new(pool.clone(), Arc::clone(&clock), Arc::clone(&ids), lasts),
        second_factor: SecondFactor::new(pool.clone(), vault.clone(), Arc::clone(&clock), ISSUER),
        invited: Invited::new(pool, Arc::clone(&clock)),
        oidc: Oidc::new(&providers, &redirect, one_time.clone(), Arc::clone(&clock))?,
        mailer: Mailer::open(&mail(config), Arc::clone(&clock), Arc::clone(&ids))?,
        one_time,
        vault,
        keys,
        settings: PeopleSettings {
            public_url,
            access: TimeDelta::minutes(config.identity.access_minutes.get().into()),
            self_service_tenants: config.identity.self_service_tenants,
        },
        clock,
        ids,
    }))
}

/// The address under which people reach the installation.
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
