//! How far a scenario has come: what plays it writes it, and everybody may read it.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::scenario::Scenario;
use crate::wire::pb::{self, ScenarioState};

/// A scenario that is played, or has been. Clones share it.
#[derive(Clone, Debug)]
pub struct Run(Arc<RunState>);

#[derive(Debug)]
struct RunState {
    number: u32,
    scenario: Arc<Scenario>,
    /// What people call those who play the roles.
    names: Vec<String>,
    progress: Mutex<Progress>,
    /// Counts the calls to advance.
    advances: watch::Sender<u64>,
    stop: CancellationToken,
    /// Cancelled when all of it is over.
    over: CancellationToken,
}

#[derive(Debug)]
struct Progress {
    done: usize,
    state: ScenarioState,
    person: String,
    problem: String,
}

impl Run {
    /// The n-th one, which begins.
    pub fn new(number: u32, scenario: Arc<Scenario>, names: Vec<String>) -> Self {
        let state = ScenarioState::Playing;
        let progress = Progress { done: 0, state, person: String::new(), problem: String::new() };
        Self(Arc::new(RunState {
            number,
            scenario,
            names,
            progress: Mutex::new(progress),
            advances: watch::Sender::new(0),
            stop: CancellationToken::new(),
            over: CancellationToken::new(),
        }))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.progress.lock()
    }

    /// What is played.
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.0.scenario
    }

    /// What people call those who play the roles.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Says what the run does now.
    pub fn set(&self, state: ScenarioState) {
        self.progress().state = state;
    }

    /// Says that the run waits for somebody's message.
    pub fn wait_for(&self, person: &str) {
        let mut progress = self.progress();
        progress.state = ScenarioState::WaitsForPerson;
        person.clone_into(&mut progress.person);
    }

    /// One more step is over.
    pub fn step_done(&self) {
        self.progress().done += 1;
    }

    /// Says that the run could not be played to its end.
    pub fn fail(&self, problem: String) {
        let mut progress = self.progress();
        (progress.state, progress.problem) = (ScenarioState::Failed, problem);
    }

    /// Plays the next step, or skips what the run waits for.
    pub fn advance(&self) {
        self.0.advances.send_modify(|advances| *advances += 1);
    }

    /// The next call to advance, from this moment on.
    pub fn advanced(&self) -> impl Future<Output = ()> + use<> {
        let mut advances = self.0.advances.subscribe();
        async move {
            if advances.changed().await.is_err() {
                // The run is gone, and so is what waits for it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops it, and waits until it is over.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.over.cancelled().await;
    }

    /// Waits for the signal to stop.
    pub async fn stopped(&self) {
        self.0.stop.cancelled().await;
    }

    /// All of it is over.
    pub fn end(&self) {
        self.0.over.cancel();
    }

    /// It, for those who watch.
    pub fn message(&self) -> pb::ScenarioRun {
        let (scenario, progress) = (&self.0.scenario, self.progress());
        let tell = |tell: &str| {
            let mut tell = tell.to_owned();
            for (role, name) in scenario.roles.iter().zip(&self.0.names) {
                tell = tell.replace(&format!("{{{}}}", role.role), name);
            }
            pb::ScenarioStep { tell }
        };
        let is_finished = progress.state == ScenarioState::Finished;
        pb::ScenarioRun {
            scenario: Some(scenario.about.clone()),
            steps: scenario.steps.iter().map(|step| tell(&step.tell)).collect(),
            steps_done: u32::try_from(progress.done).unwrap_or(u32::MAX),
            state: progress.state.into(),
            person: progress.person.clone(),
            problem: progress.problem.clone(),
            question: is_finished.then(|| scenario.question.clone()),
            number: self.0.number,
        }
    }
}
