//! One record of a client or page as a step of its process.

use crate::chat::LeaveReason;
use crate::trace::record::{Component, CowStr, LineRef, LogRecord, LoggedKind, Who, digest};

/// What a participant's process did, or what happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act<'r> {
    Started,
    /// It asked to join, or to resume after a position.
    JoinSent {
        /// The time in the request.
        sent: u64,
        /// The position after which it resumes, if it does.
        resume: Option<u64>,
    },
    /// A stream has begun.
    Connected {
        /// Whether it resumes a session.
        resumed: bool,
        /// The newest event according to the Welcome.
        head: u64,
        logical_time: u64,
    },
    /// A text was submitted. This fixes what its writer had seen, however late it is sent.
    PublishQueued {
        /// A number that stands for the message id.
        message: u64,
        /// The last event delivered before.
        seen: u64,
    },
    /// Send(message_id, t, seen, text).
    PublishSent {
        /// A number that stands for the message id.
        message: u64,
        /// The time in the request.
        sent: u64,
        /// The last event delivered before the text was submitted.
        seen: u64,
        /// A number that stands for the text.
        content: u64,
    },
    /// Ack(message_id, sequence, L). Without a message, it acknowledges a leave.
    Acknowledged {
        /// A number that stands for the message id.
        message: Option<u64>,
        /// The position of the event.
        sequence: u64,
        logical_time: u64,
    },
    /// The last attempt of a publish was refused, or given up by its client.
    Refused {
        /// A number that stands for the message id.
        message: u64,
        /// Whether the reason makes it certain that nothing was done.
        certain: bool,
    },
    /// It asked to leave.
    LeaveSent {
        /// The time in the request.
        sent: u64,
    },
    /// Deliver(sequence, L, content).
    Delivered {
        sequence: u64,
        logical_time: u64,
        kind: LoggedKind,
        /// Whose event it is.
        author: Who,
        /// A number that stands for the content.
        content: u64,
        text: &'r str,
        /// A number that stands for the message id; 0 for none.
        message: u64,
        more: DeliveryDetails<'r>,
    },
    /// The client dropped its stream over an event that could not be true.
    EventRefused {
        sequence: u64,
        /// The event that was due; `None` before the first.
        expected: Option<u64>,
        /// Why, in words.
        reason: &'r str,
    },
    /// The stream has ended.
    Disconnected {
        /// Whether it ended because the participant has left.
        left: bool,
        /// Whether the service no longer knows the session, as it answered a resume.
        unknown: bool,
    },
    /// The process ended in an orderly way.
    Stopped,
    /// The log states that records are missing.
    Lost {
        count: u64,
        /// Whether they include the beginning of the process.
        from_start: bool,
    },
    Other,
}

/// The optional fields of a delivery's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryDetails<'r> {
    pub name: Option<&'r str>,
    /// For a message: the time in its request.
    pub sent: Option<u64>,
    /// For a message: what its writer had seen.
    pub seen: Option<u64>,
    /// For a leave: whether it was requested.
    pub requested: Option<bool>,
}

impl<'r> DeliveryDetails<'r> {
    fn of(record: &'r LogRecord<'_>) -> Self {
        let is = |kind| record.kind == Some(kind);
        Self {
            name: record.display_name.as_deref(),
            sent: record.sent_logical_time.filter(|_| is(LoggedKind::Message)),
            seen: record.seen_sequence.filter(|_| is(LoggedKind::Message)),
            requested: record
                .reason
                .as_deref()
                .filter(|_| is(LoggedKind::Left))
                .map(|reason| reason == LeaveReason::Requested.as_str()),
        }
    }
}

impl Act<'_> {
    /// Whether only the process's own participant can do this, and it begins no session.
    pub(super) fn is_own(&self) -> bool {
        matches!(
            self,
            Self::JoinSent { .. }
                | Self::PublishQueued { .. }
                | Self::PublishSent { .. }
                | Self::Acknowledged { .. }
                | Self::LeaveSent { .. }
        )
    }
}

/// One record of a client or page, in its context.
#[derive(Clone, Debug)]
pub struct Step<'r> {
    pub line: LineRef,
    /// Microseconds since 1970.
    pub at: i64,
    /// The component whose log it is in.
    pub component: Component,
    /// The session of the step; `None` before a process has one.
    pub session: Option<usize>,
    /// The session that its process was in before.
    pub before: Option<usize>,
    /// The process's own clock after it.
    pub local: Option<u64>,
    pub act: Act<'r>,
    /// Whether it is about a different participant than the process's, although the process has begun no other session:
    /// the file mixes the lines of several processes.
    pub is_of_another: bool,
}

/// Whether a refusal for this reason means that nothing was done. For other reasons, such as a proxy's, that is
/// unknown.
fn is_certain(reason: &str) -> bool {
    matches!(
        reason,
        "TEXT_EMPTY"
            | "TEXT_TOO_LONG"
            | "MESSAGE_ID_TOO_LONG"
            | "MALFORMED"
            | "SESSION_UNKNOWN"
            | "SECRET_REQUIRED"
            | "HOST_NOT_ALLOWED"
            | "ORIGIN_NOT_ALLOWED"
            | "CLOCK_OUT_OF_RANGE"
            | "SEQUENCE_OUT_OF_RANGE"
            | "RATE_LIMITED"
    )
}

/// The act that a record describes.
pub(super) fn act<'r>(record: &'r LogRecord<'_>) -> Act<'r> {
    read(record).unwrap_or(Act::Other)
}

fn read<'r>(record: &'r LogRecord<'_>) -> Option<Act<'r>> {
    let hash = |text: &Option<CowStr<'_>>| match LogRecord::text(text) {
        "" => 0,
        text => digest(text),
    };
    let connected = |resumed| -> Option<Act<'r>> {
        Some(Act::Connected { resumed, head: record.sequence?, logical_time: record.logical_time? })
    };
    let acknowledged = |message| -> Option<Act<'r>> {
        Some(Act::Acknowledged { message, sequence: record.sequence?, logical_time: record.logical_time? })
    };
    Some(match &*record.event {
        "client_started" => Act::Started,
        "join_sent" => Act::JoinSent { sent: record.sent_logical_time?, resume: record.sequence },
        "connected" => connected(false)?,
        "resumed" => connected(true)?,
        "publish_queued" => Act::PublishQueued { message: hash(&record.message_id), seen: record.seen_sequence? },
        "publish_sent" => Act::PublishSent {
            message: hash(&record.message_id),
            sent: record.sent_logical_time?,
            seen: record.seen_sequence.unwrap_or(0),
            content: digest(LogRecord::text(&record.content)),
        },
        "publish_acknowledged" => acknowledged(Some(hash(&record.message_id)))?,
        "leave_acknowledged" => acknowledged(None)?,
        "publish_refused" => Act::Refused {
            message: hash(&record.message_id),
            certain: is_certain(LogRecord::text(&record.reason)),
        },
        "leave_sent" => Act::LeaveSent { sent: record.sent_logical_time? },
        "event_delivered" => Act::Delivered {
            sequence: record.sequence?,
            logical_time: record.logical_time?,
            kind: record.kind?,
            author: Who::of(LogRecord::text(&record.participant_id)),
            content: digest(LogRecord::text(&record.content)),
            text: LogRecord::text(&record.content),
            message: hash(&record.message_id),
            more: DeliveryDetails::of(record),
        },
        "event_refused" => Act::EventRefused {
            sequence: record.sequence?,
            expected: record.expected_sequence,
            reason: LogRecord::text(&record.reason),
        },
        "disconnected" => Act::Disconnected {
            left: record.reason.as_deref() == Some("LEFT"),
            unknown: record.reason.as_deref() == Some("SESSION_UNKNOWN"),
        },
        "client_stopped" => Act::Stopped,
        "records_lost" => Act::Lost { count: record.lost()?, from_start: record.from_start },
        _ => return None,
    })
}
