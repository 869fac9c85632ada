//! What wallets may use: their level, their user, what was granted.

use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use commands::{AllowanceChange, Command};
use domain::{Amount, GrantId, LevelName, UserRef};
use projections::AllowanceFilter;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Answer};
use crate::cursor::Cursor;
use crate::extract::{After, Document, Limit, NoQuery, Parameters, Read, WalletAt, Write};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{AllowanceBody, List};

const LIST: &str = "allowances";

/// Which allowances to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAllowances {
    /// What the wallets' paths begin with, character by character.
    #[serde(default)]
    prefix: String,
    /// Only those of this level.
    #[param(value_type = Option<String>, format = "level-name")]
    level: Option<Field<LevelName>>,
    /// Only those of this user.
    #[param(value_type = Option<String>, format = "user-ref")]
    user: Option<Field<UserRef>>,
    /// Only those with a debt.
    #[serde(default)]
    in_debt: bool,
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListAllowances {}

/// Lists what wallets may use, by path.
#[utoipa::path(get, path = "/v1/allowances", tag = "Policies", params(ListAllowances, After), responses(
    (status = 200, description = "Allowances", body = List<AllowanceBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListAllowances>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last::<String>(LIST)).transpose()?;
    let filter = AllowanceFilter {
        prefix: query.prefix,
        level: query.level.map(|level| level.0),
        user: query.user.map(|user| user.0),
        in_debt: query.in_debt,
    };
    let found = view.ledger().allowances(&filter, after.as_deref(), limit).await?;
    let items = found.value.into_iter().map(|allowance| AllowanceBody::new(&allowance.state)).collect();
    view.answer(found.position, &List::page(LIST, items, limit, |last: &AllowanceBody| last.wallet.clone()))
}

/// Shows what a wallet may use.
#[utoipa::path(get, path = "/v1/allowances/{path}", tag = "Policies",
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"), After), responses(
    (status = 200, description = "The allowance", body = AllowanceBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, WalletAt(path): WalletAt) -> Answer {
    let found = view.ledger().allowance(&path).await?;
    let absent = || {
        Problem::new(code::ALLOWANCE_NOT_FOUND, format!("nothing was ever said about what {path} may use"))
    };
    view.answer_or(found, absent, |allowance, _| Ok(AllowanceBody::new(&allowance.state)))
}

/// Whose wallet it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAllowance {
    /// The level whose policy is for it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "level-name", example = "pro")]
    pub level: Option<Field<LevelName>>,
    /// The user whose policy is for it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "user-ref", example = "customer-42")]
    pub user: Option<Field<UserRef>>,
}

impl Document for PutAllowance {}

/// Gives a wallet a level and a user. What its policy allocates is allocated at once.
#[utoipa::path(put, path = "/v1/allowances/{path}", tag = "Policies", request_body = PutAllowance,
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The allowance", body = AllowanceBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn put(Write { body, writer }: Write<PutAllowance>, WalletAt(path): WalletAt) -> Answer {
    let change = AllowanceChange::Assign {
        level: body.level.map(|level| level.0),
        user: body.user.map(|user| user.0),
    };
    let outcome = writer.submit(Command::Allowance { path, change }).await?;
    answer::done(outcome, StatusCode::OK, AllowanceBody::try_from)
}

/// What is granted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// How much, in the wallet's asset.
    #[schema(value_type = String, format = "amount", example = "5.00")]
    pub amount: Field<Amount>,
    /// Lower ones are used up first; 100 where nothing is said, as what policies allocate.
    #[serde(default = "usual")]
    #[schema(example = 100, maximum = 65535)]
    pub priority: u16,
    /// When what is left of it expires; never where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Option<Field<DateTime<Utc>>>,
}

fn usual() -> u16 {
    100
}

impl Document for NewGrant {}

/// Grants a wallet an amount, out of `@grants`. What expires goes to `@expired`.
#[utoipa::path(post, path = "/v1/allowances/{path}/grants", tag = "Policies", request_body = NewGrant,
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, description = "The allowance with the grant", body = AllowanceBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn grant(Write { body, writer }: Write<NewGrant>, WalletAt(path): WalletAt) -> Answer {
    let change = AllowanceChange::Grant {
        grant: GrantId(writer.new_id("grant")),
        amount: body.amount.0,
        priority: body.priority,
        expires_at: body.expires_at.map(|time| time.0),
    };
    let outcome = writer.submit(Command::Allowance { path, change }).await?;
    answer::done(outcome, StatusCode::CREATED, AllowanceBody::try_from)
}
