//! Reads logs into the checker: the service's records first, and then those of the others.

use std::collections::{BTreeMap, BTreeSet};

use super::scope::Runs;
use super::{Progress, VerifyError};
use crate::log::reading::{self, Log, LogError, RecordSink};
use crate::trace::record::{Component, LineRef, LogRecord};
use crate::trace::report::Report;
use crate::trace::verify::Checker;

/// The result of reading logs.
pub(super) struct Read {
    pub(super) report: Report,
    /// The lines that are cut off.
    pub(super) torn: BTreeSet<LineRef>,
    /// How many records each log has.
    pub(super) records: Vec<u64>,
    /// The logs that are left out because the records of several processes are mixed in them without a run; each with the
    /// first record that belongs to another process than those before it.
    pub(super) left_out: BTreeMap<u32, LineRef>,
    /// The lines that were taken, if `runs` limited them; otherwise empty.
    pub(super) taken: Vec<LineRef>,
}

/// Reads all logs that can be used; with `runs`, only the records of these.
pub(super) fn check(logs: &[Log], runs: Option<&Runs>, progress: &mut dyn Progress) -> Result<Read, VerifyError> {
    let (mut mixed, mut left_out) = (BTreeSet::new(), BTreeMap::new());
    loop {
        let pass = read(logs, ReadingState::new(mixed.clone(), logs, runs, &mut *progress), &left_out)?;
        if pass.stopped {
            return Err(VerifyError::Stopped);
        }
        if let Some(line) = pass.interleaved {
            left_out.insert(line.file, line);
            if left_out.len() < logs.len() {
                continue;
            }
            let (path, line) = logs[line.file as usize].place(line.line);
            return Err(LogError::Interleaved { path: path.to_owned(), line }.into());
        }
        if pass.late.is_empty() {
            let ReadingState { checker, torn, records, taken, .. } = pass;
            return Ok(Read { report: checker.finish(), torn, records, left_out, taken });
        }
        mixed = &pass.mixed | &pass.late;
    }
}

/// Reads all logs once. A file that holds the records of the service and of other processes is read twice, once for each
/// kind.
fn read<'a>(
    logs: &[Log],
    mut pass: ReadingState<'a>,
    left_out: &BTreeMap<u32, LineRef>,
) -> Result<ReadingState<'a>, LogError> {
    for of_service in [true, false] {
        let wanted =
            |log: &&Log| pass.mixed.contains(&log.number) || (log.component == Component::Server) == of_service;
        let is_left = |log: &&Log| !left_out.contains_key(&log.number);
        let wanted: Vec<_> = logs.iter().filter(is_left).filter(wanted).collect();
        pass.of_service = of_service;
        reading::read(&wanted, &mut pass)?;
        if pass.interleaved.is_some() || pass.stopped {
            break;
        }
        pass.read_before = pass.read;
    }
    Ok(pass)
}

/// The state of one reading of all logs.
struct ReadingState<'a> {
    /// Whose records are taken; `None` for all.
    runs: Option<&'a Runs>,
    taken: Vec<LineRef>,
    checker: Checker,
    torn: BTreeSet<LineRef>,
    records: Vec<u64>,
    of_service: bool,
    /// Files with the records of the service and of others.
    mixed: BTreeSet<u32>,
    /// Files that began with another process's records, and then had records of the service, which have to come first.
    late: BTreeSet<u32>,
    /// A record that belongs to another process than the records before it.
    interleaved: Option<LineRef>,
    progress: &'a mut dyn Progress,
    stopped: bool,
    read: u64,
    read_before: u64,
}

impl<'a> ReadingState<'a> {
    fn new(mixed: BTreeSet<u32>, logs: &[Log], runs: Option<&'a Runs>, progress: &'a mut dyn Progress) -> Self {
        progress.begin(logs.iter().map(Log::bytes).sum());
        Self {
            runs,
            taken: Vec::new(),
            checker: Checker::new(),
            torn: BTreeSet::new(),
            records: vec![0; logs.len()],
            of_service: true,
            mixed,
            late: BTreeSet::new(),
            interleaved: None,
            progress,
            stopped: false,
            read: 0,
            read_before: 0,
        }
    }
}

impl RecordSink for ReadingState<'_> {
    fn record(&mut self, line: LineRef, record: &LogRecord<'_>) -> bool {
        if self.stopped || self.runs.is_some_and(|runs| !runs.have(line, record)) {
            return !self.stopped;
        }
        let of_service = record.component == Component::Server;
        if of_service == self.of_service {
            self.records[line.file as usize] += 1;
            if self.runs.is_some() {
                self.taken.push(line);
            }
            let fits = self.checker.take(line, record).is_ok();
            self.interleaved = (!fits).then_some(line);
            return fits;
        }
        if self.of_service {
            self.mixed.insert(line.file);
        } else if !self.mixed.contains(&line.file) {
            self.late.insert(line.file);
        }
        true
    }

    fn torn(&mut self, line: LineRef) {
        if self.torn.insert(line) {
            self.checker.torn(line.file);
        }
    }

    fn at(&mut self, bytes: u64) {
        self.read = self.read_before + bytes;
        self.stopped |= !self.progress.at(self.read);
    }
}
