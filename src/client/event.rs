//! Events as a client receives them.

use std::time::SystemTime;

use crate::chat::{LogicalTime, Sequence};
use crate::log::{About, Delivered, LoggedKind, timestamp};
use crate::wire::{pb, time};

/// A participant, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParticipantInfo {
    /// Unique within the epoch.
    pub participant_id: String,
    /// Unique among the active participants.
    pub display_name: String,
}

/// One event of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The journal in which the sequence counts.
    pub epoch: String,
    /// The position in the journal, one more than that of the event before.
    pub sequence: Sequence,
    /// The Lamport time of the broadcast, the same for everybody.
    pub logical_time: LogicalTime,
    /// This client's own clock after the delivery; 0 for an earlier event that was only listed.
    pub local_time: LogicalTime,
    /// What to display.
    pub content: String,
    /// Who joined, left or wrote.
    pub participant: ParticipantInfo,
    /// The service's wall clock when it recorded the event, for people only.
    pub recorded_at: Option<SystemTime>,
    /// What happened.
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The participant joined.
    Joined,
    /// The participant left.
    Left {
        /// REQUESTED or DISCONNECTED.
        reason: &'static str,
    },
    /// The participant wrote the content.
    Message {
        /// The id that the sender gave it.
        message_id: String,
        /// The sender's Lamport clock when it sent the message.
        sent_logical_time: LogicalTime,
        /// The last event that had been delivered to the sender when its text was submitted.
        seen_sequence: Sequence,
        /// The sender's wall clock when it sent the message, according to the sender; for people only.
        sent_at: Option<SystemTime>,
    },
}

/// The fields that only some kinds of event have, for log records and JSON lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KindFields<'a> {
    pub(super) message_id: Option<&'a str>,
    pub(super) sent_logical_time: Option<u64>,
    pub(super) seen_sequence: Option<u64>,
    pub(super) sent_at: Option<SystemTime>,
    pub(super) reason: Option<&'static str>,
}

impl Kind {
    pub(super) fn fields(&self) -> KindFields<'_> {
        match self {
            Self::Joined => KindFields::default(),
            Self::Left { reason } => KindFields { reason: Some(reason), ..KindFields::default() },
            Self::Message { message_id, sent_logical_time, seen_sequence, sent_at } => KindFields {
                message_id: Some(message_id),
                sent_logical_time: Some(sent_logical_time.0),
                seen_sequence: Some(seen_sequence.0),
                sent_at: *sent_at,
                reason: None,
            },
        }
    }

    /// Its name in the log records.
    pub(super) fn logged(&self) -> LoggedKind {
        match self {
            Self::Joined => LoggedKind::Joined,
            Self::Left { .. } => LoggedKind::Left,
            Self::Message { .. } => LoggedKind::Message,
        }
    }
}

impl Event {
    /// The event as a log record.
    pub(super) fn delivered(&self) -> Delivered<'_> {
        let KindFields { message_id, sent_logical_time, seen_sequence, sent_at, reason } = self.kind.fields();
        let ParticipantInfo { participant_id, display_name } = &self.participant;
        Delivered {
            about: About::epoch(&*self.epoch).participant(participant_id, &**display_name),
            sequence: self.sequence.0,
            logical_time: self.logical_time.0,
            local_time: Some(self.local_time.0),
            kind: self.kind.logged(),
            content: self.content.as_str().into(),
            message_id: message_id.map(Into::into),
            sent_logical_time,
            seen_sequence,
            sent_at: sent_at.map(|at| timestamp(at).into()),
            reason: reason.map(Into::into),
            earlier: false,
        }
    }
}

impl From<pb::Participant> for ParticipantInfo {
    fn from(participant: pb::Participant) -> Self {
        Self { participant_id: participant.participant_id, display_name: participant.display_name }
    }
}

/// Reads an event. `None` if it lacks a part that every event has.
pub(super) fn read(event: pb::Event, epoch: &str, local_time: LogicalTime) -> Option<Event> {
    let kind = match event.kind? {
        pb::event::Kind::Joined(_) => Kind::Joined,
        pb::event::Kind::Left(left) => Kind::Left { reason: left.reason().as_str() },
        pb::event::Kind::Message(message) => Kind::Message {
            message_id: message.message_id,
            sent_logical_time: LogicalTime(message.sent_logical_time),
            seen_sequence: Sequence(message.seen_sequence),
            sent_at: message.sent_at.and_then(time),
        },
    };
    Some(Event {
        epoch: epoch.to_owned(),
        sequence: Sequence(event.sequence),
        logical_time: LogicalTime(event.logical_time),
        local_time,
        content: event.content,
        participant: event.participant?.into(),
        recorded_at: event.recorded_at.and_then(time),
        kind,
    })
}

#[cfg(test)]
impl Event {
    /// A message from alice, for tests of code that reads events.
    pub(crate) fn example(content: &str) -> Self {
        Self {
            epoch: "e".into(),
            sequence: Sequence(2),
            logical_time: LogicalTime(9),
            local_time: LogicalTime(10),
            content: content.into(),
            participant: ParticipantInfo { participant_id: "p1".into(), display_name: "alice".into() },
            recorded_at: None,
            kind: Kind::Message {
                message_id: "m".into(),
                sent_logical_time: LogicalTime(7),
                seen_sequence: Sequence(1),
                sent_at: None,
            },
        }
    }
}
