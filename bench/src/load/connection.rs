//! One connection that is kept alive: a request out, an answer in.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::measure::Failure;

/// The most headers of an answer.
const HEADERS: usize = 32;

/// A connection, and the last answer that came over it.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

/// An answer.
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(16 * 1_024) })
    }

    /// Sends a whole request and reads the whole answer, which must say how long it is.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        let mut head: Option<(u16, usize, usize)> = None;
        let (status, begin, end) = loop {
            if let Some(found) = head.filter(|(_, _, end)| self.answer.len() >= *end) {
                break found;
            }
            if self.answer.capacity() - self.answer.len() < 1_024 {
                self.answer.reserve(self.answer.capacity());
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("the server closed a connection".into());
            }
            if head.is_none() {
                head = parse(&self.answer)?;
            }
        };
        let body = self.answer.get(begin..end).ok_or("an answer ends before it begins")?;
        Ok(Answer { status, body })
    }
}

/// The status of an answer, and where its body begins and ends; `None` while its head is not there.
fn parse(answer: &[u8]) -> Result<Option<(u16, usize, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(begin) = response.parse(answer)? else {
        return Ok(None);
    };
    let status = response.code.ok_or("an answer without a status")?;
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.ok_or("an answer that does not say how long it is")?;
    let length: usize = std::str::from_utf8(length.value)?.trim().parse()?;
    Ok(Some((status, begin, begin + length)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_is_known_by_its_length() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nx: y\r\n\r\nhello";
        assert_eq!(parse(text).unwrap(), Some((201, text.len() - 5, text.len())));
        assert_eq!(parse(&text[..30]).unwrap(), None);
        parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap_err();
    }
}
