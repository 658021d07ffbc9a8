//! Lamport's logical clock: L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed
//! System", Communications of the ACM 21(7), 1978, implementation rules IR1 and IR2.

use std::fmt;

/// How far ahead of the service's clock a received time may be. Times are untrusted input: without a bound one request
/// could push everybody's clock to the end of its range.
pub const CLOCK_LEAP_MAX: u64 = 1 << 20;

/// A reading of a Lamport clock. 0 is the time before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogicalTime(pub u64);

impl fmt::Display for LogicalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The one logical clock of a process.
///
/// It orders events so that whatever could have caused an event has a smaller time (Lamport's clock
/// condition). The reverse does not hold: a smaller time alone proves no influence.
#[derive(Clone, Copy, Debug, Default)]
pub struct LamportClock {
    now: LogicalTime,
}

impl LamportClock {
    /// A clock that continues from `now`.
    pub fn starting_at(now: LogicalTime) -> Self {
        Self { now }
    }

    /// The time of the newest event of this process.
    pub fn now(&self) -> LogicalTime {
        self.now
    }

    /// A local event, such as a send (IR1): C := C + 1. Returns the event's time.
    pub fn tick(&mut self) -> LogicalTime {
        self.now.0 = self.now.0.saturating_add(1);
        self.now
    }

    /// The receipt of a message stamped `sent` (IR2): C := max(C, sent) + 1. Returns the receipt's time.
    pub fn receive(&mut self, sent: LogicalTime) -> LogicalTime {
        self.now = self.now.max(sent);
        self.tick()
    }

    /// The latest time that may be received: [`CLOCK_LEAP_MAX`] ahead.
    pub fn latest_admissible(&self) -> LogicalTime {
        LogicalTime(self.now.0.saturating_add(CLOCK_LEAP_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_event_advances_the_clock_by_one_ir1() {
        let mut clock = LamportClock::default();
        assert_eq!([clock.tick(), clock.tick()], [LogicalTime(1), LogicalTime(2)]);
    }

    #[test]
    fn a_receipt_is_later_than_its_send_and_than_all_before_it_ir2() {
        let mut clock = LamportClock::default();
        assert_eq!(clock.receive(LogicalTime(7)), LogicalTime(8));
        assert_eq!(clock.receive(LogicalTime(3)), LogicalTime(9));
    }

    #[test]
    fn the_clock_stops_at_the_end_of_its_range_rather_than_wrapping() {
        let mut clock = LamportClock::starting_at(LogicalTime(u64::MAX - 1));
        assert_eq!(clock.receive(LogicalTime(u64::MAX)), LogicalTime(u64::MAX));
        assert_eq!(clock.latest_admissible(), LogicalTime(u64::MAX));
    }
}
