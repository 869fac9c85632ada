//! Who may do what: the one table of permissions. A route names what it needs ([`crate::routes`]); this says which
//! roles and which keys have it.

use domain::Role;
use domain::application::Scope;

use crate::auth::Rights;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: anybody may ask.
    Public,
    /// To be somebody who signed in, whatever the tenant.
    SignedIn,
    /// To found a tenant: operators of the platform, and everybody who is signed in where that is configured.
    Found,
    /// To operate the platform: list tenants and users, suspend them.
    Platform,
    /// To read the tenant's assets, wallets and transactions.
    Read,
    /// To read what was done, by whom.
    Audit,
    /// To move money.
    Transact,
    /// To call models, at the expense of wallets.
    Execute,
    /// To change what money moves between, and to adjust balances.
    Administer,
    /// To see who belongs to the tenant and is invited, and which programs it has with which keys; never a secret.
    Inspect,
    /// To say who belongs to the tenant.
    People,
    /// To have programs, and keys for them.
    Keys,
    /// To decide about the tenant itself.
    Owner,
}

impl Access {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Public,
        Self::SignedIn,
        Self::Found,
        Self::Platform,
        Self::Read,
        Self::Audit,
        Self::Transact,
        Self::Execute,
        Self::Administer,
        Self::Inspect,
        Self::People,
        Self::Keys,
        Self::Owner,
    ];

    /// Whether somebody with these rights has it.
    pub fn allows(self, rights: &Rights) -> bool {
        match rights {
            Rights::Role(role) => self.is_of_role(*role),
            Rights::Scopes(scopes) => self.scope().is_some_and(|scope| scopes.contains(&scope)),
            Rights::Own => matches!(self, Self::Public | Self::SignedIn | Self::Found),
        }
    }

    /// Whether `role` has it. A tenant's own roles act in their tenant alone, and so does a superadmin there: the
    /// tenant comes from the credential in any case. What a user owns is no matter of roles.
    fn is_of_role(self, role: Role) -> bool {
        use Role::{Admin, Auditor, Member, Owner, Superadmin, Viewer};
        match self {
            Self::Public => true,
            Self::SignedIn => false,
            Self::Read => matches!(role, Viewer | Auditor | Member | Admin | Owner | Superadmin),
            Self::Audit | Self::Inspect => matches!(role, Auditor | Admin | Owner | Superadmin),
            Self::Transact | Self::Execute => matches!(role, Member | Admin | Owner | Superadmin),
            Self::Administer | Self::People | Self::Keys => matches!(role, Admin | Owner | Superadmin),
            Self::Owner => matches!(role, Owner | Superadmin),
            Self::Platform | Self::Found => matches!(role, Superadmin),
        }
    }

    /// What a key must be issued for to have it. No key lets anybody in, nor makes other keys, nor tells who is in and
    /// what else there is to steal.
    fn scope(self) -> Option<Scope> {
        match self {
            Self::Read => Some(Scope::Read),
            Self::Audit => Some(Scope::Audit),
            Self::Transact => Some(Scope::Transact),
            Self::Execute => Some(Scope::Execute),
            Self::Administer => Some(Scope::Administer),
            Self::Public
            | Self::SignedIn
            | Self::Found
            | Self::Platform
            | Self::Inspect
            | Self::People
            | Self::Keys
            | Self::Owner => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    /// What these rights give besides what is public.
    fn given(rights: &Rights) -> Vec<Access> {
        let all = Access::ALL.into_iter().filter(|access| *access != Access::Public);
        all.filter(|access| access.allows(rights)).collect()
    }

    #[test]
    fn each_role_has_what_it_is_for_and_no_more() {
        use Access::{
            Administer, Audit, Execute, Found, Inspect, Keys, Owner, People, Platform, Read, Transact,
        };
        let rights = |role| given(&Rights::Role(role));
        assert_eq!(rights(Role::Viewer), [Read]);
        assert_eq!(rights(Role::Auditor), [Read, Audit, Inspect]);
        assert_eq!(rights(Role::Member), [Read, Transact, Execute]);
        let admin = [Read, Audit, Transact, Execute, Administer, Inspect, People, Keys];
        assert_eq!(rights(Role::Admin), admin);
        assert_eq!(rights(Role::Owner), [&admin[..], &[Owner]].concat());
        let all = [Found, Platform, Read, Audit, Transact, Execute, Administer, Inspect, People, Keys, Owner];
        assert_eq!(rights(Role::Superadmin), all);
    }

    #[test]
    fn a_key_has_its_scopes_and_a_user_what_is_their_own() {
        use Access::{Administer, Audit, Execute, Found, Read, SignedIn, Transact};
        let scopes = |scopes: &[Scope]| given(&Rights::Scopes(Arc::new(scopes.iter().copied().collect())));
        assert_eq!(scopes(&[]), []);
        assert_eq!(scopes(&[Scope::Transact]), [Transact]);
        assert_eq!(scopes(Scope::ALL), [Read, Audit, Transact, Execute, Administer]);
        assert_eq!(given(&Rights::Own), [SignedIn, Found]);
        assert_eq!(given(&Rights::Scopes(Arc::new(BTreeSet::new()))), []);
    }
}
