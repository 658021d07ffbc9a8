//! Why the conversation refuses a command.

use super::{
    COMBINING_MARKS_MAX, LogicalTime, MESSAGE_ID_BYTES_MAX, NAME_CHARACTERS_MAX, Sequence, TEXT_CHARACTERS_MAX,
};

/// Why the conversation refuses a command. A refusal changes nothing and moves no clock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum Refusal {
    /// An empty message.
    #[error("a message needs at least one character")]
    TextEmpty,
    /// A message of more than [`TEXT_CHARACTERS_MAX`] characters.
    #[error("a message has at most {TEXT_CHARACTERS_MAX} characters, and this one has {characters}")]
    TextTooLong { characters: usize },
    /// A name that cannot be a display name.
    #[error("{0}")]
    NameInvalid(#[from] NameFault),
    /// An active participant has that name, or one that looks the same.
    #[error("a participant with that name, or one that looks the same, is already here")]
    NameTaken,
    /// A message id of more than [`MESSAGE_ID_BYTES_MAX`] bytes.
    #[error("a message id has at most {MESSAGE_ID_BYTES_MAX} bytes, and this one has {bytes}")]
    MessageIdTooLong { bytes: usize },
    /// The session never existed, has left, or has expired.
    #[error("no active participant has this session")]
    SessionUnknown,
    /// A logical time too far ahead of the service's clock.
    #[error("logical time {time} is too far ahead: at most {latest} can be received now")]
    ClockOutOfRange { time: LogicalTime, latest: LogicalTime },
    /// A position after the newest event.
    #[error("there is no event {sequence} yet: the newest is {head}")]
    SequenceOutOfRange { sequence: Sequence, head: Sequence },
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Empty, or without a visible character.
    #[error("a name needs at least one visible character")]
    NothingVisible,
    /// More than [`NAME_CHARACTERS_MAX`] characters.
    #[error("a name has at most {NAME_CHARACTERS_MAX} characters, and this one has {0}")]
    TooLong(usize),
    /// More than [`COMBINING_MARKS_MAX`] combining marks in a row.
    #[error("a name has at most {COMBINING_MARKS_MAX} combining marks in a row")]
    CombiningMarks,
    /// A character that RFC 8266 does not allow in a nickname, such as a control character.
    #[error("the character U+{0:04X} is not allowed in a name")]
    Character(u32),
    /// The name has no stable RFC 8266 form.
    #[error("the name is not a valid RFC 8266 nickname")]
    Nickname,
}
