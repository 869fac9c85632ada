//! What a call with an idempotency key was answered, told again to whoever asks with the same key: while it runs, from the
//! beginning and then as it goes on; afterwards, from where it is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use domain::execution::Operation;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::refusal::Refusal;
use crate::reply::{Chunker, Reply, ReplyBody, chunks};
use crate::seat::Seat;

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

    /// An answer from the form in which it was kept. Whoever is told it has `seat` until it is at its end.
    pub(crate) fn opened(text: &[u8], seat: Seat) -> Option<Reply> {
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
        Arc::new(record).at_once(seat)
    }

    /// The answer of a record that is at its end.
    fn at_once(self: Arc<Self>, seat: Seat) -> Option<Reply> {
        let begun = self.told().begun.clone()?;
        let told = self.told().chunks.clone();
        Some(reply(begun, |stream| {
            if !stream {
                return ReplyBody::Whole(told.concat().into());
            }
            let (chunker, reading) = chunks(seat);
            tokio::spawn(async move {
                for chunk in told {
                    if !chunker.send(chunk).await {
                        return;
                    }
                }
                chunker.finish();
            });
            ReplyBody::Stream(reading)
        }))
    }

    /// Joins the call: the answer from its beginning, and the rest of it as it comes. Nothing when the call ends without an
    /// answer that was remembered, or had come to nothing before it was asked for again. Whoever joins has `seat` until the
    /// answer is at its end.
    pub(crate) async fn join(self: Arc<Self>, operation: Operation, seat: Seat) -> Option<Reply> {
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
                return Some(Arc::clone(&self).followed(begun, operation, seat));
            }
            if self.told().done || changes.changed().await.is_err() {
                return None;
            }
        }
    }

    fn followed(self: Arc<Self>, begun: Begun, operation: Operation, seat: Seat) -> Reply {
        if !begun.stream {
            let chunks = self.told().chunks.clone();
            return reply(begun, |_| ReplyBody::Whole(chunks.concat().into()));
        }
        let (chunker, reading) = chunks(seat);
        tokio::spawn(self.follow(chunker, operation));
        reply(begun, |_| ReplyBody::Stream(reading))
    }

    async fn follow(self: Arc<Self>, chunker: Chunker, operation: Operation) {
        let mut changes = self.changed.subscribe();
        let mut next = 0;
        loop {
            let (chunk, complete, done, lost) = {
                let told = self.told();
                (told.chunks.get(next).cloned(), told.complete, told.done, self.is_lost(&told))
            };
            let sent = match chunk {
                _ if lost => {
                    chunker.send(gone().in_band(operation, 0)).await;
                    chunker.finish();
                    return;
                }
                Some(chunk) => {
                    next += 1;
                    chunker.send(chunk).await
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
    use super::*;

    fn begun(stream: bool) -> Begun {
        Begun { status: 200, headers: vec![("content-type".into(), "text/event-stream".into())], stream }
    }

    async fn all(reply: Reply) -> Vec<Bytes> {
        assert!(reply.headers.contains(&("counterfoil-replayed".into(), "true".into())));
        match reply.body {
            ReplyBody::Whole(body) => vec![body],
            ReplyBody::Stream(mut chunks) => {
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
        let joined = Arc::clone(&record).join(Operation::OpenAiChat, Seat::alone()).await.unwrap();
        let hearing = tokio::spawn(all(joined));
        tokio::task::yield_now().await;
        record.push(&Bytes::from_static(b"b"));
        record.complete();
        record.finish();
        assert_eq!(hearing.await.unwrap(), ["a", "b"]);
        let kept = record.sealable().unwrap();
        assert_eq!(
            all(Record::opened(&kept, Seat::alone()).unwrap()).await,
            ["a", "b"],
            "chunk by chunk, as it was"
        );
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_neither_told_as_whole_nor_kept() {
        let record = Arc::new(Record::new(100));
        record.begin(begun(true));
        record.push(&Bytes::from_static(b"a"));
        let joined = Arc::clone(&record).join(Operation::OpenAiChat, Seat::alone()).await.unwrap();
        let ReplyBody::Stream(mut chunks) = joined.body else { panic!("it is a stream") };
        record.finish();
        assert_eq!(chunks.recv().await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(chunks.recv().await, Some(Err(crate::reply::Broken)));
        assert_eq!(record.sealable(), None);
    }

    #[tokio::test]
    async fn a_failure_that_came_to_nothing_is_told_to_who_waits_and_not_to_who_comes_later() {
        let record = Arc::new(Record::new(100));
        let joining = tokio::spawn(Arc::clone(&record).join(Operation::OpenAiChat, Seat::alone()));
        tokio::task::yield_now().await;
        record.forget();
        record.begin(begun(false));
        record.push(&Bytes::from_static(b"{}"));
        record.complete();
        let late = tokio::spawn(Arc::clone(&record).join(Operation::OpenAiChat, Seat::alone()));
        tokio::task::yield_now().await;
        record.finish();
        assert_eq!(all(joining.await.unwrap().unwrap()).await, ["{}"]);
        assert!(late.await.unwrap().is_none());
        assert_eq!(record.sealable(), None);
    }

    #[tokio::test]
    async fn a_whole_answer_is_waited_for() {
        let record = Arc::new(Record::new(100));
        let joining = tokio::spawn(Arc::clone(&record).join(Operation::OpenAiChat, Seat::alone()));
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
        let hearing =
            tokio::spawn(all(Arc::clone(&record).join(Operation::OpenAiChat, Seat::alone()).await.unwrap()));
        tokio::task::yield_now().await;
        record.push(&Bytes::from_static(b"d"));
        let heard = hearing.await.unwrap();
        assert!(String::from_utf8_lossy(heard.last().unwrap()).contains("answer_not_kept"), "{heard:?}");
        assert_eq!(record.sealable(), None);
        assert_eq!(Arc::clone(&record).join(Operation::OpenAiChat, Seat::alone()).await.unwrap().status, 409);
    }
}
