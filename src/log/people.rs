//! Records as lines for people: the time of day, what happened, at which logical time, to whom.

use std::fmt::{self, Debug, Write};
use std::time::SystemTime;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::TARGET;
use crate::terminal::escaped;

/// Fields that only the file has: they are for the proof, or repeat what the line says already.
const LEFT_OUT: [&str; 19] = [
    "timestamp",
    "level",
    "component",
    "run",
    "participant_ids",
    "version",
    "grace_ms",
    "ping_ms",
    "ping_timeout_ms",
    "stall_ms",
    "logs_deliveries",
    "kind",
    "local_time",
    "message_id",
    "participant_id",
    "seen_sequence",
    "sent_logical_time",
    "sent_at",
    "epoch",
];

/// One aligned line per record.
pub(super) struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if event.metadata().target() == TARGET {
            let line = fields.take("record").unwrap_or_default();
            fields = serde_json::from_str(&line).unwrap_or_default();
        }
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let time_of_day = now.get(11..23).unwrap_or(&now);
        let (dim, loud, plain) = match (writer.has_ansi_escapes(), *event.metadata().level()) {
            (false, _) => ("", "", ""),
            (true, Level::ERROR | Level::WARN) => ("\u{1b}[2m", "\u{1b}[33m", "\u{1b}[0m"),
            (true, _) => ("\u{1b}[2m", "", "\u{1b}[0m"),
        };
        write!(writer, "{dim}{time_of_day}{plain}  {loud}")?;
        match fields.take("event") {
            Some(name) => write!(writer, "{name:<20}  ")?,
            None => write!(writer, "{:<20}  ", event.metadata().level().as_str().to_lowercase())?,
        }
        match fields.take("logical_time") {
            Some(logical_time) => write!(writer, "[{logical_time:>5}]  ")?,
            None => write!(writer, "{:9}", "")?,
        }
        let (name, content) = (fields.take("display_name"), fields.take("content"));
        // The content of a join or leave names the participant.
        let written = fields.0.iter().any(|(field, value)| field == "kind" && value == "message");
        match (name, content) {
            (Some(name), Some(content)) if written => write!(writer, "{name}: {content}  ")?,
            (_, Some(content)) => write!(writer, "{content}  ")?,
            (Some(name), None) => write!(writer, "{name}  ")?,
            (None, None) => {}
        }
        if let Some(message) = fields.take("message") {
            write!(writer, "{message}  ")?;
        }
        write!(writer, "{plain}{dim}")?;
        for (field, value) in fields.0.iter().filter(|(field, _)| !LEFT_OUT.contains(&&**field)) {
            write!(writer, "{field} {value}  ")?;
        }
        writeln!(writer, "{plain}")
    }
}

/// The fields of a record, in order, safe to show.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(field, _)| field == name)?;
        Some(self.0.remove(index).1)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A record is parsed first, and its values are escaped then.
        let text = if field.name() == "record" { value.to_owned() } else { escaped(value).into_owned() };
        self.0.push((field.name().to_owned(), text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let text = value.as_str().map_or_else(|| value.to_string(), |text| escaped(text).into_owned());
                    fields.0.push((name, text));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
