//! A provider: a socket that answers each request as the next script says, and the last script for ever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// One step of an answer.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes.
    Send(Vec<u8>),
    /// Nothing more, until the test says so or the other side goes.
    Wait,
    /// Nothing more, for ever.
    Stall,
    /// The connection is broken off here.
    Break,
}

/// An answer to one request.
pub type Script = Vec<Step>;

/// What it was asked and will answer.
#[derive(Clone)]
pub struct Provider {
    pub address: String,
    asked: Arc<Mutex<Vec<String>>>,
    scripts: Arc<Mutex<VecDeque<Script>>>,
    go: Arc<Notify>,
    /// How many connections the other side closed while a script was not at its end.
    left: Arc<Notify>,
}

impl Provider {
    pub async fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
            scripts: Arc::new(Mutex::new(scripts.into_iter().collect())),
            go: Arc::default(),
            left: Arc::default(),
        };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(socket).await });
            }
        });
        provider
    }

    /// An address at which nobody is.
    pub async fn nowhere() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    /// The requests so far: head and body.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets one script that waits go on.
    pub fn go(&self) {
        self.go.notify_one();
    }

    /// Waits until somebody hung up on a script.
    pub async fn hung_up(&self) {
        self.left.notified().await;
    }

    async fn serve(&self, mut socket: TcpStream) {
        let Some(request) = request(&mut socket).await else {
            return;
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let script = {
            let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
            if scripts.len() > 1 { scripts.pop_front().unwrap() } else { scripts[0].clone() }
        };
        for step in script {
            match step {
                Step::Send(bytes) => {
                    if socket.write_all(&bytes).await.is_err() {
                        self.left.notify_one();
                        return;
                    }
                }
                Step::Wait | Step::Stall => {
                    let mut nothing = [0; 1];
                    let stall = matches!(step, Step::Stall);
                    tokio::select! {
                        () = self.go.notified(), if !stall => {}
                        _ = socket.read(&mut nothing) => {
                            self.left.notify_one();
                            return;
                        }
                    }
                }
                Step::Break => {
                    // A moment, so that what was sent is not thrown away with the connection.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return;
                }
            }
        }
    }
}

async fn request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 16 * 1024];
        let count = socket.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or_default() {
            return Some(text.into_owned());
        }
    }
}

/// A whole answer.
pub fn whole(status: u16, body: &str) -> Script {
    with_header(status, "x-any: 1", body)
}

/// A whole answer with one more header.
pub fn with_header(status: u16, header: &str, body: &str) -> Script {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{header}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    vec![Step::Send(text.into_bytes()), Step::Break]
}

/// The head of a stream.
pub fn head() -> Step {
    let text = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    Step::Send(text.as_bytes().to_vec())
}

/// A chunk of a stream.
pub fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

/// The end of a stream.
pub fn end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// A stream of these chunks, to its end.
pub fn stream(chunks: &[&str]) -> Script {
    let chunks = chunks.iter().map(|text| chunk(text));
    std::iter::once(head()).chain(chunks).chain([end(), Step::Break]).collect()
}

/// A piece of text as OpenAI streams it.
pub fn delta(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
    )
}

/// The usage as OpenAI streams it.
pub fn usage(input: u64, output: u64) -> String {
    format!(
        "data: {{\"id\":\"c\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{}}}}}\n\n",
        input + output
    )
}

pub const ROLE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n";
pub const STOP: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";

/// A whole chat answer.
pub fn answer(text: &str, usage: &str) -> String {
    format!(
        "{{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}]{usage}}}"
    )
}

/// The usage of a whole chat answer.
pub fn used(input: u64, output: u64) -> String {
    format!(",\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output}}}")
}
