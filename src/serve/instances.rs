//! The instances on one database, that end each other's calls: whoever is asked to cancel a call that it does not make asks
//! the others over NATS.
//!
//! All are asked. The one that makes the call ends it and answers, the others are silent. Nothing of this is kept: the
//! subject is none of the stream's, and what is asked while NATS is away is not asked at all.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Request};
use bytes::Bytes;
use domain::{ExecutionId, TenantId};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use gateway::{Others, Running};
use journal::Journal;
use serde::{Deserialize, Serialize};

/// How long the others are waited for. Their answer takes milliseconds; silence is the answer that nobody makes the call, and
/// somebody waits to be told so.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whose call is to be ended, and which.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    tenant: TenantId,
    execution: ExecutionId,
}

/// The instances on a database, as NATS reaches them.
#[derive(Debug)]
pub(super) struct Instances {
    nats: Client,
    subject: String,
}

impl Instances {
    pub(super) fn new(nats: Client, journal: &Journal) -> Self {
        // The stream names its database in its description. Here the subject does, so that nobody else's is heard: the ids
        // of tenants and of calls with a key are the same wherever these are.
        Self { nats, subject: format!("calls.{}.cancel", journal.database_id()) }
    }

    /// Ends calls of `running` that others ask to have ended, and tells them. async-nats subscribes again by itself when a
    /// connection comes back.
    pub(super) async fn answer(self, running: Running) {
        let mut questions = match self.nats.subscribe(self.subject).await {
            Ok(questions) => questions,
            Err(error) => {
                tracing::error!(%error, "calls that run here cannot be cancelled at other instances");
                return;
            }
        };
        while let Some(message) = questions.next().await {
            let Some(asker) = message.reply else { continue };
            let Ok(Question { tenant, execution }) = serde_json::from_slice(&message.payload) else {
                tracing::warn!("a message from NATS about a call to be cancelled is none of ours");
                continue;
            };
            if running.cancel(tenant, execution)
                && let Err(error) = self.nats.publish(asker, Bytes::new()).await
            {
                tracing::warn!(%error, "a call was cancelled, and whoever asked for it is not told");
            }
        }
    }

    /// Whether an instance says that it ended the call.
    async fn ask(&self, question: &Question) -> Result<bool, async_nats::Error> {
        let payload = serde_json::to_vec(question)?;
        // With an inbox of its own: the one that a client's requests share remembers for ever those that nobody answers.
        let request = Request::new().inbox(self.nats.new_inbox()).payload(payload.into());
        let asking = self.nats.send_request(self.subject.clone(), request);
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer.map(|_| true).map_err(Into::into),
            Err(_) => Ok(false),
        }
    }
}

impl Others for Instances {
    fn cancel(&self, tenant: TenantId, execution: ExecutionId) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            // A question that waits for a connection would be put when nobody waits for the answer any more.
            if self.nats.connection_state() != State::Connected {
                return false;
            }
            let answer = self.ask(&Question { tenant, execution }).await;
            answer.unwrap_or_else(|error| {
                tracing::warn!(%error, "other instances cannot be asked to cancel a call");
                false
            })
        })
    }
}
