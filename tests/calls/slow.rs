//! A client that stops reading, on a socket of its own.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::provider::{DONE, Provider, STOP, delta, stream, usage};
use crate::world::{Shape, World};

/// More than the sockets between here and there take.
const EVENTS: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_has_the_connection_broken_and_no_end_of_the_answer() {
    let Some(world) = World::start(&[("COUNTERFOIL_GATEWAY__TOTAL_MS", "3000")]).await else { return };
    let large = delta(&"x".repeat(100_000));
    let usage = usage(30, 20);
    let chunks: Vec<&str> =
        std::iter::repeat_n(large.as_str(), EVENTS).chain([STOP, usage.as_str(), DONE]).collect();
    let provider = Provider::new([stream(&chunks)]).await;
    world.provider("openai", "endless", &provider.address).await;
    world.model("endless", "endless", "endless").await;
    world.fund("payer", "10000").await;

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut socket = socket.connect(world.server.address().parse().unwrap()).await.unwrap();
    let key = world.caller.token();
    let body = Shape::Chat.body("endless", "count", true).to_string();
    let request = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n\
         counterfoil-wallet: payer\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = vec![0; 16 * 1024];
    let count = socket.read(&mut read).await.unwrap();
    read.truncate(count);
    assert!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
    // Nothing more is read until the time of the call is over.
    tokio::time::sleep(Duration::from_secs(6)).await;
    // That the connection is broken may be an error here, or only its end.
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut rest));
    let _ = reading.await.expect("the connection ends");
    read.append(&mut rest);
    assert!(read.len() < EVENTS * 100_000, "{} bytes came, which is all of it", read.len());
    assert!(!read.ends_with(b"\r\n0\r\n\r\n"), "the body looks whole");
    let executions = world.executions("payer", 1).await;
    assert_ne!(executions[0]["cost"], json!("0.000000"), "what passed is paid: {}", executions[0]);
    assert_eq!(world.balance("payer").await.1, 0);
}
