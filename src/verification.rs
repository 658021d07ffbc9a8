//! Verifies logs in files: reads them into the checker in the order that it needs, and fetches the lines that a violation
//! points at. `chitchat verify` and the lab's proof use it; the rules are in [`trace`](crate::trace).

mod published;
mod reading;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use crate::log::reading::{self as logs, Log, LogError};
use crate::trace::record::LineRef;
use crate::trace::report::Report;
use scope::Runs;

/// Receives the progress of the reading.
pub trait Progress: Send {
    /// A pass over this number of bytes begins.
    fn begin(&mut self, bytes: u64);

    /// Reports how many have been read. Returns whether to continue.
    fn at(&mut self, bytes: u64) -> bool;
}

/// Why logs were not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The caller has stopped it.
    #[error("verification was stopped")]
    Stopped,
}

/// Logs that were read, and what they prove.
#[derive(Debug)]
pub struct Verification {
    pub logs: Vec<Log>,
    /// What they prove.
    pub report: Report,
    /// How many records of each log were read.
    pub records: Vec<u64>,
    /// The lines that a process was writing when it was killed.
    pub torn: BTreeSet<LineRef>,
    /// The logs that could not be used, each with the line that shows it.
    pub left_out: BTreeMap<u32, LineRef>,
    /// The text of each line that a violation points at.
    pub evidence: BTreeMap<LineRef, String>,
    /// The lines that were verified, if only one epoch was; otherwise empty.
    pub taken: Vec<LineRef>,
}

impl Verification {
    /// Verifies logs; with an epoch, only the records of processes that took part in it.
    pub fn of(logs: Vec<Log>, epoch: Option<&str>, progress: &mut dyn Progress) -> Result<Self, VerifyError> {
        let runs = epoch.map(|epoch| Runs::of(epoch, &logs, &mut *progress)).transpose()?;
        let read = reading::check(&logs, runs.as_ref(), progress)?;
        let reading::Read { report, torn, records, left_out, taken } = read;
        let mut wanted: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for line in report.rules.iter().flat_map(|rule| &rule.violations).flat_map(|violation| &violation.lines) {
            wanted.entry(line.file).or_default().insert(line.line);
        }
        let mut evidence = BTreeMap::new();
        for (file, lines) in wanted {
            let lines: Vec<u32> = lines.into_iter().collect();
            let texts = logs::fetch(&logs[file as usize], &lines)?;
            evidence.extend(lines.into_iter().map(|line| LineRef { file, line }).zip(texts));
        }
        Ok(Self { logs, report, records, torn, left_out, evidence, taken })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::trace::gallery::{Logs, truthful};
    use crate::trace::published::Overall;

    struct All;

    impl Progress for All {
        fn begin(&mut self, _bytes: u64) {}

        fn at(&mut self, _bytes: u64) -> bool {
            true
        }
    }

    struct Nothing;

    impl Progress for Nothing {
        fn begin(&mut self, _bytes: u64) {}

        fn at(&mut self, _bytes: u64) -> bool {
            false
        }
    }

    /// Each process with a run, as today's logs have it.
    fn with_runs(mut logs: Logs, kind: &str) -> Logs {
        for log in &mut logs.0 {
            let run = format!("{kind} {}", log.name);
            log.records.iter_mut().for_each(|record| record["run"] = run.clone().into());
        }
        logs
    }

    /// The logs of another run, in the same files, that breaks a rule.
    fn earlier(logs: &Logs) -> Logs {
        let mut logs = with_runs(logs.clone(), "earlier");
        for record in logs.0.iter_mut().flat_map(|log| &mut log.records) {
            if let Some(Value::String(text)) = record.get_mut("epoch") {
                text.insert_str(0, "earlier");
            }
            if record["component"] == "server" && record["event"] == "message_broadcast" {
                record["logical_time"] = 1.into();
            }
        }
        logs
    }

    fn written(runs: &[&Logs]) -> (TempDir, Vec<Log>) {
        let folder = TempDir::new().unwrap();
        for log in &runs[0].0 {
            let of_run = |run: &&Logs| run.0.iter().find(|other| other.name == log.name).unwrap().records.clone();
            let text: String = runs.iter().flat_map(of_run).map(|record| format!("{record}\n")).collect();
            fs::write(folder.path().join(&log.name), text).unwrap();
        }
        let logs = logs::inspect(vec![folder.path().to_owned()]).unwrap();
        (folder, logs)
    }

    fn epoch(logs: &Logs) -> String {
        logs.0[0].records.iter().find_map(|record| record["epoch"].as_str()).unwrap().to_owned()
    }

    /// A folder keeps the logs of earlier runs. If an epoch is given, they do not count.
    #[test]
    fn only_the_requested_epoch_is_verified() {
        let truthful = with_runs(truthful(), "today");
        let expected = truthful.verify().unwrap();
        let (_folder, both) = written(&[&earlier(&truthful), &truthful]);
        let all = Verification::of(both, None, &mut All).unwrap();
        assert_eq!((Overall::of(&all.report), all.report.epochs), (Overall::Violated, 2));
        let (_folder, both) = written(&[&earlier(&truthful), &truthful]);
        let one = Verification::of(both, Some(&epoch(&truthful)), &mut All).unwrap();
        assert_eq!((Overall::of(&one.report), one.report.epochs), (Overall::Holds, 1));
        assert_eq!((one.report.records, one.taken.len() as u64), (expected.records, expected.records));
    }

    #[test]
    fn verification_stops_when_the_caller_stops_it() {
        for epoch in [None, Some("e")] {
            let (_folder, logs) = written(&[&truthful()]);
            let stopped = Verification::of(logs, epoch, &mut Nothing);
            assert!(matches!(stopped, Err(VerifyError::Stopped)), "{stopped:?}");
        }
    }
}
