//! What metered calls come to, command by command. A call is kept only while it is running.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::execution::ExecutionEvent;
use domain::{Execution, TenantId};
use uuid::Uuid;

use super::Difference;
use crate::decoded::Decoded;
use crate::usage::{Tallies, count};

/// The calls of a partition.
#[derive(Default)]
pub(super) struct Calls {
    /// What those that have ended came to.
    pub tallies: Tallies,
    running: HashMap<Uuid, Execution>,
    /// Those that have ended in the command that is being folded, and when.
    ended: Vec<(TenantId, Uuid, DateTime<Utc>)>,
}

impl Calls {
    pub(super) fn apply(&mut self, decoded: &Decoded, said: &ExecutionEvent) {
        let text = &decoded.event.text;
        let call = self.running.entry(text.aggregate_id).or_default();
        let before = call.status.is_final();
        call.apply(said.clone());
        if !before && call.status.is_final() {
            self.ended.push((TenantId(text.tenant_id), text.aggregate_id, decoded.event.recorded_at));
        }
    }

    /// Counts what has ended: all that the command says of it has been folded.
    pub(super) fn end_command(&mut self, place: &str) -> Result<(), Difference> {
        for (tenant, id, at) in std::mem::take(&mut self.ended) {
            let Some(call) = self.running.remove(&id) else {
                continue;
            };
            count(&mut self.tallies, tenant, &call, at).map_err(|error| Difference {
                place: format!("execution {id} at {place}"),
                expected: "a cost that can be summed up".to_owned(),
                found: error.to_string(),
            })?;
        }
        Ok(())
    }
}
