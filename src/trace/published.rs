//! A report of `verify` as one JSON object, in the published form `chitchat.verify-report/1`: `chitchat verify --json`
//! prints it, and the page reads it. `docs/verify-report.schema.json` describes it.

use serde::Serialize;
use serde_json::Value;

use super::record::{Component, LineRef};
use super::report::{ClockReport, Report, Rule, RuleReport, Verdict};
use super::unchecked::reasons;

/// What is known of the logs that a report is about.
pub trait Sources {
    /// All of them.
    fn inputs(&self) -> Vec<JsonInput>;

    /// Where a line is: its file, and its number in that file.
    fn place(&self, line: LineRef) -> JsonPlace;

    /// The text of a line that a violation points at.
    fn text(&self, line: LineRef) -> &str;
}

/// Name and version of the object's form. A program may rely on the fields of a version; fields may be added to it.
pub const SCHEMA: &str = "chitchat.verify-report/1";

/// What `chitchat verify --json` prints.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JsonReport<'a> {
    /// Name and version of this form: `chitchat.verify-report/1`. Fields may be added to a version.
    schema: &'static str,
    /// The version of the program that checked.
    version: &'static str,
    /// What the logs show as a whole.
    verdict: Overall,
    /// The violated rules, in the order in which their evidence was complete: later ones may be consequences of the
    /// first.
    in_order: Vec<String>,
    /// The logs that were read.
    inputs: Vec<JsonInput>,
    /// How many records were read.
    records: u64,
    /// How many events the journals of all epochs have.
    events: u64,
    /// How many epochs there are: journals that began anew.
    epochs: usize,
    /// How many sessions have a log.
    sessions: usize,
    /// V1 to V15.
    rules: Vec<JsonRule<'a>>,
    /// What could not be checked: each reason once.
    not_checked: Vec<JsonReason>,
    /// How far the clocks of the participants' processes are from the service's.
    clocks: Vec<JsonClock<'a>>,
}

/// What the logs show as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// No rule is violated.
    Holds,
    /// A rule is violated.
    Violated,
    /// No rule is violated, but no log of the service was given, so the order is not known.
    Unknown,
}

/// A log.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JsonInput {
    /// Its file, or the files of a rotated log, oldest first.
    pub files: Vec<String>,
    /// Which program wrote its first record.
    pub component: Component,
    /// How many records it has.
    pub records: u64,
    /// The lines that are cut off, because a process was killed while it wrote them.
    pub cut_off: Vec<JsonPlace>,
    /// Present if the log was left out, because it mixes records of several processes that do not say which process
    /// they are from: the first record from a different process than the records before it.
    pub left_out: Option<JsonPlace>,
}

/// A line of a log.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JsonPlace {
    /// The file.
    pub file: String,
    /// The line in it, counted from 1.
    pub line: u32,
}

/// The clock of a participant's process.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonClock<'a> {
    /// Where the records of the process begin.
    #[serde(flatten)]
    place: JsonPlace,
    /// The participant; empty if no record names it.
    participant: &'a str,
    /// The least that it is ahead of the service's clock, in microseconds, according to what the process sent; negative
    /// if it may be behind.
    ahead_micros_min: Option<i64>,
    /// The most that it is ahead, in microseconds, according to what the process received.
    ahead_micros_max: Option<i64>,
    /// Whether it was never set and never contradicted the service's clock. A clock that is not steady is not compared
    /// with others.
    steady: bool,
}

/// A rule, and its verdict.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonRule<'a> {
    /// Its number, such as `V1`: specification, chapter 8.
    rule: String,
    /// What it requires, in a few words.
    title: &'static str,
    verdict: Verdict,
    /// How many records it was checked over.
    records: u64,
    /// How many violations there are.
    violated: u64,
    /// The violations whose evidence was complete first.
    violations: Vec<JsonViolation<'a>>,
    /// What could not be checked, and why.
    gaps: &'a [String],
}

/// A counterexample.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonViolation<'a> {
    /// What went wrong, in words.
    sentence: &'a str,
    /// The fewest records that show it.
    evidence: Vec<JsonEvidence>,
}

/// A record that shows a violation.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonEvidence {
    /// Where it is.
    #[serde(flatten)]
    place: JsonPlace,
    /// The record as it is in the log: a JSON object, or a string if the line is not one.
    record: Value,
}

/// Why rules could not be checked.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonReason {
    /// The reason in words.
    reason: String,
    /// The rules that could not be checked at all.
    rules: Vec<String>,
    /// The rules that could not be checked in part.
    in_part: Vec<String>,
}

fn names(rules: impl IntoIterator<Item = Rule>) -> Vec<String> {
    rules.into_iter().map(|rule| rule.to_string()).collect()
}

impl Overall {
    /// What a report says as a whole.
    pub fn of(report: &Report) -> Self {
        if !report.violated().is_empty() {
            Self::Violated
        } else if report.journals == 0 {
            Self::Unknown
        } else {
            Self::Holds
        }
    }
}

impl<'a> JsonReport<'a> {
    /// A report of these logs.
    pub fn new(report: &'a Report, sources: &impl Sources) -> Self {
        let not_checked = reasons(report).into_iter().map(|reason| JsonReason {
            rules: names(reason.unchecked),
            in_part: names(reason.in_part),
            reason: reason.why,
        });
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            verdict: Overall::of(report),
            in_order: names(report.in_order().into_iter().map(|(rule, _)| rule)),
            inputs: sources.inputs(),
            records: report.records,
            events: report.events,
            epochs: report.epochs,
            sessions: report.sessions,
            rules: report.rules.iter().map(|rule| json_rule(rule, sources)).collect(),
            not_checked: not_checked.collect(),
            clocks: report.clocks.iter().map(|clock| json_clock(clock, sources)).collect(),
        }
    }
}

fn json_rule<'a>(rule: &'a RuleReport, sources: &impl Sources) -> JsonRule<'a> {
    let evidence = |line: &LineRef| {
        let text = sources.text(*line);
        let record = serde_json::from_str(text).ok().filter(Value::is_object);
        JsonEvidence { place: sources.place(*line), record: record.unwrap_or_else(|| text.into()) }
    };
    let violations = rule.violations.iter().map(|violation| JsonViolation {
        sentence: &violation.sentence,
        evidence: violation.lines.iter().map(evidence).collect(),
    });
    JsonRule {
        rule: rule.rule.to_string(),
        title: rule.rule.title(),
        verdict: rule.verdict(),
        records: rule.checked,
        violated: rule.violated,
        violations: violations.collect(),
        gaps: &rule.caveats,
    }
}

fn json_clock<'a>(clock: &'a ClockReport, sources: &impl Sources) -> JsonClock<'a> {
    JsonClock {
        place: sources.place(LineRef { file: clock.file, line: clock.first_line }),
        participant: &clock.title,
        ahead_micros_min: clock.least,
        ahead_micros_max: clock.most,
        steady: clock.is_steady,
    }
}
