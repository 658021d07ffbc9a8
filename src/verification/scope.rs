//! Which processes took part in one epoch: a folder also keeps the logs of earlier epochs.

use std::collections::HashSet;

use super::{Progress, VerifyError};
use crate::log::reading::{self, Log, RecordSink};
use crate::trace::record::{LineRef, LogRecord};

/// The processes of an epoch.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: HashSet<Box<str>>,
    /// The logs that name the epoch in records without a run. Logs of version 1 have no runs.
    files: HashSet<u32>,
}

impl Runs {
    /// Finds the processes whose records name an epoch.
    pub(super) fn of(epoch: &str, logs: &[Log], progress: &mut dyn Progress) -> Result<Self, VerifyError> {
        progress.begin(logs.iter().map(Log::bytes).sum());
        let mut finding = Finding { epoch, runs: Self::default(), progress, stopped: false };
        reading::read(&logs.iter().collect::<Vec<_>>(), &mut finding)?;
        if finding.stopped { Err(VerifyError::Stopped) } else { Ok(finding.runs) }
    }

    /// Whether a record is of one of these processes.
    pub(super) fn have(&self, line: LineRef, record: &LogRecord<'_>) -> bool {
        match record.run.as_deref() {
            Some(run) => self.runs.contains(run),
            None => self.files.contains(&line.file),
        }
    }
}

struct Finding<'a> {
    epoch: &'a str,
    runs: Runs,
    progress: &'a mut dyn Progress,
    stopped: bool,
}

impl RecordSink for Finding<'_> {
    fn record(&mut self, line: LineRef, record: &LogRecord<'_>) -> bool {
        if record.epoch.as_deref() == Some(self.epoch) && !self.runs.have(line, record) {
            match record.run.as_deref() {
                Some(run) => drop(self.runs.runs.insert(run.into())),
                None => drop(self.runs.files.insert(line.file)),
            }
        }
        !self.stopped
    }

    fn at(&mut self, bytes: u64) {
        self.stopped |= !self.progress.at(bytes);
    }
}
