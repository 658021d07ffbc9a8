//! The runs of the service: what its log has from one start to the next. They may be given in any order, and a file may
//! begin or end in the middle of one.

use crate::trace::record::{LineRef, LogRecord};

use crate::trace::model::event::Irregular;

/// Clock jitter below this is ignored, in microseconds.
pub(super) const STEP_MICROS: i64 = 100_000;
/// How far records of one process may be out of order, in microseconds: each has the time at which it was begun.
pub(super) const JITTER_MICROS: i64 = 1_000_000;

/// The limits that a start of the service states, in microseconds. Logs of version 1 do not state them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// How long a participant whose stream broke may take to resume.
    pub grace: Option<i64>,
    /// How long a stream may accept nothing before it is closed.
    pub stall: Option<i64>,
}

impl Settings {
    pub(super) fn of(record: &LogRecord<'_>) -> Self {
        let micros = |milliseconds: Option<u64>| {
            milliseconds.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000))
        };
        Self { grace: micros(record.grace_ms), stall: micros(record.stall_ms) }
    }
}

/// A process of the service that continued this journal.
#[derive(Clone, Copy, Debug)]
pub struct ServiceStart {
    pub line: LineRef,
    /// When that was, in microseconds since 1970.
    pub at: i64,
    /// The last event that it found.
    pub sequence: u64,
    pub logical_time: u64,
    pub settings: Settings,
}

/// The records of one log, from a start of the service, or the beginning of the log, to the next start.
#[derive(Debug, Default)]
pub struct ServiceRun {
    /// The number of the log.
    pub file: u32,
    /// Its first line there.
    first_line: u32,
    /// Its start, if the log has it.
    pub start: Option<ServiceStart>,
    /// When its first record was made.
    pub begins: i64,
    /// When its last record was made. If the clock was set back, an earlier one has a later time.
    pub ends: i64,
    pub last_line: LineRef,
    /// The first event in it.
    pub first: Option<u64>,
    /// The last event in it, with its record.
    pub last: Option<(u64, LineRef)>,
    /// The newest event that it mentions, in its start, its last broadcast or its end. `None` if the log begins in the
    /// middle of a run and no record says how far the journal was by then.
    pub newest: Option<u64>,
    /// The least sequence that may come next; `None` before the first one in a log that begins in the middle of a run.
    next: Option<u64>,
    /// How many records it reports as lost since the last one that says how far the journal is.
    lost: u64,
    /// Whether it reports any loss.
    pub has_hole: bool,
    /// Whether it ended in an orderly way, so that no event of it is missing at its end.
    pub stopped: bool,
    /// When the service began to stop.
    pub stopping: Option<i64>,
    /// Whether it records what it hands to streams: its start says so, or it did. Older logs do not say so.
    pub tells_deliveries: bool,
    /// Whether it has only events that were recorded afterwards: a replica records before its start what it missed.
    pub is_copy: bool,
}

impl ServiceRun {
    pub(super) fn new(line: LineRef, record: &LogRecord<'_>) -> Self {
        let (file, first_line, last_line) = (line.file, line.line, line);
        let (begins, ends, is_copy) = (record.at, record.at, record.recovered);
        Self { file, first_line, last_line, begins, ends, is_copy, ..Self::default() }
    }

    pub(super) fn started(line: LineRef, record: &LogRecord<'_>) -> Self {
        let (sequence, logical_time) = (record.sequence.unwrap_or(0), record.logical_time.unwrap_or(0));
        let settings = Settings::of(record);
        let start = ServiceStart { line, at: record.at, sequence, logical_time, settings };
        let (newest, next) = (Some(sequence), Some(sequence.saturating_add(1)));
        let tells_deliveries = record.logs_deliveries;
        Self { start: Some(start), newest, next, tells_deliveries, ..Self::new(line, record) }
    }

    /// Its place in the order of all runs: by the last event that it found in the journal, as far as its records show,
    /// then by time.
    pub fn place(&self) -> (u64, i64) {
        let found = self.start.map(|start| start.sequence).or(self.first.map(|first| first.saturating_sub(1)));
        (found.or(self.newest).unwrap_or(0), self.begins)
    }

    /// Notes that an event was broadcast. Returns what is wrong if another event was due.
    pub(super) fn broadcast(&mut self, line: LineRef, at: i64, stated: u64) -> Option<Irregular> {
        let expected = self.next.unwrap_or(stated);
        let before = self.last.map(|(_, line)| line);
        let has_room = stated >= expected && stated - expected <= self.lost;
        self.first.get_or_insert(stated);
        (self.last, self.newest) = (Some((stated, line)), Some(stated));
        (self.next, self.lost) = (Some(stated.saturating_add(1)), 0);
        (stated != expected && !has_room).then_some(Irregular { line, before, expected, stated, at })
    }

    /// Whether an event that its log has already comes again, as it does if a replica lost what it knew of that log.
    pub(super) fn is_repeated(&self, stated: u64) -> bool {
        self.next.is_some_and(|next| stated < next)
    }

    /// Whether a record, of this run or an earlier one in the log, is of this run.
    pub(super) fn has(&self, line: LineRef) -> bool {
        line.file == self.file && line.line >= self.first_line
    }

    /// Whether its last record has a later time than the next one, as if the clock was set back in between.
    pub(super) fn is_later_than(&self, next: &LogRecord<'_>) -> bool {
        next.at < self.ends.saturating_sub(JITTER_MICROS)
    }

    /// Notes a record of it.
    pub(super) fn take(&mut self, line: LineRef, record: &LogRecord<'_>) {
        self.last_line = line;
        // A recovered record was made by the next start, after this run had ended.
        if !record.recovered {
            (self.ends, self.is_copy) = (record.at, false);
        }
    }

    /// Corrects its times for a clock that is ahead by `ahead` microseconds.
    pub(super) fn shift(&mut self, ahead: i64) {
        let times = [&mut self.begins, &mut self.ends].into_iter().chain(self.stopping.as_mut());
        for time in times.chain(self.start.as_mut().map(|start| &mut start.at)) {
            *time = time.saturating_sub(ahead);
        }
    }

    /// `count` records of it were lost.
    pub(super) fn lose(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
        self.has_hole = true;
    }

    /// Whether records at its end are lost, so that it may have had events without a record.
    pub(super) fn has_lost(&self) -> bool {
        self.lost > 0
    }
}
