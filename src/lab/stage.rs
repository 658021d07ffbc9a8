//! The stage of a lab, which its service calls to add companions and to play scenarios.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

use super::behavior::{WRONG_CLOCK_OFFSET_SECONDS, usual_name};
use super::cast::Cast;
use super::companion::{Character, Place};
use super::play::{Pace, Play};
use super::proof::prove;
use super::run::Run;
use super::scenario::Scenario;
use crate::chat::DisplayName;
use crate::server::{LabHandle, LabStage, ProofFault};
use crate::wire::pb::CompanionKind;
use crate::wire::{self, Rejection, pb};

/// The default pause of a scenario before each step.
pub const SCENARIO_PAUSE_DEFAULT: Duration = Duration::from_secs(3);
/// The longest pause of a scenario before each step.
pub const SCENARIO_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The configuration of a stage.
#[derive(Debug)]
pub struct StageConfig {
    /// The service that its companions join.
    pub place: Place,
    /// How many companions there may be.
    pub companions_max: usize,
    /// The largest total size of the logs that a proof reads, in bytes.
    pub proof_logs_bytes_max: u64,
    pub scenarios: Vec<Scenario>,
}

/// The companions and the scenarios of a lab.
#[derive(Debug)]
pub struct Stage {
    cast: Cast,
    log_folder: PathBuf,
    proof_logs_bytes_max: u64,
    scenarios: Vec<Arc<Scenario>>,
    lab: OnceLock<LabHandle>,
    run: Mutex<Option<Run>>,
    /// How many runs there have been.
    runs: AtomicU32,
    /// Held while a scenario is started or stopped.
    turn: tokio::sync::Mutex<()>,
}

impl Stage {
    /// A stage without companions or a scenario yet.
    pub fn new(config: StageConfig) -> Self {
        let StageConfig { place, companions_max, proof_logs_bytes_max, scenarios } = config;
        Self {
            log_folder: place.log_folder.clone(),
            proof_logs_bytes_max,
            cast: Cast::new(place, companions_max),
            scenarios: scenarios.into_iter().map(Arc::new).collect(),
            lab: OnceLock::new(),
            run: Mutex::new(None),
            runs: AtomicU32::new(0),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    fn lab(&self) -> Result<&LabHandle, Rejection> {
        self.lab.get().ok_or(Rejection::ShuttingDown)
    }

    fn run(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock()
    }

    /// This name, or this name with a number if it, or one that looks the same, is taken.
    fn free_name(&self, name: &str, taken: &[String]) -> Result<String, Rejection> {
        let key = |name: &str| DisplayName::parse(name).ok().map(|name| name.key());
        let here = self.lab()?.roster();
        let here = here.iter().map(|participant| &participant.display_name).chain(taken);
        let keys: Vec<_> = here.map(|name| key(name)).collect();
        let is_taken = |name: &String| keys.contains(&key(name));
        let numbered = (2..).map(|number| format!("{name} {number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        Ok(names.find(|name| !is_taken(name)).unwrap_or_default())
    }

    /// The display names of those who play the roles. Roles with the same name share it, for scenarios about taken
    /// names.
    fn names(&self, scenario: &Scenario, person: Option<&str>) -> Result<Vec<String>, Rejection> {
        let mut names: Vec<String> = Vec::new();
        for (index, role) in scenario.roles.iter().enumerate() {
            let same = scenario.roles[..index].iter().position(|other| other.display_name == role.display_name);
            let name = match (person.filter(|_| role.is_person), same) {
                (Some(person), _) => person.to_owned(),
                (None, Some(same)) => names[same].clone(),
                (None, None) => self.free_name(&role.display_name, &names)?,
            };
            names.push(name);
        }
        Ok(names)
    }

    /// The role that a person plays, with the person's id.
    fn person(&self, scenario: &Scenario, name: &str) -> Result<Option<(usize, String)>, Rejection> {
        let role = scenario.roles.iter().position(|role| role.is_person);
        let (Some(role), false) = (role, name.is_empty()) else { return Ok(None) };
        let roster = self.lab()?.roster();
        let found = roster.into_iter().find(|participant| participant.display_name == name);
        let found = found.ok_or_else(|| Rejection::PersonUnknown(name.to_owned()))?;
        Ok(Some((role, found.participant_id)))
    }

    async fn stop(&self) {
        let running = self.run().clone();
        if let Some(run) = running {
            run.stop().await;
        }
    }
}

fn pause(pause: Option<prost_types::Duration>) -> Result<Duration, Rejection> {
    let Some(pause) = pause else { return Ok(SCENARIO_PAUSE_DEFAULT) };
    wire::duration(pause).filter(|pause| *pause <= SCENARIO_PAUSE_MAX).ok_or_else(|| Rejection::FaultInvalid {
        field: "pause",
        why: format!("pause should be from 0 to {} s", SCENARIO_PAUSE_MAX.as_secs()),
    })
}

#[async_trait]
impl LabStage for Stage {
    fn begin(&self, lab: LabHandle) {
        // A stage belongs to one service.
        let _ = self.lab.set(lab);
    }

    fn companion(&self, participant_id: &str) -> Option<pb::Companion> {
        self.cast.describe(participant_id)
    }

    async fn add_companion(&self, request: pb::AddCompanionRequest) -> Result<pb::Participant, Rejection> {
        let kind = request.kind();
        if kind == CompanionKind::Unspecified {
            return Err(Rejection::FaultInvalid { field: "kind", why: "a companion needs a kind".into() });
        }
        let display_name = match request.display_name.as_str() {
            "" => self.free_name(usual_name(kind), &[])?,
            name => DisplayName::parse(name)?.to_string(),
        };
        let offset_seconds = if kind == CompanionKind::WrongClock { WRONG_CLOCK_OFFSET_SECONDS } else { 0 };
        let character = Character { kind, display_name: display_name.clone(), offset_seconds };
        let companion = self.cast.add(character, false).await?;
        let participant_id = companion.participant_id().unwrap_or_default();
        Ok(pb::Participant { participant_id, display_name })
    }

    async fn remove_companion(&self, display_name: &str) -> Result<(), Rejection> {
        let companion = self.cast.named(display_name);
        let companion = companion.ok_or_else(|| Rejection::CompanionUnknown(display_name.to_owned()))?;
        // Its leave must not be held.
        let _ = self.lab()?.clear_faults(display_name);
        companion.leave().await;
        Ok(())
    }

    fn scenarios(&self) -> Vec<pb::Scenario> {
        self.scenarios.iter().map(|scenario| scenario.about.clone()).collect()
    }

    async fn start_scenario(&self, request: pb::StartScenarioRequest) -> Result<(), Rejection> {
        let found = self.scenarios.iter().find(|scenario| scenario.about.name == request.name);
        let scenario = found.cloned().ok_or_else(|| Rejection::ScenarioUnknown(request.name.clone()))?;
        let pace = Pace { stepwise: request.stepwise, pause: pause(request.pause)? };
        let person = self.person(&scenario, &request.person)?;
        let _turn = self.turn.lock().await;
        self.stop().await;
        let names = self.names(&scenario, person.as_ref().map(|_| request.person.as_str()))?;
        let (lab, run) =
            (self.lab()?.clone(), Run::new(self.runs.fetch_add(1, Ordering::Relaxed) + 1, scenario, names));
        *self.run() = Some(run.clone());
        tokio::spawn(Play::new(lab, self.cast.clone(), run, pace, person).play());
        Ok(())
    }

    fn advance_scenario(&self) {
        if let Some(run) = &*self.run() {
            run.advance();
        }
    }

    async fn stop_scenario(&self) {
        let _turn = self.turn.lock().await;
        self.stop().await;
    }

    fn scenario(&self) -> Option<pb::ScenarioRun> {
        self.run().as_ref().map(Run::message)
    }

    fn prove(&self, epoch: &str, page_log: String, stopped: &CancellationToken) -> Result<String, ProofFault> {
        prove(&self.log_folder, self.proof_logs_bytes_max, epoch, page_log, stopped)
    }
}
