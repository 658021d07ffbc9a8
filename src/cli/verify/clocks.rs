//! Clocks that are off, in words: they make it hard to compare the timestamps of several logs.

use std::time::Duration;

use super::Shown;
use super::page::Page;
use crate::terminal::escaped;
use crate::trace::report::ClockReport;

/// A clock that is off by less is not mentioned, in microseconds.
const OFF_MICROS: i64 = 1_000_000;
/// How many of them are named: on the first screen, and with --all.
const SHOWN: [usize; 2] = [2, 20];

impl Shown {
    /// The clocks that are off. On the first screen of a violation there is no room for them.
    pub(super) fn clocks(&self, all: bool, page: &Page) -> Vec<String> {
        if !all && !self.found.report.violated().is_empty() {
            return Vec::new();
        }
        let mut off: Vec<String> = self.found.report.clocks.iter().filter_map(in_words).collect();
        off.dedup();
        let shown = SHOWN[usize::from(all)];
        let mut lines: Vec<String> =
            off.iter().take(shown).flat_map(|clock| page.wrapped("clock: ", &escaped(clock))).collect();
        if let Some(more @ 1..) = off.len().checked_sub(shown) {
            lines.push(format!("clock: {more} more"));
        }
        lines
    }
}

/// How far a clock is off; `None` if it is not, or if that is unknown.
fn in_words(clock: &ClockReport) -> Option<String> {
    let title = if clock.title.is_empty() { "a participant" } else { &clock.title };
    if !clock.is_steady {
        return Some(format!("{title} was set, or is not steady"));
    }
    let (least, most) = (clock.least?, clock.most?);
    let middle = least.midpoint(most);
    if middle.abs() < OFF_MICROS {
        return None;
    }
    let side = if middle < 0 { "behind" } else { "ahead of" };
    let duration = |micros: u64| humantime::format_duration(Duration::from_millis(micros.div_ceil(1_000)));
    let (off, unsure) = (duration(middle.unsigned_abs()), duration(most.abs_diff(least).div_ceil(2)));
    Some(format!("{title} is {off} {side} the service, give or take {unsure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(least: Option<i64>, most: Option<i64>, is_steady: bool) -> Option<String> {
        in_words(&ClockReport { file: 1, first_line: 1, title: "bob (p2)".into(), least, most, is_steady })
    }

    #[test]
    fn a_clock_that_is_off_is_described() {
        let day = 86_400_000_000;
        let expected = "bob (p2) is 1day behind the service, give or take 2ms";
        assert_eq!(says(Some(-day - 2_000), Some(-day + 2_000), true).as_deref(), Some(expected));
        let expected = "bob (p2) is 3s ahead of the service, give or take 1ms";
        assert_eq!(says(Some(2_999_500), Some(3_000_500), true).as_deref(), Some(expected));
        assert_eq!(says(Some(-500_000), Some(500_000), true), None);
        assert_eq!(says(None, Some(day), true), None);
        assert_eq!(says(None, None, false).as_deref(), Some("bob (p2) was set, or is not steady"));
    }
}
