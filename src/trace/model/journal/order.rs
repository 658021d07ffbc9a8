//! Events by position, whatever positions the records state.

use std::collections::BTreeMap;

use crate::trace::model::event::LoggedEvent;

/// The known events of a journal. Positions normally have no gaps, so the events are kept as runs, usually a single
/// one; but a log may begin in the middle, lack lines, or lie. Memory use grows with the number of records, never with
/// the numbers in them.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By the position of the first. A run that grows up to the next one is not merged with it.
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
