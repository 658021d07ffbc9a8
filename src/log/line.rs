//! A log record of any kind, as it is read from a line. Logs are read into this one flat type, unchecked and without
//! copying, since a verifier reads millions of records. Fields that are not needed are ignored.

use std::borrow::Cow;
use std::fmt;
use std::time::UNIX_EPOCH;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::{Map, Value};

use super::{Component, LoggedKind};

/// How many characters of an invalid value are shown.
const SHOWN_MAX: usize = 40;

/// A line that is not a log record.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum RecordFault {
    /// Not a JSON object with the fields that every record has.
    #[error("is not a log record: {0}")]
    Json(#[from] serde_json::Error),
    /// The timestamp cannot be read.
    #[error("has a timestamp that is not RFC 3339 in UTC (it has to end in Z): {0}")]
    Timestamp(String),
    /// A field that every check needs is missing.
    #[error("is not a complete record: {event} without {field}")]
    Incomplete { event: String, field: &'static str },
}

impl RecordFault {
    /// Whether the line may be the beginning of a record.
    pub fn is_half(&self) -> bool {
        matches!(self, Self::Json(error) if error.is_eof())
    }

    /// What is wrong with the line, in words.
    pub fn in_words(&self, line: &str) -> String {
        if !matches!(self, Self::Json(_)) {
            return self.to_string();
        }
        if line.contains('\0') {
            return "contains zero bytes, like a file after a power cut or in a binary format".into();
        }
        match serde_json::from_str::<Value>(line) {
            Err(error) if error.is_eof() => "is cut off: it ends in the middle of a record".into(),
            Err(_) if !line.starts_with('{') => {
                "is not a log record: a record is a JSON object and begins with {".into()
            }
            Err(error) => {
                format!("is not a log record: it stops being JSON at character {}", character(line, &error))
            }
            Ok(Value::Object(fields)) => in_fields(&fields),
            Ok(_) => "is not a log record: a record is a JSON object, with { and }".into(),
        }
    }
}

/// Which character of the line, from 1, cannot be read.
fn character(line: &str, error: &serde_json::Error) -> usize {
    let before = error.column().saturating_sub(1);
    line.char_indices().take_while(|(at, _)| *at < before).count() + 1
}

/// What is wrong with the fields of a JSON object that is not a record.
fn in_fields(fields: &Map<String, Value>) -> String {
    let own: Map<String, Value> = [("timestamp", ""), ("component", "client"), ("event", "")]
        .map(|(field, value)| (field.to_owned(), Value::from(value)))
        .into_iter()
        .collect();
    if let Some(missing) = own.keys().find(|field| !fields.contains_key(*field)) {
        return format!("is not a log record: it has no `{missing}`");
    }
    let does_not_fit = |(field, value): &(&String, &Value)| {
        let mut record = own.clone();
        record.insert((*field).clone(), (*value).clone());
        serde_json::from_str::<LogRecord<'_>>(&Value::from(record).to_string()).is_err()
    };
    match fields.iter().find(does_not_fit) {
        Some((field, value)) => {
            let shown: String = value.to_string().chars().take(SHOWN_MAX).collect();
            format!("is not a log record: a `{field}` cannot be {shown}")
        }
        None => "is not a log record: it has a field twice".into(),
    }
}

/// The place of a record: which of the given files, and which line of it, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineRef {
    /// The file's place among those given, from 0. In the causal model the number of a log instead: a file may have the
    /// logs of several services.
    pub file: u32,
    /// The line's number, from 1.
    pub line: u32,
}

/// A string that is borrowed from its line if possible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CowStr<'a>(Cow<'a, str>);

impl std::ops::Deref for CowStr<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for CowStr<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = CowStr<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(CowStr(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(CowStr(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(AsText)
    }
}

/// A log record: its fields, unchecked.
#[derive(Clone, Debug, serde::Deserialize)]
#[allow(missing_docs, reason = "the specification, chapter 9, has the fields")]
pub struct LogRecord<'a> {
    #[serde(borrow)]
    pub timestamp: CowStr<'a>,
    pub component: Component,
    #[serde(borrow)]
    pub event: CowStr<'a>,
    #[serde(borrow, default)]
    pub epoch: Option<CowStr<'a>>,
    #[serde(borrow, default)]
    pub participant_id: Option<CowStr<'a>>,
    #[serde(borrow, default)]
    pub display_name: Option<CowStr<'a>>,
    pub sequence: Option<u64>,
    pub logical_time: Option<u64>,
    pub local_time: Option<u64>,
    pub sent_logical_time: Option<u64>,
    pub seen_sequence: Option<u64>,
    #[serde(borrow, default)]
    pub message_id: Option<CowStr<'a>>,
    pub kind: Option<LoggedKind>,
    #[serde(borrow, default)]
    pub content: Option<CowStr<'a>>,
    #[serde(borrow, default)]
    pub reason: Option<CowStr<'a>>,
    #[serde(borrow, default)]
    pub previous_epoch: Option<CowStr<'a>>,
    /// The lab's faults, in words.
    #[serde(borrow, default)]
    pub faults: Option<CowStr<'a>>,
    pub first_sequence: Option<u64>,
    pub last_sequence: Option<u64>,
    pub expected_sequence: Option<u64>,
    #[serde(borrow, default)]
    pub participant_ids: Vec<CowStr<'a>>,
    #[serde(borrow, default)]
    pub run: Option<CowStr<'a>>,
    /// The name of the replica that made the record.
    #[serde(borrow, default)]
    pub replica: Option<CowStr<'a>>,
    /// The replica that a record is about, and its start.
    #[serde(borrow, default)]
    pub of_replica: Option<CowStr<'a>>,
    pub replica_start: Option<u64>,
    /// Whether a later start of the service wrote this record of a broadcast.
    #[serde(default)]
    pub recovered: bool,
    pub grace_ms: Option<u64>,
    pub stall_ms: Option<u64>,
    /// Whether the log of the service that starts says what was handed to streams.
    #[serde(default)]
    pub logs_deliveries: bool,
    /// How many records were lost.
    pub count: Option<u64>,
    /// Whether the first record of the process is among them.
    #[serde(default)]
    pub from_start: bool,
    /// Microseconds since 1970, from `timestamp`.
    #[serde(skip)]
    pub at: i64,
}

impl<'a> LogRecord<'a> {
    /// Reads one line.
    pub fn parse(line: &'a str) -> Result<Self, RecordFault> {
        let mut record: Self = serde_json::from_str(line)?;
        let time = humantime::parse_rfc3339(&record.timestamp).ok();
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let micros = since.and_then(|since| i64::try_from(since.as_micros()).ok());
        record.at = micros.ok_or_else(|| RecordFault::Timestamp(record.timestamp.to_string()))?;
        match record.lacks() {
            Some(field) => Err(RecordFault::Incomplete { event: record.event.to_string(), field }),
            None => Ok(record),
        }
    }

    /// The first required field that is missing.
    fn lacks(&self) -> Option<&'static str> {
        let delivered = &*self.event == "event_delivered" && self.component != Component::Server;
        let tells = delivered || (self.component == Component::Server && self.event.ends_with("_broadcast"));
        let fields = [
            ("sequence", self.sequence.is_some()),
            ("logical_time", self.logical_time.is_some()),
            ("kind", self.kind.is_some()),
        ];
        fields.into_iter().find(|(_, is_there)| tells && !is_there).map(|(field, _)| field)
    }

    /// How many records were lost, if the record says that.
    pub fn lost(&self) -> Option<u64> {
        (&*self.event == "records_lost").then(|| self.count.unwrap_or(1))
    }

    /// An optional text, empty if there is none.
    pub fn text<'b>(text: &'b Option<CowStr<'a>>) -> &'b str {
        text.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored() {
        let line = r#"{"timestamp":"1970-01-01T00:00:01.000002Z","level":"INFO","component":"client",
            "event":"publish_sent","participant_id":"p7","content":"a\nb","recipients":3,"new":{"x":[1]}}"#;
        let record = LogRecord::parse(line).unwrap();
        assert_eq!((record.at, record.component), (1_000_002, Component::Client));
        assert_eq!(LogRecord::text(&record.content), "a\nb");
        assert_eq!(LogRecord::text(&record.participant_id), "p7");
        assert_eq!(record.sequence, None);
    }

    #[test]
    fn a_record_without_a_required_field_is_a_fault() {
        let whole = serde_json::json!({"timestamp": "2026-01-01T00:00:00Z", "component": "client",
            "event": "event_delivered", "sequence": 1, "logical_time": 2, "kind": "joined"});
        assert!(LogRecord::parse(&whole.to_string()).is_ok());
        for (component, event) in [("client", "event_delivered"), ("server", "message_broadcast")] {
            for field in ["sequence", "logical_time", "kind"] {
                let mut record = whole.clone();
                (record["component"], record["event"]) = (component.into(), event.into());
                record[field] = serde_json::Value::Null;
                let fault = LogRecord::parse(&record.to_string()).unwrap_err().to_string();
                assert_eq!(fault, format!("is not a complete record: {event} without {field}"));
            }
        }
    }

    #[test]
    fn a_timestamp_that_is_not_utc_is_refused() {
        let line = r#"{"timestamp":"2026-01-01T02:00:00+02:00","component":"client","event":"client_started"}"#;
        assert!(LogRecord::parse(line).unwrap_err().to_string().contains("in UTC (it has to end in Z)"));
    }

    /// The message describes the line as part of a log, not in the parser's terms.
    #[test]
    fn faults_are_described_for_people() {
        let record = r#"{"timestamp":"2026-01-01T00:00:00Z","component":"client","event":"client_started"}"#;
        let says = |line: &str, expected: &str| {
            assert_eq!(LogRecord::parse(line).unwrap_err().in_words(line), expected, "{line}");
        };
        says("hello", "is not a log record: a record is a JSON object and begins with {");
        says("[1]", "is not a log record: a record is a JSON object, with { and }");
        says("\u{7f}ELF\0", "contains zero bytes, like a file after a power cut or in a binary format");
        says(&record[..40], "is cut off: it ends in the middle of a record");
        says(&record.replace("client\",", "ü\" "), "is not a log record: it stops being JSON at character 53");
        says(&record.replace("timestamp", "time"), "is not a log record: it has no `timestamp`");
        says(&record.replace("\"client\"", "\"proxy\""), "is not a log record: a `component` cannot be \"proxy\"");
        says(&record.replace('}', ",\"sequence\":-1}"), "is not a log record: a `sequence` cannot be -1");
        says(&record.replace('}', ",\"event\":\"x\"}"), "is not a log record: it has a field twice");
        let zone = record.replace("00Z", "00+02:00");
        says(&zone, &LogRecord::parse(&zone).unwrap_err().to_string());
    }

    #[test]
    fn a_line_that_is_not_a_record_is_a_fault() {
        for line in ["", "{", "[]", "{}", r#"{"timestamp":"x","component":"client","event":"e"}"#] {
            assert!(LogRecord::parse(line).is_err(), "{line}");
        }
    }
}
