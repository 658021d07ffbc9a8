//! `chitchat verify --gallery`: mistakes that real implementations make, what they leave in the logs, and what
//! the verifier says.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::exit_codes::{FAILURE, USAGE};
use super::printed;
use crate::terminal::{escaped, notice};
use crate::trace::gallery::{JsonLog, Logs, Mistake, mistakes, parse, truthful};
use crate::trace::report::Rule;

/// How many changed records of a mistake are shown.
const CHANGES_SHOWN: usize = 8;
/// The fields of a record that the gallery shows, with a short name.
const SHOWN: [(&str, &str); 10] = [
    ("participant_id", ""),
    ("message_id", "id"),
    ("sequence", "sequence"),
    ("sent_logical_time", "t"),
    ("logical_time", "L"),
    ("seen_sequence", "seen"),
    ("local_time", "clock"),
    ("kind", ""),
    ("content", ""),
    ("reason", ""),
];

/// Prints the gallery: the mistakes of the program, or those of a file.
pub(super) fn run(file: Option<&Path>) -> ExitCode {
    let mistakes = match file.map_or_else(|| Ok(mistakes()), read) {
        Ok(mistakes) => mistakes,
        Err(error) => {
            notice(&format!("chitchat: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    let shown = print(&mut io::BufWriter::new(io::stdout().lock()), &mistakes);
    let all_caught = !matches!(shown, Ok(false));
    printed(shown.map(drop), if all_caught { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn read(file: &Path) -> Result<Vec<Mistake>, String> {
    let named = |error: &dyn std::error::Error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| named(&error))?;
    parse(&text).map_err(|error| named(&error))
}

/// Prints the gallery, and says whether each mistake is caught by the rule that names it.
fn print(out: &mut impl Write, mistakes: &[Mistake]) -> io::Result<bool> {
    let truth = truthful();
    writeln!(out, "The truthful logs of a small run. They keep every rule.\n")?;
    for log in &truth.0 {
        writeln!(out, "  {}", log.name)?;
        for (line, record) in (1..).zip(&log.records) {
            writeln!(out, "  {line:>3}  {}", brief(record))?;
        }
        writeln!(out)?;
    }
    writeln!(out, "Now one mistake at a time: what it changes in the logs (- was, + is), and the verdict.")?;
    let mut all_caught = true;
    for (number, mistake) in (1..).zip(mistakes) {
        writeln!(out, "\n{number}. {}\n   {}\n", escaped(&mistake.title), escaped(&mistake.explanation))?;
        all_caught &= match mistake.made_in(&truth) {
            Ok(logs) => {
                print_changes(out, &truth, &logs)?;
                print_verdict(out, &logs, mistake.rule)?
            }
            Err(why) => {
                writeln!(out, "   not made: {}", escaped(&why.to_string()))?;
                false
            }
        };
    }
    out.flush()?;
    Ok(all_caught)
}

/// Prints what is found in the logs, and says whether that is the mistake.
fn print_verdict(out: &mut impl Write, logs: &Logs, named: Rule) -> io::Result<bool> {
    let report = logs.verify().map_err(io::Error::other)?;
    writeln!(out, "\n   {named} {}", named.title())?;
    let violation = report.rule(named).violations.first();
    if let Some(violation) = violation {
        writeln!(out, "   VIOLATED: {}", escaped(&violation.sentence))?;
        for line in &violation.lines {
            let log = &logs.0[line.file as usize];
            let record = logs.record(*line).map(brief).unwrap_or_default();
            writeln!(out, "     {}:{}  {record}", log.name, line.line)?;
        }
    } else {
        writeln!(out, "   {named} does not catch it")?;
    }
    let others: Vec<_> =
        report.violated().into_iter().filter(|rule| *rule != named).map(|rule| rule.to_string()).collect();
    if !others.is_empty() {
        writeln!(out, "   and with it {}", others.join(", "))?;
    }
    Ok(violation.is_some())
}

fn print_changes(out: &mut impl Write, truth: &Logs, logs: &Logs) -> io::Result<()> {
    let mut changes = Vec::new();
    let nothing = JsonLog { name: String::new(), records: Vec::new() };
    for (index, log) in logs.0.iter().enumerate() {
        let before = truth.0.get(index).unwrap_or(&nothing);
        let gone = surplus(&before.records, &log.records);
        let new = surplus(&log.records, &before.records);
        changes.extend(gone.into_iter().map(|(line, record)| (index, line, '-', brief(record))));
        changes.extend(new.into_iter().map(|(line, record)| (index, line, '+', brief(record))));
    }
    changes.sort_by_key(|(file, line, sign, _)| (*file, *line, *sign == '+'));
    for (file, line, sign, record) in changes.iter().take(CHANGES_SHOWN) {
        writeln!(out, "   {sign} {}:{line}  {record}", logs.0[*file].name)?;
    }
    match changes.len().saturating_sub(CHANGES_SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "     … and {more} more like these"),
    }
}

/// The records that one list has more often than the other, with their line numbers.
fn surplus<'a>(of: &'a [Value], over: &[Value]) -> Vec<(usize, &'a Value)> {
    let mut known: HashMap<String, usize> = HashMap::new();
    over.iter().for_each(|record| *known.entry(record.to_string()).or_default() += 1);
    let extra = |(_, record): &(usize, &Value)| match known.get_mut(&record.to_string()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    (1..).zip(of).filter(extra).collect()
}

/// A record in a few words.
fn brief(record: &Value) -> String {
    let mut words = format!("{:<21}", record["event"].as_str().unwrap_or_default());
    for (field, name) in SHOWN {
        match &record[field] {
            Value::Null => continue,
            Value::String(text) if field == "content" => words.push_str(&format!(" \"{text}\"")),
            Value::String(text) if name.is_empty() => words.push_str(&format!(" {text}")),
            Value::String(text) => words.push_str(&format!(" {name}={text}")),
            value => words.push_str(&format!(" {name}={value}")),
        }
    }
    let shown: String = words.chars().take(150).collect();
    escaped(if shown.len() < words.len() { format!("{shown}…") } else { shown }.trim_end()).into_owned()
}
