//! How the program is: what `/readyz` says.

use std::sync::Arc;
use std::time::Duration;

use api::{Check, CheckState, HealthCheck};
use async_nats::connection::State as NatsState;
use journal::Journal;
use projections::{Kind, Progress, State};

/// A read model that is further behind than this many events is worth a word to operators.
const LAGGING: i64 = 10_000;

/// Looks at the database, at NATS and at every read model.
pub(super) fn check(journal: Journal, progress: Progress, nats: async_nats::Client) -> HealthCheck {
    Arc::new(move || {
        let (journal, progress, nats) = (journal.clone(), progress.clone(), nats.clone());
        Box::pin(async move {
            let connected = nats.connection_state() == NatsState::Connected;
            let detail = "not connected; events wait in the journal";
            let mut checks = vec![verdict("nats", !connected, detail)];
            let limit = Duration::from_secs(2);
            let asking = projections::status(journal.pool(), &journal, Some(&progress));
            match tokio::time::timeout(limit, asking).await {
                Ok(Ok(status)) => {
                    checks.push(Check { name: "database".into(), state: CheckState::Ok, detail: None });
                    checks.extend(Kind::ALL.into_iter().map(|kind| projection(kind, &status)));
                }
                Ok(Err(error)) => checks.push(gone(&error.to_string())),
                Err(_) => checks.push(gone("no answer")),
            }
            checks
        })
    })
}

fn gone(detail: &str) -> Check {
    Check { name: "database".into(), state: CheckState::Failed, detail: Some(detail.to_owned()) }
}

fn verdict(name: &str, impaired: bool, detail: &str) -> Check {
    let state = if impaired { CheckState::Degraded } else { CheckState::Ok };
    Check { name: name.to_owned(), state, detail: impaired.then(|| detail.to_owned()) }
}

/// How one read model is over all partitions.
fn projection(kind: Kind, status: &[projections::ProjectionStatus]) -> Check {
    let name = format!("projection {}", kind.name());
    let own = || status.iter().filter(|one| one.projection == kind);
    let stopped = own().find_map(|one| match &one.state {
        State::Stopped { at, reason } => Some(format!("stopped at p{}:{at}: {reason}", one.partition)),
        _ => None,
    });
    let lag: i64 = own().map(|one| one.lag).sum();
    match stopped {
        Some(detail) => verdict(&name, true, &detail),
        None => verdict(&name, lag > LAGGING, &format!("{lag} events behind")),
    }
}
