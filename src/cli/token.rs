//! `counterfoil token`: access tokens signed by our own key.

use std::process::ExitCode;

use api::credential::{Grant, Role, Signer};
use chrono::TimeDelta;
use domain::Slug;

use super::{Failure, duration, say};
use crate::config::Config;
use crate::servers::make_data_dir;
use crate::system::{SystemClock, SystemIds};

/// Print an access token, alone on its line.
///
/// It is signed by the key in the data directory, which is made if there is none: a token can be had before the first
/// start as well as while the server runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  counterfoil token --tenant demo --role admin
  counterfoil token --data-dir ./.counterfoil --tenant demo --role viewer --subject grafana --expires-in 30d
  curl -H \"Authorization: Bearer $(counterfoil token --tenant demo --role admin)\" http://127.0.0.1:8080/v1/assets")]
pub struct Arguments {
    /// The slug of the tenant
    #[arg(long, value_parser = slug)]
    tenant: Slug,
    /// superadmin, owner, admin, member, viewer or auditor
    #[arg(long)]
    role: Role,
    /// Whom the token stands for
    #[arg(long, default_value = "cli", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    subject: String,
    /// How long it is valid: a number and s, m, h or d; a number alone is seconds
    #[arg(long, default_value = "12h", value_name = "TIME", allow_hyphen_values = true, value_parser = lifetime)]
    expires_in: TimeDelta,
}

fn slug(text: &str) -> Result<Slug, String> {
    Slug::new(text).map_err(|error| error.to_string())
}

/// A time that is not over yet.
fn lifetime(text: &str) -> Result<TimeDelta, String> {
    let time = duration(text)?;
    if time.is_zero() {
        return Err("a token is valid for a second at the least".to_owned());
    }
    TimeDelta::from_std(time).map_err(|_| "it is longer than any time that can be told".to_owned())
}

/// Runs the command.
pub fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, Failure> {
    make_data_dir(&config.data_dir())?;
    let signer = Signer::open(&config.signing_key(), &config.auth.issuer, &config.auth.audience)?;
    let grant = Grant {
        subject: &arguments.subject,
        tenant: &arguments.tenant,
        role: arguments.role,
        lifetime: arguments.expires_in,
    };
    say(&signer.issue(&grant, &SystemClock, &SystemIds)?)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_times_that_are_not_over_yet() {
        assert_eq!(lifetime("90s"), Ok(TimeDelta::seconds(90)));
        assert_eq!(lifetime("5"), Ok(TimeDelta::seconds(5)));
        assert_eq!(lifetime("30d"), Ok(TimeDelta::days(30)));
        for text in ["", "0", "0h", "-1h", "106751991168d", "9223372036854775807d"] {
            lifetime(text).unwrap_err();
        }
    }
}
