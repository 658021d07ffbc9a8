//! `chitchat verify`: reads logs, checks the rules, says what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::gallery;
use super::logs::{self, LogError, Torn};
use crate::terminal::{escaped, json_line, notice};
use crate::trace::record::{Component, LineRef};
use crate::trace::report::{Report, RuleReport, Verdict};
use crate::trace::verify::{Checker, OutOfOrder};

/// How many records are read between two signs of progress.
const PROGRESS_RECORDS: u64 = 100_000;

/// Check from the logs of all processes that the order held. Exits 0 if every rule holds, 1 if one is
/// violated, 2 if the logs cannot be used.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Logs of service, clients and browsers, in any order, plain or gzip.
    #[arg(value_name = "LOG", required_unless_present = "gallery")]
    logs: Vec<PathBuf>,

    /// Show mistakes that real implementations make, their logs, and the rule that catches each.
    #[arg(long, conflicts_with_all = ["logs", "json"])]
    gallery: bool,

    /// Print one JSON object instead of text.
    #[arg(long, env = "CHITCHAT_JSON")]
    json: bool,
}

/// What was read, and what it proves.
struct Outcome {
    report: Report,
    torn: Vec<Torn>,
    /// The text of each line that a violation points at.
    evidence: BTreeMap<LineRef, String>,
}

impl Verify {
    pub(super) fn run(self) -> ExitCode {
        if self.gallery {
            return printed(gallery::print(&mut io::BufWriter::new(io::stdout().lock())), ExitCode::SUCCESS);
        }
        let outcome = match self.check() {
            Ok(outcome) => outcome,
            Err(error) => {
                notice(&format!("chitchat: {error}"));
                return ExitCode::from(2);
            }
        };
        let shown = if self.json { self.print_json(&outcome) } else { self.print(&outcome) };
        printed(shown, Self::verdict(&outcome.report))
    }

    fn verdict(report: &Report) -> ExitCode {
        if !report.violated().is_empty() {
            ExitCode::FAILURE
        } else if report.journals == 0 {
            notice("chitchat: no log of the service was given, so the order is not known and nothing is proved");
            ExitCode::from(2)
        } else {
            ExitCode::SUCCESS
        }
    }

    fn check(&self) -> Result<Outcome, LogError> {
        let mut components = Vec::new();
        for path in &self.logs {
            components.push(logs::component(path)?);
        }
        // A file may hold the records of several processes, in any order.
        let mut mixed = BTreeSet::new();
        let (report, torn) = loop {
            match self.pass(&components, &mixed)? {
                Ok(found) => break found,
                Err(file) => drop(mixed.insert(file)),
            }
        };
        let mut wanted: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for line in report.rules.iter().flat_map(|rule| &rule.violations).flat_map(|violation| &violation.lines) {
            wanted.entry(line.file).or_default().insert(line.line);
        }
        let mut evidence = BTreeMap::new();
        for (file, lines) in wanted {
            let lines: Vec<u32> = lines.into_iter().collect();
            let texts = logs::fetch(&self.logs[file as usize], &lines)?;
            evidence.extend(lines.into_iter().map(|line| LineRef { file, line }).zip(texts));
        }
        Ok(Outcome { report, torn, evidence })
    }

    /// Reads the service's records first, and then those of the others. A file that turns out to hold both is
    /// told to the caller, to be read twice.
    #[allow(clippy::type_complexity, reason = "used once")]
    fn pass(
        &self,
        components: &[Component],
        mixed: &BTreeSet<u32>,
    ) -> Result<Result<(Report, Vec<Torn>), u32>, LogError> {
        let mut checker = Checker::new();
        let mut progress = Progress::new();
        let mut torn = Vec::new();
        for of_server in [true, false] {
            for (file, path) in (0_u32..).zip(&self.logs) {
                let both = mixed.contains(&file);
                if !both && (components[file as usize] == Component::Server) != of_server {
                    continue;
                }
                let mut out_of_order = false;
                let mut late = false;
                let found = logs::read(path, file, |line, record| {
                    let server = record.component == Component::Server;
                    late |= of_server && !server && !both;
                    if both && server != of_server {
                        return true;
                    }
                    progress.tick();
                    out_of_order = late || checker.take(line, record) == Err(OutOfOrder);
                    !out_of_order
                })?;
                if out_of_order {
                    progress.clear();
                    return Ok(Err(file));
                }
                for place in found {
                    checker.torn(file);
                    torn.extend((!torn.contains(&place)).then_some(place));
                }
            }
        }
        progress.clear();
        Ok(Ok((checker.finish(), torn)))
    }

    fn place(&self, line: LineRef) -> String {
        format!("{}:{}", self.logs[line.file as usize].display(), line.line)
    }

    fn print(&self, outcome: &Outcome) -> io::Result<()> {
        let Outcome { report, torn, .. } = outcome;
        let mut out = io::BufWriter::new(io::stdout().lock());
        writeln!(
            out,
            "{} records in {} files: {} events in {} epochs, {} sessions with a log",
            report.records,
            self.logs.len(),
            report.events,
            report.epochs,
            report.sessions
        )?;
        for Torn(line) in torn {
            writeln!(out, "cut off: {} ends in the middle of a record", escaped(&self.place(*line)))?;
        }
        writeln!(out)?;
        for rule in &report.rules {
            self.print_rule(&mut out, rule, outcome)?;
        }
        let (violated, unchecked) = (report.violated(), report.with(Verdict::NotCheckable));
        let list = |rules: &[_]| {
            rules.iter().map(|rule: &crate::trace::report::Rule| rule.to_string()).collect::<Vec<_>>().join(", ")
        };
        writeln!(out)?;
        if !violated.is_empty() {
            writeln!(out, "VIOLATED: {}", list(&violated))?;
        } else if unchecked.is_empty() {
            writeln!(out, "All rules hold.")?;
        } else {
            writeln!(out, "No rule is violated. Not checkable with these logs: {}", list(&unchecked))?;
        }
        out.flush()
    }

    fn print_rule(&self, out: &mut impl Write, rule: &RuleReport, outcome: &Outcome) -> io::Result<()> {
        let what = match rule.verdict() {
            Verdict::Held => format!("held over {} records", rule.checked),
            Verdict::Violated => format!("VIOLATED, {} times", rule.violated),
            Verdict::NotCheckable => "not checkable".into(),
        };
        writeln!(out, "{:<4} {:<55} {what}", rule.rule.to_string(), rule.rule.title())?;
        for gap in &rule.gaps {
            let because = if rule.verdict() == Verdict::NotCheckable { "because" } else { "except that" };
            writeln!(out, "       {because} {}", escaped(gap))?;
        }
        for violation in &rule.violations {
            writeln!(out, "     * {}", escaped(&violation.sentence))?;
            for line in &violation.lines {
                let text = outcome.evidence.get(line).map_or("", String::as_str);
                writeln!(out, "         {}  {}", escaped(&self.place(*line)), escaped(text))?;
            }
        }
        Ok(())
    }

    fn print_json(&self, outcome: &Outcome) -> io::Result<()> {
        let Outcome { report, torn, evidence } = outcome;
        let place = |line: &LineRef| json!({"file": self.logs[line.file as usize].display().to_string(), "line": line.line});
        let rules: Vec<Value> = report
            .rules
            .iter()
            .map(|rule| {
                let violations: Vec<Value> = rule
                    .violations
                    .iter()
                    .map(|violation| {
                        let lines: Vec<Value> = violation
                            .lines
                            .iter()
                            .map(|line| {
                                let mut shown = place(line);
                                shown["record"] =
                                    evidence.get(line).map_or(Value::Null, |text| text.as_str().into());
                                shown
                            })
                            .collect();
                        json!({"sentence": violation.sentence, "lines": lines})
                    })
                    .collect();
                json!({
                    "rule": rule.rule.to_string(),
                    "title": rule.rule.title(),
                    "verdict": rule.verdict().as_str(),
                    "records": rule.checked,
                    "violated": rule.violated,
                    "violations": violations,
                    "gaps": rule.gaps,
                })
            })
            .collect();
        let torn: Vec<Value> = torn.iter().map(|Torn(line)| place(line)).collect();
        let object = json!({
            "holds": report.violated().is_empty() && report.journals > 0,
            "records": report.records,
            "events": report.events,
            "epochs": report.epochs,
            "sessions": report.sessions,
            "cut_off": torn,
            "rules": rules,
        });
        writeln!(io::stdout().lock(), "{}", json_line(&object).map_err(io::Error::other)?)
    }
}

/// The exit code, also where whoever reads has heard enough.
fn printed(result: io::Result<()>, code: ExitCode) -> ExitCode {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            notice(&format!("chitchat: cannot print: {error}"));
            ExitCode::from(2)
        }
        _ => code,
    }
}

/// A sign of life on a terminal, for logs that take a while.
struct Progress {
    shown: bool,
    records: u64,
}

impl Progress {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), records: 0 }
    }

    fn tick(&mut self) {
        self.records += 1;
        if self.shown && self.records.is_multiple_of(PROGRESS_RECORDS) {
            let _ = write!(io::stderr(), "\r{} records", self.records);
        }
    }

    fn clear(&self) {
        if self.shown && self.records >= PROGRESS_RECORDS {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
