//! The events of the conversation.

use std::{fmt, time::SystemTime};

use super::{DisplayName, LogicalTime, MessageId, MessageText, Sequence};

/// Names one membership, uniquely within an epoch: the position of its Joined event. It needs no randomness, so the
/// state machine can assign it and a replay assigns the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub Sequence);

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// The digest of a session's secret token, which is all that the domain knows of it. The state and the journal reveal
/// no token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub [u8; 32]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// The public side of one membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Unique within the epoch.
    pub id: ParticipantId,
    /// Unique among the active participants.
    pub display_name: DisplayName,
}

/// One event of the conversation, with everything that a replay needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The position in the conversation.
    pub sequence: Sequence,
    /// The time of the broadcast, the same for every recipient.
    pub logical_time: LogicalTime,
    /// The time in the request that led to it; 0 for an expiry, which has no sender.
    pub sent_logical_time: LogicalTime,
    /// The service's wall clock, for people only: no rule depends on it.
    pub recorded_at: SystemTime,
    /// Who joined, left or wrote.
    pub participant: Participant,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The participant takes part from here on.
    Joined {
        /// Its session.
        session: SessionKey,
    },
    /// The participant is gone.
    Left {
        /// The reason.
        reason: LeaveReason,
    },
    /// The participant published a message.
    Message {
        /// What it wrote.
        text: MessageText,
        /// The sender's own id for it.
        message_id: Option<MessageId>,
        /// The last event that had been delivered to the sender.
        seen: Sequence,
        /// The sender's wall clock in the request, for people only: no rule depends on it.
        sent_at: Option<SystemTime>,
    },
}

impl EventKind {
    /// Its name in the log records.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::Message { .. } => "message",
        }
    }
}

/// Why a participant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It asked to leave.
    Requested,
    /// Its stream broke and was not resumed within the grace period.
    Disconnected,
}

impl LeaveReason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Requested, Self::Disconnected];

    /// Its name in log records and journals: that of the API's `LeaveReason`, without the prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Disconnected => "DISCONNECTED",
        }
    }

    /// The reason with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl Event {
    /// What to display: the message as it was sent, or the sentence of S5 or S6.
    pub fn content(&self) -> String {
        match &self.kind {
            EventKind::Message { text, .. } => text.as_str().to_owned(),
            EventKind::Joined { .. } | EventKind::Left { .. } => {
                let name = self.participant.display_name.as_str();
                membership_sentence(name, self.kind.as_str(), self.logical_time)
            }
        }
    }
}

/// The sentence of S5 or S6; `went` is "joined" or "left".
pub fn membership_sentence(name: &str, went: &str, time: LogicalTime) -> String {
    format!("Participant {name} {went} Chit Chat at logical time {time}")
}

/// The place of an accepted command in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's position.
    pub sequence: Sequence,
    /// The event's time.
    pub logical_time: LogicalTime,
}

impl From<&Event> for Receipt {
    fn from(event: &Event) -> Self {
        Self { sequence: event.sequence, logical_time: event.logical_time }
    }
}
