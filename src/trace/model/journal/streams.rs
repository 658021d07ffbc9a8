//! What the service handed to each stream, by its own records: each batch continues where the last one ended.

use std::collections::HashSet;

use foldhash::HashMap;

use crate::trace::record::{LineRef, Who};

use super::handed::Handed;
use crate::trace::model::session::Mark;

/// A batch that continues no stream of its participant: events are missing before it, or repeated in it.
#[derive(Clone, Copy, Debug)]
pub struct StreamGap {
    /// Whose stream it was handed to.
    pub who: Who,
    /// The first event in it.
    pub first: u64,
    pub line: LineRef,
    /// When that record was made, in microseconds since 1970.
    pub at: i64,
    /// What should have come next there.
    pub expected: Mark,
}

/// How many unmatched batches are kept for each participant. More would show nothing new.
const UNMATCHED_MAX: usize = 64;

/// The streams of one participant. A stream that was replaced may hand over a last batch after the new one began,
/// and a record does not say to which it belongs: so each batch has to continue one of them.
#[derive(Debug, Default)]
struct ParticipantStreams {
    /// What comes next in each.
    next: Vec<Mark>,
    /// What would have come next in the last one that ended, when no other was open.
    ended: Option<Mark>,
    /// Batches that continue none of them yet: the first one may be recorded before its stream is. Each with what
    /// should have come next then, if a stream was known.
    unmatched: Vec<(Handed, Option<Mark>)>,
}

impl ParticipantStreams {
    fn put(&mut self, batch: Handed) {
        let follows = |end: u64| end.checked_add(1) == Some(batch.first);
        if let Some(place) = self.next.iter_mut().rev().find(|place| place.value == batch.first) {
            *place = Mark { value: batch.last.saturating_add(1), line: batch.line };
        } else if let Some((known, _)) = self.unmatched.iter_mut().find(|(known, _)| follows(known.last)) {
            // Batches that continue an unmatched one are merged with it. The line stays that of the first.
            known.last = batch.last;
        } else if self.unmatched.len() < UNMATCHED_MAX {
            let expected = self.next.last().copied().or(self.ended);
            self.unmatched.push((batch, expected));
        }
    }

    fn begin(&mut self, next: Mark) {
        self.next.push(next);
        for (batch, _) in std::mem::take(&mut self.unmatched) {
            self.put(batch);
        }
    }
}

/// All streams of one journal.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// The logs that record all streams since their service started.
    whole: HashSet<u32>,
    /// Those of each participant in each log.
    of: HashMap<(u32, Who), ParticipantStreams>,
    stream_gaps: Vec<StreamGap>,
}

impl Streams {
    /// A service starts: the streams of the previous one in this log have ended.
    pub(super) fn start(&mut self, log: u32) {
        let gaps: Vec<_> = self.of.iter().filter(|((of, _), _)| *of == log).flat_map(gaps).collect();
        self.stream_gaps.extend(gaps);
        self.of.retain(|(of, _), _| *of != log);
        self.whole.insert(log);
    }

    /// Records of a log were lost: until the service starts again, nothing is known of its streams.
    pub(super) fn lose(&mut self, log: u32) {
        self.of.retain(|(of, _), _| *of != log);
        self.whole.remove(&log);
    }

    /// A stream begins after a position.
    pub(super) fn begin(&mut self, line: LineRef, who: Who, after: u64) {
        if self.whole.contains(&line.file) {
            self.of.entry((line.file, who)).or_default().begin(Mark { value: after.saturating_add(1), line });
        }
    }

    /// The last open stream of a participant in a log ended: what is handed to it from now on continues a new one.
    pub(super) fn end(&mut self, log: u32, who: Who) {
        if let Some(streams) = self.of.get_mut(&(log, who)).filter(|streams| streams.unmatched.is_empty()) {
            streams.ended = streams.next.drain(..).max_by_key(|next| next.value).or(streams.ended);
        }
    }

    /// A batch was handed over.
    pub(super) fn batch(&mut self, who: Who, batch: Handed) {
        if self.whole.contains(&batch.line.file) {
            self.of.entry((batch.line.file, who)).or_default().put(batch);
        }
    }

    /// The batches that continue no stream. A participant without a known stream has none.
    pub(super) fn stream_gaps(&self) -> Vec<StreamGap> {
        let mut all = self.stream_gaps.clone();
        all.extend(self.of.iter().flat_map(gaps));
        all.sort_unstable_by_key(|gap| gap.line);
        all
    }
}

fn gaps(((_, who), streams): (&(u32, Who), &ParticipantStreams)) -> Vec<StreamGap> {
    let Some(expected) = streams.next.last().copied().or(streams.ended) else { return Vec::new() };
    let gap = |(handed, then): &(Handed, Option<Mark>)| StreamGap {
        who: *who,
        first: handed.first,
        line: handed.line,
        at: handed.at,
        expected: then.unwrap_or(expected),
    };
    streams.unmatched.iter().map(gap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who = Who(3);

    fn line(line: u32) -> LineRef {
        LineRef { file: 0, line }
    }

    fn batch(at: u32, first: u64, last: u64) -> Handed {
        Handed { line: line(at), at: i64::from(at), first, last }
    }

    fn gaps(steps: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut streams = Streams::default();
        streams.start(0);
        for (at, (first, last)) in (2..).zip(steps) {
            match last {
                0 => streams.begin(line(at), WHO, *first),
                _ => streams.batch(WHO, batch(at, *first, *last)),
            }
        }
        streams.stream_gaps().iter().map(|gap| (gap.expected.value, gap.first)).collect()
    }

    #[test]
    fn a_batch_continues_a_stream_of_its_participant_v4() {
        assert_eq!(gaps(&[(2, 0), (3, 3), (4, 9), (10, 10)]), []);
        assert_eq!(gaps(&[(3, 4), (5, 5), (2, 0), (6, 6)]), [], "recorded before the stream is");
        assert_eq!(gaps(&[(2, 0), (3, 5), (5, 0), (6, 7), (6, 8), (9, 9)]), [], "the replaced one is late");
        assert_eq!(gaps(&[(2, 0), (3, 5), (7, 8), (9, 9)]), [(6, 7)], "a gap");
        assert_eq!(gaps(&[(2, 0), (3, 5), (5, 8)]), [(6, 5)], "an overlap");
        assert_eq!(gaps(&[(2, 0), (3, 5), (8, 9), (6, 7)]), [(6, 8)], "what was due then, and not in the end");
        assert_eq!(gaps(&[(7, 8), (9, 9)]), [], "no stream is known");
    }

    /// Two replicas have streams of one participant, which moves to the second while the first still hands it a batch.
    #[test]
    fn a_batch_continues_a_stream_in_its_own_log_v4() {
        let at = |file, line| LineRef { file, line };
        let batch = |file, number, first, last| Handed { line: at(file, number), at: 0, first, last };
        let mut streams = Streams::default();
        [0, 1].into_iter().for_each(|file| streams.start(file));
        streams.begin(at(0, 2), WHO, 2);
        streams.begin(at(1, 2), WHO, 4);
        streams.batch(WHO, batch(1, 3, 5, 6));
        streams.batch(WHO, batch(0, 3, 3, 5));
        assert!(streams.stream_gaps().is_empty());
        streams.end(0, WHO);
        streams.batch(WHO, batch(1, 4, 7, 7));
        assert!(streams.stream_gaps().is_empty());
        streams.batch(WHO, batch(1, 5, 6, 6));
        assert_eq!(streams.stream_gaps().len(), 1);
    }

    #[test]
    fn lost_records_and_restarts_make_no_gap_v4() {
        let mut streams = Streams::default();
        streams.start(0);
        streams.begin(line(2), WHO, 2);
        streams.lose(0);
        streams.batch(WHO, batch(4, 9, 9));
        streams.start(0);
        streams.batch(WHO, batch(6, 12, 12));
        streams.begin(line(7), WHO, 11);
        assert!(streams.stream_gaps().is_empty());
        streams.batch(WHO, batch(8, 14, 14));
        streams.start(0);
        assert_eq!(streams.stream_gaps().len(), 1);
    }
}
