//! Sign-up, sign-in and what leads back in: for people who have no credential yet.
//!
//! Nothing here tells a stranger whether an address is known: sign-up and a forgotten password are always accepted, and
//! a sign-in that fails says the same whatever the reason was.

pub mod bootstrap;
pub mod oidc;
pub mod password;
pub mod refresh;
pub mod second_factor;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
