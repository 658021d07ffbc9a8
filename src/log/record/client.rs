//! The records of a client and of the page.

use serde::{Deserialize, Serialize};

use super::{About, Component, LoggedKind, Loss, RecordBody, Severity, Text, emit};

/// A record of a client or of the page. The fields that most records share are in `about`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the type of `about` says what it is")]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientRecord<'a> {
    /// The process, or the page, begins.
    ClientStarted {
        #[serde(flatten)]
        about: About<'a>,
    },
    /// A join or a resume is sent.
    JoinSent {
        #[serde(flatten)]
        about: About<'a>,
        /// For a resume, the event after which it continues.
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        /// The clock in the request.
        sent_logical_time: u64,
        /// The process's clock afterwards.
        local_time: u64,
    },
    /// A Welcome arrived, for a new session.
    Connected(WelcomeDetails<'a>),
    /// A Welcome arrived, for a session that continues.
    Resumed(WelcomeDetails<'a>),
    /// A stream was lost, or dropped by the client.
    Disconnected {
        #[serde(flatten)]
        about: About<'a>,
        /// Why the stream ended.
        reason: Text<'a>,
    },
    /// A text was submitted.
    PublishQueued {
        #[serde(flatten)]
        about: About<'a>,
        /// The sender's id for it.
        message_id: Text<'a>,
        /// The last event that had been delivered to its writer.
        seen_sequence: u64,
        /// The text that the user submitted.
        content: Text<'a>,
    },
    /// A publish is sent, for the first time or again.
    PublishSent {
        #[serde(flatten)]
        about: About<'a>,
        /// The sender's id for it.
        message_id: Text<'a>,
        /// The clock in the request.
        sent_logical_time: u64,
        /// The last event that had been delivered to its writer.
        seen_sequence: u64,
        /// The process's clock afterwards.
        local_time: u64,
        /// The text that the user submitted.
        content: Text<'a>,
    },
    /// The response to a publish arrived.
    PublishAcknowledged {
        #[serde(flatten)]
        about: About<'a>,
        /// The sender's id for it.
        message_id: Text<'a>,
        /// The event's position in the order.
        sequence: u64,
        /// The event's logical time.
        logical_time: u64,
        /// The process's clock afterwards.
        local_time: u64,
    },
    /// A publish was refused, by the service or by the client itself.
    PublishRefused {
        #[serde(flatten)]
        about: About<'a>,
        /// The sender's id for it, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<Text<'a>>,
        /// The text, if it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Text<'a>>,
        /// Why it was refused: a reason of the API, or what the client found.
        reason: Text<'a>,
    },
    /// A leave is sent.
    LeaveSent {
        #[serde(flatten)]
        about: About<'a>,
        /// The clock in the request.
        sent_logical_time: u64,
        /// The process's clock afterwards.
        local_time: u64,
    },
    /// The response to a leave arrived.
    LeaveAcknowledged {
        #[serde(flatten)]
        about: About<'a>,
        /// The event's position in the order.
        sequence: u64,
        /// The event's logical time.
        logical_time: u64,
        /// The process's clock afterwards.
        local_time: u64,
    },
    /// An event was delivered.
    EventDelivered(Delivered<'a>),
    /// An earlier event was listed, which is not a delivery. Only `join --json` prints it.
    EventListed(Delivered<'a>),
    /// An event was refused because it cannot be true.
    EventRefused {
        #[serde(flatten)]
        about: About<'a>,
        /// Its position.
        sequence: u64,
        /// The one that was due; absent before the first delivery.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected_sequence: Option<u64>,
        /// Why it cannot be true, in words.
        reason: Text<'a>,
    },
    /// The process, or the page, ends in an orderly way.
    ClientStopped {
        #[serde(flatten)]
        about: About<'a>,
        /// Why the client failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text<'a>>,
    },
    /// Records could not be written.
    RecordsLost(Loss),
}

/// The contents of a Welcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WelcomeDetails<'a> {
    /// Whose stream it begins.
    #[serde(flatten)]
    pub about: About<'a>,
    /// The newest event's position.
    pub sequence: u64,
    /// That event's logical time.
    pub logical_time: u64,
    /// The process's clock afterwards.
    pub local_time: u64,
    /// `grpc-web`; only the page has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Text<'a>>,
}

/// An event as it was received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Delivered<'a> {
    /// The author.
    #[serde(flatten)]
    pub about: About<'a>,
    /// Its position in the order.
    pub sequence: u64,
    /// Its logical time.
    pub logical_time: u64,
    /// The process's clock afterwards; absent if the event was only listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_time: Option<u64>,
    /// Which kind of event it is.
    pub kind: LoggedKind,
    /// The message's text, or the sentence about the join or leave.
    pub content: Text<'a>,
    /// The sender's id for a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Text<'a>>,
    /// For a message, the clock in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_logical_time: Option<u64>,
    /// For a message, the last event that had been delivered to its writer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_sequence: Option<u64>,
    /// For a message, its sender's wall clock when it was sent, as the sender states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Text<'a>>,
    /// The reason for a leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<'a>>,
    /// `true`: the event was only listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

impl ClientRecord<'_> {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::RecordsLost(_) => Severity::Warn,
            _ => Severity::Info,
        }
    }

    /// Writes it to the log of this process.
    pub fn emit(self) {
        let severity = self.severity();
        emit(Component::Client, severity, RecordBody::Client(self));
    }
}
