//! Writes a record that comes through `tracing` as a finished line.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The line of a record, as JSON.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line { writer: writer.by_ref(), result: Ok(()) };
        event.record(&mut line);
        line.result
    }
}

struct Line<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Visit for Line<'_> {
    fn record_str(&mut self, _: &Field, line: &str) {
        self.result = writeln!(self.writer, "{line}");
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
