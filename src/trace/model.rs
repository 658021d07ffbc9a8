//! The causal model: what happened according to the records of all processes, each in its own order.
//!
//! The service's records become one [`LoggedJournal`] per epoch: e(1) … e(n), at 128 bytes an event and 30 to 60 more
//! for the index of its message id, without its text. The records of clients and pages become [`Step`]s of
//! [`LoggedSession`]s, in program order, one at a time: a step is checked and dropped, and a session keeps only what is
//! not settled yet.

mod clock;
mod event;
mod journal;
mod log;
mod session;
mod step;

pub use clock::ProcessClock;
pub use event::{LoggedEvent, Lookup, WallTime};
pub use journal::{Farewell, FarewellFault, Handed, LoggedJournal, ServiceRun, ServiceStart};
pub use log::{ClientLog, Queued};
pub use session::{ANSWER_MICROS, LoggedSession, Mark};
pub use step::{Act, DeliveryDetails, Step};

use foldhash::HashMap;

use super::record::{Component, LineRef, LogRecord};
use super::report::ClockReport;

/// The journals of all epochs, and the sessions of all logs.
#[derive(Debug, Default)]
pub struct Model {
    /// In the order in which they first appear.
    pub journals: Vec<LoggedJournal>,
    by_epoch: HashMap<Box<str>, usize>,
    /// The current journal of each log of the service.
    at: HashMap<u32, usize>,
    /// How many lost records of each log of the service may belong to the next journal in it.
    lost: HashMap<u32, u64>,
    /// All sessions: one for each participant in each file that is a log of its process.
    pub sessions: Vec<LoggedSession>,
    logs: HashMap<u32, ClientLog>,
    /// The journal of the last record, which is usually that of the next, too.
    last_epoch: usize,
}

impl Model {
    /// An empty model.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of the journal of an epoch, which is created if it is not known yet.
    pub fn journal(&mut self, epoch: &str) -> usize {
        if self.journals.get(self.last_epoch).is_some_and(|journal| *journal.epoch == *epoch) {
            return self.last_epoch;
        }
        self.last_epoch = self.by_epoch.get(epoch).copied().unwrap_or_else(|| {
            self.journals.push(LoggedJournal::new(epoch));
            self.by_epoch.insert(epoch.into(), self.journals.len() - 1);
            self.journals.len() - 1
        });
        self.last_epoch
    }

    /// Adds a record of the service. The file in `line` is the number of its log, as [`SharedFiles`] has it: a file may
    /// have the logs of several services.
    ///
    /// [`SharedFiles`]: crate::trace::shared::SharedFiles
    pub fn server(&mut self, line: LineRef, record: &LogRecord<'_>) {
        debug_assert_eq!(record.component, Component::Server);
        let epoch = record.epoch.as_deref();
        let Some(index) = epoch.map(|epoch| self.journal(epoch)).or_else(|| self.at.get(&line.file).copied())
        else {
            return;
        };
        let before = self.at.insert(line.file, index);
        let lost = if self.lost.is_empty() { None } else { self.lost.remove(&line.file) };
        if before != Some(index) {
            if let Some(before) = before {
                self.journals[before].process_ended(line.file);
            }
            if let Some(count) = lost {
                self.journals[index].lose(line.file, count);
            }
        }
        self.journals[index].take(line, record);
    }

    /// Notes that records of a log of the service were lost. It is not known which journal they belonged to: the last one
    /// in the log, or the next.
    pub fn lose(&mut self, log: u32, count: u64) {
        let lost = self.lost.entry(log).or_insert(0);
        *lost = lost.saturating_add(count);
        if let Some(index) = self.at.get(&log) {
            self.journals[*index].lose(log, count);
        }
    }

    /// Called when all records of the service have been added: compares the clocks of the service.
    pub fn service_is_read(&mut self) {
        self.journals.iter_mut().for_each(LoggedJournal::align);
    }

    /// Adds a record of a client or page, and returns its step. The caller [settles](Self::settle) the step once it has
    /// been checked: until then the session is as it was before.
    pub fn client<'r>(&mut self, line: LineRef, record: &'r LogRecord<'_>) -> Step<'r> {
        let journal = record.epoch.as_deref().map(|epoch| self.journal(epoch));
        self.logs.entry(line.file).or_default().step(&mut self.sessions, journal, line, record)
    }

    /// Applies the step to its session and log.
    pub fn settle(&mut self, step: &Step<'_>) {
        if let Some(session) = step.session {
            self.sessions[session].settle(step);
        }
        self.logs.entry(step.line.file).or_default().settle(&mut self.sessions, step);
    }

    /// The log in a file, as it was before the step that is being checked.
    pub fn log(&self, file: u32) -> Option<&ClientLog> {
        self.logs.get(&file)
    }

    /// A time in a record, converted to the service's clock as far as the messages show the offset.
    pub fn by_service(&self, line: LineRef, at: i64) -> i64 {
        self.clock(line).map_or(at, |clock| at.saturating_sub(clock.offset()))
    }

    /// The clocks of all processes of participants.
    pub fn clocks(&self) -> Vec<ClockReport> {
        let mut titles: HashMap<(u32, u32), String> = HashMap::default();
        for session in &self.sessions {
            if let Some(clock) = self.clock(session.begins) {
                titles.entry((session.file, clock.first_line)).or_insert_with(|| session.title());
            }
        }
        let report = |file: u32, clock: &ProcessClock| {
            let title = titles.get(&(file, clock.first_line)).cloned().unwrap_or_default();
            let (least, most) = clock.bounds();
            ClockReport { file, first_line: clock.first_line, title, least, most, is_steady: clock.is_steady() }
        };
        let mut clocks: Vec<_> = self
            .logs
            .iter()
            .flat_map(|(file, log)| log.processes.iter().map(|clock| report(*file, clock)))
            .collect();
        clocks.sort_unstable_by_key(|clock| (clock.file, clock.first_line));
        clocks
    }

    /// The machine clock of the process that made a record.
    pub fn clock(&self, line: LineRef) -> Option<&ProcessClock> {
        let processes = &self.logs.get(&line.file)?.processes;
        let after = processes.partition_point(|process| process.first_line <= line.line);
        processes.get(after.checked_sub(1)?)
    }

    /// Whether some machine's clock was set back while a process ran there.
    pub fn is_set_back(&self) -> bool {
        self.logs.values().flat_map(|log| &log.processes).any(|process| process.set_back)
    }

    /// Whether some machine's clock cannot be compared with the service's.
    pub fn is_unsteady(&self) -> bool {
        self.logs.values().flat_map(|log| &log.processes).any(|process| !process.is_steady())
    }

    /// Notes that the process of the newest record of a file sent something that the service recorded.
    pub fn sent(&mut self, file: u32, at: i64, recorded: i64) {
        if let Some(clock) = self.logs.entry(file).or_default().processes.last_mut() {
            clock.sent(at, recorded);
        }
    }

    /// Notes that the process of the newest record of a file received something that the service recorded.
    pub fn received(&mut self, file: u32, at: i64, recorded: i64) {
        if let Some(clock) = self.logs.entry(file).or_default().processes.last_mut() {
            clock.received(at, recorded);
        }
    }

    /// The journal that a session belongs to.
    pub fn journal_of(&self, session: &LoggedSession) -> &LoggedJournal {
        &self.journals[session.journal]
    }

    /// Notes that the last line of a log of the service is cut off, or that lines are missing in it.
    pub fn torn(&mut self, log: u32) {
        if let Some(index) = self.at.get(&log) {
            self.journals[*index].tear(log);
        }
    }
}
