//! What operators can measure, as Prometheus text or OpenMetrics. Labels have few values: never one per participant.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, header};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::chat::EventKind;
use crate::wire::Reason;

/// How the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// The text format of Prometheus, which every metrics collector understands.
    Text,
    /// OpenMetrics 1.0, if the request prefers it.
    OpenMetrics,
}

impl ExpositionFormat {
    /// The format that suits a request best. A request that accepts anything, or asks for another format, gets
    /// the older one.
    pub fn negotiate(headers: &HeaderMap) -> Self {
        let (mut text, mut open_metrics) = (Preference::default(), Preference::default());
        let lines = headers.get_all(header::ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
        for (range, quality) in lines.flat_map(|line| line.split(',')).filter_map(parse_range) {
            match range.as_str() {
                "application/openmetrics-text" => open_metrics.note(quality, 2),
                "application/*" => open_metrics.note(quality, 1),
                "text/plain" => text.note(quality, 2),
                "text/*" => text.note(quality, 1),
                "*/*" => text.note(quality, 0),
                _ => {}
            }
        }
        if open_metrics.quality > 0.0 && open_metrics.quality >= text.quality {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The content type of the text.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The weight of a media type, by the most specific range that matches it.
#[derive(Default)]
struct Preference {
    quality: f32,
    specificity: u8,
}

impl Preference {
    fn note(&mut self, quality: f32, specificity: u8) {
        if specificity > self.specificity || specificity == self.specificity && quality > self.quality {
            *self = Self { quality, specificity };
        }
    }
}

/// A media range and its weight (RFC 9110, section 12.5.1).
fn parse_range(range: &str) -> Option<(String, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
    (0.0..=1.0).contains(&quality).then_some((media, quality))
}

/// Bounds of the histograms of time, in seconds.
const SECONDS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0];
/// Bounds of the histogram of lag, in events.
const EVENTS: [f64; 9] = [0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 65536.0];

/// The figures of one service. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    pub participants: Gauge,
    pub connections: Gauge,
    /// Bytes of requests and responses, and of connections, that are charged to addresses.
    pub held_bytes: Gauge,
    /// Responses that were reset because they were not read.
    pub responses_reset: Counter,
    /// Reads from connections that waited because their address sent too fast.
    pub reads_delayed: Counter,
    /// Events handed to streams.
    pub deliveries: Counter,
    /// From a Publish's arrival to its answer.
    pub publish_seconds: Histogram,
    /// From a batch's hand-over to the journal to its commit.
    pub commit_seconds: Histogram,
    /// Events that the background check of the journal has not reached yet.
    pub journal_unchecked: Gauge,
    /// Whether that check has found damage: 0 or 1.
    pub journal_damaged: Gauge,
    /// How far a stream is behind the newest event when it takes events.
    pub feed_lag: Histogram,
    /// For replicas: the last message of the log that has been applied.
    pub log_position: Gauge,
    /// For replicas: how many messages of the log came after that one, as far as is known.
    pub log_behind: Gauge,
    /// For replicas: how many times the log reader was restarted.
    pub log_restarts: Counter,
    /// For replicas: the number of commands in a batch.
    pub batch_commands: Histogram,
    /// For replicas: the time from a batch's proposal until it is applied here.
    pub proposal_seconds: Histogram,
    events: Family<KindLabel, Counter>,
    refusals: Family<ReasonLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl Metrics {
    /// The figures of a service or, with those about the common log, of a replica.
    pub fn new(is_replica: bool) -> Self {
        let (participants, connections, deliveries) = (Gauge::default(), Gauge::default(), Counter::default());
        let held_bytes = Gauge::default();
        let [responses_reset, reads_delayed] = [(); 2].map(|()| Counter::default());
        let (events, refusals) = (Family::default(), Family::default());
        let [publish_seconds, commit_seconds] = [(); 2].map(|()| Histogram::new(SECONDS));
        let feed_lag = Histogram::new(EVENTS);
        let mut registry = Registry::with_prefix("chitchat");
        registry.register("participants", "Active participants", participants.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register_with_unit("held", "Charged to addresses", Unit::Bytes, held_bytes.clone());
        let help = "Responses that were reset because they were not read";
        registry.register("responses_reset", help, responses_reset.clone());
        let help = "Reads from connections that waited because their address sent too fast";
        registry.register("reads_delayed", help, reads_delayed.clone());
        registry.register("events", "Events of the conversation, by kind", events.clone());
        registry.register("deliveries", "Events handed to streams", deliveries.clone());
        registry.register("refusals", "Refused requests, by reason", refusals.clone());
        let help = "From a publish's arrival to its answer";
        registry.register_with_unit("publish", help, Unit::Seconds, publish_seconds.clone());
        let help = "From a batch's hand-over to its commit";
        registry.register_with_unit("journal_commit", help, Unit::Seconds, commit_seconds.clone());
        let [journal_unchecked, journal_damaged] = [(); 2].map(|()| Gauge::default());
        let help = "Events of the journal that are still to be checked in the background";
        registry.register("journal_unchecked_events", help, journal_unchecked.clone());
        let help = "1 if the background check of the journal has found damage, otherwise 0";
        registry.register("journal_damaged", help, journal_damaged.clone());
        registry.register("feed_lag_events", "How far a stream is behind when it takes events", feed_lag.clone());
        let [log_position, log_behind] = [(); 2].map(|()| Gauge::default());
        let (log_restarts, batch_commands) = (Counter::default(), Histogram::new(EVENTS));
        let proposal_seconds = Histogram::new(SECONDS);
        if is_replica {
            registry.register("log_position", "The last message of the log that is applied", log_position.clone());
            let help = "Messages of the log after the last one that is applied, as far as known";
            registry.register("log_behind", help, log_behind.clone());
            let help = "How many times the log reader was restarted";
            registry.register("log_restarts", help, log_restarts.clone());
            registry.register("batch_commands", "Commands in a proposed batch", batch_commands.clone());
            let help = "From a batch's proposal until it is applied";
            registry.register_with_unit("proposal", help, Unit::Seconds, proposal_seconds.clone());
        }
        Self {
            registry: Arc::new(registry),
            participants,
            connections,
            held_bytes,
            responses_reset,
            reads_delayed,
            deliveries,
            publish_seconds,
            commit_seconds,
            journal_unchecked,
            journal_damaged,
            feed_lag,
            log_position,
            log_behind,
            log_restarts,
            batch_commands,
            proposal_seconds,
            events,
            refusals,
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub fn event(&self, kind: &EventKind) {
        self.events.get_or_create(&KindLabel { kind: kind.as_str() }).inc();
    }

    pub fn refusal(&self, reason: Reason) {
        self.refusals.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    /// All figures as text.
    ///
    /// # Errors
    /// Never, since writing to a `String` cannot fail.
    pub fn encode(&self, format: ExpositionFormat) -> Result<String, fmt::Error> {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(match format {
            ExpositionFormat::OpenMetrics => encoded,
            ExpositionFormat::Text => without_open_metrics(&encoded),
        })
    }
}

/// The same figures in the text format of Prometheus, version 0.0.4: there a counter's family is named like its
/// samples, with `_total`, and a family has no unit.
fn without_open_metrics(encoded: &str) -> String {
    let mut plain = String::with_capacity(encoded.len());
    let mut lines = encoded.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(comment) = line.strip_prefix("# ") else {
            plain.extend([line, "\n"]);
            continue;
        };
        let Some(help) = comment.strip_prefix("HELP ") else { continue };
        let Some(kind) = lines.next_if(|next| next.starts_with("# TYPE ")) else { continue };
        let (name, help) = help.split_once(' ').unwrap_or((help, ""));
        let kind = kind.rsplit(' ').next().unwrap_or_default();
        let suffix = if kind == "counter" { "_total" } else { "" };
        plain.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
    }
    plain
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_most_preferred_format_is_chosen() {
        let check = |accept: &'static str, expected| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(ExpositionFormat::negotiate(&headers), expected, "{accept:?}");
        };
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; version=1.0.0",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;\
             version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            "text/plain, application/openmetrics-text",
            "application/openmetrics-text;q=0.2, text/plain;q=0.1, */*",
            "application/*",
            "text/plain;q=0, application/openmetrics-text;q=0.001",
        ] {
            check(accept, ExpositionFormat::OpenMetrics);
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.5, text/plain;q=0.6",
            "application/openmetrics-text;q=0.5, */*",
            "application/openmetrics-text;q=NaN",
            "application/openmetrics-text;q=2",
            ";;,,q=1;",
        ] {
            check(accept, ExpositionFormat::Text);
        }
        assert_eq!(ExpositionFormat::negotiate(&HeaderMap::new()), ExpositionFormat::Text);
    }
}
