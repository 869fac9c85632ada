//! The addresses themselves.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use domain::execution::Operation;
use serde_json::json;

use super::answer;
use super::asked::{Asked, InAddress};
use super::description::{AnthropicErrors, CallHeaders, GeminiErrors, OpenAiErrors, Relayed};
use crate::auth::Caller;
use crate::extract;
use crate::problem::{Problem, code};

async fn relay(
    request: HttpRequest,
    payload: Payload,
    operation: Operation,
    address: InAddress,
) -> HttpResponse {
    match Asked::of(&request, payload.into_inner(), operation, address).await {
        Ok(Asked { app, call, admitted }) => {
            let reply = app.gateway.call(call).await;
            drop(admitted);
            answer::response(reply)
        }
        Err(problem) => answer::refused(&problem, operation),
    }
}

/// Answers a chat, by OpenAI's shape.
///
/// What is asked goes to the provider as it is, the model's name excepted; the answer comes back as it is.
#[utoipa::path(post, path = "/openai/v1/chat/completions", tag = "Gateway",
    request_body(content = Object, content_type = "application/json"),
    params(CallHeaders), responses(Relayed, OpenAiErrors))]
pub async fn openai_chat(request: HttpRequest, payload: Payload) -> HttpResponse {
    relay(request, payload, Operation::OpenAiChat, InAddress::default()).await
}

/// Answers a request, by the shape of OpenAI's responses.
#[utoipa::path(post, path = "/openai/v1/responses", tag = "Gateway",
    request_body(content = Object, content_type = "application/json"),
    params(CallHeaders), responses(Relayed, OpenAiErrors))]
pub async fn openai_responses(request: HttpRequest, payload: Payload) -> HttpResponse {
    relay(request, payload, Operation::OpenAiResponses, InAddress::default()).await
}

/// Computes embeddings, by OpenAI's shape.
#[utoipa::path(post, path = "/openai/v1/embeddings", tag = "Gateway",
    request_body(content = Object, content_type = "application/json"),
    params(CallHeaders), responses((status = 200, description = "The provider's answer"), OpenAiErrors))]
pub async fn openai_embeddings(request: HttpRequest, payload: Payload) -> HttpResponse {
    relay(request, payload, Operation::OpenAiEmbeddings, InAddress::default()).await
}

/// Lists the models that can be called, by OpenAI's shape.
#[utoipa::path(get, path = "/openai/v1/models", tag = "Gateway",
    responses((status = 200, description = "The models, by the names they are called by"), OpenAiErrors))]
pub async fn openai_models(request: HttpRequest) -> HttpResponse {
    match models(&request).await {
        Ok(names) => {
            let model =
                |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "counterfoil"});
            let data: Vec<_> = names.into_iter().map(model).collect();
            let body = json!({"object": "list", "data": data}).to_string();
            HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body)
        }
        Err(problem) => answer::refused(&problem, Operation::OpenAiChat),
    }
}

async fn models(request: &HttpRequest) -> Result<Vec<String>, Problem> {
    let app = extract::state(request)?;
    let caller = Caller::identify(&app, request).await?;
    app.catalogues.models(caller.tenant).await
}

/// Answers messages, by Anthropic's shape.
#[utoipa::path(post, path = "/anthropic/v1/messages", tag = "Gateway",
    request_body(content = Object, content_type = "application/json"),
    params(CallHeaders), responses(Relayed, AnthropicErrors))]
pub async fn anthropic_messages(request: HttpRequest, payload: Payload) -> HttpResponse {
    relay(request, payload, Operation::AnthropicMessages, InAddress::default()).await
}

/// Counts the tokens of messages, by Anthropic's shape. Costs nothing.
#[utoipa::path(post, path = "/anthropic/v1/messages/count_tokens", tag = "Gateway",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "The provider's answer"), AnthropicErrors))]
pub async fn anthropic_count_tokens(request: HttpRequest, payload: Payload) -> HttpResponse {
    relay(request, payload, Operation::AnthropicCountTokens, InAddress::default()).await
}

/// Answers contents, by Gemini's shape.
///
/// `{call}` is a model and what to do with it: `generateContent`, `streamGenerateContent` (with `?alt=sse`),
/// `countTokens` or `embedContent`.
#[utoipa::path(post, path = "/gemini/{version}/models/{call}", tag = "Gateway",
    request_body(content = Object, content_type = "application/json"),
    params(("version" = String, Path, description = "`v1` or `v1beta`"),
        ("call" = String, Path, description = "`<model>:<method>`"),
        CallHeaders),
    responses(Relayed, GeminiErrors))]
pub async fn gemini(request: HttpRequest, payload: Payload, path: Path<(String, String)>) -> HttpResponse {
    let (version, call) = path.into_inner();
    match gemini_call(&version, &call, request.query_string()) {
        Ok((operation, address)) => relay(request, payload, operation, address).await,
        Err(problem) => answer::refused(&problem, Operation::GeminiGenerate),
    }
}

/// What an address of Gemini's asks for.
fn gemini_call(version: &str, call: &str, query: &str) -> Result<(Operation, InAddress), Problem> {
    let nothing = || Problem::new(code::ROUTE_NOT_FOUND, format!("{version} does not know {call}"));
    if !matches!(version, "v1" | "v1beta") {
        return Err(nothing());
    }
    let (model, method) = call.rsplit_once(':').ok_or_else(nothing)?;
    let operation = match method {
        "generateContent" | "streamGenerateContent" => Operation::GeminiGenerate,
        "countTokens" => Operation::GeminiCountTokens,
        "embedContent" => Operation::GeminiEmbed,
        _ => return Err(nothing()),
    };
    let stream = method == "streamGenerateContent";
    if stream && !query.split('&').any(|pair| pair == "alt=sse") {
        let detail = "a stream is sent as server-sent events: ask with ?alt=sse";
        return Err(Problem::new(code::INVALID_QUERY, detail));
    }
    Ok((operation, InAddress { model: model.to_owned(), stream }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(call: &str, query: &str) -> Result<(Operation, String, bool), &'static str> {
        let (operation, address) = gemini_call("v1beta", call, query).map_err(|problem| problem.code.name)?;
        Ok((operation, address.model, address.stream))
    }

    #[test]
    fn an_address_of_gemini_says_the_model_and_what_to_do() {
        let whole = Ok((Operation::GeminiGenerate, "gemini-x".to_owned(), false));
        assert_eq!(of("gemini-x:generateContent", "key=k"), whole);
        let stream = Ok((Operation::GeminiGenerate, "gemini-x".to_owned(), true));
        assert_eq!(of("gemini-x:streamGenerateContent", "alt=sse&key=k"), stream);
        assert_eq!(of("gemini-x:streamGenerateContent", ""), Err("invalid_query"));
        assert_eq!(of("gemini-x:countTokens", "").unwrap().0, Operation::GeminiCountTokens);
        assert_eq!(of("gemini-x:batchDestroy", ""), Err("route_not_found"));
        assert_eq!(of("gemini-x", ""), Err("route_not_found"));
        assert!(gemini_call("v7", "m:generateContent", "").is_err());
    }
}
