//! The program: parses the command line, runs it, returns an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    chitchat::cli::main()
}
