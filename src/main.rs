//! The program: parses the command line, runs it, returns an exit code.

use std::process::ExitCode;

/// After a crowd or an attack, jemalloc's background threads return the memory to the system within seconds. Other
/// allocators do so only when the same thread allocates again, or never.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    chitchat::cli::main()
}
