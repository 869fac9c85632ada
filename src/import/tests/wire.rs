//! As much of HTTP/1.1 as a client of known habits needs: requests with a Content-Length, one after another.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

pub struct Request {
    pub method: String,
    pub path: String,
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub struct Response {
    pub status: u16,
    /// Whole lines, each with its end.
    pub headers: &'static str,
    pub body: String,
}

/// Answers the requests of one connection until the client closes it.
pub async fn serve(stream: TcpStream, answer: impl Fn(Request) -> Response) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = receive(&mut stream).await {
        let Response { status, headers, body } = answer(request);
        let length = body.len();
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let start = stream.fill_buf().await.ok()?;
    if !start.first()?.is_ascii_uppercase() {
        // A TLS handshake, for one.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        return None;
    }
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers: Vec<_> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().expect("a length"))];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, body: String::from_utf8(body).expect("text"), headers })
}
