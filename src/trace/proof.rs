//! What the verifier finds in logs that are at hand as texts, as JSON for the page.

use serde_json::{Value, json};

use super::record::{Component, LineRef, LogRecord};
use super::report::{Report, RuleReport};
use super::verify::{Checker, InputError};

/// A log.
#[derive(Clone, Debug)]
pub struct NamedLog {
    /// Its name.
    pub name: String,
    /// Its lines.
    pub text: String,
}

/// Verifies logs.
///
/// # Errors
/// [`InputError`], such as a log that mixes up the records of several processes.
pub fn verify(logs: &[NamedLog]) -> Result<Report, InputError> {
    let mut checker = Checker::new();
    for of_service in [true, false] {
        for (file, log) in (0..).zip(logs) {
            for (line, text) in (1..).zip(log.text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
                match LogRecord::parse(text) {
                    Ok(record) if (record.component == Component::Server) == of_service => {
                        checker.take(LineRef { file, line }, &record)?;
                    }
                    Ok(_) => {}
                    Err(_) => checker.torn(file),
                }
            }
        }
    }
    Ok(checker.finish())
}

/// A report, with the lines that show each violation, and their events.
pub fn as_json(report: &Report, logs: &[NamedLog]) -> Value {
    json!({
        "holds": report.violated().is_empty() && report.journals > 0,
        "records": report.records,
        "events": report.events,
        "sessions": report.sessions,
        "logs": logs.iter().map(|log| &log.name).collect::<Vec<_>>(),
        "rules": report.rules.iter().map(|rule| rule_as_json(rule, logs)).collect::<Vec<_>>(),
    })
}

fn rule_as_json(rule: &RuleReport, logs: &[NamedLog]) -> Value {
    let lines = |lines: &[LineRef]| lines.iter().map(|line| line_as_json(*line, logs)).collect::<Vec<_>>();
    let violations = rule.violations.iter();
    let violations =
        violations.map(|violation| json!({ "sentence": violation.sentence, "lines": lines(&violation.lines) }));
    json!({
        "rule": rule.rule.to_string(),
        "title": rule.rule.title(),
        "verdict": rule.verdict().as_str(),
        "records": rule.checked,
        "violated": rule.violated,
        "violations": violations.collect::<Vec<_>>(),
        "gaps": rule.caveats,
    })
}

fn line_as_json(line: LineRef, logs: &[NamedLog]) -> Value {
    let log = logs.get(line.file as usize);
    let record = log.and_then(|log| log.text.lines().nth(line.line.checked_sub(1)? as usize));
    let read = record.and_then(|record| LogRecord::parse(record).ok());
    json!({
        "file": log.map(|log| &log.name),
        "line": line.line,
        "event": read.as_ref().map(|record| record.event.to_string()),
        "sequence": read.as_ref().and_then(|record| record.sequence),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::gallery::{mistakes, truthful};

    fn texts(logs: &crate::trace::gallery::Logs) -> Vec<NamedLog> {
        let text = |records: &[Value]| records.iter().map(|record| format!("{record}\n")).collect();
        logs.0.iter().map(|log| NamedLog { name: log.name.clone(), text: text(&log.records) }).collect()
    }

    /// The same verdict as for the same logs in files, whatever their order.
    #[test]
    fn logs_at_hand_are_judged_as_files_are() {
        let logs = truthful();
        let expected = logs.verify().unwrap();
        let mut texts = texts(&logs);
        texts.reverse();
        let report = verify(&texts).unwrap();
        assert_eq!(
            (report.records, report.events, report.sessions),
            (expected.records, expected.events, expected.sessions)
        );
        assert_eq!(report.violated(), []);
        let shown = as_json(&report, &texts);
        assert_eq!((&shown["holds"], shown["rules"].as_array().unwrap().len()), (&json!(true), 15));
    }

    /// A violation is shown with its lines, and with the events that they are about.
    #[test]
    fn a_violation_names_its_lines_and_their_events() {
        let mistake = &mistakes()[0];
        let made = mistake.made_in(&truthful()).into_iter().next().unwrap();
        let texts = texts(&made);
        let shown = as_json(&verify(&texts).unwrap(), &texts);
        assert_eq!(shown["holds"], json!(false));
        let rule = &shown["rules"][mistake.rule as usize];
        assert_eq!(rule["verdict"], json!("violated"));
        let line = &rule["violations"][0]["lines"][0];
        assert!(line["file"].is_string() && line["sequence"].is_u64(), "{line}");
    }
}
