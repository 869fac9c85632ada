//! How the program is: what `/readyz` says to everybody, and the log to operators.

use std::sync::Arc;
use std::time::Duration;

use api::{Check, CheckState, Finding, HealthCheck};
use async_nats::connection::State as NatsState;
use journal::Journal;
use projections::{Kind, Progress, State};

/// A read model that is further behind than this many events is worth a word to operators.
const LAGGING: i64 = 10_000;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at the database, at NATS and at every read model.
pub(super) fn check(journal: Journal, progress: Progress, nats: async_nats::Client) -> HealthCheck {
    Arc::new(move || {
        let (journal, progress, nats) = (journal.clone(), progress.clone(), nats.clone());
        Box::pin(async move {
            let mut findings = vec![broker(&nats)];
            let asking = projections::status(journal.pool(), &journal, Some(&progress));
            match tokio::time::timeout(PATIENCE, asking).await {
                Ok(Ok(status)) => {
                    findings.push(well("database".to_owned()));
                    findings.extend(Kind::ALL.into_iter().map(|kind| projection(kind, &status)));
                }
                Ok(Err(error)) => findings.push(gone(error.to_string())),
                Err(_) => findings.push(gone(format!("nothing came within {PATIENCE:?}"))),
            }
            findings
        })
    })
}

fn well(name: String) -> Finding {
    Finding { check: Check { name, state: CheckState::Ok, detail: None }, reason: None }
}

fn impaired(name: String, detail: &'static str, reason: Option<String>) -> Finding {
    Finding { check: Check { name, state: CheckState::Degraded, detail: Some(detail) }, reason }
}

fn gone(reason: String) -> Finding {
    let (name, detail) = ("database".to_owned(), Some("gives no answer"));
    Finding { check: Check { name, state: CheckState::Failed, detail }, reason: Some(reason) }
}

fn broker(nats: &async_nats::Client) -> Finding {
    let name = "nats".to_owned();
    match nats.connection_state() {
        NatsState::Connected => well(name),
        _ => impaired(name, "not connected; events wait in the journal", None),
    }
}

/// How one read model is over all partitions.
fn projection(kind: Kind, status: &[projections::ProjectionStatus]) -> Finding {
    let name = format!("projection {}", kind.name());
    let own = || status.iter().filter(|one| one.projection == kind);
    let stopped = own().find_map(|one| match &one.state {
        State::Stopped { at, reason } => Some(format!("stopped at p{}:{at}: {reason}", one.partition)),
        _ => None,
    });
    let lag: i64 = own().map(|one| one.lag).sum();
    match stopped {
        Some(reason) => impaired(name, "has stopped in a partition", Some(reason)),
        None if lag > LAGGING => impaired(name, "lags behind the journal", None),
        None => well(name),
    }
}
