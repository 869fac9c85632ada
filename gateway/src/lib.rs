//! The gateway.
mod breaker;
mod dialect;
mod estimate;
mod json;
mod offer;
mod refusal;
mod reply;
mod retry;
mod route;
mod sse;
mod translate;
mod upstream;
pub use offer::*;
pub use refusal::Refusal;
pub use reply::*;
