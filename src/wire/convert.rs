//! Between the generated messages and the domain. Requests are parsed where they
//! are served, by the domain's own constructors.

use crate::chat::{EventKind, LeaveReason};
use crate::journal::Recorded;

use super::pb::{self, event::Kind};

impl From<&Recorded> for pb::Event {
    fn from(event: &Recorded) -> Self {
        let kind = match &event.kind {
            EventKind::Joined { .. } => Kind::Joined(pb::Joined {}),
            EventKind::Left { reason } => Kind::Left(pb::Left { reason: pb::LeaveReason::from(*reason).into() }),
            EventKind::Message { message_id, seen, .. } => Kind::Message(pb::Message {
                message_id: message_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
                sent_logical_time: event.sent_logical_time.0,
                seen_sequence: seen.0,
            }),
        };
        pb::Event {
            sequence: event.sequence.0,
            logical_time: event.logical_time.0,
            content: event.content(),
            participant: Some(pb::Participant {
                participant_id: event.participant.id.to_string(),
                display_name: event.participant.display_name.to_string(),
            }),
            recorded_at: Some(event.recorded_at.into()),
            kind: Some(kind),
            chain_hash: event.chain.as_bytes().to_vec(),
        }
    }
}

impl From<LeaveReason> for pb::LeaveReason {
    fn from(reason: LeaveReason) -> Self {
        match reason {
            LeaveReason::Requested => Self::Requested,
            LeaveReason::Disconnected => Self::Disconnected,
        }
    }
}
