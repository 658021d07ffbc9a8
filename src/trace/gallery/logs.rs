//! Logs as JSON values, which can be changed.

use serde_json::Value;

use crate::log::{Component, Record, RecordBody};
use crate::trace::record::{LineRef, LogRecord};
use crate::trace::report::Report;
use crate::trace::verify::{Checker, InputError};

/// One log file, a JSON value per record.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonLog {
    /// Its name.
    pub name: String,
    /// Its records, one a line.
    pub records: Vec<Value>,
}

impl JsonLog {
    /// Parses a log; `None` if a line is not JSON.
    pub fn parse(name: impl Into<String>, text: &str) -> Option<Self> {
        let records = text.lines().map(|line| serde_json::from_str(line).ok()).collect::<Option<_>>()?;
        Some(Self { name: name.into(), records })
    }

    /// Whether the service wrote it.
    pub fn is_of_service(&self) -> bool {
        self.records.first().is_some_and(|record| record["component"] == "server")
    }

    /// The places of all deliveries.
    #[cfg(test)]
    pub(in crate::trace) fn deliveries(&self) -> Vec<usize> {
        let delivered = |index: &usize| self.records[*index]["event"] == "event_delivered";
        (0..self.records.len()).filter(delivered).collect()
    }
}

/// The logs of all processes of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Logs(pub Vec<JsonLog>);

impl Logs {
    /// Checks the rules.
    ///
    /// # Errors
    /// [`InputError`], such as a log that holds the records of the service and of others.
    pub fn verify(&self) -> Result<Report, InputError> {
        let mut checker = Checker::new();
        for of_service in [true, false] {
            for (file, log) in (0..).zip(&self.0).filter(|(_, log)| log.is_of_service() == of_service) {
                for (line, record) in (1..).zip(&log.records) {
                    let text = record.to_string();
                    match LogRecord::parse(&text) {
                        Ok(record) => checker.take(LineRef { file, line }, &record)?,
                        Err(_) => checker.torn(file),
                    }
                }
            }
        }
        Ok(checker.finish())
    }

    /// A record, by its place.
    pub fn record(&self, line: LineRef) -> Option<&Value> {
        self.0.get(line.file as usize)?.records.get(line.line.checked_sub(1)? as usize)
    }
}

/// A record as JSON.
pub(super) fn as_json(timestamp: String, body: RecordBody<'_>) -> Value {
    let (component, level) = match &body {
        RecordBody::Server(record) => (Component::Server, record.severity()),
        RecordBody::Client(record) => (Component::Client, record.severity()),
    };
    let record = Record { timestamp, level, component, body, run: None, replica: None };
    serde_json::to_value(record).expect("texts and numbers can always be written as JSON")
}
