//! One connection that is kept alive: a request out, an answer in.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::measure::Failure;

/// The most headers of an answer.
const HEADERS: usize = 32;
/// What ends a chunk.
const LINE_END: usize = 2;

/// A connection, and the last answer that came over it.
pub struct Connection {
    stream: TcpStream,
    /// As it came.
    answer: Vec<u8>,
    /// The body of an answer that came in chunks.
    joined: Vec<u8>,
}

/// An answer.
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
    /// When the first of its body was there.
    pub first: Instant,
}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Where the body begins.
    begin: usize,
    length: Length,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// After so many bytes.
    Known(usize),
    /// After its last chunk.
    Chunks,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(16 * 1_024), joined: Vec::new() })
    }

    /// Sends a whole request and reads the whole answer, which must say how long it is, or come in chunks.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        let Head { status, begin, length } = loop {
            self.read().await?;
            if let Some(head) = parse(&self.answer)? {
                break head;
            }
        };
        while self.answer.len() <= begin && length != Length::Known(0) {
            self.read().await?;
        }
        let first = Instant::now();
        let body = match length {
            Length::Known(length) => {
                let end = begin + length;
                while self.answer.len() < end {
                    self.read().await?;
                }
                self.answer.get(begin..end).ok_or("an answer ends before it begins")?
            }
            Length::Chunks => {
                self.join(begin).await?;
                &self.joined
            }
        };
        Ok(Answer { status, body, first })
    }

    /// Reads all chunks, the first of which begins at `at`.
    async fn join(&mut self, mut at: usize) -> Result<(), Failure> {
        self.joined.clear();
        loop {
            match chunk(self.answer.get(at..).unwrap_or_default())? {
                None => self.read().await?,
                Some((data, end)) => {
                    let last = data.is_empty();
                    self.joined.extend_from_slice(data);
                    at += end;
                    if last {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads what there is.
    async fn read(&mut self) -> Result<(), Failure> {
        if self.answer.capacity() - self.answer.len() < 1_024 {
            self.answer.reserve(self.answer.capacity());
        }
        match self.stream.read_buf(&mut self.answer).await? {
            0 => Err("the server closed a connection".into()),
            _ => Ok(()),
        }
    }
}

/// What the head of an answer says; `None` while it is not there.
fn parse(answer: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(begin) = response.parse(answer)? else {
        return Ok(None);
    };
    let status = response.code.ok_or("an answer without a status")?;
    let header = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let length = match (header("transfer-encoding"), header("content-length")) {
        (Some(encoding), _) if encoding.value.eq_ignore_ascii_case(b"chunked") => Length::Chunks,
        (None, Some(length)) => Length::Known(std::str::from_utf8(length.value)?.trim().parse()?),
        _ => return Err("an answer that does not say how long it is".into()),
    };
    Ok(Some(Head { status, begin, length }))
}

/// The chunk that `text` begins with, and where it ends; `None` while it is not there. The last one is empty.
fn chunk(text: &[u8]) -> Result<Option<(&[u8], usize)>, Failure> {
    let size = httparse::parse_chunk_size(text).map_err(|_| "a chunk that does not say how long it is")?;
    let httparse::Status::Complete((begin, size)) = size else {
        return Ok(None);
    };
    let end = begin + usize::try_from(size)?;
    Ok(text.get(begin..end).filter(|_| text.len() >= end + LINE_END).map(|data| (data, end + LINE_END)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_length_or_by_its_chunks() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nx: y\r\n\r\nhello";
        let head = Head { status: 201, begin: text.len() - 5, length: Length::Known(5) };
        assert_eq!(parse(text).unwrap(), Some(head));
        assert_eq!(parse(&text[..30]).unwrap(), None);
        let chunks = parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert_eq!(chunks.length, Length::Chunks);
        parse(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err();
    }

    #[test]
    fn a_chunk_is_there_when_all_of_it_is() {
        let text = b"5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(chunk(text).unwrap(), Some((&b"hello"[..], 10)));
        assert_eq!(chunk(&text[10..]).unwrap(), Some((&b""[..], 5)));
        for end in 0..10 {
            assert_eq!(chunk(&text[..end]).unwrap(), None, "{end}");
        }
        chunk(b"x\r\n").unwrap_err();
    }
}
