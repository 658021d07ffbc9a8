//! The records of the service.

use serde::{Deserialize, Serialize};

use super::{About, Component, LoggedKind, Loss, RecordBody, Severity, Text, emit, timestamp};
use crate::chat::{Event, EventKind};

/// A record of the service. The fields that most records share are in `about`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the type of `about` says what it is")]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServerRecord<'a> {
    /// The journal is recovered, and requests are about to be served.
    ServerStarted {
        #[serde(flatten)]
        about: About<'a>,
        /// The address that it listens on.
        address: Text<'a>,
        /// The newest event's position.
        sequence: u64,
        /// That event's logical time.
        logical_time: u64,
        /// The program's version.
        version: Text<'a>,
        /// How long a participant without a stream stays, in milliseconds.
        grace_ms: u64,
        /// How often the service pings a connection, in milliseconds.
        ping_ms: u64,
        /// How long a connection may take to answer a ping, in milliseconds.
        ping_timeout_ms: u64,
        /// How long a stream may go unread, in milliseconds.
        stall_ms: u64,
        /// Whether the log says what was handed to streams (`event_delivered`). Older logs do not say so.
        #[serde(default)]
        logs_deliveries: bool,
    },
    /// The shutdown begins.
    ServerStopping {
        #[serde(flatten)]
        about: About<'a>,
    },
    /// The shutdown is over.
    ServerStopped {
        #[serde(flatten)]
        about: About<'a>,
        /// The newest event; absent after a failure.
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        /// That event's logical time.
        #[serde(skip_serializing_if = "Option::is_none")]
        logical_time: Option<u64>,
        /// Why it failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
    },
    /// A stream begins.
    ClientConnected(StreamBegun<'a>),
    /// A stream of an existing session begins; right after `client_connected`.
    SessionResumed(StreamBegun<'a>),
    /// A stream has ended.
    ClientDisconnected {
        #[serde(flatten)]
        about: About<'a>,
        /// The client's address.
        peer: Text<'a>,
        /// `grpc` or `grpc-web`.
        transport: Text<'a>,
        /// Why the stream ended.
        reason: Text<'a>,
    },
    /// A grace period is over.
    SessionExpired {
        #[serde(flatten)]
        about: About<'a>,
    },
    /// Somebody joined: the event is in the journal and about to be sent.
    JoinBroadcast(Broadcast<'a>),
    /// Somebody left.
    LeaveBroadcast(Broadcast<'a>),
    /// Somebody wrote a message.
    MessageBroadcast(Broadcast<'a>),
    /// Events were handed to streams that got the same range of events within a second. A log of version 1 has a record
    /// for each stream, with `participant_id` in place of `participant_ids`.
    EventDelivered {
        #[serde(flatten)]
        about: About<'a>,
        /// The first of the events.
        first_sequence: u64,
        /// The last of them.
        last_sequence: u64,
        /// The participants whose streams they are.
        participant_ids: Vec<String>,
    },
    /// The faults that a lab sets on a participant, or on the writer, have changed.
    FaultChanged {
        #[serde(flatten)]
        about: About<'a>,
        /// The first event that the change applies to.
        sequence: u64,
        /// The faults that are in force now, in words; empty for none.
        faults: Text<'a>,
        /// `SET`, `DISCONNECTED`, `RELEASED`, `CLEARED` or `EXPIRED`.
        reason: Text<'a>,
    },
    /// A request was refused.
    RequestRefused {
        #[serde(flatten)]
        about: About<'a>,
        /// The last part of its path.
        #[serde(skip_serializing_if = "Option::is_none")]
        method: Option<Text<'a>>,
        /// The client's address.
        peer: Text<'a>,
        /// `grpc`, `grpc-web` or `http`.
        transport: Text<'a>,
        /// Why it was refused: a reason of the API.
        reason: Text<'a>,
        /// The host name by which it addressed the service.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<Text<'a>>,
        /// The name that a trusted proxy says the browser used.
        #[serde(skip_serializing_if = "Option::is_none")]
        forwarded_host: Option<Text<'a>>,
        /// The origin of the page that it came from.
        #[serde(skip_serializing_if = "Option::is_none")]
        origin: Option<Text<'a>>,
        /// How many refusals since the last record were not recorded.
        #[serde(skip_serializing_if = "Option::is_none")]
        unrecorded: Option<u64>,
    },
    /// The journal is an older copy than the log, and a new epoch continues from it.
    EpochChanged {
        #[serde(flatten)]
        about: About<'a>,
        /// The previous epoch.
        previous_epoch: Text<'a>,
        /// The event after which the new epoch continues.
        sequence: u64,
        /// That event's logical time.
        logical_time: u64,
        /// The last event of the previous epoch that is in the log.
        last_sequence: u64,
        /// The same in words.
        message: Text<'a>,
    },
    /// The journal cannot be written: requests are refused, and no grace period ends.
    JournalUnavailable {
        #[serde(flatten)]
        about: About<'a>,
        /// `JOURNAL_UNAVAILABLE`.
        reason: Text<'a>,
        /// The error, in words.
        message: Text<'a>,
    },
    /// It can be written again.
    JournalAvailable {
        #[serde(flatten)]
        about: About<'a>,
    },
    /// A replica takes part. Each replica records this when it applies it, and at its start for those that already take
    /// part.
    ReplicaJoined(ReplicaNote<'a>),
    /// A replica no longer takes part, and no session is attached to it anymore.
    ReplicaGone {
        /// Which one.
        #[serde(flatten)]
        note: ReplicaNote<'a>,
        /// `SILENT`, `STOPPED` or `STARTED_AGAIN`.
        reason: Text<'a>,
    },
    /// A replica accepts no requests for now, and cannot propose that a grace period is over.
    ReplicaUnavailable {
        /// The journal.
        #[serde(flatten)]
        about: About<'a>,
        /// `CUT_OFF`, `COPY_NOT_WRITTEN` or `TAKEN_FOR_GONE`.
        reason: Text<'a>,
    },
    /// It accepts requests again.
    ReplicaAvailable {
        /// The journal.
        #[serde(flatten)]
        about: About<'a>,
    },
    /// Records could not be written.
    RecordsLost(Loss),
}

/// A replica that a record is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReplicaNote<'a> {
    /// The journal.
    #[serde(flatten)]
    pub about: About<'a>,
    /// Its name.
    pub of_replica: Text<'a>,
    /// Its start, as that start's position in the common log.
    pub replica_start: u64,
    /// The newest event at that time.
    pub sequence: u64,
}

/// A stream that begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StreamBegun<'a> {
    /// The participant whose stream it is.
    #[serde(flatten)]
    pub about: About<'a>,
    /// The client's address.
    pub peer: Text<'a>,
    /// `grpc` or `grpc-web`.
    pub transport: Text<'a>,
    /// The event after which it begins.
    pub sequence: u64,
}

/// An event as the service sends it to everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Broadcast<'a> {
    /// The author.
    #[serde(flatten)]
    pub about: About<'a>,
    /// Its position in the order.
    pub sequence: u64,
    /// Its logical time.
    pub logical_time: u64,
    /// The service's clock, which is the same.
    pub local_time: u64,
    /// The clock in the request.
    pub sent_logical_time: u64,
    /// Which kind of event it is.
    pub kind: LoggedKind,
    /// The message's text, or the sentence about the join or leave.
    pub content: Text<'a>,
    /// The sender's id for a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Text<'a>>,
    /// For a message, the last event that had been delivered to its writer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_sequence: Option<u64>,
    /// For a message, its sender's wall clock when it was sent, as the sender states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Text<'a>>,
    /// The reason for a leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<'a>>,
    /// How many streams were open; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<u64>,
    /// `true`: a later start of the service wrote the record, since the event's own record was missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
}

impl ServerRecord<'_> {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::EventDelivered { .. } => Severity::Debug,
            Self::EpochChanged { .. }
            | Self::JournalUnavailable { .. }
            | Self::ReplicaUnavailable { .. }
            | Self::RecordsLost(_) => Severity::Warn,
            _ => Severity::Info,
        }
    }

    /// The record of a broadcast, by the kind of its event.
    pub fn broadcast<'a>(broadcast: Broadcast<'a>, event: &Event) -> ServerRecord<'a> {
        match event.kind {
            EventKind::Joined { .. } => ServerRecord::JoinBroadcast(broadcast),
            EventKind::Left { .. } => ServerRecord::LeaveBroadcast(broadcast),
            EventKind::Message { .. } => ServerRecord::MessageBroadcast(broadcast),
        }
    }

    /// Writes it to the log of this process.
    pub fn emit(self) {
        let severity = self.severity();
        emit(Component::Server, severity, RecordBody::Server(self));
    }
}

impl<'a> Broadcast<'a> {
    /// The record of an event, with the fields that follow from the event alone.
    pub fn of(epoch: &'a str, event: &'a Event) -> Self {
        let (message_id, seen_sequence, sent_at, reason) = match &event.kind {
            EventKind::Joined { .. } => (None, None, None, None),
            EventKind::Left { reason } => (None, None, None, Some(reason.as_str().into())),
            EventKind::Message { message_id, seen, sent_at, .. } => {
                let message_id = message_id.as_ref().map(|id| id.as_str().into());
                (message_id, Some(seen.0), sent_at.map(|at| timestamp(at).into()), None)
            }
        };
        Self {
            about: About::author(epoch, event),
            sequence: event.sequence.0,
            logical_time: event.logical_time.0,
            local_time: event.logical_time.0,
            sent_logical_time: event.sent_logical_time.0,
            kind: LoggedKind::from(&event.kind),
            content: event.content().into(),
            message_id,
            seen_sequence,
            sent_at,
            reason,
            recipients: None,
            recovered: None,
        }
    }
}
