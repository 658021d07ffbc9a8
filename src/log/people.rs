//! Records as people read them: the time of day, what happened, at which logical time, to whom.

use std::fmt::{self, Debug, Write};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::terminal::escaped;

/// What the file alone keeps: it is for the proof, or is said already.
const LEFT_OUT: [&str; 8] = [
    "component",
    "kind",
    "local_time",
    "message_id",
    "participant_id",
    "seen_sequence",
    "sent_logical_time",
    "epoch",
];

/// One aligned line a record.
pub(super) struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
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
        // Joined and left say in their content who it is.
        let written = fields.0.iter().any(|(field, value)| *field == "kind" && value == "message");
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
        for (field, value) in fields.0.iter().filter(|(field, _)| !LEFT_OUT.contains(field)) {
            write!(writer, "{field} {value}  ")?;
        }
        writeln!(writer, "{plain}")
    }
}

/// The fields of a record, in order, safe to show.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(field, _)| *field == name)?;
        Some(self.0.remove(index).1)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), escaped(value).into_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // A String takes whatever is written to it.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}
