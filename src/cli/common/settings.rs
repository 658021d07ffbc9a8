//! Environment variables, which apply if an option is not given.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// The command line with the environment variables that apply:
///
/// - an empty variable counts as unset, since unit files and compose files can empty a variable but not unset it;
/// - an option overrides a variable, even if the two exclude each other.
pub(crate) fn with_environment(command: Command, arguments: &[OsString]) -> Command {
    let command = each_argument(command, &|_, argument| {
        let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { argument.env(None::<&str>) } else { argument }
    });
    let without = each_argument(command.clone(), &|_, argument| argument.env(None::<&str>).required(false));
    // The real parser reports what is wrong with the options.
    match without.ignore_errors(true).try_get_matches_from(arguments) {
        Ok(given) => without_contradicted(command, &given),
        Err(_) => command,
    }
}

/// Whether an option of the subcommand, by its id, is on the command line. A variable is not, and neither is a default.
pub(crate) fn is_given(matches: &ArgMatches, option: &str) -> bool {
    matches.subcommand().is_some_and(|(_, given)| given.value_source(option) == Some(ValueSource::CommandLine))
}

/// Removes the variables of options that contradict a given one.
fn without_contradicted(command: Command, given: &ArgMatches) -> Command {
    let command = each_own_argument(command, &|command, argument| {
        let is_given = |other: &Arg| given.value_source(other.get_id().as_str()) == Some(ValueSource::CommandLine);
        let contradicts = |other: &&Arg| {
            let (of_argument, of_other) =
                (command.get_arg_conflicts_with(&argument), command.get_arg_conflicts_with(other));
            let names = |list: &[&Arg], whom: &Arg| list.iter().any(|arg| arg.get_id() == whom.get_id());
            names(&of_argument, other) || names(&of_other, &argument)
        };
        let contradicted = command.get_arguments().filter(contradicts).any(is_given);
        if contradicted { argument.env(None::<&str>) } else { argument }
    });
    match given.subcommand() {
        Some((name, given)) => {
            let name = name.to_owned();
            command
                .mut_subcommands(|sub| if sub.get_name() == name { without_contradicted(sub, given) } else { sub })
        }
        None => command,
    }
}

fn each_argument(command: Command, change: &dyn Fn(&Command, Arg) -> Arg) -> Command {
    each_own_argument(command, change).mut_subcommands(|sub| each_argument(sub, change))
}

fn each_own_argument(command: Command, change: &dyn Fn(&Command, Arg) -> Arg) -> Command {
    let before = command.clone();
    command.mut_args(|argument| change(&before, argument))
}
