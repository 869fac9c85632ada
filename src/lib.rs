//! The program `counterfoil`: command line, configuration, wiring, life cycle, and the private servers for local use.
//!
//! Everything the ledger itself consists of lives in the other crates of the workspace.

mod backtest;
pub mod cli;
pub mod config;
pub mod demo;
pub mod import;
pub mod lifecycle;
pub mod serve;
pub mod servers;
pub mod system;
