//! How far the system clock of a process is from the service's, according to the messages between the two.
//!
//! The service records no event before it was sent, and no event is delivered before the service recorded it. So each
//! send bounds the offset from below and each delivery from above, on any machines and over any network.
//! Acknowledgements are not used here, because V12 judges them by these bounds.

/// The most by which two clocks drift apart: 200 microseconds a second.
const DRIFT_PARTS: i64 = 5_000;
/// Records are made a little before or after the step that they describe, in microseconds.
const JITTER_MICROS: i64 = 200;
/// Clock jitter below this is ignored, in microseconds: records of one process may be slightly out of order.
const STEP_MICROS: i64 = 100_000;

/// The system clock of one process of a participant.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessClock {
    /// Its first line in its file.
    pub first_line: u32,
    first_at: i64,
    last_at: i64,
    /// Its clock minus the service's, in microseconds: the lower bound, from what it sent.
    least: Option<i64>,
    /// The same, from what the previous process in the file sent: that ran on the same machine, unless something
    /// received since contradicts it.
    least_before: Option<i64>,
    /// The upper bound, from what it received.
    most: Option<i64>,
    /// Whether it was set back while the process ran.
    pub set_back: bool,
}

impl ProcessClock {
    pub(super) fn new(first_line: u32, at: i64) -> Self {
        Self { first_line, first_at: at, last_at: at, ..Self::default() }
    }

    /// The clock of the next process in the file.
    pub(super) fn next(&self, first_line: u32, at: i64) -> Self {
        let (first_at, least_before) = (self.first_at, self.least.or(self.least_before));
        Self { first_at, least_before, ..Self::new(first_line, at) }
    }

    pub(super) fn at(&mut self, at: i64) {
        self.set_back |= at < self.last_at.saturating_sub(STEP_MICROS);
        self.last_at = at;
    }

    /// Notes that something was sent at a time of this clock, and recorded by the service at a time of its own.
    pub(super) fn sent(&mut self, at: i64, recorded: i64) {
        let offset = at.saturating_sub(recorded);
        self.least = Some(self.least.map_or(offset, |least| least.max(offset)));
    }

    /// Notes that something was recorded by the service at a time of its clock, and received at a time of this one.
    pub(super) fn received(&mut self, at: i64, recorded: i64) {
        let offset = at.saturating_sub(recorded);
        self.most = Some(self.most.map_or(offset, |most| most.min(offset)));
    }

    /// Whether it was steady: never set, and never contradicting the service's clock.
    pub fn is_steady(&self) -> bool {
        let contradicts = self.least().zip(self.most).is_some_and(|(least, most)| least > most + self.slack());
        !self.set_back && !contradicts
    }

    /// How far it is ahead of the service's clock, in microseconds: the least, and the most.
    pub fn bounds(&self) -> (Option<i64>, Option<i64>) {
        (self.least(), self.most)
    }

    /// About how far it is ahead of the service's clock.
    pub(super) fn offset(&self) -> i64 {
        match self.bounds() {
            (Some(least), Some(most)) => least.midpoint(most),
            (least, most) => least.or(most).unwrap_or(0),
        }
    }

    fn least(&self) -> Option<i64> {
        self.least.or(self.least_before.filter(|_| self.most.is_some()))
    }

    fn slack(&self) -> i64 {
        self.last_at.saturating_sub(self.first_at).max(0) / DRIFT_PARTS + JITTER_MICROS
    }

    /// The earliest time of the service's clock that may correspond to a time of this one.
    pub fn earliest(&self, at: i64) -> Option<i64> {
        let most = self.most.filter(|_| self.is_steady())?;
        Some(at.saturating_sub(most).saturating_sub(self.slack()))
    }

    /// The latest time of the service's clock that may correspond to a time of this one.
    pub fn latest(&self, at: i64) -> Option<i64> {
        let least = self.least().filter(|_| self.is_steady())?;
        Some(at.saturating_sub(least).saturating_add(self.slack()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_bounded_by_what_was_sent_and_what_was_received_v12() {
        let mut clock = ProcessClock::new(1, 1_000_000);
        assert_eq!((clock.earliest(5), clock.latest(5)), (None, None));
        // Ten seconds ahead, and each message takes 2 milliseconds.
        for at in [1_000_000, 1_500_000, 2_000_000] {
            clock.at(10_000_000 + at);
            clock.sent(10_000_000 + at, at + 2_000);
            clock.received(10_000_000 + at + 4_000, at + 2_000);
        }
        let slack = clock.slack();
        assert!(clock.is_steady());
        assert_eq!(clock.latest(12_000_000), Some(2_000_000 + 2_000 + slack));
        assert_eq!(clock.earliest(12_000_000), Some(2_000_000 - 2_000 - slack));
        // It was set forward.
        clock.sent(30_000_000, 3_000_000);
        assert!(!clock.is_steady());
        assert_eq!(clock.latest(12_000_000), None);
    }

    #[test]
    fn a_clock_that_was_set_back_is_not_steady_v12() {
        let mut clock = ProcessClock::new(1, 1_000_000);
        clock.at(950_000);
        assert!(clock.is_steady(), "records may be slightly out of order");
        clock.at(800_000);
        assert!(!clock.is_steady());
    }
}
