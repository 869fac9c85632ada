//! The calls that run in this program: to be joined with their key, and to be cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{ExecutionId, TenantId};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::record::Record;

/// A call that runs in this program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) cancel: CancellationToken,
    pub(crate) fingerprint: [u8; 32],
    /// Of a call with a key.
    pub(crate) record: Option<Arc<Record>>,
}

/// The calls that run in this program. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<Runs>>);

type Runs = HashMap<(TenantId, ExecutionId), Arc<Run>>;

/// The other programs on the same ledger, each with a gateway of its own.
pub trait Others: Send + Sync {
    /// Asks them to end a call, and says whether one of them did. False is no proof that none makes it: one may be out of
    /// reach.
    fn cancel(&self, tenant: TenantId, id: ExecutionId) -> BoxFuture<'_, bool>;
}

/// Takes its call out of the running ones when it is dropped, and closes its record.
#[derive(Debug)]
pub(crate) struct Place {
    running: Running,
    tenant: TenantId,
    /// The id that stands for the key, and that of the execution, where it is another one.
    ids: Vec<ExecutionId>,
    pub(crate) run: Arc<Run>,
}

impl Running {
    fn all(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a call, or gives the one that runs under this id.
    pub(crate) fn enter(&self, tenant: TenantId, id: ExecutionId, run: Run) -> Result<Place, Arc<Run>> {
        let mut all = self.all();
        if let Some(run) = all.get(&(tenant, id)) {
            return Err(Arc::clone(run));
        }
        let run = Arc::new(run);
        all.insert((tenant, id), Arc::clone(&run));
        drop(all);
        Ok(Place { running: self.clone(), tenant, ids: vec![id], run })
    }

    /// Ends a call; false when it does not run here.
    pub fn cancel(&self, tenant: TenantId, id: ExecutionId) -> bool {
        self.all().get(&(tenant, id)).map(|run| run.cancel.cancel()).is_some()
    }
}

impl Place {
    /// The call is known by the id of its execution as well.
    pub(crate) fn is_also(&mut self, id: ExecutionId) {
        if !self.ids.contains(&id) {
            self.running.all().insert((self.tenant, id), Arc::clone(&self.run));
            self.ids.push(id);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.running.all();
        for id in &self.ids {
            all.remove(&(self.tenant, *id));
        }
        drop(all);
        if let Some(record) = &self.run.record {
            record.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::execution::Operation;

    use super::*;
    use crate::client::Reader;

    #[tokio::test]
    async fn a_call_that_ends_without_an_answer_lets_nobody_wait() {
        let running = Running::default();
        let run = || Run {
            cancel: CancellationToken::new(),
            fingerprint: [0; 32],
            record: Some(Arc::new(Record::new(3))),
        };
        let (tenant, id) = (TenantId::PLATFORM, ExecutionId::default());
        let mut place = running.enter(tenant, id, run()).unwrap();
        place.is_also(id.again());
        assert!(running.cancel(tenant, id.again()), "it can be ended by either");
        let other = running.enter(tenant, id, run()).unwrap_err();
        let joining =
            tokio::spawn(other.record.clone().unwrap().join(Operation::OpenAiChat, Reader::alone()));
        tokio::task::yield_now().await;
        drop(place);
        assert!(joining.await.unwrap().is_none());
        assert!(!running.cancel(tenant, id) && !running.cancel(tenant, id.again()));
        assert!(running.enter(tenant, id, run()).is_ok());
    }
}
