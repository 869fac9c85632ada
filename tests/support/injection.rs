//! SQL and worse in the place of every text that the API takes, wherever the description says that there is one.

#![expect(clippy::unwrap_used, clippy::format_collect, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::server::{Answer, Client};

/// What is tried in the place of a text.
const INJECTIONS: [&str; 14] = [
    "'; DROP TABLE journal.events; --",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "1; SELECT pg_sleep(5)",
    "') UNION SELECT * FROM views.tenants --",
    "$1",
    "$$",
    "\\",
    "%' OR tenant_id IS NOT NULL --",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "\u{0000}",
    "\u{202e}\u{fffd}\u{10ffff}",
];

/// A document that a schema describes, from its examples.
fn example(schema: &Value, description: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        return example(description.pointer(name).unwrap(), description);
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    for alternatives in ["oneOf", "anyOf", "allOf"] {
        let listed = schema[alternatives].as_array();
        if let Some(one) = listed.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            return example(one, description);
        }
    }
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    match types.iter().find_map(|one| one.as_str().filter(|one| *one != "null")) {
        Some("object") => {
            let fields = schema["properties"].as_object().cloned().unwrap_or_default();
            fields.iter().map(|(name, field)| (name.clone(), example(field, description))).collect()
        }
        Some("array") => json!([example(&schema["items"], description)]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(false),
        _ => json!("x"),
    }
}

/// The JSON pointers to all texts in a document.
fn texts(document: &Value, at: &str, found: &mut Vec<String>) {
    match document {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| texts(item, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| texts(field, &format!("{at}/{name}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// That an answer is no fault of the server and shows nothing of what lies behind it.
fn expect_calm(answer: &Answer, what: &str) {
    let text = answer.body.to_string().to_lowercase();
    assert!(answer.status < 500, "{what}: {answer:?}");
    for leak in ["sqlx", "postgres", "syntax error at", "panicked", "views.", "root:x:", "/home/"] {
        let echoed = what.to_lowercase().contains(leak);
        assert!(echoed || !text.contains(leak), "{what}: {answer:?}");
    }
}

/// What comes back, whatever it is.
async fn answer_to(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.json().await.unwrap_or(Value::Null);
    Answer { status, body, position: None, replayed: false }
}

/// Tries everything in every text of every request of the description; says how much that was. `who` says who asks.
pub async fn everywhere<'a>(reader: &Client, who: impl Fn(&str) -> &'a Client) -> usize {
    let description = reader.get("/openapi.json").await.body;
    let mut tried = BTreeMap::new();
    for (pattern, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let count = tried.entry(format!("{method} {pattern}")).or_insert(0);
            *count += inject(who(pattern), &method, pattern, operation, &description).await;
        }
    }
    tried.values().sum()
}

/// Tries everything that a header can hold in every header that is looked at.
pub async fn in_headers(client: &Client) -> usize {
    let mut tried = 0;
    for value in INJECTIONS.into_iter().filter_map(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
        for name in [
            "Authorization",
            "Cookie",
            "Idempotency-Key",
            "If-None-Match",
            "Origin",
            "Traceparent",
            "User-Agent",
            "X-CSRF-Token",
            "X-Forwarded-For",
            "X-Request-Id",
            "X-Tenant-Slug",
        ] {
            for method in [Method::GET, Method::POST] {
                let request = client.request(method.clone(), "/v1/assets").header(name, value.clone());
                let request = if method == Method::POST {
                    request.json(&json!({"code": "XAU", "scale": 3}))
                } else {
                    request
                };
                expect_calm(&answer_to(request).await, &format!("{method} {name}: {value:?}"));
                tried += 1;
            }
        }
    }
    tried
}

/// Tries every injection in every text of the body, in every parameter and in every variable part of the path.
async fn inject(
    client: &Client,
    method: &Method,
    pattern: &str,
    operation: &Value,
    description: &Value,
) -> usize {
    let plain: Vec<&str> = pattern.split('/').collect();
    let path_with = |place: Option<usize>, text: &str| {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let segments = plain.iter().enumerate().map(|(index, segment)| match segment {
            segment if !segment.starts_with('{') => (*segment).to_owned(),
            _ if place == Some(index) => encoded.clone(),
            _ => "x".to_owned(),
        });
        segments.collect::<Vec<_>>().join("/")
    };
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = if schema.is_null() { json!({}) } else { example(schema, description) };
    let mut places = Vec::new();
    texts(&body, "", &mut places);
    let mut tried = 0;
    for text in INJECTIONS {
        let mut requests = Vec::new();
        for (index, _) in plain.iter().enumerate().filter(|(_, segment)| segment.starts_with('{')) {
            requests.push((path_with(Some(index), text), body.clone()));
        }
        for place in &places {
            let mut changed = body.clone();
            *changed.pointer_mut(place).unwrap() = json!(text);
            requests.push((path_with(None, ""), changed));
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "query" {
                let value: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let path = format!("{}?{}={value}", path_with(None, ""), parameter["name"].as_str().unwrap());
                requests.push((path, body.clone()));
            }
        }
        let answers = requests.iter().map(async |(path, body)| {
            let request = client.request(method.clone(), path);
            let request = if *method == Method::GET { request } else { request.json(body) };
            expect_calm(&answer_to(request).await, &format!("{method} {path} {text:?}"));
        });
        tried += join_all(answers).await.len();
    }
    tried
}
