//! A log for [ShiViz](https://bestchai.bitbucket.io/shiviz/) and [TSViz](https://bestchai.bitbucket.io/tsviz/): a line with
//! the regular expression that parses it, a line with the delimiter of executions (empty, since there is only one),
//! then `host {clock} timestamp event`.
//!
//! The vector clocks are derived from the chart: an event depends on those before it in its process and, if it is a
//! receipt, on what the sender knew. A process that continues another inherits its clock. TSViz places events by the
//! timestamp of the log record, which comes from the machine's clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;

use serde_json::Value;

use super::Chart;
use crate::terminal::acts_on_terminal;

/// The regular expression for the lines. ShiViz shows unknown groups as fields.
pub const REGEX: &str = r"(?<host>\S+) (?<clock>\{.*?\}) (?<timestamp>\d+) (?<event>.*)";

/// The properties that every plain JavaScript object has. Both tools keep their data about a process in such an object
/// under the process's name, so a process with one of these names breaks them.
const OBJECT_PROPERTIES: [&str; 12] = [
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// The latest time that has 19 digits in nanoseconds, in microseconds: in the year 2286.
const TIMESTAMP_MAX: u64 = 9_999_999_999_999_999;

/// The most entries that the vector clocks of a log may have together. They grow with the square of the number of
/// processes, and ShiViz draws far fewer.
pub const CLOCK_ENTRIES_MAX: usize = 2_000_000;

/// The log. `None` if its clocks would have more than [`CLOCK_ENTRIES_MAX`] entries.
pub fn text(chart: &Chart) -> Option<String> {
    let mut entries = 0;
    let hosts = hosts(chart);
    let mut clocks: Vec<BTreeMap<usize, u64>> = vec![BTreeMap::new(); chart.points.len()];
    let mut now: Vec<BTreeMap<usize, u64>> = vec![BTreeMap::new(); chart.lanes.len()];
    let mut log = format!("{REGEX}\n\n");
    let senders = senders(chart);
    for index in order(chart, &senders) {
        let point = &chart.points[index];
        let clock = &mut now[point.lane];
        for sender in &senders[index] {
            for (lane, count) in &clocks[*sender] {
                let known = clock.entry(*lane).or_insert(0);
                *known = (*known).max(*count);
            }
        }
        *clock.entry(point.lane).or_insert(0) += 1;
        entries += clock.len();
        if entries > CLOCK_ENTRIES_MAX {
            return None;
        }
        clocks[index] = clock.clone();
        let shown: serde_json::Map<String, Value> =
            clock.iter().map(|(lane, count)| (hosts[*lane].clone(), (*count).into())).collect();
        let words: String =
            point.words.chars().map(|c| if acts_on_terminal(c) { '\u{fffd}' } else { c }).collect();
        // Writing to a String cannot fail.
        let (host, clock, at) = (&hosts[point.lane], Value::Object(shown), timestamp(point.at));
        let _ = writeln!(log, "{host} {clock} {at} [{}] {words}", point.moment.1);
    }
    Some(log)
}

/// Converts microseconds since 1970 to TSViz's form: nanoseconds, all with the same number of digits, since it compares
/// them as texts.
fn timestamp(at: i64) -> String {
    format!("{:019}", u64::try_from(at).unwrap_or(0).min(TIMESTAMP_MAX) * 1_000)
}

/// A unique name for each lifeline, without spaces or braces.
fn hosts(chart: &Chart) -> Vec<String> {
    let mut taken = HashSet::new();
    let plain = |c: char| if c.is_whitespace() || c.is_control() || "{}\"\\".contains(c) { '_' } else { c };
    let mut hosts = Vec::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for lane in &chart.lanes {
        let name: String = lane.name.chars().map(plain).collect();
        let name = if name.is_empty() {
            "unnamed".into()
        } else if OBJECT_PROPERTIES.contains(&&*name) {
            format!("@{name}")
        } else {
            name
        };
        let count = counts.entry(name.clone()).or_insert(0);
        let free = loop {
            *count += 1;
            let free = if *count == 1 { name.clone() } else { format!("{name}-{count}") };
            if !taken.contains(&free) {
                break free;
            }
        };
        taken.insert(free.clone());
        hosts.push(free);
    }
    hosts
}

fn senders(chart: &Chart) -> Vec<Vec<usize>> {
    let mut senders = vec![Vec::new(); chart.points.len()];
    chart.arrows.iter().chain(&chart.continuations).for_each(|arrow| senders[arrow.to].push(arrow.from));
    senders
}

/// An order in which causes come first: by logical time, then by program order. If the logs contradict themselves,
/// there may be no such order; arrows that would point backwards are then ignored.
fn order(chart: &Chart, senders: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = senders.iter().map(Vec::len).collect();
    let mut next: Vec<Option<usize>> = vec![None; chart.points.len()];
    let mut last: Vec<Option<usize>> = vec![None; chart.lanes.len()];
    for (index, point) in chart.points.iter().enumerate() {
        if let Some(before) = last[point.lane].replace(index) {
            next[before] = Some(index);
            missing[index] += 1;
        }
    }
    let mut receivers = vec![Vec::new(); chart.points.len()];
    chart.arrows.iter().chain(&chart.continuations).for_each(|arrow| receivers[arrow.from].push(arrow.to));
    let key = |index: usize| (chart.points[index].moment, chart.points[index].lane, index);
    let mut ready: BTreeSet<_> = (0..chart.points.len()).filter(|index| missing[*index] == 0).map(key).collect();
    let mut order = Vec::new();
    while let Some((.., index)) = ready.pop_first() {
        order.push(index);
        for later in receivers[index].iter().copied().chain(next[index]) {
            missing[later] -= 1;
            if missing[later] == 0 {
                ready.insert(key(later));
            }
        }
    }
    let placed: HashSet<usize> = order.iter().copied().collect();
    order.extend((0..chart.points.len()).filter(|index| !placed.contains(index)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::diagram::Lane;

    #[test]
    fn names_are_unique_and_not_properties_of_every_object() {
        let lane = |name: &&str| Lane { name: (*name).into(), service: false, has_log: true };
        let names =
            ["constructor", "@constructor", "__proto__", "alice", "alice", "alice-2", "a b", "a_b", "", "{}"];
        let chart = Chart { lanes: names.iter().map(lane).collect(), ..Chart::default() };
        assert_eq!(
            hosts(&chart),
            [
                "@constructor",
                "@constructor-2",
                "@__proto__",
                "alice",
                "alice-2",
                "alice-2-2",
                "a_b",
                "a_b-2",
                "unnamed",
                "__"
            ]
        );
    }

    #[test]
    fn times_have_the_same_number_of_digits() {
        assert_eq!(timestamp(1_795_703_523_308_549), "1795703523308549000");
        assert_eq!(timestamp(5), "0000000000000005000");
        assert_eq!(timestamp(-5), "0000000000000000000");
    }
}
