//! Random commands that are likely to collide: few names, few sessions, few ids, and times at the limits.

use chitchat::chat::{
    CLOCK_LEAP_MAX, Command, DisplayName, LogicalTime, MessageId, MessageText, ParticipantId, Sequence, SessionKey,
};
use proptest::prelude::*;

use super::model::Model;

/// Names, each with a number for what a person would read; look-alikes have the same number.
pub const NAMES: [(&str, u8); 10] = [
    ("alice", 0),
    ("ALICE", 0),
    ("аlісе", 0),
    ("ａｌｉｃｅ", 0),
    ("scope", 1),
    ("ѕсоре", 1),
    ("straße", 2),
    ("STRASSE", 2),
    ("李小龍", 3),
    ("😀", 4),
];

/// A command whose numbers are relative to a state that is not known yet.
#[derive(Clone, Debug)]
pub enum Wish {
    Join { name: usize, sent: Time },
    Publish { session: usize, text: String, id: Option<u8>, seen: Position, sent: Time },
    Leave { session: usize, sent: Time },
    Expire { participant: u64 },
}

/// A time in a request.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    Early(u64),
    Ahead(u64),
    End,
}

/// A position in a request.
#[derive(Clone, Copy, Debug)]
pub enum Position {
    Back(u64),
    Ahead(u64),
}

impl Time {
    fn from(self, now: u64) -> LogicalTime {
        LogicalTime(match self {
            Self::Early(time) => time,
            Self::Ahead(by) => now + by,
            Self::End => u64::MAX,
        })
    }
}

impl Position {
    fn from(self, head: u64) -> Sequence {
        Sequence(match self {
            Self::Back(by) => head.saturating_sub(by),
            Self::Ahead(by) => head.saturating_add(by),
        })
    }
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        8 => (0..40_u64).prop_map(Time::Early),
        8 => (0..40_u64).prop_map(Time::Ahead),
        1 => Just(Time::Ahead(CLOCK_LEAP_MAX)),
        1 => Just(Time::Ahead(CLOCK_LEAP_MAX + 1)),
        1 => Just(Time::End),
    ]
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![
        12 => (0..5_u64).prop_map(Position::Back),
        1 => Just(Position::Ahead(1)),
        1 => Just(Position::Ahead(u64::MAX)),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let publish = (0..12_usize, "\\PC{1,12}", prop::option::of(0..6_u8), position(), time())
        .prop_map(|(session, text, id, seen, sent)| Wish::Publish { session, text, id, seen, sent });
    prop_oneof![
        4 => (0..NAMES.len(), time()).prop_map(|(name, sent)| Wish::Join { name, sent }),
        8 => publish,
        2 => (0..12_usize, time()).prop_map(|(session, sent)| Wish::Leave { session, sent }),
        1 => (0..40_u64).prop_map(|participant| Wish::Expire { participant }),
    ]
}

/// Fewer than this many wishes.
pub fn wishes(most: usize) -> impl Strategy<Value = Vec<Wish>> {
    prop::collection::vec(wish(), 0..most)
}

impl Wish {
    /// The command, with numbers relative to the state of a model.
    pub fn command(&self, model: &mut Model) -> Command {
        let (head, now) = model.position();
        match self.clone() {
            Self::Join { name, sent } => Command::Join {
                display_name: DisplayName::parse(NAMES[name].0).unwrap(),
                session: model.new_session(),
                sent: sent.from(now),
            },
            Self::Publish { session, text, id, seen, sent } => Command::Publish {
                session: key(session),
                text: MessageText::parse(text).unwrap(),
                message_id: id.and_then(|id| MessageId::parse(id.to_string()).unwrap()),
                seen: seen.from(head),
                sent: sent.from(now),
                sent_at: (session % 2 == 0).then_some(std::time::SystemTime::UNIX_EPOCH),
            },
            Self::Leave { session, sent } => Command::Leave { session: key(session), sent: sent.from(now) },
            Self::Expire { participant } => Command::Expire { participant: ParticipantId(Sequence(participant)) },
        }
    }
}

/// The key of a session, by its number in order of creation, from 0.
pub fn key(session: usize) -> SessionKey {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&session.to_le_bytes());
    SessionKey(key)
}
