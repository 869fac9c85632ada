//! Other ledgers on the same servers, doing the same transfer: 1.00 from one account to another, over a thousand
//! accounts uniformly or with one account paying every time. Each has a database of its own and is configured as its
//! documentation says; where it can be configured better, it is. Each is asked afterwards whether it did the work.

pub mod cala;
pub mod postgres_es;

use crate::world::Extent;

/// How many accounts there are.
const ACCOUNTS: u64 = 1_000;
/// How many connections to the database a peer has. On few cores more of them make it slower, not faster.
const CONNECTIONS: u32 = 32;

/// The callers of the cases.
fn callers(extent: Extent) -> &'static [usize] {
    if extent == Extent::Quick { &[64] } else { &[1, 16, 64, 256] }
}

/// The accounts of a transfer: who pays, who gets it.
fn pair(caller: usize, turn: u64, hot: bool) -> (u64, u64) {
    let seed = crate::bank::scattered((caller as u64) << 40 | turn);
    let from = if hot { 0 } else { seed % ACCOUNTS };
    (from, (from + 1 + (seed >> 32) % (ACCOUNTS - 1)) % ACCOUNTS)
}
