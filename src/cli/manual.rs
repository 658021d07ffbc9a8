//! `chitchat completions` and `chitchat man`, for packagers and shells, generated from the options.

use std::io::{self, Write};
use std::iter;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Print completions for a shell.
///
/// For bash, for example: `chitchat completions bash > /etc/bash_completion.d/chitchat`
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn print(&self, mut command: Command) -> io::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "chitchat", &mut script);
        io::stdout().write_all(&script)
    }
}

/// Print the manual page, in roff: `chitchat man | man -l -`
///
/// It covers all commands. For a package: `chitchat man > chitchat.1`
#[derive(Debug, Args)]
pub(super) struct ManArgs {}

impl ManArgs {
    pub(super) fn print(&self, command: Command) -> io::Result<()> {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let mut page = Vec::new();
        let whole = Man::new(command.clone());
        whole.render_title(&mut page)?;
        describe(&command, &mut page)?;
        let commands = commands_in(&command);
        list(&commands).to_writer(&mut page)?;
        for command in commands {
            describe(command, &mut page)?;
        }
        whole.render_version_section(&mut page)?;
        io::stdout().write_all(&page)
    }
}

/// All commands below this one.
fn commands_in(command: &Command) -> Vec<&Command> {
    let shown = command.get_subcommands().filter(|part| !part.is_hide_set());
    shown.flat_map(|part| iter::once(part).chain(commands_in(part))).collect()
}

/// A command as a user types it. The library would name a page of its own, which does not exist: `chitchat-serve(1)`.
fn typed(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn list(commands: &[&Command]) -> Roff {
    let mut list = Roff::default();
    list.control("SH", ["SUBCOMMANDS"]);
    for command in commands {
        list.control("TP", []);
        list.text([bold(typed(command))]);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        for line in about.lines() {
            list.text([roman(line)]);
        }
    }
    list
}

/// The sections of one command.
fn describe(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let manual = Man::new(command.clone().display_name(typed(command)));
    manual.render_name_section(page)?;
    manual.render_synopsis_section(page)?;
    manual.render_description_section(page)?;
    manual.render_options_section(page)
}
