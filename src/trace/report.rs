//! The verifier's report.

use std::fmt;

use serde::Serialize;

use super::record::LineRef;

/// How many violations of a rule are shown in full; the rest are counted.
pub const SHOWN_MAX: usize = 5;
/// How many caveats of a rule are shown; the rest are counted.
const CAVEATS_MAX: usize = 20;

/// The rules, each with what it demands.
macro_rules! rules {
    ($($rule:ident $title:literal,)*) => {
        /// A rule of the specification's chapter 8.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        #[allow(missing_docs, reason = "`title` says it")]
        pub enum Rule {
            $($rule,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: [Self; 15] = [$(Self::$rule,)*];

            /// What it requires, in a few words.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$rule => $title,)*
                }
            }
        }
    };
}

rules! {
    V1 "numbering: events are 1, 2, 3 … with no gap",
    V2 "clock: L(i) = max(L(i-1), t(i)) + 2",
    V3 "agreement: everyone receives the same events",
    V4 "continuity: deliveries go up by exactly 1",
    V5 "no duplicate: one event for one publish",
    V6 "causal order: an effect comes after its causes",
    V7 "clock condition: clocks rise past all times received",
    V8 "membership: only members write, and names differ",
    V9 "visibility: from a participant's join to its leave",
    V10 "nothing acknowledged is lost",
    V11 "nothing is invented or altered",
    V12 "real time: acknowledged before sent, ordered before",
    V13 "prefix: copies of the journal agree",
    V14 "everyone caught up",
    V15 "farewell: lost participants leave, others stay",
}

impl Rule {
    /// The rule with this name, such as `V6` or `v6`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.to_string().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}", *self as usize + 1)
    }
}

/// The verdict on a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It held over everything that could be checked; this may be no record, if nothing happened that the rule is about
    /// and no log is missing that would show it.
    Held,
    /// It was violated.
    Violated,
    /// The logs that it is checked on are missing or incomplete; `gaps` and `not_checked` say which.
    NotCheckable,
}

/// A counterexample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What went wrong, in a sentence.
    pub sentence: String,
    /// The fewest records that show it.
    pub lines: Vec<LineRef>,
    /// When the last of them was made: microseconds since 1970, by the service's clock as far as the messages show the
    /// offset of other clocks.
    pub at: i64,
}

/// A log mentions an event after the last one in the service's logs. Whether that event is lost, or the service's log
/// was copied before it happened, is decided at the end.
#[derive(Clone, Debug)]
pub(super) struct BeyondClaim {
    /// The session, by its index in the model.
    pub(super) session: usize,
    pub(super) sequence: u64,
    /// Microseconds since 1970, by the clock of its process.
    pub(super) at: i64,
    pub(super) line: LineRef,
    pub(super) sentence: String,
}

/// The report on one rule.
#[derive(Clone, Debug)]
pub struct RuleReport {
    /// Which rule.
    pub rule: Rule,
    /// How many records it was checked on.
    pub checked: u64,
    /// The counterexamples that were complete first, in that order.
    pub violations: Vec<Violation>,
    /// How many counterexamples there are, including those that are not shown.
    pub violated: u64,
    /// The first caveats: what could not be checked, and why.
    pub caveats: Vec<String>,
    /// Whether a log that it is checked on, or part of one, is missing or lost.
    pub lacks_logs: bool,
    more_caveats: u64,
    /// The first event that a log mentions and no log of the service has, and how many such mentions there are.
    unrecorded: Option<(u64, u64)>,
    /// The first claim of each session.
    pub(super) beyond: Vec<BeyondClaim>,
}

impl RuleReport {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            checked: 0,
            violations: Vec::new(),
            violated: 0,
            caveats: Vec::new(),
            lacks_logs: false,
            more_caveats: 0,
            unrecorded: None,
            beyond: Vec::new(),
        }
    }

    /// Its verdict.
    pub fn verdict(&self) -> Verdict {
        match (self.violated, self.checked) {
            (1.., _) => Verdict::Violated,
            (0, 0) if !self.caveats.is_empty() => Verdict::NotCheckable,
            (0, _) => Verdict::Held,
        }
    }

    /// Whether it held because nothing happened that it is about.
    pub fn had_nothing(&self) -> bool {
        self.verdict() == Verdict::Held && self.checked == 0
    }

    /// Whether it was checked as far as any log can show: it could be checked, and no log is missing.
    pub fn is_settled(&self) -> bool {
        self.verdict() != Verdict::NotCheckable && !self.lacks_logs
    }

    /// Notes a counterexample whose evidence was complete at this time. The earliest are kept.
    pub(super) fn violate(&mut self, at: i64, sentence: impl FnOnce() -> String, lines: &[LineRef]) {
        self.violated += 1;
        let place = self.violations.partition_point(|known| known.at <= at);
        if place >= SHOWN_MAX {
            return;
        }
        self.violations.truncate(SHOWN_MAX - 1);
        let mut lines = lines.to_vec();
        lines.dedup();
        self.violations.insert(place, Violation { sentence: sentence(), lines, at });
    }

    /// Notes that a log mentions an event that is in no log of the service.
    pub(super) fn unrecorded(&mut self, sequence: u64) {
        self.lacks_logs = true;
        self.unrecorded.get_or_insert((sequence, 0)).1 += 1;
    }

    /// Notes that a log mentions an event after the end of the service's logs.
    pub(super) fn beyond(&mut self, claim: impl FnOnce() -> BeyondClaim, session: usize) {
        if self.beyond.last().is_none_or(|last| last.session != session)
            && !self.beyond.iter().any(|known| known.session == session)
        {
            self.beyond.push(claim());
        }
    }

    /// Adds the caveats that were only counted.
    pub(super) fn close(&mut self) {
        if let Some((first, times)) = self.unrecorded.take() {
            let more = if times > 1 { format!(", and {} more like it", times - 1) } else { String::new() };
            self.caveats.push(format!("event {first} is in no log of the service{more}"));
        }
        if self.more_caveats > 0 {
            self.caveats.push(format!("and {} more like these", self.more_caveats));
        }
    }

    /// Notes that a log that it is checked on, or part of one, is missing.
    pub(super) fn lack(&mut self, why: String) {
        self.lacks_logs = true;
        self.caveat(why);
    }

    /// Notes what could not be checked, once.
    pub(super) fn caveat(&mut self, why: String) {
        if self.caveats.contains(&why) {
            return;
        }
        if self.caveats.len() < CAVEATS_MAX {
            self.caveats.push(why);
        } else {
            self.more_caveats += 1;
        }
    }
}

/// The clock of a process of a participant, compared with the service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReport {
    /// Which file.
    pub file: u32,
    /// The first line of the process in it.
    pub first_line: u32,
    /// The participant, as shown to people; empty if the records do not name it.
    pub title: String,
    /// The least that it is ahead of the service's clock, in microseconds; negative if it may be behind. `None` if
    /// nothing that the process sent shows it.
    pub least: Option<i64>,
    /// The most that it is ahead; `None` if nothing that the process received shows it.
    pub most: Option<i64>,
    /// Whether it was never set while the process ran and never contradicted the service's clock. An unsteady clock is
    /// not compared with others.
    pub is_steady: bool,
}

/// The report on all rules.
#[derive(Clone, Debug)]
pub struct Report {
    /// V1 to V15.
    pub rules: Vec<RuleReport>,
    /// How many records were read.
    pub records: u64,
    /// How many events the journals of all epochs have.
    pub events: u64,
    /// How many epochs there are.
    pub epochs: usize,
    /// For how many epochs a log of the service was given.
    pub journals: usize,
    /// How many sessions have a log.
    pub sessions: usize,
    /// The clocks of the participants' processes, in the order of files and lines.
    pub clocks: Vec<ClockReport>,
}

impl Report {
    /// The report on one rule.
    pub fn rule(&self, rule: Rule) -> &RuleReport {
        &self.rules[rule as usize]
    }

    /// The rules that are violated.
    pub fn violated(&self) -> Vec<Rule> {
        self.with(Verdict::Violated)
    }

    /// The violated rules, each with the time of its first violation, in that order: one mistake often breaks several
    /// rules, and the earliest violation may be the cause of the others. If one record violates several, the lower
    /// number comes first, since the other rules rely on those of the journal.
    pub fn in_order(&self) -> Vec<(Rule, i64)> {
        let first = |rule: &RuleReport| rule.violations.first().map(|violation| (rule.rule, violation.at));
        let mut rules: Vec<_> = self.rules.iter().filter_map(first).collect();
        rules.sort_by_key(|(rule, at)| (*at, *rule));
        rules
    }

    /// The rules with this verdict.
    pub fn with(&self, verdict: Verdict) -> Vec<Rule> {
        self.rules.iter().filter(|rule| rule.verdict() == verdict).map(|rule| rule.rule).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(times: &[i64]) -> Vec<i64> {
        let mut rule = RuleReport::new(Rule::V3);
        for (line, time) in (1..).zip(times) {
            rule.violate(*time, || time.to_string(), &[LineRef { file: 0, line }]);
        }
        assert_eq!(rule.violated, times.len() as u64);
        assert!(rule.violations.iter().all(|violation| violation.sentence == violation.at.to_string()));
        rule.violations.iter().map(|violation| violation.at).collect()
    }

    /// Files are read one after another, so what happened first may be read last.
    #[test]
    fn the_violations_that_were_complete_first_are_kept_in_that_order() {
        assert_eq!(at(&[]), [0; 0]);
        assert_eq!(at(&[3, 1, 2]), [1, 2, 3]);
        assert_eq!(at(&[9, 8, 7, 6, 5, 4, 3]), [3, 4, 5, 6, 7]);
        assert_eq!(at(&[1, 2, 3, 4, 5, 6, 2]), [1, 2, 2, 3, 4]);
    }
}
