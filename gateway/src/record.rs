//! What a call with an idempotency key was answered, told again to whoever asks with the same key: while it runs, from the
//! beginning and then as it goes on; afterwards, from where it is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use domain::execution::Operation;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::client::Reader;
use crate::refusal::Refusal;
use crate::reply::{Chunker, Reply, ReplyBody, chunks};

/// The beginning of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) stream: bool,
}

/// An answer as far as it was given.
#[derive(Debug, Default)]
struct Told {
    begun: Option<Begun>,
    chunks: Vec<Bytes>,
    bytes: usize,
    /// All of it is there.
    complete: bool,
    /// Nothing more comes.
    done: bool,
    /// It is not to be told to whoever asks afterwards.
    passing: bool,
}

/// Remembers one answer while it is given.
#[derive(Debug)]
pub(crate) struct Record {
    told: Mutex<Told>,
    changed: watch::Sender<()>,
    most: usize,
}

impl Record {
    /// Remembers an answer of `most` bytes at the most.
    pub(crate) fn new(most: usize) -> Self {
        Self { told: Mutex::default(), changed: watch::Sender::new(()), most }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it grew beyond what is remembered.
    fn is_lost(&self, told: &Told) -> bool {
        told.bytes > self.most
    }

    pub(crate) fn begin(&self, begun: Begun) {
        self.told().begun = Some(begun);
        self.changed.send_replace(());
    }

    pub(crate) fn push(&self, chunk: &Bytes) {
        let mut told = self.told();
        told.bytes = told.bytes.saturating_add(chunk.len());
        if self.is_lost(&told) {
            told.chunks = Vec::new();
        } else {
            told.chunks.push(chunk.clone());
        }
        drop(told);
        self.changed.send_replace(());
    }

    /// The answer is all there.
    pub(crate) fn complete(&self) {
        self.told().complete = true;
        self.changed.send_replace(());
    }

    /// The answer is a failure that came to nothing: who joined is told it, and who comes later makes the call anew.
    pub(crate) fn forget(&self) {
        self.told().passing = true;
    }

    /// Nothing more comes, whether the answer is all there or not.
    pub(crate) fn finish(&self) {
        self.told().done = true;
        self.changed.send_replace(());
    }

    /// The answer in the form in which it is kept; nothing when it is not all there or too long.
    pub(crate) fn sealable(&self) -> Option<Vec<u8>> {
        let told = self.told();
        let begun = told.begun.as_ref().filter(|_| told.complete && !self.is_lost(&told) && !told.passing)?;
        let lengths: Vec<usize> = told.chunks.iter().map(Bytes::len).collect();
        let mut text = serde_json::to_vec(&(begun, lengths)).ok()?;
        text.push(b'\n');
        told.chunks.iter().for_each(|chunk| text.extend_from_slice(chunk));
        Some(text)
    }

    /// An answer from the form in which it was kept. Whoever is told it has the seat of `reader` until it is at its end.
    pub(crate) fn opened(text: &[u8], reader: &Reader) -> Option<Reply> {
        let line = text.iter().position(|byte| *byte == b'\n')?;
        let (mut begun, lengths): (Begun, Vec<usize>) = serde_json::from_slice(text.get(..line)?).ok()?;
        // To come back with this key would change nothing.
        begun.headers.retain(|(name, _)| name != "retry-after");
        let mut body = Bytes::copy_from_slice(text.get(line + 1..)?);
        let record = Self::new(usize::MAX);
        record.begin(begun);
        for length in lengths {
            if length > body.len() {
                return None;
            }
            record.push(&body.split_to(length));
        }
        record.complete();
        record.finish();
        Arc::new(record).at_once(reader)
    }

    /// The answer of a record that is at its end.
    fn at_once(self: Arc<Self>, reader: &Reader) -> Option<Reply> {
        let begun = self.told().begun.clone()?;
        let told = self.told().chunks.clone();
        Some(reply(begun, |stream| {
            if !stream {
                return ReplyBody::Whole(told.concat().into());
            }
            let (chunker, reading) = chunks(reader.seat.clone());
            let by = reader.until();
            tokio::spawn(async move {
                for chunk in told {
                    if !chunker.send_by(chunk, by).await {
                        return;
                    }
                }
                chunker.finish();
            });
            ReplyBody::Stream(reading)
        }))
    }

    /// Joins the call: the answer from its beginning, and the rest of it as it comes. Nothing when the call ends without an
    /// answer that was remembered, or had come to nothing before it was asked for again. Whoever joins has the seat of `reader`
    /// until the answer is at its end.
    pub(crate) async fn join(self: Arc<Self>, operation: Operation, reader: Reader) -> Option<Reply> {
        let mut changes = self.changed.subscribe();
        let over = {
            let told = self.told();
            told.passing && told.begun.is_some()
        };
        loop {
            let (begun, ready, lost) = {
                let told = self.told();
                let stream = told.begun.as_ref().is_some_and(|begun| begun.stream);
                (told.begun.clone(), told.done || stream, self.is_lost(&told))
            };
            if lost {
                return Some(gone().reply(operation));
            }
            if let Some(begun) = begun.filter(|_| ready && !over) {
                return Some(Arc::clone(&self).followed(begun, operation, reader));
            }
            if self.told().done || changes.changed().await.is_err() {
                return None;
            }
        }
    }

    fn followed(self: Arc<Self>, begun: Begun, operation: Operation, reader: Reader) -> Reply {
        if !begun.stream {
            let chunks = self.told().chunks.clone();
            return reply(begun, |_| ReplyBody::Whole(chunks.concat().into()));
        }
        let (chunker, reading) = chunks(reader.seat.clone());
        tokio::spawn(self.follow(chunker, operation, reader));
        reply(begun, |_| ReplyBody::Stream(reading))
    }

    async fn follow(self: Arc<Self>, chunker: Chunker, operation: Operation, reader: Reader) {
        let mut changes = self.changed.subscribe();
        let mut next = 0;
        let mut last_by = None;
        loop {
            let (chunk, complete, done, lost) = {
                let told = self.told();
                (told.chunks.get(next).cloned(), told.complete, told.done, self.is_lost(&told))
            };
            let by = if complete { *last_by.get_or_insert_with(|| reader.until()) } else { reader.by };
            let sent = match chunk {
                _ if lost => {
                    chunker.send_by(gone().in_band(operation, 0), reader.until()).await;
                    chunker.finish();
                    return;
                }
                Some(chunk) => {
                    next += 1;
                    chunker.send_by(chunk, by).await
                }
                None if complete => {
                    chunker.finish();
                    return;
                }
                None if done => return,
                None => changes.changed().await.is_ok(),
            };
            if !sent {
                return;
            }
        }
    }
}

/// An answer that was given before.
fn reply(begun: Begun, body: impl FnOnce(bool) -> ReplyBody) -> Reply {
    let reply = Reply { status: begun.status, headers: begun.headers, body: body(begun.stream) };
    reply.with("counterfoil-replayed", "true")
}

/// The call was made, and its answer is no more.
pub(crate) fn gone() -> Refusal {
    let message = "the call with this key was made, and its answer is not kept any more; it is billed once";
    Refusal::new(409, "answer_not_kept", message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::TenantId;
    use tokio::time::Instant;

    use super::*;
    use crate::seat::Seats;

    fn begun(stream: bool) -> Begun {
        Begun { status: 200, headers: vec![("content-type".into(), "text/event-stream".into())], stream }
    }

    async fn all(reply: Reply) -> Vec<Bytes> {
        assert!(reply.headers.contains(&("counterfoil-replayed".into(), "true".into())));
        match reply.body {
            ReplyBody::Whole(body) => vec![body],
            ReplyBody::Pieces(_, mut chunks) | ReplyBody::Stream(mut chunks) => {
                let mut all = Vec::new();
                while let Some(chunk) = chunks.recv().await {
                    all.push(chunk.unwrap());
                }
                all
            }
        }
    }

    #[tokio::test]
    async fn who_joins_hears_it_from_the_beginning_and_to_the_end() {
        let record = Arc::new(Record::new(100));
        record.begin(begun(true));
        record.push(&Bytes::from_static(b"a"));
        let joined = Arc::clone(&record).join(Operation::OpenAiChat, Reader::alone()).await.unwrap();
        let hearing = tokio::spawn(all(joined));
        tokio::task::yield_now().await;
        record.push(&Bytes::from_static(b"b"));
        record.complete();
        record.finish();
        assert_eq!(hearing.await.unwrap(), ["a", "b"]);
        let kept = record.sealable().unwrap();
        assert_eq!(
            all(Record::opened(&kept, &Reader::alone()).unwrap()).await,
            ["a", "b"],
            "chunk by chunk, as it was"
        );
    }

    /// A stream of forty chunks.
    fn long(whole: bool) -> Arc<Record> {
        let record = Record::new(100);
        record.begin(begun(true));
        (0..40).for_each(|_| record.push(&Bytes::from_static(b"x")));
        if whole {
            record.complete();
            record.finish();
        }
        Arc::new(record)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_what_is_told_again_keeps_a_seat_for_the_time_of_a_call_and_no_longer() {
        let (seats, tenant) = (Seats::new(1, 1), TenantId::PLATFORM);
        let kept = long(true).sealable().unwrap();
        for joined in [None, Some(long(true)), Some(long(false))] {
            let by = Instant::now() + Duration::from_secs(60);
            let reader = Reader { seat: seats.take(tenant).unwrap(), by };
            let reply = match joined {
                Some(record) => record.join(Operation::OpenAiChat, reader.clone()).await,
                None => Record::opened(&kept, &reader),
            };
            drop(reader);
            let ReplyBody::Stream(mut chunks) = reply.unwrap().body else { panic!("it is a stream") };
            tokio::time::sleep(Duration::from_secs(59)).await;
            assert!(seats.room(tenant).is_err());
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(seats.room(tenant).is_ok());
            let mut read = Vec::new();
            while let Some(chunk) = chunks.recv().await {
                read.push(chunk);
            }
            assert_eq!(read.pop(), Some(Err(crate::reply::Broken)), "what is missing is not hidden");
            assert!(read.len() < 40);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_what_is_told_again_late_but_in_time_has_all_of_it() {
        let kept = long(true).sealable().unwrap();
        // The time of the call is over, and the end has come only now.
        let reader = Reader { by: Instant::now(), ..Reader::alone() };
        let replies =
            [Record::opened(&kept, &reader), long(true).join(Operation::OpenAiChat, reader.clone()).await];
        tokio::time::sleep(Duration::from_secs(9)).await;
        for reply in replies {
            assert_eq!(all(reply.unwrap()).await.len(), 40);
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_neither_told_as_whole_nor_kept() {
        let record = Arc::new(Record::new(100));
        record.begin(begun(true));
        record.push(&Bytes::from_static(b"a"));
        let joined = Arc::clone(&record).join(Operation::OpenAiChat, Reader::alone()).await.unwrap();
        let ReplyBody::Stream(mut chunks) = joined.body else { panic!("it is a stream") };
        record.finish();
        assert_eq!(chunks.recv().await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(chunks.recv().await, Some(Err(crate::reply::Broken)));
        assert_eq!(record.sealable(), None);
    }

    #[tokio::test]
    async fn a_failure_that_came_to_nothing_is_told_to_who_waits_and_not_to_who_comes_later() {
        let record = Arc::new(Record::new(100));
        let joining = tokio::spawn(Arc::clone(&record).join(Operation::OpenAiChat, Reader::alone()));
        tokio::task::yield_now().await;
        record.forget();
        record.begin(begun(false));
        record.push(&Bytes::from_static(b"{}"));
        record.complete();
        let late = tokio::spawn(Arc::clone(&record).join(Operation::OpenAiChat, Reader::alone()));
        tokio::task::yield_now().await;
        record.finish();
        assert_eq!(all(joining.await.unwrap().unwrap()).await, ["{}"]);
        assert!(late.await.unwrap().is_none());
        assert_eq!(record.sealable(), None);
    }

    #[tokio::test]
    async fn a_whole_answer_is_waited_for() {
        let record = Arc::new(Record::new(100));
        let joining = tokio::spawn(Arc::clone(&record).join(Operation::OpenAiChat, Reader::alone()));
        tokio::task::yield_now().await;
        record.begin(begun(false));
        record.push(&Bytes::from_static(b"{}"));
        record.complete();
        tokio::task::yield_now().await;
        record.finish();
        assert_eq!(all(joining.await.unwrap().unwrap()).await, ["{}"]);
    }

    #[tokio::test]
    async fn an_answer_beyond_the_bound_is_neither_told_again_nor_kept() {
        let record = Arc::new(Record::new(3));
        record.begin(begun(true));
        record.push(&Bytes::from_static(b"abc"));
        let hearing = tokio::spawn(all(Arc::clone(&record)
            .join(Operation::OpenAiChat, Reader::alone())
            .await
            .unwrap()));
        tokio::task::yield_now().await;
        record.push(&Bytes::from_static(b"d"));
        let heard = hearing.await.unwrap();
        assert!(String::from_utf8_lossy(heard.last().unwrap()).contains("answer_not_kept"), "{heard:?}");
        assert_eq!(record.sealable(), None);
        assert_eq!(
            Arc::clone(&record).join(Operation::OpenAiChat, Reader::alone()).await.unwrap().status,
            409
        );
    }
}
