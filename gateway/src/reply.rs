//! What goes back to the client.

mod chunks;

use bytes::{Bytes, BytesMut};

pub use self::chunks::{Broken, Chunks};
pub(crate) use self::chunks::{Chunker, chunks};

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers, `content-type` among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// All of it, so many bytes, handed out as it is read: who has not read it when the time of the call is over has it broken
    /// off.
    Pieces(u64, Chunks),
    /// A stream. Little of it waits: who reads slowly slows the provider, and who reads too slowly has it broken off.
    Stream(Chunks),
}

impl ReplyBody {
    /// All of it, for whoever needs it at once.
    ///
    /// # Errors
    /// [`Broken`] where it does not come to its end.
    pub async fn read(self) -> Result<Bytes, Broken> {
        let mut chunks = match self {
            Self::Whole(body) => return Ok(body),
            Self::Pieces(_, chunks) | Self::Stream(chunks) => chunks,
        };
        let mut all = BytesMut::new();
        while let Some(chunk) = chunks.recv().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }
}

impl Reply {
    /// A whole answer of JSON.
    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: ReplyBody::Whole(body.into()) }
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}
