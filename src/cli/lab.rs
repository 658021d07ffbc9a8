//! `chitchat lab`.

pub(super) mod access;
pub(super) mod companion;
pub(super) mod fault;
pub(super) mod invitation;
pub(super) mod scenario;

use std::error::Error;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, Args};

use super::serve::ServeArgs;
use super::{number, switch};
use crate::lab::{COMPANIONS_MAX_DEFAULT, PROOF_LOGS_BYTES_MAX_DEFAULT, Scenario};
use crate::server::Environment;
use invitation::{LabInvitation, LabLimits};

/// The most companions that an operator may allow: each has a thread and a connection.
const COMPANIONS_MAX: usize = 200;
/// The most that an operator may allow for the logs of a proof, in MiB.
const PROOF_LOGS_MIB_MAX: usize = 65_536;
const MEBIBYTE: u64 = 1 << 20;
/// The heading of the lab's own options, which would otherwise appear under the last one of `serve`.
const HEADING: &str = "Lab";

/// Run the service with the lab, in which a teacher sets faults by hand: `chitchat fault` holds, delays, cuts, pauses
/// or disconnects participants, and the order survives. `chitchat companion` adds participants that the service plays,
/// and `chitchat scenario` plays a scenario with them.
///
/// It takes all options of `serve` except those for replicas, keeps the conversation in memory unless --journal names a
/// file, and prints the lab's key when it starts.
#[derive(Debug, Args)]
#[command(mut_args(hide_of_replicas))]
pub(super) struct LabArgs {
    #[command(flatten)]
    serve: ServeArgs,

    /// Let everybody use the lab, without a key.
    #[arg(long, env = "CHITCHAT_LAB_OPEN", value_parser = switch, help_heading = HEADING)]
    lab_open: bool,

    /// How many companions the lab may play at a time.
    #[arg(long, value_name = "N", env = "CHITCHAT_COMPANIONS_MAX", default_value_t = COMPANIONS_MAX_DEFAULT,
        value_parser = number(0..=COMPANIONS_MAX), help_heading = HEADING)]
    companions_max: usize,

    /// How many MiB of logs "Prove it" on the page may read from the log folder.
    #[arg(long, value_name = "MIB", env = "CHITCHAT_PROOF_LOGS_MAX",
        default_value_t = (PROOF_LOGS_BYTES_MAX_DEFAULT / MEBIBYTE) as usize, value_parser = number(1..=PROOF_LOGS_MIB_MAX),
        help_heading = HEADING)]
    proof_logs_max: usize,

    /// Folder with scenarios of your own, as *.toml files (docs/scenarios.md). They are added to the built-in ones; one
    /// with the name of a built-in one replaces it.
    #[arg(long, value_name = "FOLDER", env = "CHITCHAT_SCENARIOS", help_heading = HEADING)]
    scenarios: Option<PathBuf>,
}

/// Hides the options that a lab does not have.
fn hide_of_replicas(argument: Arg) -> Arg {
    let is_of_replicas = argument.get_id().as_str().starts_with("replica");
    argument.hide(is_of_replicas)
}

impl LabArgs {
    /// Refuses the options that a lab does not have.
    pub(super) fn check(&self, is_given: impl Fn(&str) -> bool) -> Result<(), clap::Error> {
        if self.serve.is_replica() {
            let text = "--replicate: a lab is a single process and has no replicas\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
        }
        self.serve.check(true, is_given)
    }

    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let key = (!self.lab_open).then(|| format!("{:032x}", (Environment::default().random)()));
        let mut scenarios = Scenario::built_in()?;
        if let Some(folder) = &self.scenarios {
            let own = Scenario::read_folder(folder).map_err(|error| format!("--scenarios: {error}"))?;
            // A scenario with the name of a built-in one replaces it.
            scenarios.retain(|scenario| own.iter().all(|other| other.about.name != scenario.about.name));
            scenarios.extend(own);
        }
        let proof_logs_bytes_max = self.proof_logs_max as u64 * MEBIBYTE;
        let stage = LabLimits { companions_max: self.companions_max, proof_logs_bytes_max };
        self.serve.run(Some(LabInvitation::new(key, scenarios, stage)?)).await
    }
}
