//! A client that stops reading, on a socket of its own.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::provider::{DONE, Provider, STOP, answer, delta, stream, usage, used, whole};
use crate::world::{Shape, World};

/// More than the sockets between here and there take.
const EVENTS: usize = 400;

/// A call on a socket that takes little of the answer by itself.
async fn asked(world: &World, model: &str, stream: bool) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut socket = socket.connect(world.server.address().parse().unwrap()).await.unwrap();
    let key = world.caller.token();
    let body = Shape::Chat.body(model, "count", stream).to_string();
    let request = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n\
         counterfoil-wallet: payer\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

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

    let mut socket = asked(&world, "endless", true).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_long_whole_answer_is_a_call_until_it_is_read_and_is_not_waited_for_for_ever() {
    let settings = [("COUNTERFOIL_GATEWAY__CALLS", "1"), ("COUNTERFOIL_GATEWAY__TOTAL_MS", "3000")];
    let Some(world) = World::start(&settings).await else { return };
    let body = answer(&"x".repeat(EVENTS * 100_000), &used(30, 20));
    let provider = Provider::new([whole(200, &body)]).await;
    world.provider("openai", "long", &provider.address).await;
    world.model("long", "long", "long").await;
    world.fund("payer", "10000").await;

    let mut socket = asked(&world, "long", false).await;
    let mut read = vec![0; 16 * 1024];
    let count = socket.read(&mut read).await.unwrap();
    read.truncate(count);
    let head = String::from_utf8_lossy(&read).to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    let refused = world.call("payer", Shape::Chat, "long", "count", false).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    // Until its time is over.
    let next = async {
        loop {
            let said = world.call("payer", Shape::Chat, "long", "count", false).await;
            if said.status != 503 {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(60), next).await.unwrap();
    assert_eq!(said.status, 200);
    assert!(said.text == body, "{} of {} bytes came", said.text.len(), body.len());
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut rest));
    let _ = reading.await.expect("the connection ends");
    assert!(read.len() + rest.len() < body.len(), "all of it came");
    let executions = world.executions("payer", 2).await;
    assert!(executions.iter().all(|one| one["status"] == "completed"), "{executions:?}");
}
