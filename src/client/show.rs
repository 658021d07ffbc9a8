//! An event as one line: for people, or as JSON for programs.

use std::time::SystemTime;

use serde::Serialize;

use super::event::{Event, Kind, KindFields};
use crate::terminal::{escaped, json_line};

/// A line for people: `[9] alice: hello`, the number being the event's logical time.
pub fn plain(event: &Event) -> String {
    let (time, content) = (event.logical_time, escaped(&event.content));
    match event.kind {
        Kind::Message { .. } => format!("[{time}] {}: {content}", escaped(&event.participant.display_name)),
        Kind::Joined | Kind::Left { .. } => format!("[{time}] {content}"),
    }
}

/// One JSON object, with the field names of the log records.
///
/// # Errors
/// None that a string can cause.
pub fn json(event: &Event, now: SystemTime) -> serde_json::Result<String> {
    json_line(&EventJson::of(event, now))
}

/// The same for an earlier event that was only listed: it is no delivery, and says so by `"earlier":true`.
///
/// # Errors
/// None that a string can cause.
pub fn earlier_json(event: &Event, now: SystemTime) -> serde_json::Result<String> {
    json_line(&EventJson { event: "event_listed", local_time: None, earlier: true, ..EventJson::of(event, now) })
}

impl<'a> EventJson<'a> {
    fn of(event: &'a Event, now: SystemTime) -> Self {
        let KindFields { message_id, sent_logical_time, seen_sequence, reason } = event.kind.fields();
        Self {
            timestamp: humantime::format_rfc3339_micros(now).to_string(),
            level: "INFO",
            component: "client",
            event: "event_delivered",
            epoch: &event.epoch,
            participant_id: &event.participant.participant_id,
            display_name: &event.participant.display_name,
            sequence: event.sequence.0,
            logical_time: event.logical_time.0,
            local_time: Some(event.local_time.0),
            kind: event.kind.as_str(),
            content: &event.content,
            message_id,
            sent_logical_time,
            seen_sequence,
            reason,
            earlier: false,
        }
    }
}

/// The JSON object for one event.
#[derive(Serialize)]
struct EventJson<'a> {
    timestamp: String,
    level: &'a str,
    component: &'a str,
    event: &'a str,
    epoch: &'a str,
    participant_id: &'a str,
    display_name: &'a str,
    sequence: u64,
    logical_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_time: Option<u64>,
    kind: &'a str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_logical_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    earlier: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{LogicalTime, Sequence};
    use crate::client::ParticipantInfo;

    fn message(content: &str) -> Event {
        Event {
            epoch: "e".into(),
            sequence: Sequence(2),
            logical_time: LogicalTime(9),
            local_time: LogicalTime(10),
            content: content.into(),
            participant: ParticipantInfo { participant_id: "p1".into(), display_name: "alice".into() },
            recorded_at: None,
            kind: Kind::Message {
                message_id: "m".into(),
                sent_logical_time: LogicalTime(7),
                seen_sequence: Sequence(1),
            },
        }
    }

    #[test]
    fn a_message_is_shown_with_its_logical_time_and_nothing_raw() {
        assert_eq!(plain(&message("hello")), "[9] alice: hello");
        assert_eq!(plain(&message("\u{1b}[2J")), "[9] alice: \\u{1b}[2J");
    }

    #[test]
    fn json_has_the_fields_of_the_log_record() {
        let line = json(&message("hello"), SystemTime::UNIX_EPOCH).unwrap();
        let expected = concat!(
            r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"INFO","component":"client","#,
            r#""event":"event_delivered","epoch":"e","participant_id":"p1","display_name":"alice","#,
            r#""sequence":2,"logical_time":9,"local_time":10,"kind":"message","content":"hello","#,
            r#""message_id":"m","sent_logical_time":7,"seen_sequence":1}"#,
        );
        assert_eq!(line, expected);
    }
}
