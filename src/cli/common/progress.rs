//! One line on a terminal that shows the progress of a long operation.

use std::time::{Duration, Instant};

use crate::terminal;

/// An operation that takes less than this shows no line.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a figure stays, so that it can be read.
const INTERVAL: Duration = Duration::from_millis(200);
/// The clock is read once for this many events.
const STRIDE: u64 = 1024;

/// The line, on standard error. There is none if that is not a terminal, or a terminal that cannot erase a line.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    unit: &'static str,
    total: u64,
    due: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// A progress line for a number of events.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        Self::of(what, total, "events")
    }

    /// A progress line for a total in this unit.
    pub(crate) fn of(what: &'static str, total: u64, unit: &'static str) -> Self {
        let due = terminal::is_lively().then(|| Instant::now() + PATIENCE);
        Self { what, unit, total, due, shown: false }
    }

    /// Shows how many are done. Call it for each one.
    pub(crate) fn at(&mut self, done: u64) {
        if done.is_multiple_of(STRIDE) {
            self.reached(done);
        }
    }

    /// Shows how many are done.
    pub(crate) fn reached(&mut self, done: u64) {
        let Some(due) = self.due else { return };
        let now = Instant::now();
        if now >= due {
            let percent = done.saturating_mul(100) / self.total.max(1);
            let (what, total, unit) = (self.what, self.total, self.unit);
            terminal::write_stderr(format!("\r{what} {done} of {total} {unit}, {percent}%\x1b[K").into());
            (self.due, self.shown) = (Some(now + INTERVAL), true);
        }
    }
}

/// Erases the line.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            terminal::write_stderr(b"\r\x1b[K".to_vec());
        }
    }
}
