//! How it is asked for: HTTP, authentication, errors, `OpenAPI`.
