//! An event as one line: for people, or as JSON for programs.

use std::time::SystemTime;

use super::event::{Event, Kind};
use crate::log::{ClientRecord, Component, Delivered, Record, RecordBody};
use crate::terminal::{escaped, json_line};

/// A line for people: `[9] alice: hello`, the number being the event's logical time.
pub fn plain(event: &Event) -> String {
    let (time, content) = (event.logical_time, escaped(&event.content));
    match event.kind {
        Kind::Message { .. } => format!("[{time}] {}: {content}", escaped(&event.participant.display_name)),
        Kind::Joined | Kind::Left { .. } => format!("[{time}] {content}"),
    }
}

/// One JSON object: the record of the delivery.
///
/// # Errors
/// None: every event can be written as JSON.
pub fn json(event: &Event, now: SystemTime) -> serde_json::Result<String> {
    record(ClientRecord::EventDelivered(event.delivered()), now)
}

/// The same for an earlier event that was only listed, not delivered: it is marked with `"earlier":true`.
///
/// # Errors
/// None: every event can be written as JSON.
pub fn earlier_json(event: &Event, now: SystemTime) -> serde_json::Result<String> {
    record(ClientRecord::EventListed(Delivered { local_time: None, earlier: true, ..event.delivered() }), now)
}

fn record(record: ClientRecord<'_>, now: SystemTime) -> serde_json::Result<String> {
    let (level, body) = (record.severity(), RecordBody::Client(record));
    json_line(&Record::of_this_process(now, level, Component::Client, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::RunId;

    #[test]
    fn a_message_is_shown_with_its_logical_time_and_nothing_raw() {
        assert_eq!(plain(&Event::example("hello")), "[9] alice: hello");
        assert_eq!(plain(&Event::example("\u{1b}[2J")), "[9] alice: \\u{1b}[2J");
    }

    #[test]
    fn json_has_the_fields_of_the_log_record() {
        let line = json(&Event::example("hello"), SystemTime::UNIX_EPOCH).unwrap();
        let run = format!(r#","run":"{}"}}"#, RunId::of_this_process());
        let expected = concat!(
            r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"INFO","component":"client","#,
            r#""event":"event_delivered","epoch":"e","participant_id":"p1","display_name":"alice","#,
            r#""sequence":2,"logical_time":9,"local_time":10,"kind":"message","content":"hello","#,
            r#""message_id":"m","sent_logical_time":7,"seen_sequence":1"#,
        );
        assert_eq!(line, format!("{expected}{run}"));
    }
}
