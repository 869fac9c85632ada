//! The simulated journal against the real one: the same operations, the same answers.

use chrono::{DateTime, TimeDelta, Utc};
use domain::Partition;
use journal::{AppendError, EventText, Head, Journal, Lead, NewEvent, Role, StreamStart};
use uuid::Uuid;

use crate::chance::Chance;
use crate::store::Log;
use crate::support::Database;

const PARTITION: Partition = Partition(1);

fn outcome(appended: Result<Head, AppendError>) -> Result<Head, &'static str> {
    appended.map_err(|error| match error {
        AppendError::HeadMoved => "head moved",
        AppendError::StreamTaken => "stream taken",
        AppendError::KeyTaken => "key taken",
        AppendError::Refused(_) => "refused",
        AppendError::Database(_) => "failed",
    })
}

fn id(chance: &mut Chance, of: &str) -> Uuid {
    Uuid::new_v5(&Uuid::nil(), format!("{of}{}", chance.between(1, 6)).as_bytes())
}

fn key(chance: &mut Chance) -> String {
    format!("key {}", chance.between(1, 60))
}

/// Some events that may or may not fit.
fn batch(chance: &mut Chance, log: &Log) -> Vec<NewEvent> {
    let count = chance.size(1, 4);
    let mut events: Vec<NewEvent> = Vec::new();
    for _ in 0..count {
        let aggregate_id = id(chance, "stream");
        let before = events.iter().filter(|event| event.text.aggregate_id == aggregate_id).count();
        let last = log.stream(aggregate_id, i64::MAX).last().map_or(0, |event| event.text.sequence);
        let next = last + i64::try_from(before).unwrap() + 1;
        let sequence = if chance.one_in(15) { (next - 1).max(1) } else { next };
        let key = chance.one_in(2).then(|| (key(chance), vec![7]));
        events.push(NewEvent {
            text: EventText {
                tenant_id: id(chance, "tenant"),
                aggregate_type: "wallet".into(),
                aggregate_id,
                sequence,
                event_type: "posted".into(),
                event_version: 1,
                payload: format!(r#"{{"n": {}}}"#, chance.between(0, 9)),
                effective_at: None,
                command_id: Uuid::from_u128(chance.between(0, u64::MAX).into()),
            },
            lead: chance.one_in(2).then(|| Lead { metadata: r#"{"events": "1"}"#.into(), key }),
        });
    }
    events
}

/// A head that is right, or nearly.
fn claimed(chance: &mut Chance, head: Head) -> Head {
    match chance.between(0, 19) {
        0 => Head { position: head.position + 1, ..head },
        1 => Head { position: (head.position - 1).max(0), ..head },
        2 => Head { epoch: head.epoch + 1, ..head },
        _ => head,
    }
}

async fn assert_same_reads(chance: &mut Chance, real: &Journal, log: &Log) {
    let (after, limit) = (chance.between(0, 300), chance.between(0, 40));
    let (after, limit) = (i64::try_from(after).unwrap(), i64::try_from(limit).unwrap());
    assert_eq!(real.read(PARTITION, after, limit).await.unwrap(), log.read(after, limit));
    let (stream, sequence) = (id(chance, "stream"), i64::try_from(chance.between(0, 40)).unwrap());
    assert_eq!(real.stream(PARTITION, stream, sequence).await.unwrap(), log.stream(stream, sequence));
    let keys: Vec<_> = (0..5).map(|_| (id(chance, "tenant"), key(chance))).collect();
    let keys: Vec<_> = keys.iter().map(|(tenant, key)| (*tenant, key.as_str())).collect();
    assert_eq!(real.leads(PARTITION, &keys).await.unwrap(), log.leads(&keys));
    // Some are named twice.
    let streams: Vec<_> = (0..4).map(|_| id(chance, "stream")).collect();
    let found = real.prefetch(PARTITION, &streams, StreamStart::First).await.unwrap();
    assert_eq!(found, log.prefetch(&streams, |_| None));
    let elsewhere = real.prefetch(Partition(2), &streams, StreamStart::First).await.unwrap();
    assert!(elsewhere.events.is_empty(), "a partition has its own events alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_journal_answers_as_the_real_one_does() {
    let database = Database::fresh().await;
    let real = Journal::open(database.pool(Role::Writer, 1).await).await.unwrap();
    let mut log = Log::new(PARTITION);
    let mut chance = Chance::new(1, 4);
    let mut now: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..600 {
        let events = batch(&mut chance, &log);
        let head = claimed(&mut chance, log.head);
        now += TimeDelta::milliseconds(i64::try_from(chance.between(0, 40)).unwrap() - 2);
        let expected = outcome(log.append(head, now, &events));
        let told = outcome(real.append(head, now, &events).await);
        assert_eq!(told, expected, "{head:?} {now} {events:?}");
        *seen.entry(told.map_or_else(|error| error, |_| "appended")).or_insert(0) += 1;
        assert_eq!(real.head(PARTITION).await.unwrap(), log.head);
        if chance.one_in(8) {
            assert_same_reads(&mut chance, &real, &log).await;
        }
    }
    let expected = ["appended", "head moved", "key taken", "stream taken"];
    assert!(seen.keys().eq(&expected), "everything was tried: {seen:?}");
}
