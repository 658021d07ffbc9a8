//! Why the conversation says no.

use super::{LogicalTime, NameFault, Sequence};

/// A command that the conversation refuses. A refusal changes nothing and touches no clock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A message of no characters.
    #[error("a message needs at least one character")]
    TextEmpty,
    /// A message of more than [`TEXT_CHARACTERS_MAX`](super::TEXT_CHARACTERS_MAX) characters.
    #[error("a message has at most {max} characters, and this one has {characters}", max = super::TEXT_CHARACTERS_MAX)]
    TextTooLong {
        /// How many it has.
        characters: usize,
    },
    /// A name that cannot be a display name.
    #[error("{0}")]
    NameInvalid(#[from] NameFault),
    /// An active participant has that name, or one that looks the same.
    #[error("a participant with that name, or one that looks the same, is already here")]
    NameTaken,
    /// A message id of more than [`MESSAGE_ID_BYTES_MAX`](super::MESSAGE_ID_BYTES_MAX) bytes.
    #[error("a message id has at most {max} bytes, and this one has {bytes}", max = super::MESSAGE_ID_BYTES_MAX)]
    MessageIdTooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Never joined, left, or expired.
    #[error("no active participant has this session")]
    SessionUnknown,
    /// A logical time too far from the service's clock to be honest.
    #[error("logical time {time} is too far ahead: at most {latest} can be received now")]
    ClockOutOfRange {
        /// The time that was received.
        time: LogicalTime,
        /// The latest that would have been admitted.
        latest: LogicalTime,
    },
    /// A position after the newest event.
    #[error("sequence {sequence} has not happened: the newest event is {head}")]
    SequenceOutOfRange {
        /// The position that was named.
        sequence: Sequence,
        /// The newest event.
        head: Sequence,
    },
}
