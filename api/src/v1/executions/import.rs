use actix_web::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use commands::{Command, FinishedCall, NewCall};
use domain::execution::{End, Operation, Quoted};
use domain::{Digest, ExecutionId, ModelName, ProviderName, Usage, UsageSource, UserRef, WalletPath};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, Write};
use crate::field::{Field, Object};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::ExecutionBody;

/// How long the two steps of an import may be apart.
const APART: TimeDelta = TimeDelta::hours(1);

/// Tokens, in kinds that do not overlap. What is left out is none.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PutUsage {
    /// Input that was neither read from a cache nor written to one.
    #[schema(example = 1200, maximum = 10_000_000_000_u64)]
    pub input: u64,
    /// Input read from a cache.
    #[schema(maximum = 10_000_000_000_u64)]
    pub cache_read: u64,
    /// Input written to a cache for the usual time.
    #[schema(maximum = 10_000_000_000_u64)]
    pub cache_write: u64,
    /// Input written to a cache for long.
    #[schema(maximum = 10_000_000_000_u64)]
    pub cache_write_long: u64,
    /// Output, without reasoning.
    #[schema(example = 350, maximum = 10_000_000_000_u64)]
    pub output: u64,
    /// Reasoning.
    #[schema(maximum = 10_000_000_000_u64)]
    pub reasoning: u64,
}

/// A call that was made elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportExecution {
    /// The wallet that pays.
    #[schema(value_type = String, format = "wallet-path", example = "customers:42:credits")]
    pub wallet: Field<WalletPath>,
    /// For which user.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "user-ref", example = "customer-42")]
    pub user: Option<Field<UserRef>>,
    /// The provider that was called. Its price for the model must be known.
    #[schema(value_type = String, format = "provider-name", example = "openai")]
    pub provider: Field<ProviderName>,
    /// The model, as the provider calls it.
    #[schema(value_type = String, format = "model-name", example = "gpt-5")]
    pub model: Field<ModelName>,
    /// When it was called.
    #[schema(value_type = DateTime<Utc>)]
    pub requested_at: Field<DateTime<Utc>>,
    /// What it used.
    #[schema(value_type = PutUsage)]
    pub usage: Object<PutUsage>,
}

impl Document for ImportExecution {}

/// Records a call that was made elsewhere: it is held, settled and counted like one that was made here, at its own time.
#[utoipa::path(post, path = "/v1/executions/import", tag = "Executions", request_body = ImportExecution,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, description = "The execution", body = ExecutionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn import(Write { body, writer }: Write<ImportExecution>) -> Answer {
    let (provider, model) = (body.provider.0, body.model.0);
    let catalogue = writer.catalogue().await?;
    let unpriced =
        || Problem::new(code::MODEL_UNPRICED, format!("{model} has no price at {provider}")).at("model");
    let price = catalogue.price(&provider, &model).cloned().ok_or_else(unpriced)?;
    let Object(PutUsage { input, cache_read, cache_write, cache_write_long, output, reasoning }) = body.usage;
    let usage = Usage { input, cache_read, cache_write, cache_write_long, output, reasoning };
    let quoted = Quoted { provider, model: model.clone(), price };
    let id = ExecutionId(writer.new_id("execution"));
    let call = NewCall {
        wallet: body.wallet.0,
        application: writer.application(),
        user: body.user.map(|user| user.0),
        model,
        operation: Operation::Imported,
        fingerprint: Digest::default(),
        estimate: usage,
        basis: None,
        quotes: vec![quoted.clone()],
        requested_at: Some(body.requested_at.0),
        expires_at: writer.now() + APART,
    };
    let finished = FinishedCall {
        attempts: Vec::new(),
        end: End::Completed,
        usage,
        usage_source: UsageSource::Reported,
        paid: Some(quoted),
    };
    let commands = vec![
        Command::Execute { id, call: Box::new(call) },
        Command::FinishExecution { id, finished: Box::new(finished) },
    ];
    let mut last = None;
    for outcome in writer.submit_each(commands).await {
        last = Some(outcome?);
    }
    let outcome = last.ok_or_else(|| Problem::internal("an import came to nothing"))?;
    answer::done(outcome, StatusCode::CREATED, ExecutionBody::try_from)
}
