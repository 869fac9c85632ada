//! Who takes all the time in the world gets none of the server's.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Server;

/// Longer than any limit of the server: a test that waits so long has failed.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Sends `start` at once and then a byte of `drip` every now and then, until the server has had enough. Gives what it
/// said; `None` where it is still listening.
async fn drip(server: &Server, start: &str, drip: u8) -> Option<String> {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(start.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        while writing.write_all(&[drip]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let mut answer = Vec::new();
    // The end may come as a reset, since bytes were under way.
    let end = tokio::time::timeout(FOR_EVER, reading.read_to_end(&mut answer)).await;
    dripping.abort();
    end.is_ok().then(|| String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_or_a_body_that_comes_byte_by_byte_is_given_up_and_others_are_served_meanwhile() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let before = acme.state().await;
    let head = "GET /v1/assets HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    let body = format!(
        "POST /v1/transactions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\n",
        acme.token
    );
    let announced = format!("{body}Content-Length: 1000\r\n\r\n{{");
    let anonymous = "POST /v1/auth/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                     Connection: close\r\nContent-Length: 1000\r\n\r\n{";
    let slow = async {
        let heads: Vec<_> = (0..50).map(|_| drip(&server, head, b'a')).collect();
        let bodies: Vec<_> = (0..50).map(|_| drip(&server, &announced, b' ')).collect();
        let strangers: Vec<_> = (0..10).map(|_| drip(&server, anonymous, b' ')).collect();
        tokio::join!(
            futures_util::future::join_all(heads),
            futures_util::future::join_all(bodies),
            futures_util::future::join_all(strangers)
        )
    };
    let others = async {
        for _ in 0..50 {
            assert_eq!(acme.get("/v1/assets").await.status, 200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ((heads, bodies, strangers), ()) = tokio::join!(slow, others);
    for answer in heads {
        let answer = answer.expect("a head that never ends is given up");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    for answer in bodies.into_iter().chain(strangers) {
        let answer = answer.expect("a body that never ends is given up");
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    }
    // Who says nothing at all, and who says a little and falls silent.
    for start in ["", "GET /v1/as"] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(FOR_EVER, stream.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "a connection without a request is given up");
    }
    assert_eq!(acme.state().await, before);
}
