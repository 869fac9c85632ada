//! The binary. All of it is in the library, so that integration tests can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    counterfoil::cli::main()
}
