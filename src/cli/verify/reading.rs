//! Reads logs into the checker: the service's records first, and then those of the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::common::progress::Progress;
use crate::log::reading::{self, Log, LogError, RecordSink};
use crate::trace::record::{Component, LineRef, LogRecord};
use crate::trace::report::Report;
use crate::trace::verify::Checker;

const MEGABYTE: u64 = 1_000_000;

/// What comes of reading logs.
pub(super) struct Read {
    pub(super) report: Report,
    /// The lines that are cut off.
    pub(super) torn: BTreeSet<LineRef>,
    /// How many records each log has.
    pub(super) records: Vec<u64>,
    /// The logs that are left out, since the records of several processes are mixed up in them and do not say of which
    /// they are: the first record that is of another than those before it.
    pub(super) left_out: BTreeMap<u32, LineRef>,
}

/// Reads all of them that can be used.
pub(super) fn check(logs: &[Log]) -> Result<Read, LogError> {
    let (mut mixed, mut left_out) = (BTreeSet::new(), BTreeMap::new());
    loop {
        let pass = read(logs, mixed.clone(), &left_out)?;
        if let Some(line) = pass.interleaved {
            left_out.insert(line.file, line);
            if left_out.len() < logs.len() {
                continue;
            }
            let (path, line) = logs[line.file as usize].place(line.line);
            return Err(LogError::Interleaved { path: path.to_owned(), line });
        }
        if pass.late.is_empty() {
            let Pass { checker, torn, records, .. } = pass;
            return Ok(Read { report: checker.finish(), torn, records, left_out });
        }
        mixed = &pass.mixed | &pass.late;
    }
}

/// Reads all of them. A file may hold the records of several processes, and of the service among them: if so it
/// is read for each.
fn read(logs: &[Log], mixed: BTreeSet<u32>, left_out: &BTreeMap<u32, LineRef>) -> Result<Pass, LogError> {
    let mut pass = Pass::new(mixed, logs);
    for of_service in [true, false] {
        let wanted =
            |log: &&Log| pass.mixed.contains(&log.number) || (log.component == Component::Server) == of_service;
        let is_left = |log: &&Log| !left_out.contains_key(&log.number);
        let wanted: Vec<_> = logs.iter().filter(is_left).filter(wanted).collect();
        pass.of_service = of_service;
        reading::read(&wanted, &mut pass)?;
        if pass.interleaved.is_some() {
            break;
        }
        pass.read_before = pass.read;
    }
    Ok(pass)
}

/// What comes of reading.
struct Pass {
    checker: Checker,
    torn: BTreeSet<LineRef>,
    records: Vec<u64>,
    of_service: bool,
    /// Files with the records of the service and of others.
    mixed: BTreeSet<u32>,
    /// Files that began as another's, and then had records of the service, which have to come first.
    late: BTreeSet<u32>,
    /// A record that belongs to another process than the records before it.
    interleaved: Option<LineRef>,
    progress: Progress,
    read: u64,
    read_before: u64,
}

impl Pass {
    fn new(mixed: BTreeSet<u32>, logs: &[Log]) -> Self {
        let bytes: u64 = logs.iter().map(Log::bytes).sum();
        Self {
            checker: Checker::new(),
            torn: BTreeSet::new(),
            records: vec![0; logs.len()],
            of_service: true,
            mixed,
            late: BTreeSet::new(),
            interleaved: None,
            progress: Progress::of("read", bytes / MEGABYTE, "MB"),
            read: 0,
            read_before: 0,
        }
    }
}

impl RecordSink for Pass {
    fn record(&mut self, line: LineRef, record: &LogRecord<'_>) -> bool {
        let of_service = record.component == Component::Server;
        if of_service == self.of_service {
            self.records[line.file as usize] += 1;
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
        self.progress.reached(self.read / MEGABYTE);
    }
}
