//! When delayed events are due. Pure: the time is passed in.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::chat::Sequence;

/// The most ranges of events, each with its own due time, that a stream keeps.
const MARKS_MAX: usize = 64;

/// Ranges of the feed, each with the time at which it is due. It holds no events, so a million delayed events take no more
/// memory than 64.
#[derive(Debug, Default)]
pub struct DelayLine {
    /// The last event of each range, and when the range is due. Both only rise.
    marks: VecDeque<(Sequence, Instant)>,
    /// The newest event that is due.
    due: Sequence,
    /// The newest event that has been noted.
    noted: Sequence,
}

impl DelayLine {
    /// Lets everything up to an event pass at once.
    pub fn restart(&mut self, head: Sequence) {
        *self = Self { marks: VecDeque::new(), due: head, noted: head };
    }

    /// Notes that the events up to `head` arrived at this time and are delayed. An event is never due before an earlier
    /// one. With too many ranges, the last one grows and is due later.
    pub fn note(&mut self, head: Sequence, now: Instant, delay: Duration) {
        if head <= self.noted {
            return;
        }
        self.noted = head;
        let due = self.marks.back().map_or(now + delay, |(_, due)| (now + delay).max(*due));
        if self.marks.len() >= MARKS_MAX {
            self.marks.pop_back();
        }
        self.marks.push_back((head, due));
    }

    /// The newest event that is due at this time.
    pub fn due(&mut self, now: Instant) -> Sequence {
        while let Some((last, _)) = self.marks.front().filter(|(_, due)| *due <= now) {
            self.due = *last;
            self.marks.pop_front();
        }
        self.due
    }

    /// When the next events are due.
    pub fn next_due(&self) -> Option<Instant> {
        self.marks.front().map(|(_, due)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// K1, K3: events are due in their order, whatever the jitter, and the number of ranges is bounded.
    #[test]
    fn in_order_and_bounded() {
        let (mut line, now) = (DelayLine::default(), Instant::now());
        line.restart(Sequence(10));
        assert_eq!((line.due(now), line.next_due()), (Sequence(10), None));
        line.note(Sequence(11), now, 3 * SECOND);
        line.note(Sequence(15), now + SECOND, SECOND);
        assert_eq!(line.due(now + 2 * SECOND), Sequence(10), "it does not overtake the one before it");
        assert_eq!(line.due(now + 3 * SECOND), Sequence(15));
        for sequence in 16..1000 {
            line.note(Sequence(sequence), now + 3 * SECOND, SECOND);
        }
        assert_eq!(line.marks.len(), MARKS_MAX);
        assert_eq!(line.due(now + 4 * SECOND), Sequence(999));
    }
}
