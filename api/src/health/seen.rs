//! What was seen of everything that the program depends on.
//!
//! Anybody may ask for it as often as the walls let them, and looking takes a connection that writers need. So one looks at
//! a time, and what was seen counts for a moment. Strangers learn which part is not well; why it is not stands in the log,
//! once each time that it changes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Check, CheckState};

/// How long what was seen counts.
const COUNTS: Duration = Duration::from_millis(500);

/// Looks at everything the program depends on.
pub type HealthCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Finding>> + Send>> + Send + Sync>;

/// What was found of one thing that the program depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What everybody may know.
    pub check: Check,
    /// Why it is so, for the log alone.
    pub reason: Option<String>,
}

/// How the program is, as it was a moment ago.
pub struct Health {
    look: HealthCheck,
    seen: Mutex<Option<(Instant, Vec<Finding>)>>,
}

impl Health {
    /// Nothing was seen yet.
    pub fn new(look: HealthCheck) -> Self {
        Self { look, seen: Mutex::new(None) }
    }

    /// How everything is. Whoever asks while somebody looks takes what they find.
    pub async fn checks(&self) -> Vec<Check> {
        let mut seen = self.seen.lock().await;
        if let Some((when, findings)) = &*seen
            && when.elapsed() < COUNTS
        {
            return public(findings);
        }
        let findings = (self.look)().await;
        let before = seen.as_ref().map_or(&[][..], |(_, findings)| findings);
        news(before, &findings).for_each(tell);
        let checks = public(&findings);
        *seen = Some((Instant::now(), findings));
        checks
    }
}

fn public(findings: &[Finding]) -> Vec<Check> {
    findings.iter().map(|finding| finding.check.clone()).collect()
}

/// What is otherwise than it was before.
fn news<'a>(before: &'a [Finding], now: &'a [Finding]) -> impl Iterator<Item = &'a Finding> {
    now.iter().filter(|finding| {
        let known = before.iter().find(|known| known.check.name == finding.check.name);
        known.map_or(finding.check.state != CheckState::Ok, |known| known != *finding)
    })
}

fn tell(Finding { check: Check { name, state, detail }, reason }: &Finding) {
    let (detail, reason) = (detail.unwrap_or_default(), reason.as_deref().unwrap_or_default());
    match state {
        CheckState::Ok => tracing::info!(part = %name, "is as it should be again"),
        CheckState::Degraded | CheckState::Failed => {
            tracing::warn!(part = %name, ?state, detail, reason, "is not as it should be");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn finding(name: &str, state: CheckState, reason: Option<&str>) -> Finding {
        let detail = reason.map(|_| "gives no answer");
        Finding { check: Check { name: name.into(), state, detail }, reason: reason.map(str::to_owned) }
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_one_looks_and_what_was_seen_counts_for_half_a_second() {
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looks);
        let health = Health::new(Arc::new(move || {
            let looks = Arc::clone(&counted);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                looks.fetch_add(1, Ordering::Relaxed);
                vec![finding("database", CheckState::Failed, Some("the password of app is wrong"))]
            })
        }));
        let all = futures_util::future::join_all((0..100).map(|_| health.checks())).await;
        assert_eq!((all.len(), looks.load(Ordering::Relaxed)), (100, 1));
        let said = serde_json::to_string(&all).unwrap();
        assert!(said.contains("gives no answer") && !said.contains("password"), "{said}");
        tokio::time::advance(Duration::from_millis(499)).await;
        health.checks().await;
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        health.checks().await;
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn the_log_is_told_what_has_changed_and_not_what_is_as_it_was() {
        use CheckState::{Failed, Ok};
        let named = |before: &[Finding], now: &[Finding]| -> Vec<String> {
            news(before, now).map(|finding| finding.check.name.clone()).collect()
        };
        let (well, gone) = ([finding("a", Ok, None)], [finding("a", Failed, Some("refused"))]);
        assert!(named(&[], &well).is_empty());
        assert_eq!(named(&[], &gone), ["a"]);
        assert!(named(&gone, &gone).is_empty());
        assert_eq!(named(&gone, &[finding("a", Failed, Some("timed out"))]), ["a"]);
        assert_eq!(named(&gone, &well), ["a"]);
    }
}
