//! Calls that are asked for again with the same key.

use std::sync::Arc;
use std::time::Duration;

use domain::ExecutionId;
use identity::kept::Kept;
use tokio::time::Instant;

use crate::gateway::{Call, Shared};
use crate::ledger::{Account, key_reused};
use crate::record::{Record, Run, gone};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::seat::Seat;

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
    seat: Seat,
) -> Result<Option<Reply>, Refusal> {
    match shared.kept.find(call.tenant, id.0, fingerprint).await {
        Ok(Kept::Nothing) => Ok(None),
        Ok(Kept::OtherRequest) => Err(key_reused()),
        Ok(Kept::Answer(answer)) => Ok(Record::opened(&answer, seat)),
        Err(error) => {
            tracing::error!(%error, execution = %id, "a kept answer cannot be read");
            let refusal = Refusal::new(503, "unavailable", "the earlier answer cannot be read at the moment");
            Err(refusal.after(Duration::from_secs(1)))
        }
    }
}

/// The answer of an execution that was requested before: by another program, or by this one before it was started again.
pub(super) async fn earlier(
    shared: &Arc<Shared>,
    call: &Call,
    account: &Account,
    fingerprint: [u8; 32],
    seat: Seat,
) -> Result<Reply, Refusal> {
    let mut until = Instant::now() + RUNS;
    let mut ended = false;
    loop {
        if let Some(reply) = kept(shared, call, account.id, fingerprint, seat.clone()).await? {
            return Ok(reply);
        }
        if !ended && account.has_ended().await {
            ended = true;
            until = until.min(Instant::now() + ENDED);
        }
        if Instant::now() + PAUSE >= until {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    if ended {
        return Err(gone());
    }
    let refusal = Refusal::new(409, "execution_running", "the call with this key is still running elsewhere");
    Err(refusal.after(Duration::from_secs(2)))
}

/// Keeps the answer of a call with a key.
pub(super) async fn keep(shared: &Arc<Shared>, call: &Call, id: ExecutionId, run: &Run) {
    let Some(answer) = run.record.as_ref().and_then(|record| record.sealable()) else {
        return;
    };
    if let Err(error) = shared.kept.keep(call.tenant, id.0, run.fingerprint, &answer).await {
        // It is billed all the same; whoever repeats it is told that the answer is gone.
        tracing::error!(%error, execution = %id, "an answer is not kept");
    }
}
