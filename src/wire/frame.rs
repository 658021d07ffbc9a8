//! The frames of a participant's stream, encoded once.

use std::time::Duration;

use bytes::{BufMut, Bytes};
use prost::Message;

use super::pb::{self, join_response};
use crate::chat::{Conversation, NAME_CHARACTERS_MAX, ParticipantId, Sequence, TEXT_CHARACTERS_MAX};
use crate::journal::JournalEvent;

/// How many bytes precede a message in a gRPC stream: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The largest message that gRPC clients accept unless they are configured otherwise.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most bytes of a Welcome without its roster: less than 300 today.
const WELCOME_HEAD_BYTES_MAX: usize = 1024;
/// The largest id of a participant: "p" and a sequence.
const PARTICIPANT_ID_BYTES_MAX: usize = 1 + 20;
/// The largest entry of a roster: the id and a name of four-byte characters, each field with its tag and its length,
/// which for a name and for the whole takes two bytes.
const ROSTER_ENTRY_BYTES_MAX: usize = 3 + (2 + PARTICIPANT_ID_BYTES_MAX) + (3 + 4 * NAME_CHARACTERS_MAX);

/// The most participants for which every client accepts the Welcome, which lists them all, however long their names.
pub const PARTICIPANTS_MAX: usize = (MESSAGE_BYTES_MAX - WELCOME_HEAD_BYTES_MAX) / ROSTER_ENTRY_BYTES_MAX;

/// A `JoinResponse` as it is sent: encoded, behind gRPC's prefix. A clone shares the bytes, so every stream sends the
/// same ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

/// The parts of a Welcome that are not the state of the conversation.
#[derive(Clone, Debug)]
pub struct WelcomeParts<'a> {
    /// The session's secret.
    pub session_token: &'a str,
    /// Whom the session speaks for.
    pub participant: ParticipantId,
    /// The journal's id.
    pub epoch: &'a str,
    /// Whether an existing session is resumed.
    pub resumed: bool,
    /// How long the stream can be quiet before a heartbeat comes.
    pub heartbeat: Duration,
}

impl Frame {
    fn new(frame: join_response::Frame) -> Self {
        let message = pb::JoinResponse { frame: Some(frame) };
        let length = message.encoded_len();
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + length);
        // Not compressed.
        bytes.put_u8(0);
        bytes.put_u32(length.try_into().expect("a message is smaller than 4 GiB"));
        message.encode(&mut bytes).expect("a growing buffer has room");
        Self(bytes.into())
    }

    /// How many bytes are sent for it.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// One event, the same for every recipient.
    pub fn event(event: &JournalEvent) -> Self {
        Self::new(join_response::Frame::Event(event.into()))
    }

    /// The first frame of a stream: where the conversation stands, and who is there.
    pub fn welcome(parts: &WelcomeParts<'_>, conversation: &Conversation) -> Self {
        let participants = conversation.roster().map(|(id, member)| pb::Participant {
            participant_id: id.to_string(),
            display_name: member.display_name.to_string(),
        });
        Self::new(join_response::Frame::Welcome(pb::Welcome {
            session_token: parts.session_token.to_owned(),
            participant_id: parts.participant.to_string(),
            epoch: parts.epoch.to_owned(),
            head_sequence: conversation.head().0,
            logical_time: conversation.logical_time().0,
            resumed: parts.resumed,
            participants: participants.collect(),
            heartbeat_interval: prost_types::Duration::try_from(parts.heartbeat).ok(),
            limits: Some(pb::Limits {
                text_characters_max: TEXT_CHARACTERS_MAX as u32,
                name_characters_max: NAME_CHARACTERS_MAX as u32,
            }),
        }))
    }

    /// The replay is over.
    pub fn caught_up(sequence: Sequence) -> Self {
        Self::new(join_response::Frame::CaughtUp(pb::CaughtUp { sequence: sequence.0 }))
    }

    /// The connection is alive.
    pub fn heartbeat(head: Sequence) -> Self {
        Self::new(join_response::Frame::Heartbeat(pb::Heartbeat { head_sequence: head.0 }))
    }

    /// A participant's stream broke or is back, the same for every recipient.
    pub fn presence(participant: ParticipantId, connected: bool) -> Self {
        let participant_id = participant.to_string();
        Self::new(join_response::Frame::Presence(pb::Presence { participant_id, connected }))
    }

    /// What the lab does to the stream's participant, in words; empty for nothing.
    pub fn lab_notice(faults: String) -> Self {
        Self::new(join_response::Frame::LabNotice(pb::LabNotice { faults }))
    }
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        frame.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_welcome_has_little_less_than_clients_accept() {
        let participant = pb::Participant {
            participant_id: ParticipantId(Sequence(u64::MAX)).to_string(),
            display_name: char::MAX.to_string().repeat(NAME_CHARACTERS_MAX),
        };
        let size = |participants| {
            let welcome = pb::Welcome {
                session_token: "x".repeat(128),
                participant_id: participant.participant_id.clone(),
                epoch: "x".repeat(128),
                head_sequence: u64::MAX,
                logical_time: u64::MAX,
                resumed: true,
                participants: vec![participant.clone(); participants],
                heartbeat_interval: prost_types::Duration::try_from(Duration::MAX / 4).ok(),
                limits: Some(pb::Limits { text_characters_max: u32::MAX, name_characters_max: u32::MAX }),
            };
            pb::JoinResponse { frame: Some(join_response::Frame::Welcome(welcome)) }.encoded_len()
        };
        assert!(size(0) <= WELCOME_HEAD_BYTES_MAX, "{}", size(0));
        assert!(size(PARTICIPANTS_MAX) <= MESSAGE_BYTES_MAX, "{}", size(PARTICIPANTS_MAX));
        assert!(size(PARTICIPANTS_MAX + 10) > MESSAGE_BYTES_MAX, "{}", size(PARTICIPANTS_MAX + 10));
    }

    #[test]
    fn a_frame_is_the_encoded_response_behind_its_length() {
        let Frame(mut bytes) = Frame::caught_up(Sequence(300));
        let message = bytes.split_off(PREFIX_BYTES);
        assert_eq!(bytes[..], [0, 0, 0, 0, message.len() as u8]);
        let frame = Some(join_response::Frame::CaughtUp(pb::CaughtUp { sequence: 300 }));
        assert_eq!(pb::JoinResponse::decode(message), Ok(pb::JoinResponse { frame }));
    }
}
