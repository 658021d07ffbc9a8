//! The program: parses the command line, runs it, returns an exit code.

use std::process::ExitCode;

/// The C library's allocator keeps hundreds of megabytes that a crowd has used once; this one returns them to
/// the system within a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chitchat::cli::main()
}
