//! Logs as JSON values, which can be changed.

use serde_json::{Value, json};

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
    /// A log by its lines; none where one of them is no JSON.
    pub fn parse(name: impl Into<String>, text: &str) -> Option<Self> {
        let records = text.lines().map(|line| serde_json::from_str(line).ok()).collect::<Option<_>>()?;
        Some(Self { name: name.into(), records })
    }

    /// Whether the service wrote it.
    pub fn is_of_service(&self) -> bool {
        self.records.first().is_some_and(|record| record["component"] == "server")
    }

    pub(super) fn find(&self, event: &str) -> Option<usize> {
        self.records.iter().position(|record| record["event"] == event)
    }

    /// The places of all deliveries.
    pub(in crate::trace) fn deliveries(&self) -> Vec<usize> {
        let delivered = |index: &usize| self.records[*index]["event"] == "event_delivered";
        (0..self.records.len()).filter(delivered).collect()
    }

    /// Gives each stream a record of its own, as in version 1, so that one stream's can be changed.
    pub(super) fn split_deliveries(&mut self) {
        let split = |record: Value| {
            let Some(ids) = record["participant_ids"].as_array().cloned() else { return vec![record] };
            let of = |id| {
                let mut of_one = record.clone();
                (of_one["participant_id"], of_one["participant_ids"]) = (id, json!([]));
                of_one
            };
            ids.into_iter().map(of).collect()
        };
        self.records = std::mem::take(&mut self.records).into_iter().flat_map(split).collect();
    }

    /// The position of the last event that was delivered.
    pub(super) fn last_delivered(&self) -> Option<u64> {
        self.records[*self.deliveries().last()?]["sequence"].as_u64()
    }
}

/// The logs of all processes of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Logs(pub Vec<JsonLog>);

/// What makes an event this event and no other, its position and times apart.
const PAYLOAD: [&str; 7] =
    ["participant_id", "display_name", "kind", "content", "message_id", "seen_sequence", "sent_logical_time"];

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

    pub(super) fn service(&mut self) -> Option<&mut JsonLog> {
        self.0.iter_mut().find(|log| log.is_of_service())
    }

    pub(super) fn others(&mut self) -> impl Iterator<Item = &mut JsonLog> {
        self.0.iter_mut().filter(|log| !log.is_of_service())
    }

    /// e(1) … e(n).
    pub(super) fn journal(&mut self) -> Vec<Value> {
        let service = self.service().map(|log| log.records.clone()).unwrap_or_default();
        service.into_iter().filter(is_broadcast).collect()
    }

    /// The first message in the journal that this holds for.
    pub(super) fn message(&mut self, holds: impl Fn(&Value) -> bool) -> Option<Value> {
        self.journal().into_iter().find(|event| event["kind"] == "message" && holds(event))
    }

    /// Changes the broadcast record of an event.
    pub(super) fn broadcast(&mut self, sequence: u64) -> Option<&mut Value> {
        self.service()?.records.iter_mut().find(|record| is_broadcast(record) && record["sequence"] == sequence)
    }

    /// Changes every record of an event: its broadcast, deliveries and acknowledgement.
    pub(super) fn everywhere(&mut self, sequence: u64, change: impl Fn(&mut Value)) {
        let told = |record: &Value| {
            let event = record["event"].as_str().unwrap_or_default();
            is_broadcast(record)
                || (record["component"] != "server" && event == "event_delivered")
                || event.ends_with("_acknowledged")
        };
        let records = self.0.iter_mut().flat_map(|log| &mut log.records);
        records.filter(|record| record["sequence"] == sequence && told(record)).for_each(change);
    }

    /// Two events change places in the order, and all processes agree that they are there.
    pub(super) fn exchange(&mut self, one: u64, other: u64) {
        let journal = self.journal();
        let find = |sequence: u64| journal.iter().find(|event| event["sequence"] == sequence).cloned();
        let (Some(first), Some(second)) = (find(one), find(other)) else { return };
        for record in self.0.iter_mut().flat_map(|log| &mut log.records) {
            let to = if record["sequence"] == one { &second } else { &first };
            if record["sequence"] != one && record["sequence"] != other {
                continue;
            }
            if is_broadcast(record) || (record["event"] == "event_delivered" && record["component"] != "server") {
                PAYLOAD.iter().for_each(|field| record[*field] = to[*field].clone());
            } else if record["event"].as_str().is_some_and(|event| event.ends_with("_acknowledged")) {
                (record["sequence"], record["logical_time"]) =
                    (to["sequence"].clone(), to["logical_time"].clone());
            }
        }
    }

    /// Everything from an event on never happened, save what `keep` says.
    pub(super) fn end_before(&mut self, sequence: u64, keep: impl Fn(&Value) -> bool) {
        for log in &mut self.0 {
            let later = |record: &Value| {
                record["sequence"].as_u64().is_some_and(|n| n >= sequence) && record["logical_time"].is_u64()
                    || record["last_sequence"].as_u64().is_some_and(|n| n >= sequence)
                    || record["event"] == "leave_sent"
            };
            let Some(end) = log.records.iter().position(later) else { continue };
            let mut index = 0;
            log.records.retain(|record| {
                index += 1;
                index <= end || keep(record)
            });
        }
    }
}

pub(super) fn is_broadcast(record: &Value) -> bool {
    record["event"].as_str().is_some_and(|event| event.ends_with("_broadcast"))
}

pub(super) fn number(record: &Value, field: &str) -> u64 {
    record[field].as_u64().unwrap_or(0)
}

/// A timestamp so many seconds later.
pub(super) fn later(record: &Value, seconds: u64) -> Value {
    let time = record["timestamp"].as_str().and_then(|time| humantime::parse_rfc3339(time).ok());
    let later = time.map(|time| time + std::time::Duration::from_secs(seconds));
    json!(later.map(|time| humantime::format_rfc3339_micros(time).to_string()))
}

/// When a record was made, in microseconds since 1970.
pub(super) fn micros(record: &Value) -> u64 {
    let time = record["timestamp"].as_str().and_then(|time| humantime::parse_rfc3339(time).ok());
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_micros() as u64)
}

/// The record's timestamp, moved back by this many microseconds.
pub(super) fn earlier(record: &Value, by: u64) -> Value {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(micros(record).saturating_sub(by));
    json!(humantime::format_rfc3339_micros(time).to_string())
}
