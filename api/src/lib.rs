//! How it is asked for: HTTP, authentication, errors, `OpenAPI`.

pub mod credential;
