//! What is generated from the record types: the schema in `docs/`, for programs that write such logs, and the types of
//! the page's records. `UPDATE_GENERATED=1 cargo test schema` regenerates both.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::log::{ClientRecord, LogRecord, ServerRecord};

fn schema_of<T: schemars::JsonSchema>() -> (Value, Value) {
    let mut schema = schemars::schema_for!(T).to_value();
    let definitions = schema["$defs"].take();
    (schema["oneOf"].take(), definitions)
}

/// The schema of one line.
fn schema() -> Value {
    let (server, mut definitions) = schema_of::<ServerRecord<'_>>();
    let (client, more) = schema_of::<ClientRecord<'_>>();
    if let (Value::Object(definitions), Value::Object(more)) = (&mut definitions, more) {
        definitions.extend(more);
    }
    let of = |components: Value, records: Value| json!({ "properties": { "component": { "enum": components } }, "oneOf": records });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A log record of Chit Chat",
        "description": "One line of a log: specification, chapter 9. Readers ignore fields and events that they do not know.",
        "type": "object",
        "required": ["timestamp", "component", "event"],
        "properties": {
            "timestamp": { "type": "string", "description": "RFC 3339 in UTC, ending in Z, with microseconds." },
            "level": { "enum": ["DEBUG", "INFO", "WARN"] },
            "run": { "type": "string", "description": "A random id of this start of the process." },
            "replica": { "type": "string", "description": "The name of the replica; only replicas of the service have one." }
        },
        "oneOf": [of(json!(["server"]), server), of(json!(["client", "browser"]), client)],
        "$defs": definitions
    })
}

/// The properties of a record, including those of the types that it refers to.
fn properties(record: &Value, definitions: &Value) -> (Map<String, Value>, Vec<String>) {
    let mut all = Map::new();
    let mut required = Vec::new();
    if let Some(reference) = record["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        (all, required) = properties(&definitions[name], definitions);
    }
    all.extend(record["properties"].as_object().cloned().unwrap_or_default());
    required
        .extend(record["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    (all, required)
}

fn typescript() -> String {
    let (records, definitions) = schema_of::<ClientRecord<'_>>();
    let mut text = "/** The records of the page's log. Made from src/log/record by `UPDATE_GENERATED=1 cargo test schema`. */\n\n\
                    /** The fields of each record. */\nexport interface RecordFields {\n"
        .to_owned();
    for record in records.as_array().into_iter().flatten() {
        let (fields, required) = properties(record, &definitions);
        let event = fields["event"]["const"].as_str().unwrap_or_default();
        if event == "event_listed" {
            continue;
        }
        let _ = writeln!(text, "  readonly {event}: {{");
        for (name, field) in fields.iter().filter(|(name, _)| *name != "event") {
            let optional = if required.contains(name) { "" } else { "?" };
            let kind = match field.to_string() {
                kind if kind.contains("LoggedKind") => "\"joined\" | \"left\" | \"message\"",
                kind if kind.contains("integer") => "bigint",
                kind if kind.contains("boolean") => "boolean",
                _ => "string",
            };
            let _ = writeln!(text, "    readonly {name}{optional}: {kind};");
        }
        text.push_str("  };\n");
    }
    text.push_str("}\n\n/** The kinds of record. */\nexport type RecordEvent = keyof RecordFields;\n");
    text
}

fn check(path: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(committed, generated, "{} is not what the record types generate", path.display());
}

#[test]
fn the_documented_schema_is_generated_from_the_records() {
    check("docs/log-record.schema.json", &format!("{:#}\n", schema()));
}

#[test]
fn the_pages_types_are_generated_from_the_records() {
    check("web/src/core/record.ts", &typescript());
}

/// Every field that is read by name is written under that name by some record.
#[test]
fn every_field_that_is_read_is_written() {
    let mut line = Map::from_iter([
        ("timestamp".to_owned(), json!("2026-01-01T00:00:00Z")),
        ("component".to_owned(), json!("server")),
        ("run".to_owned(), json!("r")),
        ("replica".to_owned(), json!("a")),
    ]);
    for (records, definitions) in [schema_of::<ServerRecord<'_>>(), schema_of::<ClientRecord<'_>>()] {
        for record in records.as_array().into_iter().flatten() {
            for (name, field) in properties(record, &definitions).0 {
                let value = match field.to_string() {
                    kind if kind.contains("LoggedKind") => json!("left"),
                    kind if kind.contains("array") => json!(["p1"]),
                    kind if kind.contains("integer") => json!(1),
                    kind if kind.contains("boolean") => json!(true),
                    _ => json!("x"),
                };
                line.insert(name, value);
            }
        }
    }
    let text = Value::Object(line).to_string();
    let record = LogRecord::parse(&text).unwrap();
    let shown = format!("{record:?}");
    assert!(
        !shown.contains("None") && !shown.contains("[]") && record.from_start,
        "a field is never written: {shown}"
    );
}

/// Each type reads what it writes (G3).
#[test]
fn records_are_read_as_they_were_written() {
    let text = r#"{"event":"publish_sent","epoch":"e","participant_id":"p1","display_name":"ann","message_id":"m",
        "sent_logical_time":3,"seen_sequence":2,"local_time":3,"content":"\u001b","new":1}"#;
    let record: ClientRecord<'_> = serde_json::from_str(text).unwrap();
    let again = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<ClientRecord<'_>>(&again).unwrap(), record);
    let text =
        r#"{"event":"event_delivered","epoch":"e","first_sequence":1,"last_sequence":2,"participant_ids":["p1"]}"#;
    let record: ServerRecord<'_> = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap(), text);
}
