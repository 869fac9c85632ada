//! The endpoints of version 1, one file per endpoint or per small resource.

#![expect(unused_qualifications, reason = "the code that utoipa generates qualifies what it names")]

pub mod assets;
pub mod audit;
pub mod balances;
pub mod events;
pub mod tenants;
pub mod transactions;
pub mod wallets;
