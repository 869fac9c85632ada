//! What somebody may do, in a word.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody may do. Each route says which roles it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the installation: creates tenants. Never a role of a member.
    Superadmin,
    /// Owns the tenant.
    Owner,
    /// Administers the tenant: assets, wallets, adjustments.
    Admin,
    /// Moves money.
    Member,
    /// Reads.
    Viewer,
    /// Reads everything, the audit log and the events included.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Superadmin, Self::Owner, Self::Admin, Self::Member, Self::Viewer, Self::Auditor];

    /// The name as it stands in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superadmin => "superadmin",
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
        }
    }

    /// Whether somebody in this role may make another one a member in role `other`, and may change or remove one:
    /// never above one's own, and nobody becomes a superadmin by being a member.
    pub fn governs(self, other: Self) -> bool {
        match self {
            Self::Superadmin | Self::Owner => other != Self::Superadmin,
            Self::Admin => !matches!(other, Self::Superadmin | Self::Owner),
            Self::Member | Self::Viewer | Self::Auditor => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::Role::{Admin, Auditor, Member, Owner, Superadmin, Viewer};
    use super::*;

    #[test]
    fn nobody_governs_a_role_above_their_own() {
        let governed = |by: Role| Role::ALL.into_iter().filter(|role| by.governs(*role)).collect::<Vec<_>>();
        assert_eq!(governed(Superadmin), [Owner, Admin, Member, Viewer, Auditor]);
        assert_eq!(governed(Owner), [Owner, Admin, Member, Viewer, Auditor]);
        assert_eq!(governed(Admin), [Admin, Member, Viewer, Auditor]);
        for role in [Member, Viewer, Auditor] {
            assert_eq!(governed(role), [], "{role}");
        }
    }
}
