//! The options of all commands that use a lab: where it is, and its key.

use std::error::Error;

use clap::Args;

use crate::cli::common::access::ConnectArgs;
use crate::client::JoinError;
use crate::client::lab::LabClient;
use crate::wire::Reason;

#[derive(Debug, Args)]
pub(in crate::cli) struct LabAccessArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    /// The lab's key, which `chitchat lab` prints when it starts.
    #[arg(long, value_name = "KEY", env = "CHITCHAT_LAB_KEY", hide_env_values = true)]
    lab_key: Option<String>,
}

impl LabAccessArgs {
    /// Refuses options that contradict each other.
    pub(in crate::cli) fn check(&self) -> Result<(), clap::Error> {
        self.connect.check()
    }

    /// Connects to the lab.
    pub(in crate::cli) async fn connect(&self) -> Result<LabClient, Box<dyn Error>> {
        let options = self.connect.options("")?;
        let connected = LabClient::connect(&options, self.lab_key.as_deref()).await;
        connected.map_err(|error| self.explain(error, "NAME").into())
    }

    /// What went wrong, with the option that may fix it. `of_participant` is the one that names a participant.
    pub(in crate::cli) fn explain(&self, error: JoinError, of_participant: &str) -> String {
        match error.reason() {
            Some(Reason::LabKeyRequired) => format!("--lab-key: {error}"),
            Some(Reason::NameTaken) => format!("--as: {error}"),
            Some(Reason::NameUnknown) => format!("{of_participant}: {error}"),
            Some(Reason::ScenarioUnknown) => format!("NAME: {error}"),
            _ => self.connect.explain(error),
        }
    }
}
