//! What the verifier found.

use std::fmt;

use super::record::LineRef;

/// How many violations of a rule are shown in full; the rest are counted.
pub const SHOWN_MAX: usize = 5;
/// How many caveats of a rule are shown; the rest are counted.
const CAVEATS_MAX: usize = 20;

/// A rule of the specification's chapter 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
#[allow(missing_docs, reason = "`title` says it")]
pub enum Rule {
    V1,
    V2,
    V3,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
    V11,
    V12,
    V13,
    V14,
    V15,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
        Self::V13,
        Self::V14,
        Self::V15,
    ];

    /// What it demands, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::V1 => "numbering: events are 1, 2, 3 … with no gap",
            Self::V2 => "clock: L(i) = max(L(i-1), t(i)) + 2",
            Self::V3 => "agreement: everybody is told the same",
            Self::V4 => "continuity: deliveries go up by exactly 1",
            Self::V5 => "no duplicate: one event for one publish",
            Self::V6 => "causal order: an effect comes after its causes",
            Self::V7 => "clock condition: clocks only rise, past all they hear",
            Self::V8 => "membership: only who is here speaks, names differ",
            Self::V9 => "visibility: from the own join to the own leave",
            Self::V10 => "nothing acknowledged is lost",
            Self::V11 => "nothing is invented or altered",
            Self::V12 => "real time: acknowledged before sent is before",
            Self::V13 => "prefix: copies of the journal agree",
            Self::V14 => "everyone caught up",
            Self::V15 => "farewell: who vanished leaves, and nobody else",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}", *self as usize + 1)
    }
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It held over all that could be checked.
    Held,
    /// It did not.
    Violated,
    /// There was nothing to check it on.
    NotCheckable,
}

impl Verdict {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Violated => "violated",
            Self::NotCheckable => "not_checkable",
        }
    }
}

/// A counterexample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What went wrong, for somebody who learns this.
    pub sentence: String,
    /// The fewest records that show it.
    pub lines: Vec<LineRef>,
}

/// A log that speaks of an event after the last one in the service's logs. Whether that is lost, or the service's log was
/// copied before it happened, only the whole can show.
#[derive(Clone, Debug)]
pub(super) struct BeyondClaim {
    /// Whose, by its place in the model.
    pub(super) session: usize,
    pub(super) sequence: u64,
    /// Microseconds since 1970, by the clock of its process.
    pub(super) at: i64,
    pub(super) line: LineRef,
    pub(super) sentence: String,
}

/// What is known of one rule.
#[derive(Clone, Debug)]
pub struct RuleReport {
    /// Which rule.
    pub rule: Rule,
    /// Over how many records it was checked.
    pub checked: u64,
    /// The first counterexamples.
    pub violations: Vec<Violation>,
    /// How many there are.
    pub violated: u64,
    /// What could not be checked, and why: the first caveats.
    pub caveats: Vec<String>,
    more_caveats: u64,
    /// The first event that no log of the service has, and how often there was one.
    unrecorded: Option<(u64, u64)>,
    /// The first of each session.
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
            more_caveats: 0,
            unrecorded: None,
            beyond: Vec::new(),
        }
    }

    /// What became of it.
    pub fn verdict(&self) -> Verdict {
        match (self.violated, self.checked) {
            (1.., _) => Verdict::Violated,
            (0, 0) => Verdict::NotCheckable,
            (0, _) => Verdict::Held,
        }
    }

    pub(super) fn violate(&mut self, sentence: impl FnOnce() -> String, lines: &[LineRef]) {
        self.violated += 1;
        if self.violations.len() < SHOWN_MAX {
            let mut lines = lines.to_vec();
            lines.dedup();
            self.violations.push(Violation { sentence: sentence(), lines });
        }
    }

    /// Notes that an event is spoken of that no log of the service has.
    pub(super) fn unrecorded(&mut self, sequence: u64) {
        self.unrecorded.get_or_insert((sequence, 0)).1 += 1;
    }

    /// Notes that a log speaks of an event after the end of the service's logs.
    pub(super) fn beyond(&mut self, claim: impl FnOnce() -> BeyondClaim, session: usize) {
        if self.beyond.last().is_none_or(|last| last.session != session)
            && !self.beyond.iter().any(|known| known.session == session)
        {
            self.beyond.push(claim());
        }
    }

    /// Sums up what was noted.
    pub(super) fn close(&mut self) {
        if let Some((first, times)) = self.unrecorded.take() {
            let more = if times > 1 { format!(", and {} more like it", times - 1) } else { String::new() };
            self.caveats.push(format!("e({first}) is in no log of the service{more}"));
        }
        if self.more_caveats > 0 {
            self.caveats.push(format!("and {} more like these", self.more_caveats));
        }
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

/// What is known of all rules.
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
    /// Of how many epochs a log of the service was given.
    pub journals: usize,
    /// How many sessions have a log.
    pub sessions: usize,
}

impl Report {
    /// One rule's part.
    pub fn rule(&self, rule: Rule) -> &RuleReport {
        &self.rules[rule as usize]
    }

    /// The rules that are violated.
    pub fn violated(&self) -> Vec<Rule> {
        self.with(Verdict::Violated)
    }

    /// The rules with this verdict.
    pub fn with(&self, verdict: Verdict) -> Vec<Rule> {
        self.rules.iter().filter(|rule| rule.verdict() == verdict).map(|rule| rule.rule).collect()
    }
}
