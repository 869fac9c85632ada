//! What the client asked for and what it was told: the history that the checker judges.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use journal::Position;
use serde_json::{Value, json};
use uuid::Uuid;

/// An amount of the one asset of these tests, in hundredths.
pub type Cents = i128;

/// Orders what happens in this process: a larger tick is later in real time.
#[derive(Debug, Default)]
pub struct Ticks(AtomicU64);

impl Ticks {
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// What was asked for.
#[derive(Debug, Clone)]
pub enum Op {
    Transact(NewTransaction),
    Batch(Vec<NewTransaction>),
    Settle { id: Uuid, amounts: Option<Vec<Cents>> },
    Release { id: Uuid },
    Reverse { id: Uuid, amounts: Option<Vec<Cents>> },
}

#[derive(Debug, Clone)]
pub struct NewTransaction {
    pub postings: Vec<Posting>,
    pub pending: bool,
    pub expires_at: Option<DateTime<Utc>>,
    /// So many spaces before the request, to make it large.
    pub padding: usize,
}

#[derive(Debug, Clone)]
pub struct Posting {
    pub from: String,
    pub to: String,
    pub amount: Cents,
}

/// One attempt at a call.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub request_id: String,
    pub invoked: u64,
    /// `u64::MAX` where no answer came.
    pub returned: u64,
    /// What the wall clock of this process showed at the answer.
    pub returned_at: DateTime<Utc>,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done. The position is not known for a single item of a batch.
    Made { position: Option<Position>, ids: Vec<Uuid> },
    /// It was refused.
    Refused { code: String, index: Option<u64> },
    /// It may have been done or not.
    Nothing(String),
}

/// One command, asked for until there was an answer, or given up.
#[derive(Debug, Clone)]
pub struct Call {
    pub tenant: usize,
    pub key: Option<String>,
    pub op: Op,
    pub attempts: Vec<Attempt>,
}

impl Call {
    pub fn made(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| matches!(attempt.answer, Answer::Made { .. }))
    }

    pub fn last(&self) -> &Answer {
        &self.attempts.last().unwrap().answer
    }
}

pub fn text(cents: Cents) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

pub fn cents(text: &str) -> Cents {
    let (whole, digits) = text.split_once('.').unwrap();
    assert_eq!(digits.len(), 2, "{text}");
    format!("{whole}{digits}").parse().unwrap()
}

impl NewTransaction {
    pub fn json(&self) -> Value {
        let postings: Vec<_> = self.postings.iter().map(Posting::json).collect();
        let mut body = json!({ "postings": postings, "pending": self.pending });
        if let Some(at) = self.expires_at {
            body["expires_at"] = json!(at);
        }
        body
    }
}

impl Posting {
    fn json(&self) -> Value {
        json!({"from": self.from, "to": self.to, "amount": text(self.amount), "asset": "USD"})
    }
}

impl Op {
    pub fn padding(&self) -> usize {
        match self {
            Self::Transact(new) => new.padding,
            Self::Batch(all) => all.iter().map(|new| new.padding).sum(),
            _ => 0,
        }
    }

    /// Where it is sent, and its body.
    pub fn request(&self) -> (String, Value) {
        let amounts = |amounts: &Option<Vec<Cents>>| match amounts {
            Some(amounts) => json!({"amounts": amounts.iter().copied().map(text).collect::<Vec<_>>()}),
            None => json!({}),
        };
        match self {
            Self::Transact(new) => ("/v1/transactions".to_owned(), new.json()),
            Self::Batch(all) => ("/v1/transactions/batch".to_owned(), batch(all, true)),
            Self::Settle { id, amounts: some } => (format!("/v1/transactions/{id}/settle"), amounts(some)),
            Self::Release { id } => (format!("/v1/transactions/{id}/release"), json!({})),
            Self::Reverse { id, amounts: some } => (format!("/v1/transactions/{id}/reverse"), amounts(some)),
        }
    }
}

/// The text of a body, with the spaces of what it asks for before it.
pub fn padded(body: &Value, padding: usize) -> String {
    format!("{}{body}", " ".repeat(padding))
}

pub fn batch(all: &[NewTransaction], atomic: bool) -> Value {
    let all: Vec<_> = all.iter().map(NewTransaction::json).collect();
    json!({ "atomic": atomic, "transactions": all })
}
