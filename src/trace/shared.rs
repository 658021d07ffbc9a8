//! The logs of services in files that several services or replicas wrote (G4). Each counts as a log of its own, as if it
//! had been in another file.

use foldhash::HashMap;

use super::record::{LineRef, LogRecord, digest};

/// The logs in all files of services.
#[derive(Debug, Default)]
pub(super) struct SharedFiles {
    of_file: HashMap<u32, SharedFile>,
    numbers: LogNumbers,
    /// The writer of the last record, and its log: usually it wrote the next, too.
    last: Option<(u32, WrittenBy, u32)>,
}

/// The files of the logs whose number is not that of their file. They are numbered from the greatest number downwards.
#[derive(Debug, Default)]
struct LogNumbers {
    files: Vec<u32>,
}

/// The logs in one file. The number of its first log is that of the file.
#[derive(Debug, Default)]
struct SharedFile {
    logs: Vec<ServiceLog>,
    /// The log of each run, by a number that stands for the run's id.
    runs: HashMap<u64, u32>,
    /// The log of the last record.
    last: Option<u32>,
    /// The numbers of logs of which only a loss is known yet, by run; 0 if the record of the loss has none.
    only_lost: HashMap<u64, u32>,
}

/// One replica, or one service without replicas, with one journal.
#[derive(Debug)]
struct ServiceLog {
    replica: Box<str>,
    epoch: Box<str>,
    number: u32,
}

/// What a record states of its writer.
#[derive(Debug, PartialEq, Eq)]
struct WrittenBy {
    run: Box<str>,
    epoch: Box<str>,
}

impl SharedFiles {
    /// The place of a record, with the number of its log instead of its file.
    pub(super) fn in_log(&mut self, line: LineRef, record: &LogRecord<'_>) -> LineRef {
        let (run, epoch) = (LogRecord::text(&record.run), LogRecord::text(&record.epoch));
        if let Some((file, writer, log)) = &self.last
            && (*file, &*writer.run, &*writer.epoch) == (line.file, run, epoch)
            && !run.is_empty()
        {
            return LineRef { file: *log, ..line };
        }
        let of_file = self.of_file.entry(line.file).or_default();
        let log = of_file.log(&mut self.numbers, line.file, record);
        of_file.last = Some(log);
        self.last = Some((line.file, WrittenBy { run: run.into(), epoch: epoch.into() }, log));
        LineRef { file: log, ..line }
    }

    /// The logs that a record of lost records may be about. A run that is not known yet may be that of any log, or of one
    /// that begins after the loss.
    pub(super) fn with_loss(&mut self, line: LineRef, record: &LogRecord<'_>) -> Vec<u32> {
        let of_file = self.of_file.entry(line.file).or_default();
        let run = run_of(record);
        if let Some(log) = of_file.runs.get(&run) {
            return vec![*log];
        }
        let replica = record.replica.as_deref();
        let may_be = |log: &&ServiceLog| replica.is_none_or(|name| *log.replica == *name);
        let mut logs: Vec<u32> = of_file.logs.iter().filter(may_be).map(|log| log.number).collect();
        let is_first = of_file.logs.is_empty() && of_file.only_lost.is_empty();
        let numbers = &mut self.numbers;
        logs.push(*of_file.only_lost.entry(run).or_insert_with(|| numbers.next(line.file, is_first)));
        self.last = None;
        logs
    }

    /// The same place, with the number of its file.
    pub(super) fn in_file(&self, line: LineRef) -> LineRef {
        let file = self.numbers.files.get((u32::MAX - line.file) as usize).copied();
        LineRef { file: file.unwrap_or(line.file), ..line }
    }

    /// The numbers of all logs in a file.
    pub(super) fn logs_in(&self, file: u32) -> impl Iterator<Item = u32> {
        self.of_file.get(&file).into_iter().flat_map(|of_file| &of_file.logs).map(|log| log.number)
    }
}

impl LogNumbers {
    fn next(&mut self, file: u32, is_first: bool) -> u32 {
        if is_first {
            return file;
        }
        self.files.push(file);
        u32::MAX - (self.files.len() - 1) as u32
    }
}

impl SharedFile {
    fn log(&mut self, numbers: &mut LogNumbers, file: u32, record: &LogRecord<'_>) -> u32 {
        let (replica, run) = (LogRecord::text(&record.replica), run_of(record));
        let Some(epoch) = record.epoch.as_deref() else {
            // A record that names no journal is about that of its run or, without a run, of the line before it.
            let of_run = self.runs.get(&run).copied().or(self.last);
            return of_run.unwrap_or(file);
        };
        let of = |epoch: &str| self.logs.iter().position(|log| (&*log.replica, &*log.epoch) == (replica, epoch));
        // The service whose journal turned out to be an older copy continues under another epoch.
        let known = of(epoch).or_else(|| of(record.previous_epoch.as_deref()?));
        let number = match known.map(|known| &mut self.logs[known]) {
            Some(log) => {
                if *log.epoch != *epoch {
                    log.epoch = epoch.into();
                }
                log.number
            }
            None => {
                let is_first = self.logs.is_empty() && self.only_lost.is_empty();
                let only_lost = self.only_lost.remove(&run).or_else(|| self.only_lost.remove(&0));
                let number = only_lost.unwrap_or_else(|| numbers.next(file, is_first));
                self.logs.push(ServiceLog { replica: replica.into(), epoch: epoch.into(), number });
                number
            }
        };
        self.only_lost.remove(&0);
        if run != 0 {
            self.runs.insert(run, number);
        }
        number
    }
}

/// A number that stands for the run of a record, 0 if it has none.
fn run_of(record: &LogRecord<'_>) -> u64 {
    record.run.as_deref().map_or(0, digest)
}
