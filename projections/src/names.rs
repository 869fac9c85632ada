//! The words in which the read models write what the domain has types for.

use domain::wallet::WalletStatus;

pub(crate) const fn wallet_status(status: WalletStatus) -> &'static str {
    match status {
        WalletStatus::Absent => "absent",
        WalletStatus::Open => "open",
        WalletStatus::Frozen => "frozen",
        WalletStatus::Closed => "closed",
    }
}
