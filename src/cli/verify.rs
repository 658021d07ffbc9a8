//! `chitchat verify`: reads logs, checks the rules, says what came of it.

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::exit_codes::{FAILURE, USAGE};
use super::logs::{self, Log, LogError};
use super::{gallery, printed};
use crate::terminal::{escaped, json_line, notice};
use crate::trace::record::LineRef;
use crate::trace::report::{Report, RuleReport, Verdict};

/// How many lines that are cut off are named.
const TORN_SHOWN: usize = 20;

/// Check from the logs of all processes that the order held. Exits 0 if every rule holds, 1 if one is
/// violated, 2 if the logs cannot be used.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Logs of service, clients and browsers, in any order, plain or gzip.
    #[arg(value_name = "LOG", required_unless_present = "gallery")]
    logs: Vec<PathBuf>,

    /// Show mistakes that real implementations make, their logs, and the rule that catches each.
    #[arg(long, conflicts_with_all = ["logs", "json"])]
    gallery: bool,

    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// The logs that were read, and what they prove.
struct Verification {
    logs: Vec<Log>,
    report: Report,
    /// The lines in which a process was killed while it wrote.
    torn: BTreeSet<LineRef>,
    /// The text of each line that a violation points at.
    evidence: BTreeMap<LineRef, String>,
}

impl VerifyArgs {
    pub(super) fn run(self) -> ExitCode {
        if self.gallery {
            return printed(gallery::print(&mut io::BufWriter::new(io::stdout().lock())), ExitCode::SUCCESS);
        }
        let json = self.json;
        let verification = match self.check() {
            Ok(verification) => verification,
            Err(error) => {
                notice(&format!("chitchat: {error}"));
                return ExitCode::from(USAGE);
            }
        };
        let shown = if json { verification.print_json() } else { verification.print() };
        printed(shown, verification.verdict())
    }

    fn check(self) -> Result<Verification, LogError> {
        let logs = logs::inspect(self.logs)?;
        let (report, torn) = reading::check(&logs)?;
        let mut wanted: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for line in report.rules.iter().flat_map(|rule| &rule.violations).flat_map(|violation| &violation.lines) {
            wanted.entry(line.file).or_default().insert(line.line);
        }
        let mut evidence = BTreeMap::new();
        for (file, lines) in wanted {
            let lines: Vec<u32> = lines.into_iter().collect();
            let texts = logs::fetch(&logs[file as usize], &lines)?;
            evidence.extend(lines.into_iter().map(|line| LineRef { file, line }).zip(texts));
        }
        Ok(Verification { logs, report, torn, evidence })
    }
}

impl Verification {
    fn verdict(&self) -> ExitCode {
        if !self.report.violated().is_empty() {
            ExitCode::from(FAILURE)
        } else if self.report.journals == 0 {
            notice("chitchat: no log of the service was given, so the order is not known and nothing is proved");
            ExitCode::from(USAGE)
        } else {
            ExitCode::SUCCESS
        }
    }

    fn place(&self, line: LineRef) -> String {
        let (path, line) = self.logs[line.file as usize].place(line.line);
        format!("{}:{line}", path.display())
    }

    fn print(&self) -> io::Result<()> {
        let Self { report, torn, .. } = self;
        let mut out = io::BufWriter::new(io::stdout().lock());
        writeln!(
            out,
            "{} in {}: {} in {}, {} with a log",
            counted(report.records, "record"),
            counted(self.logs.iter().map(|log| log.segments.len() as u64).sum(), "file"),
            counted(report.events, "event"),
            counted(report.epochs as u64, "epoch"),
            counted(report.sessions as u64, "session"),
        )?;
        for line in torn.iter().take(TORN_SHOWN) {
            writeln!(out, "cut off: {} ends in the middle of a record", escaped(&self.place(*line)))?;
        }
        if let Some(more @ 1..) = torn.len().checked_sub(TORN_SHOWN) {
            writeln!(out, "cut off: {more} more")?;
        }
        writeln!(out)?;
        for rule in &report.rules {
            self.print_rule(&mut out, rule)?;
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

    fn print_rule(&self, out: &mut impl Write, rule: &RuleReport) -> io::Result<()> {
        let what = match rule.verdict() {
            Verdict::Held => format!("held over {}", counted(rule.checked, "record")),
            Verdict::Violated => format!("VIOLATED, {}", counted(rule.violated, "time")),
            Verdict::NotCheckable => "not checkable".into(),
        };
        writeln!(out, "{:<4} {:<55} {what}", rule.rule.to_string(), rule.rule.title())?;
        for caveat in &rule.caveats {
            let because = if rule.verdict() == Verdict::NotCheckable { "because" } else { "except that" };
            writeln!(out, "       {because} {}", escaped(caveat))?;
        }
        for violation in &rule.violations {
            writeln!(out, "     * {}", escaped(&violation.sentence))?;
            for line in &violation.lines {
                let text = self.evidence.get(line).map_or("", String::as_str);
                writeln!(out, "         {}  {}", escaped(&self.place(*line)), escaped(text))?;
            }
        }
        Ok(())
    }

    fn print_json(&self) -> io::Result<()> {
        let Self { report, torn, evidence, .. } = self;
        let place = |line: &LineRef| {
            let (path, line) = self.logs[line.file as usize].place(line.line);
            json!({"file": path.display().to_string(), "line": line})
        };
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
                    "gaps": rule.caveats,
                })
            })
            .collect();
        let torn: Vec<Value> = torn.iter().map(place).collect();
        let clocks: Vec<Value> = report
            .clocks
            .iter()
            .map(|clock| {
                let mut shown = place(&LineRef { file: clock.file, line: clock.first_line });
                shown["participant"] = clock.title.as_str().into();
                shown["ahead_micros_min"] = clock.least.into();
                shown["ahead_micros_max"] = clock.most.into();
                shown["steady"] = clock.is_steady.into();
                shown
            })
            .collect();
        let order: Vec<String> = report.in_order().iter().map(|(rule, _)| rule.to_string()).collect();
        let object = json!({
            "holds": report.violated().is_empty() && report.journals > 0,
            "records": report.records,
            "events": report.events,
            "epochs": report.epochs,
            "sessions": report.sessions,
            "cut_off": torn,
            "rules": rules,
            "in_order": order,
            "clocks": clocks,
        });
        writeln!(io::stdout().lock(), "{}", json_line(&object).map_err(io::Error::other)?)
    }
}

/// So many of something, in words.
fn counted(count: u64, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}
