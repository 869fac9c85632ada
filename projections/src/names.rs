//! The words in which the read models write what the domain has types for.

use domain::application::ApplicationStatus;
use domain::tenant::TenantStatus;
use domain::user::UserStatus;
use domain::wallet::WalletStatus;
use serde::Serialize;

pub(crate) const fn wallet_status(status: WalletStatus) -> &'static str {
    match status {
        WalletStatus::Absent => "absent",
        WalletStatus::Open => "open",
        WalletStatus::Frozen => "frozen",
        WalletStatus::Closed => "closed",
    }
}

/// The status of this name.
pub(crate) fn tenant_status(word: &str) -> Option<TenantStatus> {
    use TenantStatus::{Active, Closed, Suspended};
    [Active, Suspended, Closed].into_iter().find(|status| status.as_str() == word)
}

/// The status of this name.
pub(crate) fn user_status(word: &str) -> Option<UserStatus> {
    use UserStatus::{Active, Erased, Suspended};
    [Active, Suspended, Erased].into_iter().find(|status| status.as_str() == word)
}

/// The status of this name.
pub(crate) fn application_status(word: &str) -> Option<ApplicationStatus> {
    use ApplicationStatus::{Active, Archived};
    [Active, Archived].into_iter().find(|status| status.as_str() == word)
}

/// What became of an invitation. Whether an open one has expired is a matter of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationStatus {
    /// It was neither accepted nor withdrawn.
    Open,
    /// Somebody became a member by it.
    Accepted,
    /// It was taken back.
    Withdrawn,
}

impl InvitationStatus {
    /// The status as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The status of this name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        [Self::Open, Self::Accepted, Self::Withdrawn].into_iter().find(|status| status.as_str() == word)
    }
}
