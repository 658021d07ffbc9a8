//! Reads logs into the checker: the service's records first, and then those of the others.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::logs::{self, LogError, Sink};
use crate::cli::progress::Progress;
use crate::trace::record::{Component, LineRef, Record};
use crate::trace::report::Report;
use crate::trace::verify::Checker;

const MEGABYTE: u64 = 1_000_000;

/// What is to be read.
pub(super) struct Reading<'a> {
    logs: Vec<(u32, &'a Path)>,
    components: Vec<Component>,
}

impl<'a> Reading<'a> {
    /// Looks into each of the files.
    pub(super) fn of(logs: &'a [PathBuf]) -> Result<Self, LogError> {
        let logs: Vec<_> = (0..).zip(logs.iter().map(PathBuf::as_path)).collect();
        let components = logs.iter().map(|(_, path)| logs::component(path)).collect::<Result<_, _>>()?;
        Ok(Self { logs, components })
    }

    /// Reads all of them. Answers also with the lines that are cut off.
    pub(super) fn finish(self) -> Result<(Report, BTreeSet<LineRef>), LogError> {
        let mut mixed = BTreeSet::new();
        loop {
            let pass = self.read(mixed)?;
            if pass.late.is_empty() {
                return Ok((pass.checker.finish(), pass.torn));
            }
            mixed = &pass.mixed | &pass.late;
        }
    }

    /// Reads all of them. A file may hold the records of several processes, and of the service among them: if
    /// so it is read for each.
    fn read(&self, mixed: BTreeSet<u32>) -> Result<Pass, LogError> {
        let mut pass = Pass::new(mixed, self.bytes());
        for of_service in [true, false] {
            let wanted = |(file, _): &&(u32, &Path)| {
                pass.mixed.contains(file) || (self.components[*file as usize] == Component::Server) == of_service
            };
            let files: Vec<_> = self.logs.iter().filter(wanted).copied().collect();
            pass.of_service = of_service;
            logs::read(&files, &mut pass)?;
            if let Some(line) = pass.misfit {
                let path = self.logs[line.file as usize].1.to_owned();
                return Err(LogError::Interleaved { path, line: line.line });
            }
            pass.read_before = pass.read;
        }
        Ok(pass)
    }

    fn bytes(&self) -> u64 {
        self.logs.iter().map(|(_, path)| fs::metadata(path).map_or(0, |file| file.len())).sum()
    }
}

/// What comes of reading.
struct Pass {
    checker: Checker,
    torn: BTreeSet<LineRef>,
    of_service: bool,
    /// Files with the records of the service and of others.
    mixed: BTreeSet<u32>,
    /// Files that began as another's, and then had records of the service, which have to come first.
    late: BTreeSet<u32>,
    /// A record that has no place in the order of its file.
    misfit: Option<LineRef>,
    progress: Progress,
    read: u64,
    read_before: u64,
}

impl Pass {
    fn new(mixed: BTreeSet<u32>, bytes: u64) -> Self {
        Self {
            checker: Checker::new(),
            torn: BTreeSet::new(),
            of_service: true,
            mixed,
            late: BTreeSet::new(),
            misfit: None,
            progress: Progress::of("read", bytes / MEGABYTE, "MB"),
            read: 0,
            read_before: 0,
        }
    }
}

impl Sink for Pass {
    fn record(&mut self, line: LineRef, record: &Record<'_>) -> bool {
        let of_service = record.component == Component::Server;
        if of_service == self.of_service {
            let fits = self.checker.take(line, record).is_ok();
            self.misfit = (!fits).then_some(line);
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
