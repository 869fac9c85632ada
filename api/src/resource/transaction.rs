use chrono::{DateTime, Utc};
use commands::Resource;
use domain::{Amount, Transaction, TransactionId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Transaction)]
pub struct TransactionBody {
    /// Its id.
    pub id: Uuid,
    /// `posted`, `pending`, `settled`, `released`, `expired` or `reversed`.
    #[schema(example = "posted")]
    pub status: String,
    /// Whether it is a transfer or an adjustment.
    pub kind: TransactionKind,
    /// Its postings.
    pub postings: Vec<PostingBody>,
    /// The caller's name for it.
    pub reference: Option<String>,
    /// Why, where it is an adjustment.
    pub reason: Option<String>,
    /// When it took effect.
    pub effective_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// When the hold ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// The caller's own facts.
    #[schema(value_type = Object)]
    pub metadata: Value,
}

/// What kind of transaction it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionKind {
    /// Made by its parties.
    Transfer,
    /// Made by an administrator, with a reason.
    Adjustment,
}

/// An amount that moves from one wallet to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Posting)]
pub struct PostingBody {
    /// The wallet that pays.
    #[schema(example = "customers:42:credits")]
    pub from: String,
    /// The wallet that receives.
    #[schema(example = "@revenue")]
    pub to: String,
    /// The asset of both.
    #[schema(example = "USD")]
    pub asset: String,
    /// How much.
    #[schema(value_type = String, example = "12.50")]
    pub amount: Amount,
    /// What was settled of it, once it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10.00")]
    pub settled: Option<Amount>,
    /// What was reversed of it, once something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2.00")]
    pub reversed: Option<Amount>,
}

impl TransactionBody {
    /// The transaction `id` in this state.
    pub fn new(id: TransactionId, transaction: &Transaction) -> Self {
        let body = &transaction.body;
        let postings = body.postings.iter().enumerate().map(|(index, posting)| PostingBody {
            from: posting.from.to_string(),
            to: posting.to.to_string(),
            asset: posting.asset.to_string(),
            amount: posting.amount,
            settled: transaction.settled.get(index).copied(),
            reversed: transaction.reversed.get(index).copied(),
        });
        let adjusted = body.adjustment.is_some();
        Self {
            id: id.0,
            status: transaction.status.as_str().to_owned(),
            kind: if adjusted { TransactionKind::Adjustment } else { TransactionKind::Transfer },
            postings: postings.collect(),
            reference: body.reference.as_ref().map(ToString::to_string),
            reason: body.adjustment.as_ref().map(ToString::to_string),
            effective_at: body.effective_at.unwrap_or(body.recorded_at),
            recorded_at: body.recorded_at,
            expires_at: body.expires_at,
            metadata: Value::Object(body.metadata.as_map().clone()),
        }
    }

    /// The transactions that a command came to.
    pub fn all(resource: Resource) -> Result<Vec<Self>, Problem> {
        match resource {
            Resource::Transactions(made) => Ok(made.iter().map(|(id, made)| Self::new(*id, made)).collect()),
            _ => Err(Problem::internal("a command for a transaction came to something else")),
        }
    }
}

impl TryFrom<Resource> for TransactionBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        let made = Self::all(resource)?.into_iter().next();
        made.ok_or_else(|| Problem::internal("a command for a transaction came to none"))
    }
}
