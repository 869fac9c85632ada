//! `counterfoil policies`: who may use how much.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use domain::catalogue::{Enforcement, Mode, Rollover};
use domain::{Amount, AssetCode, ZoneName};

use super::{Failure, say};
use crate::backtest::Question;
use crate::import::{Client, Connection};

/// Look into policies
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Replay past calls under another policy, and say what would have been refused
    ///
    /// Each wallet is taken through its calls as the ledger would have done it, in the order in which they were asked for: it
    /// is given what the policy allocates, month by month from --from or the first call on. A call is refused (or, unless
    /// the policy is hard, flagged) where less is there than was held for it; what it cost is taken. What came into the
    /// wallets besides is not known: --balance says what they have.
    #[command(after_help = "Examples:
  counterfoil policies backtest --mode monthly --amount 20 --level pro
  counterfoil policies backtest --mode monthly --rollover capped --rollover-most 5 --amount 20 --from 2026-01-01T00:00:00Z")]
    Backtest(BacktestArguments),
}

/// Which policy, and which calls.
#[derive(Debug, clap::Args)]
pub struct BacktestArguments {
    /// How often something is allocated
    #[arg(long, value_enum)]
    mode: ModeWord,
    /// How much is allocated, in the wallets' asset
    #[arg(long, allow_negative_numbers = true)]
    amount: Amount,
    /// Which asset that is, where calls were paid in several
    #[arg(long, value_parser = |text: &str| AssetCode::new(text))]
    asset: Option<AssetCode>,
    /// What happens where too little is there
    #[arg(long, value_enum, default_value_t = EnforcementWord::Hard)]
    enforcement: EnforcementWord,
    /// What each wallet has of its own at the beginning
    #[arg(long, default_value = "0", allow_negative_numbers = true)]
    balance: Amount,
    /// What becomes of the rest of a month
    #[arg(long, value_enum, default_value_t = RolloverWord::None)]
    rollover: RolloverWord,
    /// With `capped`: the most that is carried into the next month
    #[arg(long, allow_negative_numbers = true)]
    rollover_most: Option<Amount>,
    /// Only calls that were recorded at this time or later
    #[arg(long)]
    from: Option<DateTime<Utc>>,
    /// Only calls that were recorded before this time
    #[arg(long)]
    to: Option<DateTime<Utc>>,
    /// Only calls that this wallet paid for
    #[arg(long)]
    wallet: Option<String>,
    /// Only calls for this user
    #[arg(long)]
    user: Option<String>,
    /// Only calls of wallets that are at this level now
    #[arg(long)]
    level: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeWord {
    /// Once
    Lifetime,
    /// Each month of the tenant's time zone
    Monthly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EnforcementWord {
    /// The call is refused
    Hard,
    /// It is made, and whoever makes it is told
    Warn,
    /// It is made
    Monitor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RolloverWord {
    /// It expires
    None,
    /// Some of it is carried over
    Capped,
    /// All of it is
    Full,
}

impl BacktestArguments {
    fn mode(&self) -> Result<Mode, Failure> {
        let rollover = match (self.rollover, self.rollover_most) {
            (RolloverWord::Capped, Some(most)) if most.is_negative() => {
                return Err("--rollover-most: no less than nothing is carried over".into());
            }
            (RolloverWord::Capped, Some(most)) => Rollover::Capped { most },
            (RolloverWord::Capped, None) => return Err("--rollover capped needs --rollover-most".into()),
            (_, Some(_)) => return Err("--rollover-most goes with --rollover capped".into()),
            (RolloverWord::None, None) => Rollover::None,
            (RolloverWord::Full, None) => Rollover::Full,
        };
        match (self.mode, rollover) {
            (ModeWord::Lifetime, Rollover::None) => Ok(Mode::Lifetime),
            (ModeWord::Lifetime, _) => Err("--rollover goes with --mode monthly".into()),
            (ModeWord::Monthly, rollover) => Ok(Mode::Monthly { rollover }),
        }
    }

    /// Refuses what no ledger has to be asked about.
    fn check(&self) -> Result<(), Failure> {
        if self.amount.is_negative() {
            return Err("--amount: a policy allocates no less than nothing".into());
        }
        if self.balance.is_negative() {
            return Err("--balance: a wallet has no less than nothing of its own".into());
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) if to <= from => {
                Err("--to: there is no time between --from and --to".into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses a filter that names nothing: no calls would be found, which looks like an answer.
    async fn check_names(&self, client: &Client) -> Result<(), Failure> {
        if let Some(path) = &self.wallet
            && client.wallet(path).await?.is_none()
        {
            return Err(format!("--wallet: there is no wallet {path}").into());
        }
        if let Some(asset) = &self.asset
            && client.asset_scale(asset.as_str()).await?.is_none()
        {
            return Err(format!("--asset: the tenant has no asset {asset}").into());
        }
        match &self.user {
            // Whoever asks says who the user is, so the calls are all that there is of one.
            Some(user) if !client.has_calls_for(user).await? => {
                Err(format!("--user: no call is recorded for the user {user}").into())
            }
            _ => Ok(()),
        }
    }

    const fn enforcement(&self) -> Enforcement {
        match self.enforcement {
            EnforcementWord::Hard => Enforcement::Hard,
            EnforcementWord::Warn => Enforcement::Warn,
            EnforcementWord::Monitor => Enforcement::Monitor,
        }
    }

    /// The filters, as the API takes them.
    fn filters(&self) -> Vec<(&'static str, String)> {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let given = [
            ("wallet", self.wallet.clone()),
            ("user", self.user.clone()),
            ("from", self.from.map(time)),
            ("to", self.to.map(time)),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments::Backtest(arguments) = arguments;
    let mode = arguments.mode()?;
    arguments.check()?;
    let client = arguments.connection.client()?;
    arguments.check_names(&client).await?;
    let zone = client.time_zone().await?;
    let wallets = match &arguments.level {
        Some(level) => Some(client.wallets_at(level).await?),
        None => None,
    };
    let question = Question {
        mode,
        amount: arguments.amount,
        enforcement: arguments.enforcement(),
        balance: arguments.balance,
        zone: ZoneName::new(&zone)?,
        from: arguments.from,
        asset: arguments.asset.clone(),
    };
    let mut calls = client.calls(&arguments.filters()).await?;
    calls.retain(|call| wallets.as_ref().is_none_or(|wallets| wallets.contains(call.wallet.as_str())));
    say(&question.replay(calls)?.to_string())?;
    Ok(ExitCode::SUCCESS)
}
