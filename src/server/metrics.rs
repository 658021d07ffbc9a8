//! What operators can measure, as OpenMetrics. Labels have few values: never one per participant.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::chat::EventKind;
use crate::wire::Reason;

/// The content type of the text.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the histograms of time, in seconds.
const SECONDS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0];
/// Bounds of the histogram of lag, in events.
const EVENTS: [f64; 9] = [0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 65536.0];

/// The figures of one service. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Active participants.
    pub participants: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Bytes of requests and responses, and of connections, that are charged to addresses.
    pub held_bytes: Gauge,
    /// Responses that nobody took, and that were reset.
    pub responses_reset: Counter,
    /// Events handed to streams.
    pub deliveries: Counter,
    /// From a Publish's arrival to its answer.
    pub publish_seconds: Histogram,
    /// From a batch's hand-over to the journal to its commit.
    pub commit_seconds: Histogram,
    /// How far a stream is behind the newest event whenever it takes some.
    pub feed_lag: Histogram,
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

impl Default for Metrics {
    fn default() -> Self {
        let (participants, connections, deliveries) = (Gauge::default(), Gauge::default(), Counter::default());
        let (held_bytes, responses_reset) = (Gauge::default(), Counter::default());
        let (events, refusals) = (Family::default(), Family::default());
        let [publish_seconds, commit_seconds] = [(); 2].map(|()| Histogram::new(SECONDS));
        let feed_lag = Histogram::new(EVENTS);
        let mut registry = Registry::with_prefix("chitchat");
        registry.register("participants", "Active participants", participants.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register_with_unit("held", "Charged to addresses", Unit::Bytes, held_bytes.clone());
        let help = "Responses that were reset because nobody took them";
        registry.register("responses_reset", help, responses_reset.clone());
        registry.register("events", "Events of the conversation, by kind", events.clone());
        registry.register("deliveries", "Events handed to streams", deliveries.clone());
        registry.register("refusals", "Refused requests, by reason", refusals.clone());
        registry.register_with_unit(
            "publish",
            "From a publish's arrival to its answer",
            Unit::Seconds,
            publish_seconds.clone(),
        );
        registry.register_with_unit(
            "journal_commit",
            "From a batch's hand-over to its commit",
            Unit::Seconds,
            commit_seconds.clone(),
        );
        registry.register("feed_lag_events", "How far a stream is behind when it takes events", feed_lag.clone());
        Self {
            registry: Arc::new(registry),
            participants,
            connections,
            held_bytes,
            responses_reset,
            deliveries,
            publish_seconds,
            commit_seconds,
            feed_lag,
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
    /// Counts an event.
    pub fn event(&self, kind: &EventKind) {
        self.events.get_or_create(&KindLabel { kind: kind.as_str() }).inc();
    }

    /// Counts a refusal.
    pub fn refusal(&self, reason: Reason) {
        self.refusals.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    /// All figures as text.
    ///
    /// # Errors
    /// None that a `String` can cause.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(encoded)
    }
}
