//! The command line: options → library call.

mod diagram;
mod gallery;
mod join;
mod journal;
mod lines;
mod log_tail;
mod logs;
mod network;
mod progress;
mod serve;
mod verify;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::terminal::notice;

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
    Serve(Box<serve::Serve>),
    Join(join::Join),
    Journal(journal::Journal),
    Verify(verify::Verify),
    Diagram(diagram::Diagram),
}

/// Parses the command line and runs it. Wrong usage exits 2 before anything starts, a failure exits 1.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(serve) => run(async { serve.run().await.map(|()| ExitCode::SUCCESS) }),
        Command::Join(join) => run(join.run()),
        Command::Journal(journal) => run(journal.run()),
        Command::Verify(verify) => verify.run(),
        Command::Diagram(diagram) => diagram.run(),
    }
}

fn run(program: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(program);
    // A read of standard input that is under way cannot be called off, and is not waited for.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(&*error),
    }
}

fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    notice(&format!("chitchat: {error}"));
    ExitCode::FAILURE
}

/// Signals to end: SIGINT, SIGTERM, or SIGHUP, which comes when a terminal is closed. From its making on they
/// end nothing by themselves.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// None where a hangup means something else.
    hangup: Option<Signal>,
}

impl Interrupts {
    fn new(hangup_ends: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup_ends.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Waits for the next.
    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// The longest time that an option takes. More would be a slip, and could not be counted on by every timer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A length of time such as `30s`, `500ms` or `2min`: more than nothing, at most [`LONGEST`].
fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error} (for example 30s or 500ms)"))?;
    match duration {
        Duration::ZERO => Err("must be more than nothing".into()),
        duration if duration > LONGEST => Err("must be at most a day".into()),
        duration => Ok(duration),
    }
}
