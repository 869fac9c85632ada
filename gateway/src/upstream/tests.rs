use domain::catalogue::{Provider, Timeouts};
use domain::{ProviderName, WebAddress};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::offer::Secret;

fn supplier(base: &str, dialect: Dialect) -> Supplier {
    let provider = Provider {
        name: ProviderName::new("p").unwrap(),
        dialect,
        base_url: WebAddress::new(base).unwrap(),
        credential: None,
        priority: 0,
        timeouts: Timeouts { connect_ms: 2_000, ..Timeouts::default() },
        enabled: true,
    };
    Supplier { owner: TenantId::PLATFORM, provider, credential: Some(Secret::new("s3cret")) }
}

/// Answers each connection with these bytes and says what it was asked.
async fn answering(answer: &'static str) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (asked, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 64 * 1024];
            let count = socket.read(&mut request).await.unwrap();
            let _ = asked.send(String::from_utf8_lossy(&request[..count]).into_owned());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, heard)
}

async fn send(
    upstreams: &Upstreams,
    supplier: &Supplier,
    headers: &[(String, String)],
) -> Result<(Head, reqwest::Response), Trouble> {
    let outgoing = Outgoing {
        supplier,
        address: format!("{}/x", supplier.provider.base_url),
        headers,
        body: Bytes::from_static(b"{}"),
        stream: false,
        sent: Arc::default(),
    };
    let by = Instant::now() + Duration::from_secs(10);
    upstreams.send(outgoing, by, Late::Total, "2026-01-01T00:00:00Z".parse().unwrap()).await
}

fn open() -> Upstreams {
    Upstreams::new(UpstreamOptions::default())
}

#[tokio::test]
async fn a_provider_sees_its_own_credential_and_nothing_of_the_clients() {
    for (dialect, expected) in [
        (Dialect::Openai, "authorization: Bearer s3cret"),
        (Dialect::Anthropic, "x-api-key: s3cret"),
        (Dialect::Gemini, "x-goog-api-key: s3cret"),
    ] {
        let (address, mut heard) =
            answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\nrequest-id: r\r\n\r\n{}")
                .await;
        let headers = [
            ("Authorization", "Bearer cf_key"),
            ("X-Api-Key", "cf_key"),
            ("Cookie", "c=d"),
            ("anthropic-beta", "b1"),
            ("OpenAI-Beta", "b2"),
            ("counterfoil-wallet", "w"),
            ("Accept-Encoding", "gzip"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (head, response) = send(&open(), &supplier(&address, dialect), &headers).await.unwrap();
        let asked = heard.recv().await.unwrap();
        assert!(asked.contains(expected), "{asked}");
        assert_eq!(asked.contains("anthropic-beta: b1"), dialect == Dialect::Anthropic, "{asked}");
        assert_eq!(asked.contains("openai-beta: b2"), dialect == Dialect::Openai, "{asked}");
        for secret in ["cf_key", "c=d", "wallet", "gzip"] {
            assert!(!asked.contains(secret), "{secret}: {asked}");
        }
        assert_eq!(asked.contains("anthropic-version: 2023-06-01"), dialect == Dialect::Anthropic);
        assert_eq!(head.headers, [("request-id".to_owned(), "r".to_owned())]);
        let body = read(response, 100, Instant::now() + Duration::from_secs(5)).await.unwrap();
        assert_eq!(body, "{}");
    }
}

#[tokio::test]
async fn an_error_is_read_with_what_it_asks_for() {
    let (address, _heard) =
        answering("HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 38\r\n\r\n{\"error\":{\"code\":\"rate\",\"message\":\"m\"}}").await;
    let trouble = send(&open(), &supplier(&address, Dialect::Openai), &[]).await.unwrap_err();
    assert_eq!(trouble.status(), Some(429));
    assert_eq!(trouble.retry_after(), Some(Duration::from_secs(7)));
    assert!(trouble.is_passing() && trouble.may_heal() && !trouble.is_failure());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (address, _heard) =
        answering("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n")
            .await;
    let trouble = send(&open(), &supplier(&address, Dialect::Openai), &[]).await.unwrap_err();
    assert_eq!((trouble.status(), trouble.refusal().status), (Some(302), 502));
}

#[tokio::test]
async fn the_inner_network_is_out_of_reach_where_only_the_public_one_is_allowed() {
    let (address, mut heard) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let upstreams = Upstreams::new(UpstreamOptions { public_only: true, ..UpstreamOptions::default() });
    let by_name = address.replace("127.0.0.1", "localhost");
    for base in [address, by_name] {
        let trouble = send(&upstreams, &supplier(&base, Dialect::Openai), &[]).await.unwrap_err();
        assert!(trouble.to_string().contains("public"), "{trouble}");
    }
    assert!(heard.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn nobody_there_and_no_such_name_are_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for base in [gone.as_str(), "http://no-such-host.invalid"] {
        let trouble = send(&open(), &supplier(base, Dialect::Openai), &[]).await.unwrap_err();
        assert!(matches!(trouble, Trouble::Unreachable(_)), "{trouble}");
        assert!(trouble.is_failure() && trouble.may_heal());
    }
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_taken() {
    let (address, _heard) = answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n123456").await;
    let (_, response) = send(&open(), &supplier(&address, Dialect::Openai), &[]).await.unwrap();
    let read = read(response, 5, Instant::now() + Duration::from_secs(5)).await;
    assert!(matches!(read, Err(Trouble::Malformed(_))));
}

#[test]
fn a_filters_refusal_is_not_got_round_and_a_wrong_request_is_wrong_everywhere() {
    let answered = |status, body: &'static str| {
        let head = Head { status, headers: Vec::new() };
        Trouble::answered(head, Bytes::from_static(body.as_bytes()), None)
    };
    let filter = answered(400, r#"{"error":{"code":"content_filter","message":"no"}}"#);
    assert!(!filter.is_passing() && !filter.is_failure());
    assert_eq!((filter.refusal().status, filter.refusal().code.as_ref()), (400, "content_filter"));
    for status in [400, 413, 422] {
        assert!(!answered(status, "{}").is_passing(), "{status}");
    }
    for status in [408, 409, 429, 500, 502, 503, 529] {
        assert!(answered(status, "{}").may_heal(), "{status}");
    }
    for status in [401, 402, 403] {
        let trouble = answered(status, "{}");
        assert!(trouble.is_passing() && !trouble.may_heal() && trouble.is_failure(), "{status}");
        assert_eq!(
            trouble.refusal().status,
            502,
            "a client must not take it for a word on its own key or wallet"
        );
    }
    assert!(answered(404, "{}").is_passing() && !answered(404, "{}").is_failure());
}
