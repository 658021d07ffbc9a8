//! A scenario as data, read from a small TOML file and checked, so that errors are reported before it is played.
//! docs/scenarios.md explains how to write one.

mod parse;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wire::pb;

/// How many roles a scenario may have.
pub const ROLES_MAX: usize = 8;
/// How many steps a scenario may have.
pub const STEPS_MAX: usize = 64;
/// How many bytes a scenario's file may have.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// How many scenarios a teacher's folder may have.
const SCENARIOS_MAX: usize = 100;
/// The extension of a scenario's file.
const EXTENSION: &str = "toml";

/// The built-in scenarios, by name.
const BUILT_IN: [(&str, &str); 10] = [
    ("crossing", include_str!("../../docs/scenarios/crossing.toml")),
    ("answer-first", include_str!("../../docs/scenarios/answer-first.toml")),
    ("slow-reader", include_str!("../../docs/scenarios/slow-reader.toml")),
    ("cut-off", include_str!("../../docs/scenarios/cut-off.toml")),
    ("crash", include_str!("../../docs/scenarios/crash.toml")),
    ("retry", include_str!("../../docs/scenarios/retry.toml")),
    ("wall-clock", include_str!("../../docs/scenarios/wall-clock.toml")),
    ("first", include_str!("../../docs/scenarios/first.toml")),
    ("name-taken", include_str!("../../docs/scenarios/name-taken.toml")),
    ("total-order", include_str!("../../docs/scenarios/total-order.toml")),
];

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum ScenarioError {
    /// Its file or its folder cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    /// It is not a valid scenario. The name is the path of its file, if it is from one.
    #[error("{name}: {why}")]
    Invalid { name: String, why: String },
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its description for people.
    pub about: pb::Scenario,
    pub roles: Vec<Role>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The question at the end.
    pub question: pb::Question,
}

#[derive(Clone, Debug)]
pub struct Role {
    /// The name that the steps use for it.
    pub role: String,
    /// The display name of its player.
    pub display_name: String,
    /// Whether a person plays it, if there is one.
    pub is_person: bool,
    /// Whether it joins in a step, rather than before the first.
    pub joins_later: bool,
    /// By how many seconds its wall clock is off.
    pub offset_seconds: i64,
}

#[derive(Clone, Debug)]
pub struct Step {
    /// What happens, in words. A role's name in braces stands for its player's display name.
    pub tell: String,
    pub action: Action,
}

/// The action of a step. Roles are given by their index.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing: people watch.
    Look,
    /// A message is published; with `later`, the scenario does not wait until it has its place in the order.
    Say { who: usize, text: String, later: bool },
    /// The lab sets a fault on a participant.
    Fault { who: usize, fault: pb::Fault, disconnect: bool },
    /// The lab releases held deliveries and publishes, all of them if there is no number.
    Release { who: usize, count: Option<u32> },
    /// The faults of one participant end, or those of all.
    Clear { who: Option<usize> },
    /// The service's writer stops.
    StopWriter { duration: Duration },
    /// A companion joins.
    Join { who: usize },
    /// A companion leaves.
    Leave { who: usize },
    /// A companion ends without a leave.
    Crash { who: usize },
    /// A companion that crashed starts again; with `refused`, it is expected to find its name taken.
    Resume { who: usize, refused: bool },
    /// Wait until everything has been delivered to a companion.
    WaitDelivered { who: usize },
    /// Wait until a message that it sent with `later` has its place in the order.
    WaitSaid { who: usize },
    /// Wait until it has left.
    WaitLeft { who: usize },
    /// Wait for a time.
    WaitTime { duration: Duration },
}

impl Scenario {
    /// The built-in scenarios.
    ///
    /// # Errors
    /// [`ScenarioError`], which the tests rule out.
    pub fn built_in() -> Result<Vec<Self>, ScenarioError> {
        BUILT_IN.iter().map(|(name, text)| Self::parse(name, text)).collect()
    }

    /// The scenarios in a folder: each file that ends in `.toml`, in the order of their names.
    pub fn read_folder(folder: &Path) -> Result<Vec<Self>, ScenarioError> {
        let unreadable = |path: &Path, why: String| ScenarioError::Unreadable { path: path.to_owned(), why };
        let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error.to_string()))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, error.to_string()))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                paths.push(path);
            }
        }
        if paths.len() > SCENARIOS_MAX {
            return Err(unreadable(folder, format!("it has more than {SCENARIOS_MAX} scenarios")));
        }
        paths.sort();
        let read = paths.iter().map(|path| {
            let length = fs::metadata(path).map_err(|error| unreadable(path, error.to_string()))?.len();
            if length > FILE_BYTES_MAX {
                return Err(unreadable(path, format!("it has more than {FILE_BYTES_MAX} bytes")));
            }
            let text = fs::read_to_string(path).map_err(|error| unreadable(path, error.to_string()))?;
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            parse::scenario(&name, &text)
                .map_err(|why| ScenarioError::Invalid { name: path.display().to_string(), why })
        });
        read.collect()
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ScenarioError::Invalid`].
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        parse::scenario(name, text).map_err(|why| ScenarioError::Invalid { name: name.to_owned(), why })
    }
}
