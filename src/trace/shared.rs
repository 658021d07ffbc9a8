//! Files that several replicas wrote. The records of each replica count as a log of their own.

use foldhash::HashMap;

use super::record::{LineRef, LogRecord};

/// The logs in each file of replicas.
#[derive(Debug, Default)]
pub(super) struct SharedFiles {
    /// The replicas of each file, with the numbers of their logs. The first one's is the file's.
    logs: HashMap<u32, Vec<(Box<str>, u32)>>,
    /// The files of the other logs, which are numbered from the greatest number downwards.
    files: Vec<u32>,
}

impl SharedFiles {
    /// The place of a record, with the number of its log instead of its file.
    pub(super) fn in_log(&mut self, line: LineRef, record: &LogRecord<'_>) -> LineRef {
        let Some(replica) = record.replica.as_deref() else { return line };
        let logs = self.logs.entry(line.file).or_default();
        let known = logs.iter().find(|(name, _)| **name == *replica).map(|(_, log)| *log);
        let log = known.unwrap_or_else(|| {
            let log = if logs.is_empty() { line.file } else { u32::MAX - self.files.len() as u32 };
            if log != line.file {
                self.files.push(line.file);
            }
            logs.push((replica.into(), log));
            log
        });
        LineRef { file: log, ..line }
    }

    /// The same place, with the number of its file.
    pub(super) fn in_file(&self, line: LineRef) -> LineRef {
        let file = self.files.get((u32::MAX - line.file) as usize).copied();
        LineRef { file: file.unwrap_or(line.file), ..line }
    }

    /// The numbers of all logs in a file.
    pub(super) fn logs_in(&self, file: u32) -> impl Iterator<Item = u32> {
        let others = self.logs.get(&file).into_iter().flatten().map(|(_, log)| *log);
        [file].into_iter().chain(others.filter(move |log| *log != file))
    }
}
