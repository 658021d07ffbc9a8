//! The log records (specification, chapter 9): every kind with its fields, defined once for all code that writes them,
//! and the source of the published schema and of the page's types.

mod client;
#[cfg(test)]
mod schema;
mod server;

use std::borrow::Cow;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tracing::Level;

use super::run::{self, replica_of_this_process};
use super::{RunId, TARGET};
use crate::chat::{Event, EventKind};
use crate::terminal::json_line;

pub use client::{ClientRecord, Delivered, WelcomeDetails};
pub use server::{Broadcast, ReplicaNote, ServerRecord, StreamBegun};

/// A text of a record.
pub type Text<'a> = Cow<'a, str>;

/// Which program's log a record is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The service.
    Server,
    /// A client program.
    Client,
    /// The page.
    Browser,
}

/// The kind of the event in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LoggedKind {
    /// Somebody joined.
    Joined,
    /// Somebody left.
    Left,
    /// Somebody wrote.
    Message,
}

/// How important a record is to people who watch a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Something may be wrong.
    Warn,
    /// What happened.
    Info,
    /// Kept for the proof.
    Debug,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record<'a> {
    /// When it was made: RFC 3339 in UTC, with microseconds.
    pub timestamp: String,
    /// How important it is.
    pub level: Severity,
    /// Which program made it.
    pub component: Component,
    /// What happened.
    #[serde(flatten)]
    pub body: RecordBody<'a>,
    /// The start of the process that made it; none if the record is made from a journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The name of the replica that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<&'static str>,
}

impl<'a> Record<'a> {
    /// A record that this process makes, at this time.
    pub fn of_this_process(at: SystemTime, level: Severity, component: Component, body: RecordBody<'a>) -> Self {
        let (run, replica) = (Some(run::current()), replica_of_this_process());
        Self { timestamp: timestamp(at), level, component, body, run, replica }
    }
}

/// The body of a record.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RecordBody<'a> {
    /// In the service's log.
    Server(ServerRecord<'a>),
    /// In a client's log.
    Client(ClientRecord<'a>),
}

/// The fields that most records share: the journal, and the participant that the record is about, which is the author
/// of an event and otherwise the process's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct About<'a> {
    /// The journal that sequences count in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Text<'a>>,
    /// The participant, such as `p7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant_id: Option<Text<'a>>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Text<'a>>,
}

/// Records that are missing from the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Loss {
    /// How many are missing.
    pub count: u64,
    /// Whether the first record of the process is among them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_start: bool,
}

impl From<&EventKind> for LoggedKind {
    fn from(kind: &EventKind) -> Self {
        match kind {
            EventKind::Joined { .. } => Self::Joined,
            EventKind::Left { .. } => Self::Left,
            EventKind::Message { .. } => Self::Message,
        }
    }
}

impl<'a> About<'a> {
    /// A journal.
    pub fn epoch(epoch: impl Into<Text<'a>>) -> Self {
        Self { epoch: Some(epoch.into()), ..Self::default() }
    }

    /// A participant in it.
    pub fn participant(self, id: impl ToString, display_name: impl Into<Text<'a>>) -> Self {
        Self { participant_id: Some(id.to_string().into()), display_name: Some(display_name.into()), ..self }
    }

    /// The author of an event, in an epoch.
    pub fn author(epoch: &'a str, event: &'a Event) -> Self {
        Self::epoch(epoch).participant(event.participant.id, event.participant.display_name.as_str())
    }
}

/// The timestamp of a record that is made at this time.
pub fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_micros(at).to_string()
}

/// Whether this process's log keeps what is handed to streams.
pub fn keeps_deliveries() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG, record)
}

/// Passes a record to the log as a finished line. If no log keeps it, the line is not made.
fn emit(component: Component, level: Severity, body: RecordBody<'_>) {
    let enabled = match level {
        Severity::Warn => tracing::enabled!(target: TARGET, Level::WARN, record),
        Severity::Info => tracing::enabled!(target: TARGET, Level::INFO, record),
        Severity::Debug => tracing::enabled!(target: TARGET, Level::DEBUG, record),
    };
    if !enabled {
        return;
    }
    let record = Record::of_this_process(run::now(), level, component, body);
    // Texts and numbers can always be written as JSON.
    let Ok(line) = json_line(&record) else { return };
    match level {
        Severity::Warn => tracing::event!(target: TARGET, Level::WARN, record = line),
        Severity::Info => tracing::event!(target: TARGET, Level::INFO, record = line),
        Severity::Debug => tracing::event!(target: TARGET, Level::DEBUG, record = line),
    }
}
