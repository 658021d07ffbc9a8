//! Events by position, whichever positions the records name.

use std::collections::BTreeMap;

use crate::trace::model::event::LoggedEvent;

/// The known events of a journal. Positions come without gaps, so they are runs, and mostly one run; but a log
/// may begin in the middle, lack lines, or lie. What is kept grows with the records that were read, and never
/// with the numbers in them.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By the position of the first. A run that grows up to the next one is not joined with it.
    runs: BTreeMap<u64, Vec<LoggedEvent>>,
    known: u64,
}

impl Order {
    pub(super) fn get(&self, sequence: u64) -> Option<&LoggedEvent> {
        let (first, run) = self.runs.range(..=sequence).next_back()?;
        run.get(usize::try_from(sequence - first).ok()?)
    }

    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut LoggedEvent> {
        let (first, run) = self.runs.range_mut(..=sequence).next_back()?;
        run.get_mut(usize::try_from(sequence - first).ok()?)
    }

    /// Puts in an event at a position that has none.
    pub(super) fn insert(&mut self, sequence: u64, event: LoggedEvent) {
        self.known += 1;
        match self.runs.range_mut(..=sequence).next_back() {
            Some((first, run)) if sequence - first == run.len() as u64 => run.push(event),
            _ => drop(self.runs.insert(sequence, vec![event])),
        }
    }

    /// How many are known.
    pub(super) fn known(&self) -> u64 {
        self.known
    }

    /// All that are known, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &LoggedEvent)> {
        self.runs
            .iter()
            .flat_map(|(first, run)| run.iter().enumerate().map(|(index, event)| (*first + index as u64, event)))
    }
}
