//! `counterfoil token`: access tokens signed by our own key.

use std::process::ExitCode;

use api::credential::{Grant, Role, Signer};
use chrono::TimeDelta;
use domain::Slug;

use super::{Failure, say};
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
    /// How long it is valid: a number and s, m, h or d
    #[arg(long, default_value = "12h", value_name = "TIME", value_parser = lifetime)]
    expires_in: TimeDelta,
}

fn slug(text: &str) -> Result<Slug, String> {
    Slug::new(text).map_err(|error| error.to_string())
}

/// A positive time such as `90s`, `15m`, `12h` or `30d`.
fn lifetime(text: &str) -> Result<TimeDelta, String> {
    let wanted = || "must be a positive whole number and s, m, h or d, such as 12h".to_owned();
    let unit = text.chars().next_back().ok_or_else(wanted)?;
    let count: i64 = text.strip_suffix(unit).and_then(|count| count.parse().ok()).ok_or_else(wanted)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wanted()),
    };
    count
        .checked_mul(seconds)
        .filter(|seconds| *seconds > 0)
        .and_then(TimeDelta::try_seconds)
        .ok_or_else(wanted)
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
    fn lifetimes_are_positive_numbers_with_a_unit() {
        assert_eq!(lifetime("90s"), Ok(TimeDelta::seconds(90)));
        assert_eq!(lifetime("15m"), Ok(TimeDelta::minutes(15)));
        assert_eq!(lifetime("12h"), Ok(TimeDelta::hours(12)));
        assert_eq!(lifetime("30d"), Ok(TimeDelta::days(30)));
        for text in ["", "h", "12", "0h", "-1h", "1.5h", "12w", "9223372036854775807d", "1\u{e9}"] {
            lifetime(text).unwrap_err();
        }
    }
}
