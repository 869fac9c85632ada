use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use domain::execution::Operation;
use domain::{ModelName, UserRef, WalletPath};
use gateway::{Call, Query};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, Write};
use crate::field::{Field, Object};
use crate::problem::{Code, Problem, ProblemBody, code};

/// A call to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExecution {
    /// The model, by the name it is called by.
    #[schema(value_type = String, format = "model-name", example = "gpt-5")]
    pub model: Field<ModelName>,
    /// The wallet that pays; that of the application where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "wallet-path", example = "customers:42:credits")]
    pub wallet: Option<Field<WalletPath>>,
    /// For which user.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "user-ref", example = "customer-42")]
    pub user: Option<Field<UserRef>>,
    /// What is asked: a chat in OpenAI's form, without `model` and `stream`.
    #[schema(value_type = Object, example = json!({"messages": [{"role": "user", "content": "Hello"}]}))]
    pub input: Object<Map<String, Value>>,
}

impl Document for NewExecution {}

/// A call that was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MadeExecution)]
pub struct MadeBody {
    /// The execution's id: what it used and cost is at `/v1/executions/{id}`.
    pub id: Option<String>,
    /// The answer, in OpenAI's form.
    #[schema(value_type = Object)]
    pub answer: Value,
}

/// Calls a model and answers with the whole answer.
///
/// Streams, and the shapes of other providers, are at the addresses of the gateway.
#[utoipa::path(post, path = "/v1/executions", tag = "Executions", request_body = NewExecution,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, description = "The answer", body = MadeBody, headers(
            ("Counterfoil-Execution" = String, description = "The execution's id; a problem of a call that was recorded has it too"),
            ("Counterfoil-Position" = Option<String>, description = "The position of its settlement, where that was recorded in time"),
            ("Counterfoil-Warning" = Option<String>, description = "What a hard limit would have refused: `allowance_exceeded` or `model_unpriced`"),
            ("Counterfoil-Replayed" = Option<String>, description = "`true` where the answer is that of an earlier call with this key"),
            ("Idempotency-Replayed" = Option<String>, description = "The same, as everywhere")
        )),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn create(Write { body, writer }: Write<NewExecution>) -> Answer {
    let Object(mut input) = body.input;
    for field in ["model", "stream"] {
        if input.contains_key(field) {
            let detail = format!("`{field}` does not belong into the input");
            return Err(Problem::new(code::UNKNOWN_FIELD, detail).at(format!("input.{field}")));
        }
    }
    input.insert("model".to_owned(), Value::String(body.model.0.to_string()));
    let (wallet, user) =
        writer.wallet_and_user(body.wallet.map(|path| path.0), body.user.map(|user| user.0)).await?;
    let request = writer.context().request_id.clone();
    let call = Call {
        tenant: writer.tenant(),
        context: writer.context().clone(),
        wallet,
        application: writer.application(),
        user,
        operation: Operation::OpenAiChat,
        model: body.model.0.to_string(),
        stream: false,
        body: Bytes::from(Value::Object(input).to_string()),
        query: Query::default(),
        headers: Vec::new(),
        key: writer.key().map(str::to_owned),
    };
    let reply = writer.call(call).await;
    let bytes = reply.body.read().await.map_err(Problem::internal)?;
    let said: Value = serde_json::from_slice(&bytes).map_err(Problem::internal)?;
    if !(200..300).contains(&reply.status) {
        let problem = refused(reply.status, &reply.headers, &said);
        return Ok(told(problem.response(Some(&request)), &reply.headers));
    }
    let header = |name: &str| reply.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let id = header("counterfoil-execution").cloned();
    let replayed = header("counterfoil-replayed").is_some();
    let response = answer::written(StatusCode::CREATED, None, replayed, &MadeBody { id, answer: said })?;
    Ok(told(response, &reply.headers))
}

/// A response with what the gateway says of the call: the execution, its position, a warning.
fn told(mut response: HttpResponse, headers: &[(String, String)]) -> HttpResponse {
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("counterfoil-")) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// What the gateway refuses, as a problem.
fn refused(status: u16, headers: &[(String, String)], said: &Value) -> Problem {
    let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    // A code of a provider's may be the name of something else here.
    let named = match text("/error/code") {
        // There they have the statuses that SDKs expect.
        ours @ ("idempotency_key_reused" | "wallet_frozen" | "wallet_closed") => Code::named(ours),
        other => Code::named(other).filter(|code| code.status.as_u16() == status),
    };
    let code = named.unwrap_or(match status {
        429 => code::PROVIDER_RATE_LIMITED,
        504 => code::PROVIDER_TIMEOUT,
        400..500 => code::CALL_REFUSED,
        _ => code::PROVIDER_FAILED,
    });
    let problem = Problem::new(code, text("/error/message"));
    let after = headers.iter().find(|(name, _)| name == "retry-after");
    match after.and_then(|(_, value)| value.parse().ok()) {
        Some(seconds) => problem.retry(seconds),
        None => problem,
    }
}
