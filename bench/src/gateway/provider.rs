//! A provider of models that does nothing: a process of one thread, which answers what [`super::wire`] says after the
//! time that the model's name says. Everybody calls it in the same way, so what it costs is on both sides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::LocalSet;

use super::wire;
use crate::measure::Failure;

/// The most headers of a request.
const HEADERS: usize = 32;

/// The process, seen from outside.
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Provider {
    /// Starts it.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("provider")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().ok_or("the provider has no input")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the provider has no output")?).lines();
        let address = lines.next_line().await?.ok_or("the provider does not say where it is")?.parse()?;
        Ok(Self { address, child, input, lines })
    }

    /// Stops it, and says how many calls it has answered to whoever showed `credential`.
    ///
    /// # Errors
    /// It has failed.
    pub async fn stop(mut self, credential: &str) -> Result<u64, Failure> {
        drop(self.input);
        let line = self.lines.next_line().await?.ok_or("the provider does not say what it has answered")?;
        if !self.child.wait().await?.success() {
            return Err("the provider has failed".into());
        }
        let answered: BTreeMap<String, u64> = serde_json::from_str(&line)?;
        Ok(answered.get(credential).copied().unwrap_or_default())
    }
}

/// How many calls were answered, by credential.
type Answered = Rc<RefCell<BTreeMap<String, u64>>>;

/// Is the process: says where it listens, answers until its input ends, and says how many calls of whom it has answered.
///
/// # Errors
/// It cannot listen.
pub fn provide() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answered = Answered::default();
    let serving = LocalSet::new().block_on(&runtime, serve(Rc::clone(&answered)));
    // Reading its input takes a thread that cannot be stopped otherwise.
    runtime.shutdown_background();
    serving?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&*answered.borrow())?)?;
    Ok(())
}

async fn serve(answered: Answered) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let said = Rc::new(Said::new());
    let mut end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    loop {
        let (stream, _) = tokio::select! {
            ended = &mut end => return Ok(ended?.map(drop)?),
            accepted = listener.accept() => accepted?,
        };
        stream.set_nodelay(true)?;
        let (answered, said) = (Rc::clone(&answered), Rc::clone(&said));
        // Whoever is connected sees what goes wrong: the connection ends.
        tokio::task::spawn_local(async move { converse(stream, &answered, &said).await.unwrap_or_default() });
    }
}

/// Everything that is ever said, as it goes over the wire.
struct Said {
    whole: Vec<u8>,
    /// The head of a stream with its first event, each further event, and the last with what ends the answer.
    parts: Vec<Vec<u8>>,
}

impl Said {
    fn new() -> Self {
        let whole = wire::whole();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: ";
        let length = whole.len();
        let whole = format!("{head}application/json\r\nContent-Length: {length}\r\n\r\n{whole}").into_bytes();
        let chunk = |event: String| format!("{:x}\r\n{event}\r\n", event.len()).into_bytes();
        let mut parts: Vec<Vec<u8>> = wire::events().into_iter().map(chunk).collect();
        let head = format!("{head}text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        if let Some(first) = parts.first_mut() {
            first.splice(0..0, head.into_bytes());
        }
        if let Some(last) = parts.last_mut() {
            last.extend_from_slice(b"0\r\n\r\n");
        }
        Self { whole, parts }
    }
}

/// A request, as far as it matters.
struct Request {
    credential: String,
    /// How long it is with its body.
    length: usize,
    think: Duration,
    streamed: bool,
}

/// Answers what comes over a connection until it ends.
async fn converse(mut stream: TcpStream, answered: &Answered, said: &Said) -> Result<(), Failure> {
    let mut text = Vec::with_capacity(16 * 1_024);
    loop {
        let request = loop {
            if let Some(request) = read(&text)? {
                break request;
            }
            if stream.read_buf(&mut text).await? == 0 {
                return Ok(());
            }
        };
        text.drain(..request.length);
        if !request.think.is_zero() {
            tokio::time::sleep(request.think).await;
        }
        if request.streamed {
            for part in &said.parts {
                stream.write_all(part).await?;
                // As tokens come: each by itself.
                tokio::task::yield_now().await;
            }
        } else {
            stream.write_all(&said.whole).await?;
        }
        *answered.borrow_mut().entry(request.credential).or_default() += 1;
    }
}

/// What is asked; `None` while not all of it is there.
fn read(text: &[u8]) -> Result<Option<Request>, Failure> {
    #[derive(Deserialize)]
    struct Body<'a> {
        model: &'a str,
        #[serde(default)]
        stream: bool,
    }

    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(begin) = request.parse(text)? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let length: usize = header("content-length").ok_or("a request of unknown length")?.trim().parse()?;
    let Some(body) = text.get(begin..begin + length) else {
        return Ok(None);
    };
    let credential = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let credential = credential.ok_or("a request without a credential")?.to_owned();
    let Body { model, stream: streamed } = serde_json::from_slice(body)?;
    let think = Duration::from_millis(wire::think_ms(model).ok_or("a model that is not known")?);
    Ok(Some(Request { credential, length: begin + length, think, streamed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_all_of_it_is_there() {
        let body = r#"{"messages":[],"model":"think-20","stream":true}"#;
        let length = body.len();
        let text = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer me\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let request = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((request.credential.as_str(), request.length, request.streamed), ("me", text.len(), true));
        assert_eq!(request.think, Duration::from_millis(20));
        for end in 0..text.len() {
            assert!(read(&text.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
    }
}
