//! The `counterfoil` program: command line, configuration, wiring and life cycle.

pub mod import;
