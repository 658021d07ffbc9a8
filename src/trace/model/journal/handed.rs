//! Which events the service handed to streams, by its own records, and when those streams were open.

use foldhash::HashMap;

use crate::trace::record::{LineRef, Who};

use crate::trace::model::event::{LoggedConnection, WallTime};

/// How many batches for ended streams are kept. More would show nothing new.
const AFTER_END_MAX: usize = 64;

/// A range of events that was handed to a stream.
#[derive(Clone, Copy, Debug)]
pub struct Handed {
    pub line: LineRef,
    /// When that record was made, in microseconds since 1970.
    pub at: i64,
    /// The first event in it.
    pub first: u64,
    /// The last event in it.
    pub last: u64,
}

/// Of all ranges that were handed to one participant, the one that begins first and the one that ends last.
#[derive(Clone, Copy, Debug)]
struct HandedRange {
    first: Handed,
    last: Handed,
}

/// The connections of the participants of one journal, and what was handed to them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// The newest of each participant. With replicas it is the newest in each log, until the clocks of all logs are known.
    of: HashMap<(u32, Who), LoggedConnection>,
    handed: HashMap<Who, HandedRange>,
    /// What was handed to streams that had ended, with the records of their ends.
    pub(super) after_end: Vec<(Who, Handed, LineRef)>,
    /// How many processes have ended in each log of the service.
    processes: HashMap<u32, usize>,
    /// Whether replicas have recorded them: each has connections of its own.
    of_replicas: bool,
}

impl Connections {
    pub(super) fn process_ended(&mut self, log: u32) {
        *self.processes.entry(log).or_insert(0) += 1;
    }

    /// The current process in a log, counted from 0.
    fn process(&self, log: u32) -> usize {
        self.processes.get(&log).copied().unwrap_or(0)
    }

    pub(super) fn start_of_replica(&mut self) {
        self.of_replicas = true;
    }

    pub(super) fn of(&self, who: Who) -> Option<&LoggedConnection> {
        self.of.get(&self.key(0, who))
    }

    fn key(&self, file: u32, who: Who) -> (u32, Who) {
        (if self.of_replicas { file } else { 0 }, who)
    }

    /// Called when all connections are known: of a participant's connections at several replicas, the newest counts.
    /// `ahead` returns how far the clock of a file is ahead.
    pub(super) fn align(&mut self, ahead: impl Fn(u32) -> i64) {
        self.of_replicas = false;
        for ((_, who), mut connection) in std::mem::take(&mut self.of) {
            let ahead = ahead(connection.line.file);
            connection.began = connection.began.saturating_sub(ahead);
            if let Some(ended) = &mut connection.ended {
                ended.at = ended.at.saturating_sub(ahead);
            }
            let newest = self.of.entry((0, who)).or_insert(connection);
            if newest.began < connection.began {
                *newest = connection;
            }
        }
    }

    /// A stream begins after a position.
    pub(super) fn begin(&mut self, line: LineRef, at: i64, who: Who, after: u64) {
        let process = self.process(line.file);
        let mut connection = LoggedConnection { began: at, line, open: 1, ended: None, process, handed: after };
        let key = self.key(line.file, who);
        let known = self.of.get(&key);
        // At the boundary of two files, the record of an end may be missing.
        let is_whole = |known: &&LoggedConnection| known.process == process && known.line.file == line.file;
        let before = known.filter(is_whole);
        if let Some(before) = before {
            connection.open = before.open.saturating_add(1);
        }
        // In one file the order of the lines counts, even if the clock was set back.
        if before.is_some() || known.is_none_or(|known| known.began <= at) {
            self.of.insert(key, connection);
        }
    }

    /// A stream ends. Returns whether it was the participant's last.
    pub(super) fn end(&mut self, line: LineRef, at: i64, who: Who) -> bool {
        let Some(connection) = self.of.get_mut(&self.key(line.file, who)) else { return false };
        // A copy of the log may repeat the end of an earlier one.
        if connection.line.file != line.file && at < connection.began {
            return false;
        }
        connection.open = connection.open.saturating_sub(1);
        if connection.open == 0 {
            connection.ended = Some(WallTime { at, line });
        }
        connection.open == 0
    }

    /// A batch was handed over.
    pub(super) fn batch(&mut self, who: Who, batch: Handed) {
        let range = self.handed.entry(who).or_insert(HandedRange { first: batch, last: batch });
        if batch.first < range.first.first {
            range.first = batch;
        }
        if batch.last > range.last.last {
            range.last = batch;
        }
        let process = self.process(batch.line.file);
        let Some(connection) = self.of.get_mut(&self.key(batch.line.file, who)) else { return };
        connection.handed = connection.handed.max(batch.last);
        // The beginning, the end and the batch must be in one file and of one process. Otherwise the record of another
        // stream may be missing.
        let is_whole = connection.process == process && connection.line.file == batch.line.file;
        let ended = connection.ended.filter(|ended| is_whole && ended.line.file == batch.line.file);
        if let Some(ended) = ended.filter(|_| self.after_end.len() < AFTER_END_MAX) {
            self.after_end.push((who, batch, ended.line));
        }
    }

    /// What was handed to participants before their join, after their leave, or beyond the end of a journal that has one.
    pub(super) fn strayed(
        &self,
        members: &HashMap<Who, (u64, Option<u64>)>,
        end: Option<u64>,
    ) -> Vec<(Who, Handed)> {
        let mut strayed = Vec::new();
        for (who, range) in &self.handed {
            let (joined, left) = members.get(who).copied().unwrap_or((0, None));
            let (first, last) = (range.first, range.last);
            let after = left.is_some_and(|left| last.last >= left) || end.is_some_and(|end| last.last > end);
            strayed.extend((first.first < joined).then_some((*who, first)));
            strayed.extend((after && (first.line != last.line || first.first >= joined)).then_some((*who, last)));
        }
        strayed.sort_unstable_by_key(|(_, handed)| handed.line);
        strayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who = Who(3);

    /// Takes the steps of one participant: in which file, when, and what. Returns how many batches came after the end.
    fn after_end(steps: &[(u32, i64, &str)]) -> usize {
        let mut connections = Connections::default();
        for ((file, at, what), number) in steps.iter().zip(1..) {
            let (line, at) = (LineRef { file: *file, line: number }, *at);
            match *what {
                "begin" => connections.begin(line, at, WHO, 0),
                "end" => _ = connections.end(line, at, WHO),
                _ => connections.batch(WHO, Handed { line, at, first: 1, last: 1 }),
            }
        }
        connections.after_end.len()
    }

    #[test]
    fn what_is_handed_to_a_stream_after_its_end_is_found_v9() {
        assert_eq!(after_end(&[(0, 1, "begin"), (0, 2, "end"), (0, 3, "batch")]), 1);
        assert_eq!(after_end(&[(0, 1, "begin"), (0, 2, "batch"), (0, 3, "end")]), 0);
        assert_eq!(after_end(&[(0, 1, "begin"), (0, 2, "begin"), (0, 3, "end"), (0, 4, "batch")]), 0);
    }

    #[test]
    fn a_copy_of_the_log_or_a_clock_set_back_is_no_violation_v9() {
        let copied = [(0, 7, "begin"), (1, 2, "end"), (1, 3, "begin"), (1, 4, "batch")];
        assert_eq!(after_end(&copied), 0, "the rest of a log, after a copy that has more");
        let two = [(0, 1, "begin"), (0, 2, "begin"), (0, 3, "end"), (1, 3, "end"), (1, 4, "batch")];
        assert_eq!(after_end(&two), 0, "two copies have the same end, and another stream is open");
        let set_back = [(0, 11, "begin"), (0, 12, "end"), (0, 2, "begin"), (0, 3, "batch")];
        assert_eq!(after_end(&set_back), 0, "a clock that was set back");
        let set_back = [(0, 11, "begin"), (0, 2, "end"), (0, 3, "batch")];
        assert_eq!(after_end(&set_back), 1, "wrong even so");
    }
}
