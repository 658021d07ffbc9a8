//! `chitchat completions` and `chitchat man`, for packagers and shells, generated from the options.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;

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
        let mut page = Vec::new();
        let mut command = command.disable_help_subcommand(true);
        command.build();
        clap_mangen::Man::new(command.clone()).render(&mut page)?;
        for part in command.get_subcommands().filter(|part| !part.is_hide_set()) {
            let manual = clap_mangen::Man::new(part.clone());
            manual.render_name_section(&mut page)?;
            manual.render_synopsis_section(&mut page)?;
            manual.render_description_section(&mut page)?;
            manual.render_options_section(&mut page)?;
        }
        io::stdout().write_all(&page)
    }
}
