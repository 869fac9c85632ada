//! Policies: how much may be used, and what happens where it is not enough.

use actix_web::http::StatusCode;
use commands::Command;
use domain::Catalogue;
use domain::catalogue::{CatalogueCommand, Enforcement, Governed, Mode, Policy, Rollover};
use domain::{Amount, AssetCode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Answer};
use crate::cursor::Cursor;
use crate::extract::{After, Document, GovernedAt, Limit, NoQuery, Nothing, Parameters, Read, Write};
use crate::field::{Field, ModeWord, RolloverWord};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{List, PolicyBody, catalogue_of};

const LIST: &str = "policies";

/// What a policy says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPolicy {
    /// `lifetime`: allocated once; `monthly`: allocated each month of the tenant's time zone.
    #[schema(value_type = String, format = "policy-mode", example = "monthly")]
    pub mode: Field<ModeWord>,
    /// What becomes of the rest of a month: `none` (as where nothing is said), `capped` or `full`.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "policy-rollover", example = "capped")]
    pub rollover: Option<Field<RolloverWord>>,
    /// With `capped`: the most that is carried into the next month.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "amount", example = "5.00")]
    pub rollover_most: Option<Field<Amount>>,
    /// How much is allocated.
    #[schema(value_type = String, format = "amount", example = "20.00")]
    pub amount: Field<Amount>,
    /// In which asset.
    #[schema(value_type = String, format = "asset-code", example = "USD")]
    pub asset: Field<AssetCode>,
    /// Where it is not enough: `monitor` (record only), `warn` (allow, and say so) or `hard` (refuse).
    #[schema(value_type = String, format = "enforcement", example = "hard")]
    pub enforcement: Field<Enforcement>,
}

impl Document for PutPolicy {}

impl PutPolicy {
    fn policy(self) -> Result<Policy, Problem> {
        let wrong = |field: &str, detail: &str| Problem::new(code::INVALID_ROLLOVER, detail).at(field);
        let most = self.rollover_most.map(|most| most.0);
        let mode = match (self.mode.0, self.rollover.map(|word| word.0)) {
            (ModeWord::Lifetime, None) => Mode::Lifetime,
            (ModeWord::Lifetime, Some(_)) => {
                return Err(wrong("rollover", "what is allocated once has no rest to carry over"));
            }
            (ModeWord::Monthly, None | Some(RolloverWord::None)) => {
                Mode::Monthly { rollover: Rollover::None }
            }
            (ModeWord::Monthly, Some(RolloverWord::Full)) => Mode::Monthly { rollover: Rollover::Full },
            (ModeWord::Monthly, Some(RolloverWord::Capped)) => {
                let most = most.ok_or_else(|| wrong("rollover_most", "say the most that is carried over"))?;
                return Ok(Policy {
                    mode: Mode::Monthly { rollover: Rollover::Capped { most } },
                    amount: self.amount.0,
                    asset: self.asset.0,
                    enforcement: self.enforcement.0,
                });
            }
        };
        if most.is_some() {
            return Err(wrong("rollover_most", "only what is capped has a most"));
        }
        Ok(Policy { mode, amount: self.amount.0, asset: self.asset.0, enforcement: self.enforcement.0 })
    }
}

/// The policy that is for exactly this.
fn policy_of<'a>(catalogue: &'a Catalogue, governed: &Governed) -> Option<&'a Policy> {
    match governed {
        Governed::Level(level) => catalogue.level_policies.get(level),
        Governed::User(user) => catalogue.user_policies.get(user),
        Governed::Wallet(wallet) => catalogue.wallet_policies.get(wallet),
    }
}

fn place(governed: &Governed) -> String {
    match governed {
        Governed::Level(level) => format!("the level {level}"),
        Governed::User(user) => format!("the user {user}"),
        Governed::Wallet(wallet) => format!("the wallet {wallet}"),
    }
}

fn absent(governed: &Governed) -> Problem {
    Problem::new(code::POLICY_NOT_FOUND, format!("there is no policy for {}", place(governed)))
}

/// Which policies to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPolicies {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListPolicies {}

/// Lists the policies: those for levels, for users, and for wallets.
#[utoipa::path(get, path = "/v1/policies", tag = "Policies", params(ListPolicies, After), responses(
    (status = 200, description = "Policies", body = List<PolicyBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListPolicies>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last::<String>(LIST)).transpose()?;
    let (catalogue, position) = view.catalogue().await?;
    let mut items = PolicyBody::all(&catalogue);
    items.sort_by_key(PolicyBody::key);
    let behind = items.into_iter().filter(|item| after.as_ref().is_none_or(|after| item.key() > *after));
    let items = behind.take(usize::try_from(limit).unwrap_or_default()).collect();
    view.answer(position, &List::page(LIST, items, limit, PolicyBody::key))
}

/// Shows a policy.
#[utoipa::path(get, path = "/v1/policies/{kind}/{name}", tag = "Policies",
    params(("kind" = String, Path, format = "governed", description = "`level`, `user` or `wallet`"),
        ("name" = String, Path, description = "Which level, user or wallet"), After), responses(
    (status = 200, description = "The policy", body = PolicyBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, at: GovernedAt) -> Answer {
    let governed = at.governed()?;
    let (catalogue, position) = view.catalogue().await?;
    let policy = policy_of(&catalogue, &governed).ok_or_else(|| absent(&governed))?;
    view.answer(position, &PolicyBody::new(&governed, policy))
}

/// Sets the policy for a level, a user or a wallet. That for a wallet counts before that for its user, and both before
/// that for its level.
#[utoipa::path(put, path = "/v1/policies/{kind}/{name}", tag = "Policies", request_body = PutPolicy,
    params(("kind" = String, Path, format = "governed", description = "`level`, `user` or `wallet`"),
        ("name" = String, Path, description = "Which level, user or wallet"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The policy", body = PolicyBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn put(Write { body, writer }: Write<PutPolicy>, at: GovernedAt) -> Answer {
    let governed = at.governed()?;
    let command = CatalogueCommand::SetPolicy { governed: governed.clone(), policy: body.policy()? };
    let outcome = writer.submit(Command::Catalogue(command)).await?;
    answer::done(outcome, StatusCode::OK, |resource| {
        let catalogue = catalogue_of(resource)?;
        let policy = policy_of(&catalogue, &governed).ok_or_else(|| absent(&governed))?;
        Ok(PolicyBody::new(&governed, policy))
    })
}

/// Takes a policy away.
#[utoipa::path(delete, path = "/v1/policies/{kind}/{name}", tag = "Policies",
    params(("kind" = String, Path, format = "governed", description = "`level`, `user` or `wallet`"),
        ("name" = String, Path, description = "Which level, user or wallet"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 204, description = "The policy is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn remove(Write { writer, .. }: Write<Nothing>, at: GovernedAt) -> Answer {
    let command = CatalogueCommand::ClearPolicy { governed: at.governed()? };
    let outcome = writer.submit(Command::Catalogue(command)).await?;
    Ok(answer::gone(&outcome))
}
