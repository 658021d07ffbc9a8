//! The program: parses the command line, runs it, returns an exit code.

use std::process::ExitCode;

/// Returns memory that a crowd or an attack has used to the system some seconds later, in threads of its own: other
/// allocators do so only when the same thread allocates again, or never.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    chitchat::cli::main()
}
