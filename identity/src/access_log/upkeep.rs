//! The parts of the log: made ahead, dropped when they are old.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use domain::Clock;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{AccessLogError, AccessLogSettings};

/// How often the parts are looked after.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How many days before today have a part, for lines that were late, and how many there are in all.
const BEFORE: Days = Days::new(1);
const DAYS: i32 = 6;

/// Looks after the parts until `stop`.
pub(super) async fn run(
    pool: PgPool,
    clock: Arc<dyn Clock>,
    settings: AccessLogSettings,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if let Err(error) = once(&pool, clock.as_ref(), settings).await {
            tracing::warn!(%error, "the parts of the access log could not be looked after");
        }
    }
}

/// Makes the parts of the days to come, and drops those that are older than the retention.
pub(super) async fn once(
    pool: &PgPool,
    clock: &dyn Clock,
    settings: AccessLogSettings,
) -> Result<(), AccessLogError> {
    let today = clock.now().date_naive();
    let first = today.checked_sub_days(BEFORE).unwrap_or(today);
    sqlx::query_scalar!("SELECT identity.prepare_access_log($1, $2)", first, DAYS).fetch_one(pool).await?;
    let Some(oldest) = oldest(today, settings) else {
        return Ok(());
    };
    let dropped = sqlx::query_scalar!("SELECT identity.drop_access_log($1) AS \"dropped!\"", oldest)
        .fetch_one(pool)
        .await?;
    if dropped > 0 {
        tracing::info!(dropped, "days of the access log are over their retention and were dropped");
    }
    Ok(())
}

/// The oldest day that is kept.
fn oldest(today: NaiveDate, settings: AccessLogSettings) -> Option<NaiveDate> {
    today.checked_sub_days(Days::new(settings.retention_days.max(1).into()))
}
