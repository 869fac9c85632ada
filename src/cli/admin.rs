//! `counterfoil admin`: the people who operate the platform.

use std::process::ExitCode;

use api::Email;
use clap::Subcommand;

use super::reach::{Needs, Reached, expect_master_key};
use super::{Failure, say};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve::{self, Ledger};

/// Let somebody operate the platform
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Make a superadmin, and print a token by which they choose their password
    ///
    /// Where there is a user with this address, that one becomes a superadmin and keeps the password.
    #[command(after_help = "Examples:
  counterfoil admin create --email root@example.com
  counterfoil admin create --email root@example.com --name 'Grace Hopper' --data-dir ./.counterfoil")]
    Create {
        /// The address
        #[arg(long, value_parser = email)]
        email: Email,
        /// What others read
        #[arg(long, default_value = "Operator", value_parser = label)]
        name: domain::Label,
    },
    /// Take from a superadmin what a superadmin may; the user stays, with their tenants and sessions
    #[command(after_help = "Examples:
  counterfoil admin revoke --email root@example.com")]
    Revoke {
        /// The address
        #[arg(long, value_parser = email)]
        email: Email,
    },
}

fn label(text: &str) -> Result<domain::Label, String> {
    domain::Label::new(text).map_err(|error| error.to_string())
}

fn email(text: &str) -> Result<Email, String> {
    Email::new(text).map_err(str::to_owned)
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    let reached = Reached::ledger(Needs { postgres: true, nats: true }, &config, &lifecycle).await?;
    let result = change(arguments, &config, &reached).await;
    reached.close(&lifecycle).await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn change(arguments: Arguments, config: &Config, reached: &Reached) -> Result<(), Failure> {
    if let Arguments::Revoke { .. } = arguments {
        expect_master_key(config)?;
    }
    serve::migrate(config, &reached.addresses).await?;
    let ledger = Ledger::start(config, &reached.addresses).await?;
    let changed = match &arguments {
        Arguments::Create { email, name } => create(config, &ledger, email, name.as_str()).await,
        Arguments::Revoke { email } => revoke(&ledger, email).await,
    };
    ledger.stop().await;
    changed
}

async fn revoke(ledger: &Ledger, email: &Email) -> Result<(), Failure> {
    let address = email.as_str();
    match ledger.people().revoke_admin(email).await? {
        Some((user, true)) => Ok(say(&format!("{address} is no superadmin any more: user {user}"))?),
        Some((_, false)) => Err(format!("{address} is no superadmin").into()),
        None => Err(format!("there is no user with the address {address}").into()),
    }
}

async fn create(config: &Config, ledger: &Ledger, email: &Email, name: &str) -> Result<(), Failure> {
    let (user, token) = ledger.people().create_admin(email, name).await?;
    say(&format!("{} is a superadmin: user {user}", email.as_str()))?;
    let Some(token) = token else {
        return Ok(say("The password stays as it was.")?);
    };
    say(&format!(
        "To choose a password within the next 24 hours:\n\ncurl -sS -H 'Content-Type: application/json' \
         {}/v1/auth/password/reset \\\n  -d '{{\"token\":\"{}\",\"password\":\"...\"}}'",
        serve::public_url(config),
        token.as_str()
    ))?;
    Ok(())
}
