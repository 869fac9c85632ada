//! Wallets.

pub mod adjust;
pub mod balance;
pub mod entries;
pub mod get;
pub mod list;
pub mod open;
pub mod status;

use domain::WalletPath;

use crate::problem::{Problem, code};

fn absent(path: &WalletPath) -> Problem {
    Problem::new(code::WALLET_NOT_FOUND, format!("the wallet {path} does not exist"))
}
