//! `chitchat verify --gallery`: mistakes that real implementations make, what they leave in the logs, and what
//! the verifier says.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use serde_json::Value;

use super::compact;
use super::page::{Mark, Page};
use crate::cli::common::exit_codes::{FAILURE, USAGE};
use crate::cli::printed;
use crate::terminal::{escaped, notice};
use crate::trace::gallery::{JsonLog, Logs, Mistake, count_mistakes, mistakes, parse, truthful};
use crate::trace::report::Rule;

/// How many changed records of a mistake are shown.
const CHANGES_SHOWN: usize = 8;

/// What to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The titles.
    List,
    /// The logs in which the mistakes are made.
    Truth,
    /// One mistake, by its number in the list.
    Mistake(usize),
    /// The mistakes that a rule catches.
    Rule(Rule),
    /// All of them.
    All,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = count_mistakes();
        let number = text.parse().ok().filter(|number| (1..=count).contains(number)).map(Self::Mistake);
        let rule = || Rule::named(text).map(Self::Rule);
        match text {
            "list" => Ok(Self::List),
            "logs" => Ok(Self::Truth),
            "all" => Ok(Self::All),
            _ => number.or_else(rule).ok_or_else(|| {
                format!("should be a number from 1 to {count}, a rule from V1 to V15, `list`, `logs` or `all`")
            }),
        }
    }
}

/// Prints a part of the gallery: of the mistakes of the program, or of those in a file.
pub(super) fn run(part: Part, file: Option<&Path>) -> ExitCode {
    let mistakes = match file.map_or_else(|| Ok(mistakes()), |file| read(file, part)) {
        Ok(mistakes) => mistakes,
        Err(error) => {
            notice(&format!("chitchat: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    let shown = print(&mut io::BufWriter::new(io::stdout().lock()), &mistakes, part);
    let all_caught = !matches!(shown, Ok(false));
    printed(shown.map(drop), if all_caught { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn read(file: &Path, part: Part) -> Result<Vec<Mistake>, String> {
    let named = |why: &dyn std::fmt::Display| format!("--gallery-file: {}: {why}", file.display());
    let text = fs::read_to_string(file)
        .map_err(|error| format!("--gallery-file: cannot read {}: {error}", file.display()))?;
    let mistakes = parse(&text).map_err(|error| named(&error))?;
    match part {
        Part::Mistake(number) if number > mistakes.len() => {
            Err(named(&format!("it has no mistake {number}: the last one is {}", mistakes.len())))
        }
        Part::Rule(rule) if mistakes.iter().all(|mistake| mistake.rule != rule) => {
            Err(named(&format!("it has no mistake that {rule} should catch")))
        }
        _ => Ok(mistakes),
    }
}

/// Prints a part of the gallery, and returns whether every mistake in it is caught by the rule that names it.
fn print(out: &mut impl Write, mistakes: &[Mistake], part: Part) -> io::Result<bool> {
    let (truth, page) = (truthful(), Page::of_output());
    let shown = |wanted: &dyn Fn(usize, &Mistake) -> bool, out: &mut _| {
        let chosen = (1..).zip(mistakes).filter(|(number, mistake)| wanted(*number, mistake));
        print_mistakes(out, &page, &truth, chosen)
    };
    let all_caught = match part {
        Part::List => print_list(out, &page, mistakes).map(|()| true)?,
        Part::Truth => print_truth(out, &truth).map(|()| true)?,
        Part::Mistake(wanted) => shown(&|number, _| number == wanted, out)?,
        Part::Rule(rule) => shown(&|_, mistake| mistake.rule == rule, out)?,
        Part::All => {
            print_truth(out, &truth)?;
            shown(&|_, _| true, out)?
        }
    };
    out.flush()?;
    Ok(all_caught)
}

fn print_list(out: &mut impl Write, page: &Page, mistakes: &[Mistake]) -> io::Result<()> {
    let count = mistakes.len();
    let intro = format!(
        "{count} mistakes that real implementations make, by the rule that catches each. --gallery NUMBER shows what one \
         changes in the logs of a small run, and the verdict; --gallery V6 shows those of a rule; --gallery logs shows \
         the run."
    );
    write_lines(out, page.wrapped("", &intro))?;
    let mut before = None;
    for (number, mistake) in (1..).zip(mistakes) {
        if before.replace(mistake.rule) != Some(mistake.rule) {
            let heading = format!("{} {}", mistake.rule, mistake.rule.title());
            writeln!(out, "\n{}", page.marked(&heading, Mark::Heading))?;
        }
        write_lines(out, page.wrapped(&format!("  {number:>3}  "), &escaped(&mistake.title)))?;
    }
    Ok(())
}

fn write_lines(out: &mut impl Write, lines: Vec<String>) -> io::Result<()> {
    lines.into_iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn print_truth(out: &mut impl Write, truth: &Logs) -> io::Result<()> {
    writeln!(out, "The truthful logs of a small run. They keep every rule.\n")?;
    for log in &truth.0 {
        writeln!(out, "  {}", log.name)?;
        for (line, record) in (1..).zip(&log.records) {
            writeln!(out, "  {line:>3}  {}", compact::record(record, Rule::V1))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn print_mistakes<'a>(
    out: &mut impl Write,
    page: &Page,
    truth: &Logs,
    mistakes: impl Iterator<Item = (usize, &'a Mistake)>,
) -> io::Result<bool> {
    writeln!(out, "What each mistake changes in the logs (- before, + after), and the verdict.")?;
    let mut all_caught = true;
    for (number, mistake) in mistakes {
        writeln!(out, "\n{}", page.marked(&format!("{number}. {}", escaped(&mistake.title)), Mark::Heading))?;
        write_lines(out, page.wrapped("   ", &escaped(&mistake.explanation)))?;
        writeln!(out)?;
        all_caught &= match mistake.made_in(truth) {
            Ok(logs) => {
                print_changes(out, page, truth, &logs, mistake.rule)?;
                print_verdict(out, page, &logs, mistake.rule)?
            }
            Err(why) => {
                write_lines(out, page.wrapped("   not made: ", &escaped(&why.to_string())))?;
                false
            }
        };
    }
    Ok(all_caught)
}

/// Prints what the rules find in the logs, and returns whether the rule that names the mistake catches it.
fn print_verdict(out: &mut impl Write, page: &Page, logs: &Logs, named: Rule) -> io::Result<bool> {
    let report = logs.verify().map_err(io::Error::other)?;
    writeln!(out, "\n   {named} {}", named.title())?;
    let violation = report.rule(named).violations.first();
    if let Some(violation) = violation {
        let lines = page.wrapped("   VIOLATED: ", &escaped(&violation.sentence));
        write_lines(out, lines)?;
        for line in &violation.lines {
            let log = &logs.0[line.file as usize];
            let record = logs.record(*line).map(|record| compact::record(record, named)).unwrap_or_default();
            write_lines(out, page.wrapped("     ", &format!("{}:{}  {record}", log.name, line.line)))?;
        }
    } else {
        writeln!(out, "   {named} does not catch it")?;
    }
    let others: Vec<_> =
        report.violated().into_iter().filter(|rule| *rule != named).map(|rule| rule.to_string()).collect();
    if !others.is_empty() {
        writeln!(out, "   also violated: {}", others.join(", "))?;
    }
    Ok(violation.is_some())
}

fn print_changes(out: &mut impl Write, page: &Page, truth: &Logs, logs: &Logs, rule: Rule) -> io::Result<()> {
    let mut changes = Vec::new();
    let nothing = JsonLog { name: String::new(), records: Vec::new() };
    for (index, log) in logs.0.iter().enumerate() {
        let before = truth.0.get(index).unwrap_or(&nothing);
        let gone = surplus(&before.records, &log.records);
        let new = surplus(&log.records, &before.records);
        let brief = |record| compact::record(record, rule);
        changes.extend(gone.into_iter().map(|(line, record)| (index, line, '-', brief(record))));
        changes.extend(new.into_iter().map(|(line, record)| (index, line, '+', brief(record))));
    }
    changes.sort_by_key(|(file, line, sign, _)| (*file, *line, *sign == '+'));
    for (file, line, sign, record) in changes.iter().take(CHANGES_SHOWN) {
        let text = format!("{}:{line}  {record}", logs.0[*file].name);
        write_lines(out, page.wrapped(&format!("   {sign} "), &text))?;
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
