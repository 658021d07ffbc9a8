//! One service with several replicas: which of them recorded a journal, and how far apart their clocks are.
//!
//! Replicas run on machines with clocks of their own. They apply the same event at almost the same moment, so the times at
//! which two of them recorded the same events are as far apart as their clocks. A replica that was cut off applies many
//! events late, each by another time: what counts is where the differences lie closest together.

mod farewells;

use std::collections::BTreeSet;

use foldhash::HashMap;

use crate::trace::record::{LineRef, LogRecord, Who};

use super::presence::Farewell;
use super::run::ServiceRun;
use farewells::ReplicaNotes;

/// How far apart the events are that are compared, in microseconds.
const EVENT_MICROS: i64 = 1_000_000;

/// The logs of one replica.
#[derive(Debug, Default)]
struct ReplicaClock {
    /// When it recorded each broadcast, by its own clock.
    broadcasts: Vec<(u64, i64)>,
    /// How far its clock is ahead of the first replica's, in microseconds; `None` until that is known.
    ahead: Option<i64>,
}

/// What the logs of replicas say about each other.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    of_log: HashMap<u32, usize>,
    by_name: HashMap<Box<str>, usize>,
    clocks: Vec<ReplicaClock>,
    /// The names of all replicas that a record mentions.
    named: BTreeSet<Box<str>>,
    /// Refusals: whose request, when, and in which log.
    pub(super) refused: Vec<(Who, i64, u32)>,
    pub(super) notes: ReplicaNotes,
}

impl Replicas {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.clocks.is_empty()
    }

    /// The replicas that take part according to the records of others, but whose logs were not given.
    pub(super) fn without_log(&self) -> Vec<&str> {
        self.named.iter().map(|name| &**name).filter(|name| !self.by_name.contains_key(*name)).collect()
    }

    /// Adds a record of a replica.
    pub(super) fn take(&mut self, name: &str, line: LineRef, record: &LogRecord<'_>) {
        let index = match self.of_log.get(&line.file) {
            Some(index) => *index,
            None => self.begin(name, line.file),
        };
        if record.event.ends_with("_broadcast")
            && !record.recovered
            && let Some(sequence) = record.sequence
        {
            self.clocks[index].broadcasts.push((sequence, record.at));
        }
        if let Some(of) = record.of_replica.as_deref()
            && !self.named.contains(of)
        {
            self.named.insert(of.into());
        }
        self.notes.take(name, line, record);
    }

    fn begin(&mut self, name: &str, log: u32) -> usize {
        let index = self.by_name.get(name).copied().unwrap_or_else(|| {
            self.clocks.push(ReplicaClock::default());
            self.by_name.insert(name.into(), self.clocks.len() - 1);
            self.clocks.len() - 1
        });
        self.of_log.insert(log, index);
        index
    }

    /// The name of the replica whose log this is.
    pub(super) fn name_of(&self, log: u32) -> Option<&str> {
        let index = self.of_log.get(&log)?;
        self.by_name.iter().find(|(_, of_name)| *of_name == index).map(|(name, _)| &**name)
    }

    /// How far the clock of a log's replica is ahead of the first replica's.
    pub(super) fn ahead(&self, log: u32) -> i64 {
        self.of_log.get(&log).and_then(|index| self.clocks.get(*index)?.ahead).unwrap_or(0)
    }

    /// The runs of each replica.
    pub(super) fn by_replica<'r>(&self, runs: &'r [ServiceRun]) -> Vec<Vec<&'r ServiceRun>> {
        let mut of_each = vec![Vec::new(); self.clocks.len()];
        for run in runs {
            if let Some(index) = self.of_log.get(&run.file) {
                of_each[*index].push(run);
            }
        }
        of_each
    }

    /// How many participants were checked for leaving when they should have, and the faults. The times of the runs are
    /// already by one clock.
    pub(super) fn farewells(
        &self,
        runs: &[ServiceRun],
        members: &HashMap<Who, (u64, Option<u64>)>,
    ) -> (u64, Vec<Farewell>) {
        self.notes.judge(|log| self.ahead(log), &self.by_replica(runs), members)
    }

    /// Compares the clocks. Returns when each event was first broadcast, by the clock of the first replica.
    pub(super) fn align(&mut self) -> HashMap<u64, i64> {
        let mut times: HashMap<u64, i64> = HashMap::default();
        for index in self.by_shared_events() {
            let clock = &mut self.clocks[index];
            // One event a second counts, so that many that were applied late at once count once.
            let (mut newest, mut apart) = (i64::MIN, Vec::new());
            for (sequence, at) in &clock.broadcasts {
                if let Some(known) = times.get(sequence)
                    && known.saturating_sub(newest) >= EVENT_MICROS
                {
                    newest = *known;
                    apart.push(at.saturating_sub(*known));
                }
            }
            // Without an event in common the offset is unknown, and the clocks are taken to agree.
            let ahead = where_closest(&mut apart).unwrap_or(0);
            clock.ahead = Some(ahead);
            for (sequence, at) in std::mem::take(&mut clock.broadcasts) {
                let at = at.saturating_sub(ahead);
                times.entry(sequence).and_modify(|known| *known = at.min(*known)).or_insert(at);
            }
        }
        times
    }

    /// The replicas in an order in which each has events in common with those before it, if there is such an order.
    fn by_shared_events(&self) -> Vec<usize> {
        let range = |index: &usize| {
            let sequences = self.clocks[*index].broadcasts.iter().map(|(sequence, _)| *sequence);
            (sequences.clone().min().unwrap_or(u64::MAX), sequences.max().unwrap_or(0))
        };
        let mut order: Vec<usize> = (0..self.clocks.len()).collect();
        order.sort_by_key(range);
        order
    }
}

/// The middle of the quarter of some numbers that lies closest together.
fn where_closest(numbers: &mut [i64]) -> Option<i64> {
    numbers.sort_unstable();
    let quarter = numbers.len().div_ceil(4).max(1);
    let width = |part: &&[i64]| part.last().zip(part.first()).map(|(last, first)| last.saturating_sub(*first));
    numbers.windows(quarter).min_by_key(width).map(|part| part[part.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_were_applied_late_do_not_count_v12_v15() {
        assert_eq!(where_closest(&mut []), None);
        assert_eq!(where_closest(&mut [7]), Some(7));
        let in_time = [1_000, 1_003, 1_001, 1_002, 1_004];
        let late = (1..=8).map(|second| 1_000 + second * 1_000_000);
        let mut apart: Vec<i64> = in_time.into_iter().chain(late).collect();
        assert!((1_000..=1_004).contains(&where_closest(&mut apart).unwrap()));
    }
}
