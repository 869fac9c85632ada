//! Calls that are asked for again with the same key.

use std::sync::Arc;
use std::time::Duration;

use commands::NewCall;
use domain::execution::{Attempt, End, ExecutionStatus, FailureReason};
use domain::{Execution, ExecutionId, Usage};
use identity::kept::Kept;
use tokio::time::Instant;

use crate::client::Reader;
use crate::gateway::{Call, Shared};
use crate::ledger::{Account, key_reused};
use crate::record::{Record, gone};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::running::{Place, Run};

/// How often a call can be made under one key.
const TRIALS: usize = 100;
/// How often another program's answer is looked for.
const PAUSE: Duration = Duration::from_millis(500);
/// For how long the answer of a call is looked for that has ended: it is kept a moment later.
const ENDED: Duration = Duration::from_secs(3);
/// For how long that of one that runs is waited for.
const RUNS: Duration = Duration::from_secs(30);

/// The answer that is kept.
pub(super) async fn kept(
    shared: &Arc<Shared>,
    call: &Call,
    id: ExecutionId,
    fingerprint: [u8; 32],
    reader: &Reader,
) -> Result<Option<Reply>, Refusal> {
    match shared.kept.find(call.tenant, id.0, fingerprint).await {
        Ok(Kept::Nothing) => Ok(None),
        Ok(Kept::OtherRequest) => Err(key_reused()),
        Ok(Kept::Answer(answer)) => Ok(Record::opened(&answer, reader)),
        Err(error) => {
            tracing::error!(%error, execution = %id, "a kept answer cannot be read");
            let refusal = Refusal::new(503, "unavailable", "the earlier answer cannot be read at the moment");
            Err(refusal.after(Duration::from_secs(1)))
        }
    }
}

/// What became of a request.
pub(super) enum Requested {
    /// It is a new one.
    Anew(Account, Box<Execution>),
    /// It was made before, by another program, or by this one before it was started again, and this was the answer.
    Before(Reply),
}

/// Requests an execution. One that was requested before under the key and came to nothing is made anew, under an id that
/// follows from its own, so that of those who do that at the same time one does. Nothing that was paid, or failed after a part
/// was given, has one after it.
///
/// One that expired before anybody said what it came to has one as well: its program died, and what it told is known to
/// nobody. If its end is told later all the same, it is paid as an execution of its own, beside the one that was made anew; that
/// one stays the answer to the key.
pub(super) async fn request(
    shared: &Arc<Shared>,
    call: &Call,
    mut account: Account,
    mut request: NewCall,
    place: &mut Place,
    reader: &Reader,
) -> Result<Requested, Refusal> {
    let fingerprint = place.run.fingerprint;
    let lasts = shared.options.total.saturating_add(shared.options.grace);
    for _ in 0..TRIALS {
        let earlier = loop {
            request.expires_at = shared.clock.now() + lasts;
            let (execution, replayed) = account.request(request.clone(), fingerprint).await?;
            if !replayed {
                place.is_also(account.id);
                return Ok(Requested::Anew(account, Box::new(execution)));
            }
            if execution.status.is_final() {
                break execution;
            }
            if let Some(reply) = running(shared, call, &account, fingerprint, reader).await? {
                return Ok(Requested::Before(reply));
            }
        };
        if earlier.status == ExecutionStatus::Expired {
            // It may have been answered, and only its end not recorded.
            if let Some(reply) = kept(shared, call, account.id, fingerprint, reader).await? {
                return Ok(Requested::Before(reply));
            }
        }
        if !leads_on(&account, &earlier).await? {
            return ended(shared, call, &account, fingerprint, reader).await.map(Requested::Before);
        }
        account.id = account.id.again();
    }
    let message = format!("the call with this key came to nothing {TRIALS} times; make it with another key");
    Err(Refusal::new(409, "key_exhausted", message))
}

/// Whether an execution that has ended came to nothing, so that the call is made anew, or was.
async fn leads_on(account: &Account, execution: &Execution) -> Result<bool, Refusal> {
    let settled = execution.settled.as_deref();
    match (execution.status, execution.reason, settled) {
        (ExecutionStatus::Failed, Some(reason), Some(settled)) => {
            Ok(is_passing(End::Failed(reason), &settled.usage, &execution.attempts))
        }
        (ExecutionStatus::Expired, _, None) => Ok(true),
        // Paid late: only where the call had been made anew before.
        (ExecutionStatus::Expired, _, Some(_)) => account.made_anew().await,
        _ => Ok(false),
    }
}

/// Whether a call may be made anew under its key: it failed, not by what was asked, before a part of an answer came, and
/// nothing was billed. Who cancelled a call meant it.
pub(super) fn is_passing<'a>(
    end: End,
    usage: &Usage,
    attempts: impl IntoIterator<Item = &'a Attempt>,
) -> bool {
    let End::Failed(reason) = end else {
        return false;
    };
    let lasting = matches!(reason, FailureReason::InvalidRequest | FailureReason::ContentFilter);
    !lasting && usage.is_zero() && attempts.into_iter().all(|attempt| attempt.first_token_ms.is_none())
}

/// The answer of a call that another program makes, if that is kept before its end is known.
async fn running(
    shared: &Arc<Shared>,
    call: &Call,
    account: &Account,
    fingerprint: [u8; 32],
    reader: &Reader,
) -> Result<Option<Reply>, Refusal> {
    let until = Instant::now() + RUNS;
    loop {
        if let Some(reply) = kept(shared, call, account.id, fingerprint, reader).await? {
            return Ok(Some(reply));
        }
        if account.has_ended().await {
            return Ok(None);
        }
        if Instant::now() + PAUSE >= until {
            let message = "the call with this key is still running elsewhere";
            let refusal = Refusal::new(409, "execution_running", message);
            return Err(refusal.after(Duration::from_secs(2)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The answer of a call that has ended.
async fn ended(
    shared: &Arc<Shared>,
    call: &Call,
    account: &Account,
    fingerprint: [u8; 32],
    reader: &Reader,
) -> Result<Reply, Refusal> {
    let until = Instant::now() + ENDED;
    loop {
        if let Some(reply) = kept(shared, call, account.id, fingerprint, reader).await? {
            return Ok(reply);
        }
        if Instant::now() + PAUSE >= until {
            return Err(gone());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Keeps the answer of a call with a key, and waits until that is done, within bounds: after them it goes on by itself.
pub(super) async fn keep(account: &Account, run: &Run) {
    let Some(answer) = run.record.as_ref().and_then(|record| record.sealable()) else {
        return;
    };
    let (account, fingerprint) = (account.clone(), run.fingerprint);
    let (tasks, longest) = (account.shared.tasks.clone(), account.shared.options.settle);
    let keeping = tasks.spawn(async move {
        let Account { shared, tenant, id, .. } = account;
        if let Err(error) = shared.kept.keep(tenant, id.0, fingerprint, &answer).await {
            // It is billed all the same; whoever repeats it is told that the answer is gone.
            tracing::error!(%error, execution = %id, "an answer is not kept");
        }
    });
    if tokio::time::timeout(longest, keeping).await.is_err() {
        tracing::warn!("keeping an answer takes long");
    }
}
