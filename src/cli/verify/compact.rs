//! A log record in a few words.

use serde_json::Value;

use crate::terminal::escaped;
use crate::trace::report::Rule;

/// How long a record is at most, in characters.
const CHARACTERS_MAX: usize = 150;
/// How long an id is at most; a longer one is cut.
const ID_MAX: usize = 12;
/// The fields that are shown, each with a short name.
const SHOWN: [(&str, &str); 15] = [
    ("participant_id", ""),
    ("message_id", "id"),
    ("sequence", "sequence"),
    ("expected_sequence", "expected"),
    ("first_sequence", "first"),
    ("last_sequence", "last"),
    ("sent_logical_time", "t"),
    ("logical_time", "L"),
    ("seen_sequence", "seen"),
    ("local_time", "clock"),
    ("kind", ""),
    ("content", ""),
    ("reason", ""),
    ("count", "count"),
    // At the end, since there may be too many to show.
    ("participant_ids", ""),
];

/// A record in a few words, safe to show. A line that is not a JSON object is shown as text.
pub(in crate::cli) fn line(text: &str, rule: Rule) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(record) if record.is_object() => self::record(&record, rule),
        _ => cut(text),
    }
}

/// A record in a few words, for evidence of this rule.
pub(in crate::cli) fn record(record: &Value, rule: Rule) -> String {
    let name = record["event"].as_str().unwrap_or_default();
    let mut words = format!("{name:<17}");
    // These rules compare times of day.
    if matches!(rule, Rule::V12 | Rule::V14 | Rule::V15)
        && let Some((_, time)) = record["timestamp"].as_str().and_then(|at| at.split_once('T'))
    {
        words.push_str(&format!(" {}", time.trim_end_matches('Z')));
    }
    for (field, name) in SHOWN {
        match &record[field] {
            Value::Null => continue,
            // The service's clock equals the time of its events.
            value if field == "local_time" && record["logical_time"] == *value => continue,
            Value::String(text) if field == "content" => words.push_str(&format!(" \"{text}\"")),
            Value::String(text) if field == "message_id" => words.push_str(&format!(" {name}={}", id(text))),
            Value::String(text) if name.is_empty() => words.push_str(&format!(" {text}")),
            Value::String(text) => words.push_str(&format!(" {name}={text}")),
            Value::Array(ids) => {
                ids.iter().filter_map(Value::as_str).for_each(|id| words.push_str(&format!(" {id}")));
            }
            value => words.push_str(&format!(" {name}={value}")),
        }
    }
    cut(&words)
}

fn id(id: &str) -> String {
    let shown: String = id.chars().take(ID_MAX).collect();
    if shown.len() < id.len() { format!("{shown}…") } else { shown }
}

fn cut(words: &str) -> String {
    let shown: String = words.chars().take(CHARACTERS_MAX).collect();
    let shown = if shown.len() < words.len() { format!("{shown}…") } else { shown };
    escaped(shown.trim_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_shown_in_a_few_words_and_safely() {
        let text =
            json!({"timestamp": "2026-01-01T10:00:00.250000Z", "event": "publish_sent", "participant_id": "p1",
            "message_id": "0123456789abcdef", "sent_logical_time": 3, "seen_sequence": 2, "local_time": 3,
            "content": "a\u{1b}[2Jb"})
            .to_string();
        assert_eq!(
            line(&text, Rule::V2),
            "publish_sent      p1 id=0123456789ab… t=3 seen=2 clock=3 \"a\\u{1b}[2Jb\""
        );
        assert!(line(&text, Rule::V12).starts_with("publish_sent      10:00:00.250000 p1 "));
        let text =
            r#"{"event":"event_delivered","first_sequence":2,"last_sequence":4,"participant_ids":["p1","p2"]}"#;
        assert_eq!(line(text, Rule::V4), "event_delivered   first=2 last=4 p1 p2");
        assert_eq!(line("half a rec\u{7}", Rule::V2), "half a rec\\u{7}");
        assert_eq!(line("[1]", Rule::V2), "[1]");
        assert_eq!(line(&format!("\"{}", "x".repeat(500)), Rule::V2).chars().count(), 151);
    }
}
