//! What the service handed to each stream, by its own records: a stream goes on where its last batch ended.

use std::collections::HashSet;

use foldhash::HashMap;

use crate::trace::record::{LineRef, Who};

use super::session::Mark;

/// A batch that goes on where no stream of its participant was.
#[derive(Clone, Copy, Debug)]
pub struct Leap {
    /// Whose stream it was handed to.
    pub who: Who,
    /// The first event in it.
    pub first: u64,
    /// Its record.
    pub line: LineRef,
    /// What should have come next there.
    pub expected: Mark,
}

/// So many of one participant are enough to tell.
const LOOSE_MAX: usize = 64;

/// The streams of one participant. A stream that was replaced may hand over a last batch after the new one began,
/// and a record does not say of which it is: so each batch has to go on where one of them was.
#[derive(Debug, Default)]
struct Places {
    /// What comes next in each.
    next: Vec<Mark>,
    /// Batches that fit nowhere yet: the first one may be recorded before its stream is.
    loose: Vec<(u64, Mark)>,
}

impl Places {
    fn put(&mut self, first: u64, last: Mark) {
        let follows = Mark { value: last.value.saturating_add(1), line: last.line };
        if let Some(place) = self.next.iter_mut().rev().find(|place| place.value == first) {
            *place = follows;
        } else if let Some((_, end)) =
            self.loose.iter_mut().find(|(_, end)| end.value.checked_add(1) == Some(first))
        {
            // What follows from it stands and falls with it. Its line is that of the first.
            end.value = last.value;
        } else if self.loose.len() < LOOSE_MAX {
            self.loose.push((first, last));
        }
    }

    fn begin(&mut self, next: Mark) {
        self.next.push(next);
        for (first, last) in std::mem::take(&mut self.loose) {
            self.put(first, last);
        }
    }
}

/// All streams of one journal.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// The files that tell of all streams since their service started.
    whole: HashSet<u32>,
    of: HashMap<Who, Places>,
    leaps: Vec<Leap>,
}

impl Streams {
    /// A service starts: the streams of the one before are no more.
    pub(super) fn start(&mut self, file: u32) {
        self.leaps = self.leaps();
        self.of.clear();
        self.whole.insert(file);
    }

    /// Records of a file were lost: until the service starts again, nothing is known of its streams.
    pub(super) fn lose(&mut self, file: u32) {
        self.of.clear();
        self.whole.remove(&file);
    }

    /// A stream begins after a position.
    pub(super) fn begin(&mut self, line: LineRef, who: Who, after: u64) {
        if self.whole.contains(&line.file) {
            self.of.entry(who).or_default().begin(Mark { value: after.saturating_add(1), line });
        }
    }

    /// A batch was handed over.
    pub(super) fn batch(&mut self, line: LineRef, who: Who, first: u64, last: u64) {
        if self.whole.contains(&line.file) {
            self.of.entry(who).or_default().put(first, Mark { value: last, line });
        }
    }

    /// What fitted nowhere. A participant of which no stream is known tells nothing.
    pub(super) fn leaps(&self) -> Vec<Leap> {
        let mut leaps = self.leaps.clone();
        for (who, places) in &self.of {
            let Some(expected) = places.next.last().copied() else { continue };
            leaps.extend(places.loose.iter().map(|(first, last)| Leap {
                who: *who,
                first: *first,
                line: last.line,
                expected,
            }));
        }
        leaps.sort_unstable_by_key(|leap| leap.line);
        leaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who = Who(3);

    fn line(line: u32) -> LineRef {
        LineRef { file: 0, line }
    }

    fn leaps(steps: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut streams = Streams::default();
        streams.start(0);
        for (at, (first, last)) in (2..).zip(steps) {
            match last {
                0 => streams.begin(line(at), WHO, *first),
                _ => streams.batch(line(at), WHO, *first, *last),
            }
        }
        streams.leaps().iter().map(|leap| (leap.expected.value, leap.first)).collect()
    }

    #[test]
    fn a_batch_goes_on_where_a_stream_of_its_participant_was_v4() {
        assert_eq!(leaps(&[(2, 0), (3, 3), (4, 9), (10, 10)]), []);
        assert_eq!(leaps(&[(3, 4), (5, 5), (2, 0), (6, 6)]), [], "recorded before the stream is");
        assert_eq!(leaps(&[(2, 0), (3, 5), (5, 0), (6, 7), (6, 8), (9, 9)]), [], "the replaced one is late");
        assert_eq!(leaps(&[(2, 0), (3, 5), (7, 8), (9, 9)]), [(6, 7)], "a gap");
        assert_eq!(leaps(&[(2, 0), (3, 5), (5, 8)]), [(6, 5)], "an overlap");
        assert_eq!(leaps(&[(7, 8), (9, 9)]), [], "no stream is known");
    }

    #[test]
    fn what_is_lost_and_what_was_before_a_restart_is_held_against_nobody_v4() {
        let mut streams = Streams::default();
        streams.start(0);
        streams.begin(line(2), WHO, 2);
        streams.lose(0);
        streams.batch(line(4), WHO, 9, 9);
        streams.start(0);
        streams.batch(line(6), WHO, 12, 12);
        streams.begin(line(7), WHO, 11);
        assert!(streams.leaps().is_empty());
        streams.batch(line(8), WHO, 14, 14);
        streams.start(0);
        assert_eq!(streams.leaps().len(), 1);
    }
}
