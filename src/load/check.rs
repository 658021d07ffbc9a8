//! Checks that a reader got every event once, in order, and every message as it was sent.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Faulty deliveries, counted over readers and events. All zero means that everything was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Faults {
    /// Deliveries that never arrived.
    pub missing: u64,
    /// Deliveries that were repeated.
    pub doubled: u64,
    /// Deliveries that arrived after a later one.
    pub out_of_order: u64,
    /// Messages whose content differs from what was sent, or whose place differs from the acknowledgement, and readers
    /// that got other bytes than the first one.
    pub altered: u64,
}

impl Faults {
    /// Whether there are none.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the faults of another reader.
    pub fn add(&mut self, other: &Self) {
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.altered += other.altered;
    }
}

/// The order of one reader's events: sequences rise by exactly one (S4, A3).
#[derive(Debug)]
pub struct OrderCheck {
    next: u64,
    /// Sequences that were passed over, as first and last of each run: missing unless they come late.
    skipped: BTreeMap<u64, u64>,
    faults: Faults,
}

impl OrderCheck {
    /// A check for a reader whose first event has this sequence.
    pub fn starting_at(first: u64) -> Self {
        Self { next: first, skipped: BTreeMap::new(), faults: Faults::default() }
    }

    /// The last sequence that was received in order; before the first event, the one before it.
    pub fn position(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Notes an event. Returns whether it is new.
    pub fn see(&mut self, sequence: u64) -> bool {
        if sequence == self.next {
            self.next += 1;
            return true;
        }
        if sequence > self.next {
            self.skipped.insert(self.next, sequence - 1);
            self.next = sequence + 1;
            return true;
        }
        let run = self.skipped.range(..=sequence).next_back().map(|(&first, &last)| (first, last));
        match run {
            Some((first, last)) if sequence <= last => {
                self.faults.out_of_order += 1;
                self.skipped.remove(&first);
                if first < sequence {
                    self.skipped.insert(first, sequence - 1);
                }
                if sequence < last {
                    self.skipped.insert(sequence + 1, last);
                }
                true
            }
            _ => {
                self.faults.doubled += 1;
                false
            }
        }
    }

    /// The faults, if everything up to and including `last` should have been received.
    pub fn faults(&self, last: u64) -> Faults {
        let passed_over: u64 = self.skipped.iter().map(|(first, last)| last - first + 1).sum();
        let never_reached = (last + 1).saturating_sub(self.next);
        Faults { missing: passed_over + never_reached, ..self.faults }
    }
}

/// All messages of this run that a reader got, as one number, which is the same for readers that got the same bytes in
/// the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    hash: u64,
    messages: u64,
}

impl Transcript {
    /// Adds the next message's frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.hash = FixedState::with_seed(0).hash_one((self.hash, frame));
        self.messages += 1;
    }

    /// How many messages there were.
    pub fn messages(&self) -> u64 {
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a reader that should have got 1 to `last` and got these.
    fn faults(last: u64, got: &[u64]) -> Faults {
        let mut check = OrderCheck::starting_at(1);
        for &sequence in got {
            check.see(sequence);
        }
        check.faults(last)
    }

    /// Every event once and in order is no fault (S4); each deviation has its own name.
    #[test]
    fn each_deviation_is_counted_as_what_it_is() {
        let none = Faults::default();
        assert_eq!(faults(3, &[1, 2, 3]), none);
        assert!(faults(0, &[]).none());
        // More than was published here: others may also write.
        assert_eq!(faults(2, &[1, 2, 3]), none);
        assert_eq!(faults(3, &[1, 2]), Faults { missing: 1, ..none });
        assert_eq!(faults(3, &[]), Faults { missing: 3, ..none });
        assert_eq!(faults(5, &[1, 4, 5]), Faults { missing: 2, ..none });
        assert_eq!(faults(3, &[1, 2, 2, 3, 1]), Faults { doubled: 2, ..none });
        assert_eq!(faults(3, &[1, 3, 2]), Faults { out_of_order: 1, ..none });
        assert_eq!(faults(6, &[1, 6, 3]), Faults { missing: 3, out_of_order: 1, ..none });
        assert_eq!(faults(6, &[1, 6, 3, 3]), Faults { missing: 3, out_of_order: 1, doubled: 1, ..none });
        assert_eq!(faults(3, &[2, 3, 0]), Faults { missing: 1, doubled: 1, ..none });
    }

    #[test]
    fn an_event_counts_the_first_time_that_it_comes() {
        let mut check = OrderCheck::starting_at(7);
        assert_eq!(check.position(), 6);
        let first: Vec<bool> = [7, 9, 8, 8, 7].into_iter().map(|sequence| check.see(sequence)).collect();
        assert_eq!((first, check.position()), (vec![true, true, true, false, false], 9));
    }

    #[test]
    fn a_transcript_knows_bytes_and_order() {
        let of = |frames: &[&str]| {
            let mut transcript = Transcript::default();
            frames.iter().for_each(|frame| transcript.push(frame.as_bytes()));
            transcript
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a"]), of(&["b"]));
        assert_eq!(of(&["a", "b"]).messages(), 2);
    }
}
