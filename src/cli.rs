//! The command line: options → library call.

mod diagram;
mod gallery;
mod join;
mod lines;
mod logs;
mod network;
mod serve;
mod verify;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::terminal::escaped;

/// A chat whose order of events can be seen and proved.
///
/// Start a service in one terminal with `chitchat serve`, and join it from others with
/// `chitchat join --name alice`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Join(join::Join),
    Verify(verify::Verify),
    Diagram(diagram::Diagram),
}

/// Parses the command line and runs it. Wrong usage exits 2 before anything starts, a failure exits 1.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(serve) => run(serve.run()),
        Command::Join(join) => run(join.run()),
        Command::Verify(verify) => verify.run(),
        Command::Diagram(diagram) => diagram.run(),
    }
}

fn run(program: impl Future<Output = Result<(), Box<dyn Error>>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(program);
    // A read of standard input that is under way cannot be called off, and is not waited for.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    // It may tell what a service said.
    eprintln!("chitchat: {}", escaped(&error.to_string()));
    ExitCode::FAILURE
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

/// A length of time such as `30s`, `500ms` or `2min`, more than nothing.
fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error} (for example 30s or 500ms)"))?;
    if duration.is_zero() { Err("must be more than nothing".into()) } else { Ok(duration) }
}
