//! `chitchat scenario`: plays a scenario of a lab, and prints its steps.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::access::LabAccessArgs;
use crate::cli::common::exit_codes;
use crate::cli::{in_words, print};
use crate::client::JoinError;
use crate::client::lab::LabClient;
use crate::lab::SCENARIO_PAUSE_MAX;
use crate::terminal::{escaped, notice};
use crate::wire::pb::{self, ScenarioState};

/// How often to poll the scenario's progress.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Play a scenario in a service that `chitchat lab` runs: a short script for companions, people and faults. Without a
/// name, list the scenarios.
///
/// It prints each step, and a question with its answer at the end; on a terminal the answer waits for Enter. Exits 1 if
/// the scenario could not be played to its end.
#[derive(Debug, Args)]
pub(crate) struct ScenarioArgs {
    /// The scenario, by its short name.
    #[arg(value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) access: LabAccessArgs,

    /// The participant who plays the human role. By default a companion plays it.
    #[arg(long, value_name = "PARTICIPANT", requires = "name", conflicts_with = "stop")]
    person: Option<String>,

    /// How long to wait before each step, at most 30s; `0s` for no wait.
    #[arg(long, value_name = "TIME", value_parser = pause, default_value = "3s", requires = "name",
        conflicts_with = "stop")]
    pause: Duration,

    /// Stop the scenario that is being played: its companions leave, and its faults end.
    #[arg(long, conflicts_with = "name")]
    stop: bool,
}

fn pause(text: &str) -> Result<Duration, String> {
    let pause = humantime::parse_duration(text);
    let pause = pause.map_err(|_| "should be a number with a unit, such as 500ms or 3s".to_owned())?;
    if pause > SCENARIO_PAUSE_MAX {
        return Err(format!("must be at most {}", in_words(SCENARIO_PAUSE_MAX)));
    }
    Ok(pause)
}

impl ScenarioArgs {
    pub(crate) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let lab = self.access.connect().await?;
        self.call(&lab).await.map_err(|error| self.access.explain(error, "--person").into())
    }

    async fn call(&self, lab: &LabClient) -> Result<ExitCode, JoinError> {
        if self.stop {
            lab.stop_scenario(pb::StopScenarioRequest {}).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(name) = &self.name else {
            let scenarios = lab.list_scenarios(pb::ListScenariosRequest {}).await?.scenarios;
            return Ok(print(&list(&scenarios)));
        };
        lab.start_scenario(pb::StartScenarioRequest {
            name: name.clone(),
            person: self.person.clone().unwrap_or_default(),
            stepwise: false,
            pause: prost_types::Duration::try_from(self.pause).ok(),
        })
        .await?;
        follow(lab, name).await
    }
}

fn list(scenarios: &[pb::Scenario]) -> String {
    let width = scenarios.iter().map(|scenario| scenario.name.chars().count()).max().unwrap_or(0);
    let line =
        |scenario: &pb::Scenario| format!("{:<width$}  {}\n", escaped(&scenario.name), escaped(&scenario.title));
    scenarios.iter().map(line).collect()
}

/// Prints the steps until the scenario is over.
async fn follow(lab: &LabClient, name: &str) -> Result<ExitCode, JoinError> {
    let (mut printed, mut number) = (None, None);
    loop {
        let run = lab.get_scenario(pb::GetScenarioRequest {}).await?.run.unwrap_or_default();
        let scenario = run.scenario.clone().unwrap_or_default();
        if scenario.name != *name || *number.get_or_insert(run.number) != run.number {
            notice("chitchat: another scenario was started in its place");
            return Ok(ExitCode::from(exit_codes::FAILURE));
        }
        let mut lines = String::new();
        if printed.is_none() {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{}\n{}\nWatch: {}\n", scenario.title, scenario.about, scenario.watch);
        }
        let is_over = !matches!(
            run.state(),
            ScenarioState::Playing | ScenarioState::WaitsForAdvance | ScenarioState::WaitsForPerson
        );
        // The current step is printed, too.
        let last = (run.steps_done as usize + usize::from(!is_over)).min(run.steps.len());
        for (index, step) in run.steps.iter().enumerate().take(last).skip(printed.unwrap_or(0)) {
            let _ = writeln!(lines, "{}. {}", index + 1, escaped(&step.tell));
        }
        printed = Some(last);
        print(&lines);
        if is_over {
            if let Some(question) = &run.question {
                ask(question).await;
            }
            return Ok(end(&run));
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// Prints the question and its answer. On a terminal the reader can think before the answer is shown.
async fn ask(question: &pb::Question) {
    let mut lines = format!("\n{}\n", escaped(&question.ask));
    let lettered = || question.answers.iter().zip('a'..='z');
    for (answer, letter) in lettered() {
        let _ = writeln!(lines, "  {letter}) {}", escaped(&answer.text));
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        print(&format!("{lines}Press Enter for the answer.\n"));
        lines.clear();
        // If the terminal cannot be read, nothing is waited for.
        let _ = spawn_blocking(|| io::stdin().read_line(&mut String::new())).await;
    }
    for (answer, letter) in lettered().filter(|(answer, _)| answer.right) {
        let _ = writeln!(lines, "{letter}) is right. {}", escaped(&answer.why));
    }
    print(&lines);
}

fn end(run: &pb::ScenarioRun) -> ExitCode {
    match run.state() {
        ScenarioState::Finished => ExitCode::SUCCESS,
        ScenarioState::Failed => {
            notice(&format!("chitchat: the scenario could not be played to its end: {}", run.problem));
            ExitCode::from(exit_codes::FAILURE)
        }
        _ => {
            notice("chitchat: the scenario was stopped");
            ExitCode::from(exit_codes::FAILURE)
        }
    }
}
