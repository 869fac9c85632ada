//! What calls came to, folded from the events of the journal and from nothing else.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::execution::{ExecutionBody, ExecutionEvent};
use domain::{ExecutionId, Usage, event};

use crate::support::ledger::Ledger;

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: ExecutionId,
    /// The position of its first event.
    pub position: i64,
    pub body: ExecutionBody,
    pub requested_at: DateTime<Utc>,
    /// How and when it ended.
    pub ended: Option<(&'static str, DateTime<Utc>)>,
    pub provider: Option<String>,
    pub first_token_ms: Option<u64>,
    pub total_ms: Option<u64>,
    pub usage: Usage,
    /// In minor units.
    pub cost: i128,
}

/// All calls of the tenant, oldest first.
pub async fn calls(ledger: &Ledger) -> Vec<Call> {
    let mut calls: BTreeMap<uuid::Uuid, Call> = BTreeMap::new();
    for recorded in ledger.events().await {
        let (text, at) = (&recorded.text, recorded.recorded_at);
        if text.aggregate_type != "execution" || text.tenant_id != ledger.tenant.0 {
            continue;
        }
        let id = text.aggregate_id;
        match event::decode(&text.event_type, text.event_version, &text.payload).unwrap() {
            ExecutionEvent::Requested { body, .. } => {
                let call = Call {
                    id: ExecutionId(id),
                    position: recorded.position,
                    body: *body,
                    requested_at: at,
                    ended: None,
                    provider: None,
                    first_token_ms: None,
                    total_ms: None,
                    usage: Usage::default(),
                    cost: 0,
                };
                assert!(calls.insert(id, call).is_none(), "requested once");
            }
            happened => fold(calls.get_mut(&id).unwrap(), happened, at),
        }
    }
    let mut calls: Vec<Call> = calls.into_values().collect();
    calls.sort_unstable_by_key(|call| call.position);
    calls
}

fn fold(call: &mut Call, happened: ExecutionEvent, at: DateTime<Utc>) {
    let mut end = |outcome| {
        assert!(call.ended.is_none(), "ended once");
        call.ended = Some((outcome, at));
    };
    match happened {
        ExecutionEvent::Completed {} => end("completed"),
        ExecutionEvent::Failed { .. } => end("failed"),
        ExecutionEvent::Cancelled {} => end("cancelled"),
        ExecutionEvent::Expired {} => end("expired"),
        ExecutionEvent::Attempted(attempt) => {
            call.provider = Some(attempt.provider.to_string());
            (call.first_token_ms, call.total_ms) = (attempt.first_token_ms, Some(attempt.total_ms));
        }
        ExecutionEvent::Settled(settled) => {
            assert_eq!(call.ended.map(|(_, ended)| ended), Some(at), "settled with its end");
            if let Some(provider) = settled.provider {
                call.provider = Some(provider.to_string());
            }
            call.usage = settled.usage;
            call.cost = settled.cost.minor();
        }
        ExecutionEvent::Requested { .. } | ExecutionEvent::Extended { .. } => {}
    }
}
