//! Who may do what: the one table of permissions. A route names what it needs ([`crate::routes`]); this says
//! which roles have it.

use crate::credential::Role;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: anybody may ask.
    Public,
    /// To operate the platform: create and list tenants.
    Platform,
    /// To read the tenant's assets, wallets and transactions.
    Read,
    /// To read what was done, by whom.
    Audit,
    /// To move money.
    Transact,
    /// To change what money moves between, and to adjust balances.
    Administer,
}

impl Access {
    /// Whether `role` has it. A tenant's own roles act in their tenant alone, and so does a superadmin there: the
    /// tenant comes from the token in any case.
    pub fn allows(self, role: Role) -> bool {
        use Role::{Admin, Auditor, Member, Owner, Superadmin, Viewer};
        match self {
            Self::Public => true,
            Self::Read => matches!(role, Viewer | Auditor | Member | Admin | Owner | Superadmin),
            Self::Audit => matches!(role, Auditor | Admin | Owner | Superadmin),
            Self::Transact => matches!(role, Member | Admin | Owner | Superadmin),
            Self::Administer => matches!(role, Admin | Owner | Superadmin),
            Self::Platform => matches!(role, Superadmin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_what_it_is_for_and_no_more() {
        use Access::{Administer, Audit, Platform, Read, Transact};
        let all = [Read, Audit, Transact, Administer, Platform];
        let rights = |role| all.into_iter().filter(|access| access.allows(role)).collect::<Vec<_>>();
        assert_eq!(rights(Role::Viewer), [Read]);
        assert_eq!(rights(Role::Auditor), [Read, Audit]);
        assert_eq!(rights(Role::Member), [Read, Transact]);
        assert_eq!(rights(Role::Admin), [Read, Audit, Transact, Administer]);
        assert_eq!(rights(Role::Owner), [Read, Audit, Transact, Administer]);
        assert_eq!(rights(Role::Superadmin), all);
    }
}
