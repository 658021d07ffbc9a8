//! `chitchat lab`.

pub(super) mod invitation;

use std::error::Error;

use clap::Args;

use super::serve::ServeArgs;
use super::switch;
use crate::server::Environment;
use invitation::LabInvitation;

/// Run the service with the lab, in which a teacher breaks things by hand: `chitchat fault` holds, delays, cuts, pauses
/// or disconnects participants, and the order survives it.
///
/// It has all options of `serve`, keeps the conversation in memory unless --journal names a file, and prints the lab's
/// key when it starts.
#[derive(Debug, Args)]
pub(super) struct LabArgs {
    #[command(flatten)]
    serve: ServeArgs,

    /// Let everybody use the lab, without a key.
    #[arg(long, env = "CHITCHAT_LAB_OPEN", value_parser = switch)]
    lab_open: bool,
}

impl LabArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let key = (!self.lab_open).then(|| format!("{:032x}", (Environment::default().random)()));
        self.serve.run(Some(LabInvitation::new(key)?)).await
    }
}
