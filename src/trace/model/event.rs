//! Events of the journal as log records state them, and the faults of those records.

use crate::chat::{DisplayName, MessageText};
use crate::trace::record::{LineRef, LoggedKind, Who};

/// When something happened, and the record that states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTime {
    /// Microseconds since 1970.
    pub at: i64,
    pub line: LineRef,
}

/// An event as its log record states it, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The broadcast record or, if the service has none, a delivery.
    pub line: LineRef,
    /// Microseconds since 1970.
    pub at: i64,
    /// L(i).
    pub logical_time: u64,
    /// t(i).
    pub sent: u64,
    /// Whose event it is.
    pub who: Who,
    /// The participant's name, by its index in the journal's list.
    pub name: u32,
    pub kind: LoggedKind,
    /// A number that stands for the content.
    pub content: u64,
    /// A number that stands for the message id; 0 for none.
    pub message: u64,
    /// What the writer had seen.
    pub seen: u64,
    /// Whether the text or the name is valid, and the content of a join or leave is the sentence of S5 or S6.
    pub valid: bool,
    /// For a Left: whether the participant asked for it.
    pub requested: bool,
    /// Whether a log of its writer has a send of it.
    pub sent_by_log: bool,
    /// When its writer sent it first.
    pub first_sent: Option<WallTime>,
    /// When its writer first received an acknowledgement of it.
    pub acknowledged: Option<WallTime>,
    /// Whether it is known only from a delivery, since the service's logs lack it.
    pub filled_in: bool,
    /// Whether the record was written by a later start of the service, so that its time is not that of the broadcast.
    pub recovered: bool,
}

impl LoggedEvent {
    pub(super) fn same_event(&self, other: &Self) -> bool {
        let is_left = self.kind == LoggedKind::Left;
        if is_left && self.requested != other.requested {
            return false;
        }
        (self.logical_time, self.sent, self.who, self.name, self.kind, self.content, self.message, self.seen)
            == (
                other.logical_time,
                other.sent,
                other.who,
                other.name,
                other.kind,
                other.content,
                other.message,
                other.seen,
            )
    }
}

/// A record whose sequence does not follow the last one's.
#[derive(Clone, Debug)]
pub struct Irregular {
    pub line: LineRef,
    /// The one before it in the same copy.
    pub before: Option<LineRef>,
    /// What its sequence should be.
    pub expected: u64,
    pub stated: u64,
    /// When the record was made, in microseconds since 1970.
    pub at: i64,
}

/// Two copies of the journal that state different events at one position.
#[derive(Clone, Debug)]
pub struct CopyConflict {
    pub sequence: u64,
    pub one: LineRef,
    /// The record in the other copy.
    pub other: LineRef,
    /// When the other record was made, in microseconds since 1970.
    pub at: i64,
}

/// The previous epoch, if a service found its journal to be an older copy and continued it as this epoch.
#[derive(Clone, Debug)]
pub struct PreviousEpoch {
    pub epoch: Box<str>,
    /// The last event of it that the log had.
    pub last: u64,
    /// The event after which this epoch continues.
    pub after: u64,
}

/// What the service knows of a participant's newest connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedConnection {
    pub began: i64,
    /// The record of its beginning.
    pub line: LineRef,
    /// How many of its streams are open: for a moment two, when one is replaced.
    pub open: u32,
    /// When the last of them ended, with the record; `None` while one is open, or until its process ends.
    pub ended: Option<WallTime>,
    /// The process of the service in that log, counted from 0.
    pub process: usize,
    /// The last event that was handed to it.
    pub handed: u64,
}

/// The result of looking up e(sequence).
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    Known(&'a LoggedEvent),
    /// It happened, but the given logs of the service have no record of it.
    Unrecorded,
    /// The given logs of the service end before it, and may have been copied before it happened.
    Beyond,
}

/// Whether a text or name is valid, and the content of a join or leave is the sentence of S5 or S6. The sentence is
/// spelled out here, since the service's own would agree with itself if it were wrong.
pub(super) fn is_valid(kind: LoggedKind, name: &str, content: &str, logical_time: u64) -> bool {
    let went = match kind {
        LoggedKind::Message => return MessageText::parse(content).is_ok(),
        LoggedKind::Joined if DisplayName::parse(name).is_ok_and(|parsed| parsed.as_str() == name) => "joined",
        LoggedKind::Joined => return false,
        LoggedKind::Left => "left",
    };
    content == format!("Participant {name} {went} Chit Chat at logical time {logical_time}")
}

/// Whether only requests to join are refused for this reason.
pub(super) fn is_of_join(reason: &str) -> bool {
    reason.starts_with("NAME_")
}

#[cfg(test)]
mod tests {
    use super::LoggedEvent;

    #[test]
    fn an_event_takes_as_many_bytes_as_documented() {
        assert_eq!(size_of::<LoggedEvent>(), 128);
    }
}
