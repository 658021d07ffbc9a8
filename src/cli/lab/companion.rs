//! `chitchat companion`: adds companions to a lab, and removes them.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::access::LabAccessArgs;
use crate::chat::DisplayName;
use crate::cli::common::access::display_name;
use crate::cli::printed;
use crate::client::JoinError;
use crate::client::lab::LabClient;
use crate::terminal::escaped;
use crate::wire::pb::{self, CompanionKind};

/// Add or remove companions: participants that the service of `chitchat lab` plays, with logs of their own. Without
/// options, list them.
#[derive(Debug, Args)]
pub(crate) struct CompanionArgs {
    #[command(flatten)]
    access: LabAccessArgs,

    /// Add a companion that behaves like this.
    #[arg(long, value_name = "KIND", conflicts_with = "remove")]
    add: Option<Kind>,

    /// Its name. The default fits how it behaves.
    #[arg(long = "as", value_name = "NAME", requires = "add", value_parser = display_name)]
    name: Option<DisplayName>,

    /// Remove the companion of this name: it leaves.
    #[arg(long, value_name = "NAME")]
    remove: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Repeats what people say.
    Echo,
    /// Says something every few seconds.
    Chatterbox,
    /// Answers messages that end with a question mark.
    Answerer,
    /// Takes one event every few seconds.
    Slow,
    /// Has a wall clock that is ten minutes slow.
    WrongClock,
    /// Only listens.
    Actor,
}

/// The names of the kinds, in both directions.
const KINDS: [(Kind, CompanionKind, &str); 6] = [
    (Kind::Echo, CompanionKind::Echo, "echo"),
    (Kind::Chatterbox, CompanionKind::Chatterbox, "chatterbox"),
    (Kind::Answerer, CompanionKind::Answerer, "answerer"),
    (Kind::Slow, CompanionKind::Slow, "slow"),
    (Kind::WrongClock, CompanionKind::WrongClock, "wrong-clock"),
    (Kind::Actor, CompanionKind::Actor, "actor"),
];

impl CompanionArgs {
    pub(crate) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let lab = self.access.connect().await?;
        let lines = self.call(&lab).await.map_err(|error| self.access.explain(error))?;
        Ok(printed(std::io::stdout().write_all(lines.as_bytes()), ExitCode::SUCCESS))
    }

    async fn call(&self, lab: &LabClient) -> Result<String, JoinError> {
        if let Some(kind) = self.add {
            let display_name = self.name.as_ref().map(ToString::to_string).unwrap_or_default();
            let wanted = KINDS.iter().find(|(known, ..)| *known == kind);
            let kind = wanted.map_or(CompanionKind::Unspecified, |(_, kind, _)| *kind).into();
            let added = lab.add_companion(pb::AddCompanionRequest { kind, display_name }).await?;
            let name = added.participant.map(|participant| participant.display_name).unwrap_or_default();
            return Ok(format!("{} has joined\n", escaped(&name)));
        }
        if let Some(name) = &self.remove {
            lab.remove_companion(pb::RemoveCompanionRequest { display_name: name.clone() }).await?;
            return Ok(format!("{} has left\n", escaped(name)));
        }
        let participants = lab.list_faults().await?.participants;
        Ok(participants.iter().filter_map(line).collect())
    }
}

/// One line for a companion; `None` for a person.
fn line(listed: &pb::LabParticipant) -> Option<String> {
    let companion = listed.companion.as_ref()?;
    let kind = KINDS.iter().find(|(_, kind, _)| *kind == companion.kind()).map_or("unknown", |(.., name)| name);
    let name = listed.participant.as_ref().map_or("", |participant| &participant.display_name);
    let (time, sequence) = (companion.logical_time, companion.delivered_sequence);
    Some(format!("{}: {kind}, clock {time}, delivered up to {sequence}\n", escaped(name)))
}
