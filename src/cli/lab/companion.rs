//! `chitchat companion`: adds companions to a lab, and removes them.

use std::error::Error;
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::access::LabAccessArgs;
use crate::chat::DisplayName;
use crate::cli::common::access::display_name;
use crate::cli::print;
use crate::client::JoinError;
use crate::client::lab::LabClient;
use crate::terminal::escaped;
use crate::wire::pb::{self, CompanionKind};

/// Add or remove companions: participants that the service of `chitchat lab` plays, with logs of their own. Without
/// options, list them.
#[derive(Debug, Args)]
pub(crate) struct CompanionArgs {
    #[command(flatten)]
    pub(in crate::cli) access: LabAccessArgs,

    /// Add a companion of this kind.
    #[arg(long, value_name = "KIND", conflicts_with = "remove")]
    add: Option<CompanionKind>,

    /// Its name. The default depends on its kind.
    #[arg(long = "as", value_name = "NAME", requires = "add", conflicts_with = "remove",
        value_parser = display_name)]
    name: Option<DisplayName>,

    /// Remove the companion with this name: it leaves.
    #[arg(long, value_name = "NAME")]
    remove: Option<String>,
}

impl ValueEnum for CompanionKind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Echo, Self::Chatterbox, Self::Answerer, Self::Slow, Self::WrongClock, Self::Actor]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Echo => ("echo", "Repeats what people say"),
            Self::Chatterbox => ("chatterbox", "Says something every few seconds"),
            Self::Answerer => ("answerer", "Answers messages that end with a question mark"),
            Self::Slow => ("slow", "Reads one event every few seconds"),
            Self::WrongClock => ("wrong-clock", "Has a wall clock that is ten minutes slow"),
            Self::Actor => ("actor", "Only listens"),
            Self::Unspecified => return None,
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl CompanionArgs {
    pub(crate) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let lab = self.access.connect().await?;
        let lines = self.call(&lab).await.map_err(|error| self.access.explain(error, "--remove"))?;
        Ok(print(&lines))
    }

    async fn call(&self, lab: &LabClient) -> Result<String, JoinError> {
        if let Some(kind) = self.add {
            let display_name = self.name.as_ref().map(ToString::to_string).unwrap_or_default();
            let added = lab.add_companion(pb::AddCompanionRequest { kind: kind.into(), display_name }).await?;
            let name = added.participant.map(|participant| participant.display_name).unwrap_or_default();
            return Ok(format!("{} has joined\n", escaped(&name)));
        }
        if let Some(name) = &self.remove {
            lab.remove_companion(pb::RemoveCompanionRequest { display_name: name.clone() }).await?;
            return Ok(format!("{} has left\n", escaped(name)));
        }
        let participants = lab.list_faults(pb::ListFaultsRequest {}).await?.participants;
        let lines: String = participants.iter().filter_map(line).collect();
        Ok(if lines.is_empty() { "no companions\n".into() } else { lines })
    }
}

/// One line for a companion; `None` for a person.
fn line(listed: &pb::LabParticipant) -> Option<String> {
    let companion = listed.companion.as_ref()?;
    let kind = companion.kind().to_possible_value();
    let kind = kind.as_ref().map_or("unknown", PossibleValue::get_name);
    let name = listed.participant.as_ref().map_or("", |participant| &participant.display_name);
    let (time, sequence) = (companion.logical_time, companion.delivered_sequence);
    Some(format!("{}: {kind}, clock {time}, delivered up to {sequence}\n", escaped(name)))
}
