//! The body of an answer as it arrives.

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::Instant;

use super::{Late, Trouble};
use crate::sse::{Event, Parser};

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Source {
    response: Response,
    parser: Parser,
    ended: bool,
}

impl Source {
    /// The events of an answer, each at most `most` bytes long.
    pub(crate) fn new(response: Response, most: usize) -> Self {
        Self { response, parser: Parser::new(most), ended: false }
    }

    /// The next event; `None` when the provider closed the stream. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self, by: Instant, late: Late) -> Result<Option<Event>, Trouble> {
        loop {
            if let Some(event) = self.parser.next().map_err(|error| Trouble::Malformed(error.to_string()))? {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match tokio::time::timeout_at(by, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.parser.push(&chunk),
                Ok(Ok(None)) => {
                    self.ended = true;
                    self.parser.end();
                }
                Ok(Err(error)) => return Err(Trouble::receiving(error)),
                Err(_) => return Err(Trouble::TimedOut(late)),
            }
        }
    }

    /// Reads what is left and throws it away, so that the connection can be used again.
    pub(crate) async fn drain(mut self, by: Instant) {
        while let Ok(Ok(Some(_))) = tokio::time::timeout_at(by, self.response.chunk()).await {}
    }
}

/// A whole body, of `most` bytes at the most.
pub(crate) async fn read(response: Response, most: usize, by: Instant) -> Result<Bytes, Trouble> {
    let reading = collect(response, most);
    match tokio::time::timeout_at(by, reading).await {
        Ok(Ok((body, true))) => Ok(body),
        Ok(Ok((_, false))) => Err(Trouble::Malformed(format!("the answer has over {most} bytes"))),
        Ok(Err(error)) => Err(Trouble::receiving(error)),
        Err(_) => Err(Trouble::TimedOut(Late::Total)),
    }
}

/// The first `most` bytes of a body.
pub(super) async fn read_up_to(response: Response, most: usize) -> Result<Bytes, reqwest::Error> {
    collect(response, most).await.map(|(body, _)| body)
}

/// A body up to a bound, and whether that is all of it.
async fn collect(mut response: Response, most: usize) -> Result<(Bytes, bool), reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        let room = most.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((body.freeze(), false));
        }
    }
    Ok((body.freeze(), true))
}
