//! The binary. All of it is in the library, so that integration tests can reach it.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Events are many small allocations, made by one thread and freed by another: docs/adr/0006-load.md has the numbers.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    counterfoil::cli::main()
}
