//! An event as one line: for people, or as JSON for programs. What somebody else wrote never reaches a
//! terminal raw.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::event::{Event, Kind};

/// A line for people: `[9] alice: hello`, the number being the event's logical time.
pub fn plain(event: &Event) -> String {
    let (time, content) = (event.logical_time, escaped(&event.content));
    match event.kind {
        Kind::Message { .. } => format!("[{time}] {}: {content}", escaped(&event.participant.display_name)),
        Kind::Joined | Kind::Left { .. } => format!("[{time}] {content}"),
    }
}

/// Text that a terminal shows as text: control characters, escapes and what reorders a line become visible.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(acts_on_terminal) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts_on_terminal(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the marks, embeddings, overrides
/// and isolates of the bidirectional algorithm (UAX 9, section 2).
fn acts_on_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One JSON object, with the field names of the log records.
///
/// # Errors
/// None that a string can cause.
pub fn json(event: &Event, now: SystemTime) -> serde_json::Result<String> {
    let (message_id, sent_logical_time, seen_sequence, reason) = match &event.kind {
        Kind::Joined => (None, None, None, None),
        Kind::Left { reason } => (None, None, None, Some(*reason)),
        Kind::Message { message_id, sent_logical_time, seen_sequence } => {
            (Some(message_id.as_str()), Some(sent_logical_time.0), Some(seen_sequence.0), None)
        }
    };
    object(&Line {
        timestamp: humantime::format_rfc3339_micros(now).to_string(),
        level: "INFO",
        component: "client",
        event: "event_delivered",
        epoch: &event.epoch,
        participant_id: &event.participant.participant_id,
        display_name: &event.participant.display_name,
        sequence: event.sequence.0,
        logical_time: event.logical_time.0,
        local_time: event.local_time.0,
        kind: event.kind.as_str(),
        content: &event.content,
        message_id,
        sent_logical_time,
        seen_sequence,
        reason,
    })
}

/// A JSON object on one line that is safe to show on a terminal.
///
/// # Errors
/// Where the value has no form in JSON.
pub fn object(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, SafeOnTerminals))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    component: &'a str,
    event: &'a str,
    epoch: &'a str,
    participant_id: &'a str,
    display_name: &'a str,
    sequence: u64,
    logical_time: u64,
    local_time: u64,
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
}

/// JSON itself demands that only C0 controls be escaped; here all that acts on a terminal is.
struct SafeOnTerminals;

impl Formatter for SafeOnTerminals {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut safe = String::with_capacity(fragment.len());
        for c in fragment.chars() {
            if acts_on_terminal(c) {
                // All of them lie in the basic plane, so one escape each will do.
                let _ = write!(safe, "\\u{:04x}", u32::from(c));
            } else {
                safe.push(c);
            }
        }
        writer.write_all(safe.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{LogicalTime, Sequence};
    use crate::client::Member;

    fn message(content: &str) -> Event {
        Event {
            epoch: "e".into(),
            sequence: Sequence(2),
            logical_time: LogicalTime(9),
            local_time: LogicalTime(10),
            content: content.into(),
            participant: Member { participant_id: "p1".into(), display_name: "alice".into() },
            recorded_at: None,
            kind: Kind::Message {
                message_id: "m".into(),
                sent_logical_time: LogicalTime(7),
                seen_sequence: Sequence(1),
            },
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_shown_and_not_sent_to_it() {
        let check = |content: &str, shown: &str| {
            assert_eq!(plain(&message(content)), format!("[9] alice: {shown}"));
        };
        check("hello", "hello");
        check("æøå 😀 👩‍👩‍👧 שלום", "æøå 😀 👩‍👩‍👧 שלום");
        check("\u{1b}[2J", "\\u{1b}[2J");
        check("a\nb\tc\r", "a\\nb\\tc\\r");
        check("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m");
        check("a\u{202e}b\u{2069}c\u{2028}d", "a\\u{202e}b\\u{2069}c\\u{2028}d");
    }

    #[test]
    fn json_is_one_line_that_reads_back_byte_for_byte() {
        let content = "\u{1b}[2J\n\u{202e}\u{9b}\"\\ æ 😀";
        let line = json(&message(content), SystemTime::UNIX_EPOCH).unwrap();
        assert!(!line.contains(acts_on_terminal), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["content"], content);
        assert_eq!(read["timestamp"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            (&read["sequence"], &read["logical_time"], &read["local_time"], &read["kind"]),
            (&2.into(), &9.into(), &10.into(), &"message".into())
        );
    }
}
