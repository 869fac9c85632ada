//! The walls and the certificate, as they are configured.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use api::tls::Certificate;
use api::walls::{Pace, WallSettings, Walls};

use crate::cli::Failure;
use crate::config::Config;

/// The walls.
pub(super) fn settings(config: &Config) -> WallSettings {
    let (api, limits) = (&config.api, &config.limits);
    let second = Duration::from_secs(1);
    WallSettings {
        key: pace(limits.key_per_second, second, limits.key_burst),
        user: pace(limits.user_per_second, second, limits.user_burst),
        address: pace(limits.address_per_second, second, limits.address_burst),
        anonymous: pace(limits.anonymous_per_second, second, limits.anonymous_burst),
        sign_in: pace(limits.sign_in_per_minute, Duration::from_secs(60), limits.sign_in_burst),
        mail: pace(limits.mail_per_hour, Duration::from_secs(3_600), limits.mail_burst),
        header_bytes: limits.header_bytes.get(),
        query_bytes: limits.query_bytes.get(),
        cors_origins: api.cors_origins.clone(),
        trusted_proxies: api.trusted_proxies.clone(),
        domain: api.domain.clone(),
        tls: api.tls.certificate.is_some() || api.tls.in_front,
    }
}

/// So many in a period on average, and so many at once; `None` without either.
fn pace(rate: u32, period: Duration, burst: u32) -> Option<Pace> {
    let (rate, burst) = (NonZeroU32::new(rate)?, NonZeroU32::new(burst)?);
    Some(Pace { burst, every: period / rate.get() })
}

/// Has the walls forget those who have not asked for long.
pub(super) async fn upkeep(walls: Arc<Walls>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        walls.upkeep();
    }
}

/// The certificate, where there is one.
pub(super) fn certificate(config: &Config) -> Result<Option<Certificate>, Failure> {
    let tls = &config.api.tls;
    match (&tls.certificate, &tls.key) {
        (Some(chain), Some(key)) => Ok(Some(Certificate::open(chain, key)?)),
        _ => Ok(None),
    }
}
