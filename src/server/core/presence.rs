//! Which active participants have lost their stream: a hint for the others, outside the order.
//!
//! This is a log of changes that is compacted as it grows: only the newest change of each participant is kept, encoded
//! once for all streams. A stream has a cursor into it. So the log is never longer than the roster, however far a
//! reader lags and however often a participant comes and goes, and the reader gets the latest state.

use std::collections::{BTreeMap, HashMap};

use crate::chat::{ParticipantId, Sequence};
use crate::wire::Frame;

/// The newest change of each participant that has ever lost its stream.
#[derive(Debug, Default)]
pub struct PresenceLog {
    /// How many changes there have been. Each has its number.
    changes: u64,
    newest: HashMap<ParticipantId, Newest>,
    disconnected: BTreeMap<u64, (ParticipantId, Frame)>,
    reconnected: BTreeMap<u64, (ParticipantId, Frame)>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    number: u64,
    connected: bool,
}

/// How far a stream has read the log.
#[derive(Debug)]
pub struct PresenceCursor {
    reader: ParticipantId,
    /// The event from which it reads: from there on its client knows all participants.
    starts_at: Sequence,
    disconnected: u64,
    /// `None` before the first read, which needs no changes to "connected".
    reconnected: Option<u64>,
}

impl PresenceCursor {
    /// A reader that has read nothing yet, and does not read before its stream has reached this event.
    pub fn new(reader: ParticipantId, starts_at: Sequence) -> Self {
        Self { reader, starts_at, disconnected: 0, reconnected: None }
    }
}

impl PresenceLog {
    /// Records whether a participant is connected. False if that is not new.
    pub fn set(&mut self, participant: ParticipantId, connected: bool, frame: Frame) -> bool {
        let before = self.newest.get(&participant).is_none_or(|newest| newest.connected);
        if before == connected {
            return false;
        }
        self.remove(participant);
        self.changes += 1;
        let number = self.changes;
        self.newest.insert(participant, Newest { number, connected });
        self.side(connected).insert(number, (participant, frame));
        true
    }

    /// Forgets a participant that has left.
    pub fn remove(&mut self, participant: ParticipantId) {
        if let Some(Newest { number, connected }) = self.newest.remove(&participant) {
            self.side(connected).remove(&number);
        }
    }

    /// Up to `limit` changes that a reader does not have, as of an event that its stream has reached. Its first read
    /// begins with all disconnected participants. It gets no changes of its own participant.
    pub fn read(&self, cursor: &mut PresenceCursor, reached: Sequence, limit: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        if reached < cursor.starts_at {
            return frames;
        }
        let reconnected = cursor.reconnected.get_or_insert(self.changes);
        let sides = [(&mut cursor.disconnected, &self.disconnected), (reconnected, &self.reconnected)];
        for (position, changes) in sides {
            for (number, (participant, frame)) in changes.range(*position + 1..).take(limit - frames.len()) {
                *position = *number;
                if *participant != cursor.reader {
                    frames.push(frame.clone());
                }
            }
        }
        frames
    }

    fn side(&mut self, connected: bool) -> &mut BTreeMap<u64, (ParticipantId, Frame)> {
        if connected { &mut self.reconnected } else { &mut self.disconnected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: ParticipantId = ParticipantId(Sequence(1));

    fn set(log: &mut PresenceLog, participant: u64, connected: bool) -> bool {
        let participant = ParticipantId(Sequence(participant));
        log.set(participant, connected, Frame::presence(participant, connected))
    }

    fn read(log: &PresenceLog, cursor: &mut PresenceCursor, limit: usize) -> Vec<Frame> {
        log.read(cursor, Sequence(1), limit)
    }

    fn frames<const N: usize>(changes: [(u64, bool); N]) -> Vec<Frame> {
        let frame = |(participant, connected)| Frame::presence(ParticipantId(Sequence(participant)), connected);
        changes.map(frame).into()
    }

    fn cursor() -> PresenceCursor {
        PresenceCursor::new(READER, Sequence(1))
    }

    #[test]
    fn a_new_reader_gets_the_disconnected_participants_and_then_the_changes() {
        let mut log = PresenceLog::default();
        for (participant, connected) in [(2, false), (3, false), (2, true), (4, false)] {
            assert!(set(&mut log, participant, connected));
        }
        let mut cursor = cursor();
        assert_eq!(read(&log, &mut cursor, 9), frames([(3, false), (4, false)]));
        assert_eq!(read(&log, &mut cursor, 9), []);
        assert!(set(&mut log, 3, true));
        assert!(set(&mut log, 2, false));
        assert_eq!(read(&log, &mut cursor, 9), frames([(2, false), (3, true)]));
        assert_eq!(read(&log, &mut cursor, 9), []);
    }

    #[test]
    fn a_reader_gets_no_more_than_its_limit_at_a_time() {
        let mut log = PresenceLog::default();
        (2..7).for_each(|participant| assert!(set(&mut log, participant, false)));
        let mut cursor = cursor();
        assert_eq!(read(&log, &mut cursor, 3), frames([(2, false), (3, false), (4, false)]));
        assert_eq!(read(&log, &mut cursor, 3), frames([(5, false), (6, false)]));
    }

    #[test]
    fn a_reader_gets_nothing_about_itself_and_nothing_before_it_knows_the_participants() {
        let mut log = PresenceLog::default();
        assert!(set(&mut log, 1, false));
        assert!(set(&mut log, 2, false));
        let mut cursor = PresenceCursor::new(READER, Sequence(5));
        assert_eq!(log.read(&mut cursor, Sequence(4), 9), []);
        assert_eq!(log.read(&mut cursor, Sequence(5), 9), frames([(2, false)]));
    }

    #[test]
    fn a_participant_that_comes_and_goes_is_one_entry_and_none_once_it_has_left() {
        let mut log = PresenceLog::default();
        let mut cursor = cursor();
        for round in 0..1000 {
            assert!(set(&mut log, 2, round % 2 == 1));
            assert!(!set(&mut log, 2, round % 2 == 1), "that is not new");
        }
        assert_eq!(log.newest.len() + log.disconnected.len() + log.reconnected.len(), 2);
        assert!(set(&mut log, 2, false));
        assert_eq!(read(&log, &mut cursor, 9), frames([(2, false)]));
        log.remove(ParticipantId(Sequence(2)));
        assert_eq!(log.newest.len() + log.disconnected.len() + log.reconnected.len(), 0);
        assert_eq!(read(&log, &mut cursor, 9), []);
    }
}
