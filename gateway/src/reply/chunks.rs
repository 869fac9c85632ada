//! The way of a stream to its reader, on which only so much waits, and whose end is told from its breaking off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::seat::Seat;

/// How many chunks wait for a slow reader.
pub(crate) const WAITING: usize = 16;
/// How many bytes do. A chunk that is longer waits alone.
const ROOM: u32 = 1 << 20;

/// A stream that was not brought to its end: what was read of it is not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream broke off before its end")]
pub struct Broken;

/// The chunks of a stream, for its one reader. Dropping them says that the reader is gone.
#[derive(Debug)]
pub struct Chunks {
    waiting: mpsc::Receiver<(Bytes, OwnedSemaphorePermit)>,
    whole: Arc<AtomicBool>,
    over: bool,
}

/// Where chunks are put for a reader. Who drops it without [`Chunker::finish`] breaks the stream off.
#[derive(Debug)]
pub(crate) struct Chunker {
    waiting: mpsc::Sender<(Bytes, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    whole: Arc<AtomicBool>,
    /// Taken until all was put here.
    _seat: Seat,
}

/// Both ends of a stream, which takes a seat until all of it was put on its way.
pub(crate) fn chunks(seat: Seat) -> (Chunker, Chunks) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let whole = Arc::new(AtomicBool::new(false));
    let room = Arc::new(Semaphore::new(usize::try_from(ROOM).unwrap_or(usize::MAX)));
    let chunker = Chunker { waiting: sender, room, whole: Arc::clone(&whole), _seat: seat };
    (chunker, Chunks { waiting: receiver, whole, over: false })
}

impl Chunks {
    /// The next chunk; `None` behind the last of a stream that came to its end.
    pub async fn recv(&mut self) -> Option<Result<Bytes, Broken>> {
        if self.over {
            return None;
        }
        if let Some((chunk, _room)) = self.waiting.recv().await {
            return Some(Ok(chunk));
        }
        self.over = true;
        if self.whole.load(Ordering::Acquire) { None } else { Some(Err(Broken)) }
    }
}

impl Chunker {
    /// Waits until there is room for a chunk. False when nobody reads any more.
    pub(crate) async fn send(&self, chunk: Bytes) -> bool {
        let wanted = u32::try_from(chunk.len()).unwrap_or(ROOM).min(ROOM);
        match Arc::clone(&self.room).acquire_many_owned(wanted).await {
            Ok(room) => self.waiting.send((chunk, room)).await.is_ok(),
            Err(_) => false,
        }
    }

    /// The same, and waits until `by` at the longest: false then, too.
    pub(crate) async fn send_by(&self, chunk: Bytes, by: Instant) -> bool {
        tokio::time::timeout_at(by, self.send(chunk)).await.unwrap_or(false)
    }

    /// Waits until all that was sent has been read, and until `by` at the longest. False where it was not.
    pub(crate) async fn read_by(&self, by: Instant) -> bool {
        let read = tokio::time::timeout_at(by, self.room.acquire_many(ROOM)).await;
        matches!(read, Ok(Ok(_))) && !self.waiting.is_closed()
    }

    /// Comes when nobody reads any more.
    pub(crate) async fn closed(&self) {
        self.waiting.closed().await;
    }

    /// The stream is at its end.
    pub(crate) fn finish(self) {
        self.whole.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::TenantId;
    use tokio::time::timeout;

    use super::*;
    use crate::seat::Seats;

    const MOMENT: Duration = Duration::from_secs(1);

    fn opened() -> (Chunker, Chunks) {
        chunks(Seat::alone())
    }

    #[tokio::test]
    async fn an_end_is_told_from_a_breaking_off() {
        let (chunker, mut chunks) = opened();
        assert!(chunker.send(Bytes::from_static(b"a")).await);
        chunker.finish();
        assert_eq!(chunks.recv().await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(chunks.recv().await, None);

        let (chunker, mut chunks) = opened();
        assert!(chunker.send(Bytes::from_static(b"a")).await);
        drop(chunker);
        assert_eq!(chunks.recv().await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(chunks.recv().await, Some(Err(Broken)));
        assert_eq!(chunks.recv().await, None, "once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded_in_bytes_too() {
        let (chunker, mut chunks) = opened();
        let half = Bytes::from(vec![0; 600 << 10]);
        assert!(chunker.send(half.clone()).await);
        assert!(timeout(MOMENT, chunker.send(half.clone())).await.is_err(), "there are over 1 MiB then");
        assert!(chunks.recv().await.is_some());
        assert!(timeout(MOMENT, chunker.send(half)).await.unwrap());
        let huge = Bytes::from(vec![0; 3 << 20]);
        assert!(timeout(MOMENT, chunker.send(huge.clone())).await.is_err());
        assert!(chunks.recv().await.is_some());
        assert!(timeout(MOMENT, chunker.send(huge)).await.unwrap(), "one alone may be longer");
        let small = Bytes::from_static(b"x");
        assert!(timeout(MOMENT, chunker.send(small.clone())).await.is_err(), "but nothing beside it");
        drop(chunks);
        assert!(!timeout(MOMENT, chunker.send(small)).await.unwrap());
    }

    #[tokio::test]
    async fn a_seat_is_taken_until_all_was_put_on_its_way() {
        let (seats, tenant) = (Seats::new(1, 1), TenantId::PLATFORM);
        let (chunker, mut reading) = chunks(seats.take(tenant).unwrap());
        assert!(chunker.send(Bytes::from_static(b"a")).await);
        assert!(seats.room(tenant).is_err());
        chunker.finish();
        assert!(seats.room(tenant).is_ok(), "whoever reads the rest of it late keeps nobody out");
        assert_eq!(reading.recv().await, Some(Ok(Bytes::from_static(b"a"))));
        drop(chunks(seats.take(tenant).unwrap()).0);
        assert!(seats.room(tenant).is_ok());
    }
}
