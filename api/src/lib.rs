//! How it is asked for: HTTP, authentication, errors, `OpenAPI`.
//!
//! Every request goes through the same stations. [`observe`] gives it an id, a span and a limit of time. [`routes`] is
//! the table of addresses, each with what it needs. [`extract`] reads who asks ([`auth`]) and what is asked, and gives
//! the handler nothing but the caller's own part of the ledger. A handler in [`v1`] sends a command, asks a
//! question, or has [`people`] do what is about a person and not about a tenant; [`answer`] and [`resource`] turn what comes of it into JSON, [`problem`] every error into a problem.
//!
//! There is no SQL in here, and no decision about money.

mod access;
mod admission;
mod answer;
mod app;
mod auth;
mod catalogues;
pub mod credential;
mod cursor;
mod extract;
mod field;
mod health;
mod observe;
mod openapi;
mod people;
mod person;
mod problem;
mod reads;
mod resource;
mod routes;
mod sdk;
mod serve;
mod session;
pub mod tls;
mod v1;
pub mod walls;

pub use access::Access;
pub use admission::Admission;
pub use app::{App, Known, Limits};
pub use auth::{Directory, Rights};
pub use catalogues::Catalogues;
pub use domain::Role;
pub use health::{Check, CheckState, Finding, Health, HealthCheck};
pub use openapi::openapi;
pub use people::{NewPerson, Parts, People, PeopleSettings};
pub use person::Email;
pub use problem::Problem;
pub use routes::permissions;
pub use serve::{Service, serve};
