//! The frames of a participant's stream, encoded once.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use prost::{Message, encode_length_delimiter, length_delimiter_len};

use super::pb::{self, join_response};
use crate::chat::{Conversation, NAME_CHARACTERS_MAX, ParticipantId, Sequence, TEXT_CHARACTERS_MAX};
use crate::journal::JournalEvent;

/// How many bytes gRPC puts before each message of a stream: the compression flag and the length.
const PREFIX_BYTES: usize = 5;

/// The largest message that gRPC clients accept unless they are configured otherwise.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most bytes of a Welcome without its roster: less than 300 today.
const WELCOME_HEAD_BYTES_MAX: usize = 1024;
/// The Protobuf tags (field number and wire type) of `welcome` in a `JoinResponse` and of `participants` in a `Welcome`.
const WELCOME_TAG: u8 = 1 << 3 | 2;
const PARTICIPANTS_TAG: u8 = 7 << 3 | 2;
/// A typical size of a roster entry.
const ROSTER_ENTRY_BYTES: usize = 32;

/// The largest id of a participant: "p" and a sequence.
const PARTICIPANT_ID_BYTES_MAX: usize = 1 + 20;
/// The largest roster entry: the id and a name of four-byte characters, each field with its tag and its length. The
/// lengths of the name and of the whole entry take two bytes.
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
    /// The session's participant.
    pub participant: ParticipantId,
    /// The journal's id.
    pub epoch: &'a str,
    /// Whether an existing session is resumed.
    pub resumed: bool,
    /// How long the stream can be quiet before a heartbeat is sent.
    pub heartbeat: Duration,
}

impl Frame {
    fn new(frame: join_response::Frame) -> Self {
        let message = pb::JoinResponse { frame: Some(frame) };
        let length = message.encoded_len();
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + length);
        put_prefix(&mut bytes, length);
        message.encode(&mut bytes).expect("a growing buffer has room");
        Self(bytes.into())
    }

    /// Its size in bytes, as it is sent.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The bytes that are sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// One event, the same for every recipient.
    pub fn event(event: &JournalEvent) -> Self {
        Self::new(join_response::Frame::Event(event.into()))
    }

    /// The first frame of a stream: the head of the conversation, and the roster.
    pub fn welcome(parts: &WelcomeParts<'_>, conversation: &Conversation) -> Self {
        let head = pb::Welcome {
            session_token: parts.session_token.to_owned(),
            participant_id: parts.participant.to_string(),
            epoch: parts.epoch.to_owned(),
            head_sequence: conversation.head().0,
            logical_time: conversation.logical_time().0,
            resumed: parts.resumed,
            participants: Vec::new(),
            heartbeat_interval: prost_types::Duration::try_from(parts.heartbeat).ok(),
            limits: Some(pb::Limits {
                text_characters_max: TEXT_CHARACTERS_MAX as u32,
                name_characters_max: NAME_CHARACTERS_MAX as u32,
            }),
        };
        // When a crowd joins, every Welcome contains the roster, so it is encoded without building a message first.
        let roster = roster(conversation);
        let length = head.encoded_len() + roster.len();
        let message = 1 + length_delimiter_len(length) + length;
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + message);
        put_prefix(&mut bytes, message);
        bytes.put_u8(WELCOME_TAG);
        encode_length_delimiter(length, &mut bytes).expect("a growing buffer has room");
        head.encode(&mut bytes).expect("a growing buffer has room");
        bytes.extend(roster);
        Self(bytes.into())
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

    /// The lab's faults for the stream's participant, in words; empty if there are none.
    pub fn lab_notice(faults: String) -> Self {
        Self::new(join_response::Frame::LabNotice(pb::LabNotice { faults }))
    }
}

fn put_prefix(bytes: &mut Vec<u8>, length: usize) {
    // Not compressed.
    bytes.put_u8(0);
    bytes.put_u32(length.try_into().expect("a message is smaller than 4 GiB"));
}

/// The participants of a Welcome, encoded.
fn roster(conversation: &Conversation) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(conversation.active() * ROSTER_ENTRY_BYTES);
    let mut entry = pb::Participant::default();
    for (id, member) in conversation.roster() {
        entry.participant_id.clear();
        // Writing to a String does not fail.
        let _ = write!(entry.participant_id, "{id}");
        entry.display_name.clear();
        entry.display_name.push_str(member.display_name.as_str());
        bytes.put_u8(PARTICIPANTS_TAG);
        entry.encode_length_delimited(&mut bytes).expect("a growing buffer has room");
    }
    bytes
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        frame.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::chat::{Command, DisplayName, LogicalTime, SessionKey};

    #[test]
    fn the_largest_welcome_just_fits_what_clients_accept() {
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

    /// A Welcome that is encoded piece by piece equals the encoded message.
    #[test]
    fn a_welcome_contains_the_roster() {
        for joins in [0, 1, 300] {
            let mut conversation = Conversation::new();
            for n in 0..joins {
                let (mut session, sent) = ([0; 32], LogicalTime(0));
                session[..2].copy_from_slice(&u16::to_le_bytes(n));
                let display_name = DisplayName::parse(&format!("næme {n}")).unwrap();
                let join = Command::Join { display_name, session: SessionKey(session), sent };
                conversation.apply(join, SystemTime::UNIX_EPOCH).unwrap();
            }
            let participant = ParticipantId(Sequence(1));
            let heartbeat = Duration::from_secs(15);
            let parts = WelcomeParts { session_token: "token", participant, epoch: "e", resumed: true, heartbeat };
            let Frame(mut bytes) = Frame::welcome(&parts, &conversation);
            let message = bytes.split_off(PREFIX_BYTES);
            assert_eq!(bytes[1..], u32::to_be_bytes(message.len() as u32));
            let roster = (1..=u64::from(joins)).map(|n| pb::Participant {
                participant_id: format!("p{n}"),
                display_name: format!("næme {}", n - 1),
            });
            let welcome = pb::Welcome {
                session_token: "token".into(),
                participant_id: "p1".into(),
                epoch: "e".into(),
                head_sequence: joins.into(),
                logical_time: 2 * u64::from(joins),
                resumed: true,
                participants: roster.collect(),
                heartbeat_interval: Some(prost_types::Duration { seconds: 15, nanos: 0 }),
                limits: Some(pb::Limits { text_characters_max: 128, name_characters_max: 32 }),
            };
            let frame = Some(join_response::Frame::Welcome(welcome));
            assert_eq!(pb::JoinResponse::decode(message), Ok(pb::JoinResponse { frame }));
        }
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
