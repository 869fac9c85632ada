//! What a metered call adds to the rows of quarters of an hour.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::execution::Operation;
use domain::{Amount, Execution, MoneyError, ProviderName, TenantId, WalletId};
use uuid::Uuid;

use crate::latency::Histogram;
use crate::reader::quarter;

/// Which row a call counts in. What does not exist is empty, or nil.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub tenant_id: Uuid,
    pub wallet_id: Uuid,
    pub quarter: DateTime<Utc>,
    pub application_id: Uuid,
    pub user: String,
    pub provider: String,
    pub model: String,
    pub outcome: &'static str,
    pub asset: String,
}

/// What a row counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub path: String,
    pub calls: i64,
    /// By bucket, in the order of [`domain::Usage::buckets`].
    pub tokens: [u128; 6],
    pub cost: Option<Amount>,
    pub first_token: Histogram,
    pub total: Histogram,
}

/// The rows that some calls count in.
pub(crate) type Tallies = BTreeMap<Place, Tally>;

/// Counts a call that has ended at `at`, with all that its last command said of it.
///
/// # Errors
/// [`MoneyError`] where the sum of a row is beyond any amount.
pub(crate) fn count(
    tallies: &mut Tallies,
    tenant: TenantId,
    call: &Execution,
    at: DateTime<Utc>,
) -> Result<(), MoneyError> {
    let body = &call.body;
    // What was made elsewhere counts at its own time.
    let at = if body.operation == Operation::Imported { body.requested_at } else { at };
    let place = Place {
        tenant_id: tenant.0,
        wallet_id: WalletId::of(tenant, &body.wallet).0,
        quarter: quarter(at),
        application_id: body.application.map(|application| application.0).unwrap_or_default(),
        user: body.user.as_ref().map(ToString::to_string).unwrap_or_default(),
        provider: provider(call).unwrap_or_default().to_owned(),
        model: body.model.to_string(),
        outcome: call.status.as_str(),
        asset: body.asset.to_string(),
    };
    let tally = tallies.entry(place).or_insert_with(|| Tally {
        path: body.wallet.to_string(),
        calls: 0,
        tokens: [0; 6],
        cost: None,
        first_token: Histogram::default(),
        total: Histogram::default(),
    });
    tally.calls += 1;
    if let Some(last) = call.attempts.last() {
        tally.total.record(last.total_ms);
        if let Some(first_token) = last.first_token_ms {
            tally.first_token.record(first_token);
        }
    }
    if let Some(settled) = &call.settled {
        for (sum, tokens) in tally.tokens.iter_mut().zip(settled.usage.buckets()) {
            *sum += u128::from(tokens);
        }
        tally.cost = Some(match tally.cost {
            None => settled.cost,
            Some(sum) => sum.checked_add(settled.cost)?,
        });
    }
    Ok(())
}

/// Who answered a call: whom it was settled with, or who was tried last.
pub(crate) fn provider(call: &Execution) -> Option<&str> {
    let settled = call.settled.as_ref().and_then(|settled| settled.provider.as_ref());
    settled.or_else(|| call.attempts.last().map(|attempt| &attempt.provider)).map(ProviderName::as_str)
}
