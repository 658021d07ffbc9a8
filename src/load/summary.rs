//! The results of a run, as one JSON object.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Plan;
use super::check::Faults;

/// The figures of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many joined.
    pub participants: usize,
    /// How many of them published.
    pub publishers: usize,
    /// How many publishes each of these had in flight at a time.
    pub in_flight: usize,
    /// Milliseconds between publishes, if they were paced.
    pub interval_ms: Option<f64>,
    /// Characters of a message.
    pub text_characters: usize,
    /// How many messages were published and acknowledged.
    pub messages: u64,
    /// From the first connection until all had joined.
    pub join_seconds: f64,
    /// The time from the first connection until the last join had been delivered to all.
    pub caught_up_seconds: f64,
    /// Messages that were delivered, each counted once for each reader.
    pub deliveries: u64,
    /// How many there should have been.
    pub deliveries_expected: u64,
    /// Deliveries per second, from the first publish to the last delivery. `None` if there were none.
    pub deliveries_per_second: Option<f64>,
    /// Publishes per second, from the first publish to the last acknowledgement. `None` if there were none.
    pub publishes_per_second: Option<f64>,
    /// From the sending of a message to its acknowledgement. `None` if there were none.
    pub publish_ms: Option<Latencies>,
    /// From the sending of a message to each of its deliveries. `None` if there were none.
    pub delivery_ms: Option<Latencies>,
    /// What went wrong.
    #[serde(flatten)]
    pub faults: Faults,
    /// Streams that ended before the run did.
    pub streams_ended: u64,
    /// What the service's process used, if it was watched.
    pub server: Option<ServerUse>,
}

impl Summary {
    /// Whether everything was delivered as it should be.
    pub fn is_right(&self) -> bool {
        self.faults.none() && self.streams_ended == 0 && self.deliveries == self.deliveries_expected
    }
}

/// A distribution of latencies, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latencies {
    /// The median.
    pub p50: f64,
    /// 90% are within this.
    pub p90: f64,
    /// 99% are within this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Latencies {
    /// From a histogram in microseconds; `None` if it is empty.
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        let max = histogram.max() as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max })
    }
}

/// What the service's process used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServerUse {
    /// Processor time while messages were published and delivered, in seconds.
    pub cpu_seconds: f64,
    /// Processor time per delivery, in microseconds. `None` if there were none.
    pub cpu_us_per_delivery: Option<f64>,
    /// Processor time per publish, in microseconds. `None` if there were none.
    pub cpu_us_per_publish: Option<f64>,
    /// Resident memory before anybody joined.
    pub resident_kib_before: u64,
    /// Resident memory when all had joined and nothing was happening yet.
    pub resident_kib_joined: u64,
    /// What each participant added to it.
    pub memory_kib_per_participant: f64,
}

impl ServerUse {
    /// From processor times at the beginning and the end of publishing, memory before and after the joins, and counts.
    pub fn new(cpu: [Duration; 2], resident_kib: [u64; 2], plan: &Plan, deliveries: u64) -> Self {
        let cpu_seconds = cpu[1].saturating_sub(cpu[0]).as_secs_f64();
        let each = |count: u64| (count > 0).then(|| rounded(cpu_seconds * 1e6 / count as f64));
        let grown = resident_kib[1] as f64 - resident_kib[0] as f64;
        Self {
            cpu_seconds: rounded(cpu_seconds),
            cpu_us_per_delivery: each(deliveries),
            cpu_us_per_publish: each(plan.messages),
            resident_kib_before: resident_kib[0],
            resident_kib_joined: resident_kib[1],
            memory_kib_per_participant: rounded(grown / plan.participants.max(1) as f64),
        }
    }
}

/// To three decimals: more would be noise.
pub fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

/// The rate per second; `None` if nothing was counted.
pub fn per_second(count: u64, time: Duration) -> Option<f64> {
    (count > 0).then(|| rounded(count as f64 / time.as_secs_f64().max(1e-6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            participants: 2,
            publishers: 1,
            in_flight: 1,
            interval_ms: None,
            text_characters: 64,
            messages: 3,
            join_seconds: 0.1,
            caught_up_seconds: 0.2,
            deliveries: 6,
            deliveries_expected: 6,
            deliveries_per_second: None,
            publishes_per_second: None,
            publish_ms: None,
            delivery_ms: None,
            faults: Faults::default(),
            streams_ended: 0,
            server: None,
        }
    }

    /// One wrong delivery is enough: the command exits 1.
    #[test]
    fn a_run_is_right_if_nothing_is_wrong() {
        assert!(summary().is_right());
        let none = Faults::default();
        for faults in [
            Faults { missing: 1, ..none },
            Faults { doubled: 1, ..none },
            Faults { out_of_order: 1, ..none },
            Faults { altered: 1, ..none },
        ] {
            assert!(!Summary { faults, ..summary() }.is_right(), "{faults:?}");
        }
        assert!(!Summary { deliveries: 5, ..summary() }.is_right());
        assert!(!Summary { deliveries: 7, ..summary() }.is_right());
        assert!(!Summary { streams_ended: 1, ..summary() }.is_right());
    }

    #[test]
    fn latencies_are_milliseconds() {
        let mut histogram = super::super::run::histogram();
        assert_eq!(Latencies::of(&histogram), None);
        (1..=100).for_each(|n| histogram.saturating_record(n * 1000));
        let latencies = Latencies::of(&histogram).unwrap();
        let near = |figure: f64, expected: f64| (figure - expected).abs() < expected / 500.0;
        assert!(
            near(latencies.p50, 50.0) && near(latencies.p90, 90.0) && near(latencies.p99, 99.0),
            "{latencies:?}"
        );
        assert!(near(latencies.max, 100.0), "{latencies:?}");
    }

    #[test]
    fn the_use_of_the_service_is_divided_by_what_it_did() {
        let plan = Plan { participants: 10, messages: 4, ..Plan::default() };
        let cpu = [Duration::from_secs(1), Duration::from_millis(1200)];
        let used = ServerUse::new(cpu, [1000, 1500], &plan, 40);
        assert_eq!((used.cpu_us_per_delivery, used.cpu_us_per_publish), (Some(5e3), Some(50e3)));
        assert_eq!((used.cpu_seconds, used.memory_kib_per_participant), (0.2, 50.0));
        assert_eq!(ServerUse::new(cpu, [1, 1], &plan, 0).cpu_us_per_delivery, None);
    }
}
