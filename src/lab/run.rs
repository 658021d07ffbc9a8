//! The progress of a scenario: the task that plays it updates it, and every other task may read it.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::scenario::Scenario;
use crate::wire::pb::{self, ScenarioState};

/// A scenario that is running or has ended. Clones share it.
#[derive(Clone, Debug)]
pub struct Run(Arc<RunState>);

#[derive(Debug)]
struct RunState {
    number: u32,
    scenario: Arc<Scenario>,
    /// The display names of those who play the roles.
    names: Vec<String>,
    progress: Mutex<Progress>,
    /// The number of calls to advance.
    advances: watch::Sender<u64>,
    stop: CancellationToken,
    /// Cancelled when the run is over.
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
    /// Begins the n-th run.
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

    /// The scenario that is being played.
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.0.scenario
    }

    /// The display names of those who play the roles.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Sets the state of the run.
    pub fn set(&self, state: ScenarioState) {
        self.progress().state = state;
    }

    /// Records that the run waits for a person's message.
    pub fn wait_for(&self, person: &str) {
        let mut progress = self.progress();
        progress.state = ScenarioState::WaitsForPerson;
        person.clone_into(&mut progress.person);
    }

    /// Counts one more step as done.
    pub fn step_done(&self) {
        self.progress().done += 1;
    }

    /// Records that the run failed, and why.
    pub fn fail(&self, problem: String) {
        let mut progress = self.progress();
        (progress.state, progress.problem) = (ScenarioState::Failed, problem);
    }

    /// Plays the next step, or skips what the run waits for.
    pub fn advance(&self) {
        self.0.advances.send_modify(|advances| *advances += 1);
    }

    /// Waits for the first call to advance after this one.
    pub fn advanced(&self) -> impl Future<Output = ()> + use<> {
        let mut advances = self.0.advances.subscribe();
        async move {
            if advances.changed().await.is_err() {
                // The run has been dropped, so nothing waits for it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops the run, and waits until it is over.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.over.cancelled().await;
    }

    /// Waits for the signal to stop.
    pub async fn stopped(&self) {
        self.0.stop.cancelled().await;
    }

    /// Ends the run.
    pub fn end(&self) {
        self.0.over.cancel();
    }

    /// The run as a message of the API.
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
