//! Idempotency keys that follow from what a row says, so that running again repeats nothing.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::trace::Row;

/// Changed only if the meaning of a key changes; every key ever made would change with it.
const FORM: &[u8] = b"counterfoil llm-trace 1";

/// Bytes of the hash that go into a key.
const PREFIX: usize = 16;

/// Who pays whom, and in what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Path of the wallet that pays.
    pub wallet: String,
    /// Path of the wallet that is paid.
    pub revenue: String,
    /// Code of the asset.
    pub asset: String,
}

/// The keys of the two commands a row becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// For the hold.
    pub hold: String,
    /// For its settlement.
    pub settle: String,
    /// For both at once, where the row becomes an execution.
    pub execution: String,
}

impl Keys {
    /// The keys of a row. Prices have no part in them: a row run again at another price has the same key and
    /// another body, which the server refuses instead of charging twice.
    #[must_use]
    pub fn of(account: &Account, row: &Row) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // The length keeps neighbouring parts from running into one another.
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(FORM);
        part(account.wallet.as_bytes());
        part(account.revenue.as_bytes());
        part(account.asset.as_bytes());
        part(&row.usage.at.timestamp_micros().to_be_bytes());
        part(&row.usage.context_tokens.to_be_bytes());
        part(&row.usage.generated_tokens.to_be_bytes());
        part(&row.occurrence.to_be_bytes());
        let mut prefix = String::with_capacity(2 * PREFIX);
        for byte in hash.finalize().iter().take(PREFIX) {
            // Writing to a String cannot fail.
            let _ = write!(prefix, "{byte:02x}");
        }
        Self { hold: format!("trace-{prefix}-hold"), settle: format!("trace-{prefix}-settle"), execution: format!("trace-{prefix}-execution") }
    }
}

#[cfg(test)]
mod tests;
