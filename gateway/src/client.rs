//! The side of a call that the answer goes to.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::record::{Begun, Record};
use crate::reply::{Chunker, Reply, ReplyBody, chunks};
use crate::seat::Seat;

/// For how long the end of an answer waits for a slow reader, even where the time of the call is over.
const LAST: Duration = Duration::from_secs(10);

/// Who reads an answer that is told after its call, or beside it: the seat that is taken for that, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) seat: Seat,
    /// When the time of the call is over.
    pub(crate) by: Instant,
}

impl Reader {
    /// Until when a reader has time whose answer has come to its end now.
    pub(crate) fn until(&self) -> Instant {
        self.by.max(Instant::now() + LAST)
    }
}

/// Who waits for the answer: the client, as long as it is there, and the record of a call with a key.
#[derive(Debug)]
pub(crate) struct Client {
    answer: Option<oneshot::Sender<Reply>>,
    stream: Option<Chunker>,
    record: Option<Arc<Record>>,
    reader: Reader,
}

impl Client {
    pub(crate) fn new(answer: oneshot::Sender<Reply>, reader: Reader) -> Self {
        Self { answer: Some(answer), stream: None, record: None, reader }
    }

    /// The reader, for whoever goes on with the answer after the call.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn remember(&mut self, record: Option<Arc<Record>>) {
        self.record = record;
    }

    /// Comes when the client has gone. Never for a call with a key: whoever asks again is to find it running.
    pub(crate) async fn departed(&mut self) {
        match (&mut self.answer, &self.stream) {
            _ if self.record.is_some() => pending().await,
            (Some(answer), _) => answer.closed().await,
            (None, Some(stream)) => stream.closed().await,
            (None, None) => pending().await,
        }
    }

    /// The answer that comes is for who waits for it now, and not for who asks again with the key.
    pub(crate) fn forget(&self) {
        if let Some(record) = &self.record {
            record.forget();
        }
    }

    /// Gives an answer that is whole.
    pub(crate) fn whole(&mut self, reply: Reply) {
        if let (Some(record), ReplyBody::Whole(body)) = (&self.record, &reply.body) {
            record.begin(Begun { status: reply.status, headers: reply.headers.clone(), stream: false });
            record.push(body);
            record.complete();
        }
        if let Some(answer) = self.answer.take() {
            // A client that is gone does not need it.
            let _ = answer.send(reply);
        }
    }

    /// Begins a stream.
    pub(crate) fn open(&mut self, status: u16, headers: Vec<(String, String)>) {
        if let Some(record) = &self.record {
            record.begin(Begun { status, headers: headers.clone(), stream: true });
        }
        let (chunker, chunks) = chunks(self.reader.seat.clone());
        if let Some(answer) = self.answer.take() {
            let reply = Reply { status, headers, body: ReplyBody::Stream(chunks) };
            self.stream = answer.send(reply).is_ok().then_some(chunker);
        }
    }

    /// Sends a part of the stream, and waits for a slow reader until `by`; who has not read by then counts as gone. False
    /// when nobody reads any more.
    pub(crate) async fn send(&mut self, chunk: Bytes, by: Instant) -> bool {
        if let Some(record) = self.record.as_ref().filter(|_| !chunk.is_empty()) {
            record.push(&chunk);
        }
        self.hand_on(chunk, by).await
    }

    /// The last part of the stream is there. Who joined has it now, and does not wait for a slow one.
    pub(crate) fn complete(&self, last: &Bytes) {
        if let Some(record) = &self.record {
            if !last.is_empty() {
                record.push(last);
            }
            record.complete();
        }
    }

    /// Sends the last part of the stream, as [`Self::send`] does the others. Who has not read all before it by then is not
    /// told that this was the end.
    pub(crate) async fn finish(&mut self, last: Bytes, by: Instant) {
        self.hand_on(last, by).await;
        if let Some(stream) = self.stream.take() {
            stream.finish();
        }
    }

    async fn hand_on(&mut self, chunk: Bytes, by: Instant) -> bool {
        if let Some(stream) = self.stream.as_ref().filter(|_| !chunk.is_empty()) {
            if !stream.send_by(chunk, by).await {
                // Broken off: what it has read by then does not look whole.
                self.stream = None;
            }
        }
        self.is_there()
    }

    /// Whether anybody still wants the answer.
    pub(crate) fn is_there(&self) -> bool {
        self.record.is_some() || self.stream.is_some() || self.answer.is_some()
    }

    /// Lets go of a client that has gone.
    pub(crate) fn let_go(&mut self) {
        self.answer = None;
        self.stream = None;
    }
}

#[cfg(test)]
impl Reader {
    /// The only one there is, who has a minute.
    pub(crate) fn alone() -> Self {
        Self { seat: Seat::alone(), by: Instant::now() + Duration::from_secs(60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Broken;

    fn seated(answer: oneshot::Sender<Reply>) -> Client {
        Client::new(answer, Reader::alone())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_waited_for_within_bounds() {
        let (answer, answered) = oneshot::channel();
        let mut client = seated(answer);
        client.open(200, Vec::new());
        let ReplyBody::Stream(mut chunks) = answered.await.unwrap().body else { panic!("it is a stream") };
        for _ in 0..16 {
            assert!(client.send(Bytes::from_static(b"x"), soon()).await);
        }
        let reading = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            chunks.recv().await
        };
        let (sent, read) = tokio::join!(client.send(Bytes::from_static(b"y"), soon()), reading);
        assert!(sent && read.is_some(), "the next one waits until there is room");
        assert!(!client.send(Bytes::from_static(b"z"), soon()).await, "and not for ever");
        client.finish(Bytes::from_static(b"end"), soon()).await;
        let mut read = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            read.push(chunk);
        }
        assert_eq!(read.pop(), Some(Err(Broken)), "and what is missing is not hidden");
        assert_eq!(read.len(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_is_noticed_before_and_after_the_answer_begins() {
        let (answer, answered) = oneshot::channel();
        let mut client = seated(answer);
        drop(answered);
        client.departed().await;

        let (answer, answered) = oneshot::channel();
        let mut client = seated(answer);
        client.open(200, Vec::new());
        drop(answered.await.unwrap());
        client.departed().await;
        assert!(!client.send(Bytes::from_static(b"x"), soon()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_with_a_key_outlives_its_client() {
        let (answer, answered) = oneshot::channel();
        let mut client = seated(answer);
        client.remember(Some(Arc::new(Record::new(10))));
        drop(answered);
        assert!(tokio::time::timeout(Duration::from_secs(60), client.departed()).await.is_err());
        client.open(200, Vec::new());
        assert!(client.send(Bytes::from_static(b"x"), soon()).await);
    }
}
