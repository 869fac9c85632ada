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
/// The longest answer that is handed to the HTTP layer at once, in bytes.
const LONG: usize = 256 << 10;
/// How much of a longer one is, at a time.
const PIECE: usize = 64 << 10;

/// Who reads an answer, also after its call or beside it: the seat that is taken for that, and for how long.
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
            let _ = answer.send(handed_out(reply, &self.reader));
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
        if let Some(stream) = self.stream.as_ref().filter(|_| !chunk.is_empty())
            && !stream.send_by(chunk, by).await
        {
            // Broken off: what it has read by then does not look whole.
            self.stream = None;
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

/// An answer whose body, where it is long, is handed out in pieces: it takes the seat until it has been read.
fn handed_out(reply: Reply, reader: &Reader) -> Reply {
    let Reply { status, headers, body } = reply;
    let body = match body {
        ReplyBody::Whole(rest) if rest.len() > LONG => {
            let length = u64::try_from(rest.len()).unwrap_or(u64::MAX);
            let (chunker, reading) = chunks(reader.seat.clone());
            tokio::spawn(hand_out(rest, chunker, reader.until()));
            ReplyBody::Pieces(length, reading)
        }
        body => body,
    };
    Reply { status, headers, body }
}

async fn hand_out(mut rest: Bytes, chunker: Chunker, by: Instant) {
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(PIECE));
        if !chunker.send_by(piece, by).await {
            return;
        }
    }
    // The pieces are parts of one: as long as one of them waits, all of it is in memory.
    if chunker.read_by(by).await {
        chunker.finish();
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
    use domain::TenantId;

    use super::*;
    use crate::reply::Broken;
    use crate::seat::Seats;

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

    /// What the HTTP layer gets of a whole answer.
    async fn given(body: Bytes, reader: Reader) -> ReplyBody {
        let (answer, answered) = oneshot::channel();
        Client::new(answer, reader).whole(Reply::json(200, body));
        answered.await.unwrap().body
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_has_its_seat_until_it_is_read_and_not_for_ever() {
        let (seats, tenant) = (Seats::new(1, 1), TenantId::PLATFORM);
        let by = |seconds| Instant::now() + Duration::from_secs(seconds);
        for length in [LONG + 1, 3 << 20] {
            let body: Bytes = (0..length).map(|index| (index % 251).to_le_bytes()[0]).collect();
            let reader = Reader { seat: seats.take(tenant).unwrap(), by: by(60) };
            let given_in_time = given(body.clone(), reader).await;
            assert!(
                matches!(given_in_time, ReplyBody::Pieces(told, _) if told == u64::try_from(length).unwrap())
            );
            tokio::time::sleep(Duration::from_secs(59)).await;
            assert!(seats.room(tenant).is_err(), "{length}");
            assert_eq!(given_in_time.read().await, Ok(body.clone()), "byte for byte");
            assert!(seats.room(tenant).is_ok(), "{length}");

            let reader = Reader { seat: seats.take(tenant).unwrap(), by: by(60) };
            let unread = given(body.clone(), reader).await;
            tokio::time::sleep(Duration::from_secs(61)).await;
            assert!(seats.room(tenant).is_ok(), "{length}");
            assert_eq!(unread.read().await, Err(Broken), "what is missing is not hidden");

            drop(given(body, Reader { seat: seats.take(tenant).unwrap(), by: by(60) }).await);
            tokio::task::yield_now().await;
            assert!(seats.room(tenant).is_ok(), "who has gone takes none");
        }
        let short = given(Bytes::from(vec![0; LONG]), Reader::alone()).await;
        assert!(matches!(short, ReplyBody::Whole(_)));
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
