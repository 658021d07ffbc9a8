//! The command line: turns options into library calls.
mod common;
mod diagram;
mod join;
mod journal;
mod lab;
mod load;
mod manual;
mod send;
mod serve;
mod verify;

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::terminal::{self, notice};

/// A chat whose order of events can be seen and proved.
///
/// Start a service in one terminal with `chitchat serve`, and join it from others with
/// `chitchat join --name alice`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Serve(Box<serve::ServeArgs>),
    Lab(Box<lab::LabArgs>),
    Fault(lab::fault::FaultArgs),
    Companion(lab::companion::CompanionArgs),
    Scenario(lab::scenario::ScenarioArgs),
    Join(join::JoinArgs),
    Send(send::SendArgs),
    Load(load::LoadArgs),
    Journal(journal::JournalArgs),
    Verify(verify::VerifyArgs),
    Diagram(diagram::DiagramArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

impl CliCommand {
    /// Checks that depend on the values of several options, which the parser cannot make.
    fn check(self, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = |option: &str| common::settings::is_given(matches, option);
        match &self {
            Self::Serve(serve) => serve.check(false, is_given)?,
            Self::Lab(lab) => lab.check(is_given)?,
            Self::Join(join) => join.access.check()?,
            Self::Send(send) => send.access.check()?,
            Self::Fault(fault) => fault.access.check()?,
            Self::Companion(companion) => companion.access.check()?,
            Self::Scenario(scenario) => scenario.access.check()?,
            _ => {}
        }
        Ok(self)
    }
}

/// Parses the command line and runs it. Wrong usage exits 2 before anything starts, a failure exits 1.
pub fn main() -> ExitCode {
    main_with(std::env::args_os().collect())
}

fn main_with(arguments: Vec<OsString>) -> ExitCode {
    let code = match parse(arguments) {
        Ok(CliCommand::Serve(serve)) => run(async { serve.run(None).await.map(|()| ExitCode::SUCCESS) }),
        Ok(CliCommand::Lab(lab)) => run(async { lab.run().await.map(|()| ExitCode::SUCCESS) }),
        Ok(CliCommand::Fault(fault)) => run(fault.run()),
        Ok(CliCommand::Companion(companion)) => run(companion.run()),
        Ok(CliCommand::Scenario(scenario)) => run(scenario.run()),
        Ok(CliCommand::Join(join)) => run(join.run()),
        Ok(CliCommand::Send(send)) => run(send.run()),
        Ok(CliCommand::Load(load)) => run(load.run()),
        Ok(CliCommand::Journal(journal)) => run(journal.run()),
        Ok(CliCommand::Verify(verify)) => verify.run(),
        Ok(CliCommand::Diagram(diagram)) => diagram.run(),
        Ok(CliCommand::Completions(completions)) => printed(completions.print(Cli::command()), ExitCode::SUCCESS),
        Ok(CliCommand::Man(manual)) => printed(manual.print(Cli::command()), ExitCode::SUCCESS),
        Err(code) => code,
    };
    terminal::flush();
    code
}

/// The requested command or, if there is nothing to run, the exit code.
fn parse(arguments: Vec<OsString>) -> Result<CliCommand, ExitCode> {
    let command = common::settings::with_environment(Cli::command(), &arguments);
    let matches = command.try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches)?.command.check(&matches));
    parsed.map_err(|error| {
        let text = error.render();
        let shown = |colors: bool| if colors { text.ansi().to_string() } else { text.to_string() };
        if error.use_stderr() {
            terminal::write_stderr(shown(terminal::has_colors()).into_bytes());
        } else {
            // A closed pipe is not an error: its reader has read enough.
            drop(io::stdout().write_all(shown(terminal::output_has_colors()).as_bytes()));
        }
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(common::exit_codes::USAGE))
    })
}

fn run(program: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(TASKS_BETWEEN_SOCKETS).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(program);
    // A pending read of standard input cannot be cancelled, so do not wait for it.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(&*error),
    }
}

/// Adds to an error that it is about standard output.
fn of_output(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// The exit code of a command that prints. A closed pipe does not change it.
fn printed(result: io::Result<()>, code: ExitCode) -> ExitCode {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            notice(&format!("chitchat: {}", of_output(error)));
            ExitCode::from(common::exit_codes::USAGE)
        }
        _ => code,
    }
}

/// Prints lines, and returns the exit code.
fn print(lines: &str) -> ExitCode {
    printed(io::stdout().write_all(lines.as_bytes()), ExitCode::SUCCESS)
}

fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    notice(&format!("chitchat: {error}"));
    ExitCode::from(common::exit_codes::FAILURE)
}

/// How many tasks a worker thread runs before it polls sockets and timers. Fewer than the default (61): while a service
/// delivers to a crowd, each task is a write, and a request that has arrived waits for all of them.
const TASKS_BETWEEN_SOCKETS: u32 = 16;

/// The longest time that an option accepts. Longer is a typo, and overflows some timers.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A length of time such as `30s`, `500ms` or `2min`: greater than zero, at most [`LONGEST`].
fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "should be a number with a unit, such as 500ms, 30s or 2min".to_owned())?;
    match duration {
        Duration::ZERO => Err("must be greater than zero".into()),
        duration if duration > LONGEST => Err("must be at most a day".into()),
        duration => Ok(duration),
    }
}

/// A parser like [`duration`], with a different maximum.
fn at_most(longest: Duration) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| match duration(text)? {
        duration if duration > longest => Err(format!("must be at most {}", in_words(longest))),
        duration => Ok(duration),
    }
}

/// A length of time in the words of the help: `60s`, `10min`.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds > 60 && seconds.is_multiple_of(60) => format!("{}min", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A parser of whole numbers in a range.
fn number<N>(range: RangeInclusive<N>) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: Clone + Display + FromStr + PartialOrd,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("should be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// The value of a switch, which an environment variable can state.
fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("should be true or false".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn each_argument(command: &clap::Command, see: &mut dyn FnMut(&clap::Command, &clap::Arg)) {
        command.get_arguments().for_each(|argument| see(command, argument));
        command.get_subcommands().for_each(|sub| each_argument(sub, see));
    }

    /// One environment variable means one thing: the option of the same name, with the same values and the
    /// same default, in every subcommand that has it.
    #[test]
    fn a_variable_has_one_meaning() {
        let mut meanings = BTreeMap::new();
        each_argument(&Cli::command(), &mut |command, argument| {
            let Some(variable) = argument.get_env().map(|name| name.to_string_lossy().into_owned()) else {
                return;
            };
            let option = argument.get_long().expect("every variable belongs to an option");
            assert_eq!(variable, format!("CHITCHAT_{}", option.to_uppercase().replace('-', "_")));
            let meaning = format!(
                "{option} {:?} {:?} {:?} {:?} {:?}",
                argument.get_short(),
                argument.get_value_names(),
                argument.get_num_args(),
                argument.get_default_values(),
                argument.get_help().map(|help| help.to_string()),
            );
            let (first, known) =
                meanings.entry(variable).or_insert_with(|| (command.get_name().to_owned(), meaning.clone()));
            let both = [first.as_str(), command.get_name()];
            assert!(*known == meaning || SAME_THING.contains(&(option, both)), "{both:?}: {known} and {meaning}");
        });
        assert!(meanings.len() > 30);
    }

    /// Options that mean the same in both subcommands, although the help of one says more.
    const SAME_THING: [(&str, [&str; 2]); 11] = [
        ("log-dir", ["serve", "join"]),
        ("log-dir", ["serve", "send"]),
        ("secret-file", ["serve", "fault"]),
        ("secret-file", ["serve", "companion"]),
        ("secret-file", ["serve", "scenario"]),
        ("secret-file", ["serve", "join"]),
        ("secret-file", ["serve", "load"]),
        ("secret-file", ["serve", "send"]),
        ("server", ["fault", "load"]),
        ("server", ["join", "load"]),
        ("server", ["load", "send"]),
    ];

    /// An option that has a short form has it in every subcommand, and no other option has the same one.
    #[test]
    fn a_short_option_has_one_meaning() {
        let (mut of_long, mut of_short) = (BTreeMap::new(), BTreeMap::new());
        each_argument(&Cli::command(), &mut |command, argument| {
            let Some(long) = argument.get_long() else { return };
            let short = argument.get_short();
            assert_eq!(*of_long.entry(long.to_owned()).or_insert(short), short, "{} {long}", command.get_name());
            if let Some(short) = short {
                assert_eq!(*of_short.entry(short).or_insert(long.to_owned()), long);
            }
        });
        assert!(of_short.len() >= 3);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
