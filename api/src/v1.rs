//! The endpoints of version 1, one file per endpoint or per small resource.

#![expect(unused_qualifications, reason = "the code that utoipa generates qualifies what it names")]

pub mod access_log;
pub mod allowances;
pub mod analytics;
pub mod applications;
pub mod assets;
pub mod audit;
pub mod auth;
pub mod balances;
pub mod events;
pub mod executions;
pub mod invitations;
pub mod jwks;
pub mod levels;
pub mod me;
pub mod members;
pub mod metering;
pub mod models;
pub mod platform;
pub mod policies;
pub mod prices;
pub mod providers;
pub mod tenant;
pub mod tenants;
pub mod transactions;
pub mod users;
pub mod wallets;
