//! `chitchat fault`: sets, releases and ends faults of a lab.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::access::LabAccessArgs;
use crate::cli::{at_most, print};
use crate::client::JoinError;
use crate::client::lab::LabClient;
use crate::server::{DELAY_MAX, FAULT_TIME_MAX, WRITER_STOP_MAX};
use crate::terminal::escaped;
use crate::wire::{Rejection, pb};

/// Set, release or end faults of participants, in a service that `chitchat lab` runs. With a NAME alone, show that
/// participant's faults; --list shows all.
///
/// The faults of one call replace those that the participant had. They end after a time (--for), or with --clear.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("fault").multiple(true).args(["hold", "cut", "delay", "jitter", "pause", "disconnect"]))]
#[command(group = ArgGroup::new("lasting").multiple(true).args(["hold", "cut", "delay", "jitter", "pause"]))]
#[command(group = ArgGroup::new("delaying").multiple(true).args(["delay", "jitter"]))]
pub(crate) struct FaultArgs {
    /// The participant, by its display name.
    #[arg(required_unless_present_any = ["clear", "stop_writer", "list"])]
    name: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) access: LabAccessArgs,

    /// Hold messages until they are released or the fault ends.
    #[arg(long, value_name = "DIRECTION")]
    hold: Option<Direction>,

    /// Lose messages, as a broken network does: requests get no answer, the stream is silent.
    #[arg(long, value_name = "DIRECTION")]
    cut: Option<Direction>,

    /// Delay deliveries and publishes, by up to 30 s. Their order stays the same.
    #[arg(long, value_name = "TIME", value_parser = at_most(DELAY_MAX))]
    delay: Option<Duration>,

    /// Add a random delay of up to TIME, at most 30 s.
    #[arg(long, value_name = "TIME", value_parser = at_most(DELAY_MAX))]
    jitter: Option<Duration>,

    /// Delay one direction only.
    #[arg(long, value_name = "DIRECTION", default_value = "both", requires = "delaying")]
    delay_of: Direction,

    /// Let nothing pass either way, as if the participant's process were suspended.
    #[arg(long)]
    pause: bool,

    /// Break the participant's stream once. It can resume at once.
    #[arg(long)]
    disconnect: bool,

    /// How long the fault lasts, at most 10min.
    #[arg(long = "for", value_name = "TIME", value_parser = at_most(FAULT_TIME_MAX), default_value = "30s",
        requires = "lasting")]
    fault_time: Duration,

    /// Let through what is held: a number of deliveries and publishes, or all of them. The hold stays.
    #[arg(long, value_name = "N | all", value_parser = count, conflicts_with_all = ["fault", "clear"])]
    release: Option<u32>,

    /// End all faults, or those of NAME.
    #[arg(long, conflicts_with = "fault")]
    clear: bool,

    /// Stop the service's writer for this long, at most 60s: nothing is recorded, answered or broadcast meanwhile.
    #[arg(long, value_name = "TIME", value_parser = at_most(WRITER_STOP_MAX), conflicts_with_all = ["fault", "release", "clear", "name"])]
    stop_writer: Option<Duration>,

    /// List the participants with their faults, and what is held for each.
    #[arg(long, conflicts_with_all = ["fault", "release", "clear", "stop_writer", "name"])]
    list: bool,
}

/// A direction of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// To the participant.
    Deliveries,
    /// From the participant: its messages and its leave.
    Publishes,
    Both,
}

impl Direction {
    fn is_of(self, other: Self) -> bool {
        self == other || self == Self::Both
    }
}

/// A number, or `all`, which is 0 in a request.
fn count(text: &str) -> Result<u32, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(0),
        (_, Ok(count @ 1..)) => Ok(count),
        _ => Err("should be a whole number from 1, or all".into()),
    }
}

impl FaultArgs {
    pub(crate) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let lab = self.access.connect().await?;
        self.call(&lab).await.map_err(|error| self.access.explain(error, "NAME").into())
    }

    async fn call(&self, lab: &LabClient) -> Result<ExitCode, JoinError> {
        // In a request an empty name means all participants.
        if self.name.as_deref() == Some("") {
            return Err(unknown(""));
        }
        let display_name = self.name.clone().unwrap_or_default();
        let changed = if self.clear {
            lab.clear_faults(pb::ClearFaultsRequest { display_name }).await?;
            None
        } else if let Some(time) = self.stop_writer {
            lab.stop_writer(pb::StopWriterRequest { duration: wire(time) }).await?;
            None
        } else if let Some(count) = self.release {
            let request = pb::ReleaseHeldRequest { display_name, count, ..Default::default() };
            lab.release_held(request).await?.participant
        } else if self.list || !self.names_fault() {
            let participants = lab.list_faults(pb::ListFaultsRequest {}).await?.participants;
            let is_meant =
                |listed: &&pb::LabParticipant| self.name.as_deref().is_none_or(|name| name_of(listed) == name);
            let lines = participants.iter().filter(is_meant).map(line).collect::<String>();
            return match &self.name {
                Some(name) if lines.is_empty() => Err(unknown(name)),
                None if lines.is_empty() => Ok(print("no participants\n")),
                _ => Ok(print(&lines)),
            };
        } else {
            lab.set_fault(self.request(display_name)).await?.participant
        };
        Ok(print(&changed.iter().map(line).collect::<String>()))
    }

    fn names_fault(&self) -> bool {
        self.disconnect || self.fault() != pb::Fault::default()
    }

    fn fault(&self) -> pb::Fault {
        let impairment = |direction: Direction| {
            let is_delayed = self.delay_of.is_of(direction);
            let impairment = pb::Impairment {
                hold: self.hold.is_some_and(|hold| hold.is_of(direction)),
                cut: self.cut.is_some_and(|cut| cut.is_of(direction)),
                delay: self.delay.filter(|_| is_delayed).and_then(wire),
                jitter: self.jitter.filter(|_| is_delayed).and_then(wire),
            };
            (impairment != pb::Impairment::default()).then_some(impairment)
        };
        pb::Fault {
            deliveries: impairment(Direction::Deliveries),
            publishes: impairment(Direction::Publishes),
            pause: self.pause,
        }
    }

    fn request(&self, display_name: String) -> pb::SetFaultRequest {
        let fault = Some(self.fault()).filter(|fault| *fault != pb::Fault::default());
        pb::SetFaultRequest { display_name, fault, disconnect: self.disconnect, duration: wire(self.fault_time) }
    }
}

/// The service's refusal of a name that no active participant has.
fn unknown(name: &str) -> JoinError {
    let rejection = Rejection::NameUnknown(name.to_owned());
    let reason = rejection.reason();
    JoinError::Refused { reason: Some(reason), code: reason.code(), message: rejection.to_string() }
}

fn wire(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

fn name_of(listed: &pb::LabParticipant) -> &str {
    listed.participant.as_ref().map_or("", |participant| &participant.display_name)
}

/// One line: the participant, its faults, and what is held.
fn line(listed: &pb::LabParticipant) -> String {
    let mut parts = Vec::new();
    if let Some(fault) = &listed.fault {
        for (direction, impairment) in [("deliveries", &fault.deliveries), ("publishes", &fault.publishes)] {
            parts.extend(impairment.iter().flat_map(|impairment| words(direction, impairment)));
        }
        if fault.pause {
            parts.push("paused".into());
        }
    }
    if parts.is_empty() {
        parts.push("no fault".into());
    }
    if let Some(left) = listed.ends_in.and_then(crate::wire::duration) {
        parts.push(format!("ends in {} s", left.as_secs_f64().ceil()));
    }
    let held = [("deliveries", listed.deliveries_held), ("publishes", u64::from(listed.publishes_held))];
    parts.extend(held.iter().filter(|(_, held)| *held > 0).map(|(what, held)| format!("{held} {what} held")));
    format!("{}: {}\n", escaped(name_of(listed)), parts.join(", "))
}

fn words(direction: &str, impairment: &pb::Impairment) -> Vec<String> {
    let time =
        |duration: Option<prost_types::Duration>| duration.and_then(crate::wire::duration).unwrap_or_default();
    let (delay, jitter) = (time(impairment.delay), time(impairment.jitter));
    let mut words = Vec::new();
    if impairment.hold {
        words.push(format!("{direction} held"));
    }
    if impairment.cut {
        words.push(format!("{direction} cut"));
    }
    if delay + jitter > Duration::ZERO {
        let range = [delay, delay + jitter].map(|time| humantime::format_duration(time).to_string());
        let range = if jitter.is_zero() { range[0].clone() } else { range.join(" to ") };
        words.push(format!("{direction} delayed by {range}"));
    }
    words
}
