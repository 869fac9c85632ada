//! What belongs to whoever is signed in, whatever the tenant.

pub mod password;
pub mod profile;
pub mod second_factor;
pub mod sessions;
pub mod tenants;
