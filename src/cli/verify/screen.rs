//! The report for people. Its first screen says whether the order held, what broke first and where, what could not be
//! checked and why, and what to do next.

use std::path::Path;

use serde_json::Value;

use super::page::{Mark, Page};
use super::{Shown, compact};
use crate::terminal::{acts_on_terminal, escaped, shell_quoted};
use crate::trace::published::Overall;
use crate::trace::record::LineRef;
use crate::trace::report::{Rule, RuleReport, Verdict, Violation};
use crate::trace::unchecked::{Reason, nothing_to_check, reasons};

/// How many truncated lines, and how many logs that are left out, are named: on the first screen, and with --all.
const TORN_SHOWN: [usize; 2] = [2, 20];
/// How many reasons the first screen has at most.
const REASONS_SHOWN: usize = 6;
/// How many characters of arguments are repeated in a suggested command, at most.
const ARGUMENTS_MAX: usize = 20;
/// How much logical time the suggested picture shows before and after a violation.
const AROUND: u64 = 3;

impl Shown {
    /// The report in lines.
    pub(super) fn screen(&self, all: bool, page: &Page) -> Vec<String> {
        let order = self.in_order();
        let mut begin = self.headline(page);
        begin.extend(self.cut_off(all, page));
        begin.extend(self.clocks(all, page));
        if let Some(first) = order.first() {
            begin.push(String::new());
            begin.extend(self.begin_here(*first, page));
            begin.extend(self.also_violated(&order[1..], page));
        }
        begin.push(String::new());
        let next = self.next(&order, all, page);
        let table = self.table(all, page);
        let end = |reasons: usize| [self.not_checked(reasons, page), next.clone()].concat();
        if all {
            return [begin, table, end(usize::MAX)].concat();
        }
        let whole = [&begin[..], &table, &end(REASONS_SHOWN)].concat();
        if order.is_empty() && page.shows(whole.len()) {
            return whole;
        }
        let more = if order.is_empty() { " (--all shows each)" } else { "" };
        let held = self.found.report.with(Verdict::Held).into_iter();
        let (nothing, held): (Vec<_>, Vec<_>) = held.partition(|rule| self.found.report.rule(*rule).had_nothing());
        let held = if held.is_empty() { "none".to_owned() } else { names(&held) };
        begin.extend(page.wrapped("Held: ", &format!("{held}{more}")));
        if !nothing.is_empty() {
            begin.extend(page.wrapped("Nothing to check: ", &names(&nothing)));
        }
        let fits = |reasons: &usize| page.shows(begin.len() + end(*reasons).len());
        let reasons = (1..=REASONS_SHOWN).rev().find(fits).unwrap_or(1);
        [begin, end(reasons)].concat()
    }

    fn headline(&self, page: &Page) -> Vec<String> {
        let report = &self.found.report;
        let of = |verdict| report.with(verdict).len();
        let (violated, unchecked) = (of(Verdict::Violated), of(Verdict::NotCheckable));
        let nothing = report.rules.iter().filter(|rule| rule.had_nothing()).count();
        let (rules, held) = (report.rules.len(), of(Verdict::Held) - nothing);
        let others = [(nothing, "had nothing to check"), (unchecked, "could not be checked")];
        let others: Vec<_> = others
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!(", {count} {what}"))
            .collect();
        let others = others.concat();
        let (word, mark, rest) = match self.overall() {
            Overall::Holds if others.is_empty() => {
                ("HOLDS", Mark::Good, format!("no rule is violated. All {rules} held."))
            }
            Overall::Holds => {
                ("HOLDS", Mark::Good, format!("no rule is violated. {held} of {rules} held{others}."))
            }
            Overall::Violated => {
                ("VIOLATED", Mark::Bad, format!("{violated} of {rules} rules. {held} held{others}."))
            }
            Overall::Unknown => {
                let rest = "without a log of the service the order is not known.";
                ("UNKNOWN", Mark::Unsure, rest.to_owned())
            }
        };
        let mut lines = page.wrapped("", &format!("{word}: {rest}"));
        lines[0] = lines[0].replacen(word, &page.marked(word, mark), 1);
        let files = self.found.logs.iter().map(|log| log.segments.len() as u64).sum();
        let summary = format!(
            "{} in {}: {} in {}, {} with a log",
            counted(report.records, "record"),
            counted(files, "file"),
            counted(report.events, "event"),
            counted(report.epochs as u64, "epoch"),
            counted(report.sessions as u64, "session"),
        );
        lines.extend(page.wrapped("", &summary));
        lines
    }

    /// The parts of the logs that could not be used.
    fn cut_off(&self, all: bool, page: &Page) -> Vec<String> {
        let shown = TORN_SHOWN[usize::from(all)];
        let name = |line: &LineRef| {
            let text = format!("{} ends in the middle of a record", escaped(&self.place(*line)));
            page.wrapped("cut off: ", &text)
        };
        let mixed = |line: &LineRef| {
            let text =
                format!("{} is from a different process than the lines before it", escaped(&self.place(*line)));
            page.wrapped("left out: ", &text)
        };
        let mut lines: Vec<String> = self.found.left_out.values().take(shown).flat_map(mixed).collect();
        if let Some(more @ 1..) = self.found.left_out.len().checked_sub(shown) {
            lines.push(format!("left out: {more} more"));
        }
        lines.extend(self.found.torn.iter().take(shown).flat_map(name));
        if let Some(more @ 1..) = self.found.torn.len().checked_sub(shown) {
            lines.push(format!("cut off: {more} more"));
        }
        lines
    }

    /// The violation whose evidence was complete first.
    fn begin_here(&self, first: Rule, page: &Page) -> Vec<String> {
        let rule = self.found.report.rule(first);
        let heading = format!("Begin here: {first} {}", first.title());
        let mut lines = vec![page.marked(&heading, Mark::Heading)];
        if let Some(violation) = rule.violations.first() {
            lines.extend(page.wrapped("  ", &escaped(&violation.sentence)));
            lines.extend(violation.lines.iter().flat_map(|line| self.evidence(*line, first, true, page)));
        }
        if rule.violated > 1 {
            lines.push(format!("  and {}", counted(rule.violated - 1, "more time")));
        }
        lines
    }

    fn also_violated(&self, others: &[Rule], page: &Page) -> Vec<String> {
        if others.is_empty() {
            return Vec::new();
        }
        let times = |rule: &Rule| match self.found.report.rule(*rule).violated {
            1 => rule.to_string(),
            times => format!("{rule} ({times} times)"),
        };
        let list: Vec<_> = others.iter().map(times).collect();
        page.wrapped("Also violated, perhaps as a consequence: ", &list.join(", "))
    }

    /// Where a record is, and the record in a few words: on the first screen on a line of its own.
    fn evidence(&self, line: LineRef, rule: Rule, first_screen: bool, page: &Page) -> Vec<String> {
        let place = self.place(line);
        let place = escaped(&place);
        let record = compact::line(self.found.evidence.get(&line).map_or("", String::as_str), rule);
        let whole = format!("    {place}  {record}");
        if page.has_room(whole.chars().count()) {
            return vec![whole];
        }
        let mut lines = page.wrapped("    ", &place);
        match page.columns.filter(|_| first_screen) {
            Some(columns) if record.chars().count() + 6 > columns => {
                let shown: String = record.chars().take(columns.saturating_sub(7)).collect();
                lines.push(format!("      {shown}…"));
            }
            _ => lines.extend(page.wrapped("      ", &record)),
        }
        lines
    }

    /// All rules, each with its verdict.
    fn table(&self, all: bool, page: &Page) -> Vec<String> {
        let mut lines = Vec::new();
        for rule in &self.found.report.rules {
            let (what, mark) = match rule.verdict() {
                Verdict::Held if rule.had_nothing() => ("nothing to check".into(), None),
                Verdict::Held => (format!("held, {}", counted(rule.checked, "record")), None),
                Verdict::Violated => (format!("VIOLATED, {}", counted(rule.violated, "time")), Some(Mark::Bad)),
                Verdict::NotCheckable => ("not checkable".into(), Some(Mark::Unsure)),
            };
            let what = mark.map_or(what.clone(), |mark| page.marked(&what, mark));
            lines.push(format!("{:<4} {:<53} {what}", rule.rule.to_string(), rule.rule.title()));
            if all {
                lines.extend(self.violations(rule, page));
            }
            if all && rule.had_nothing() {
                lines.extend(page.wrapped("   ", nothing_to_check(rule.rule)));
            }
        }
        lines
    }

    fn violations(&self, rule: &RuleReport, page: &Page) -> Vec<String> {
        let shown = |violation: &Violation| {
            let mut lines = page.wrapped("   * ", &escaped(&violation.sentence));
            lines.extend(violation.lines.iter().flat_map(|line| self.evidence(*line, rule.rule, false, page)));
            lines
        };
        let mut lines: Vec<String> = rule.violations.iter().flat_map(shown).collect();
        if let Some(more @ 1..) = rule.violated.checked_sub(rule.violations.len() as u64) {
            lines.push(format!("   * and {}", counted(more, "more time")));
        }
        lines
    }

    /// The reasons why something could not be checked, each once.
    fn not_checked(&self, shown: usize, page: &Page) -> Vec<String> {
        let reasons = reasons(&self.found.report);
        if reasons.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![page.marked("Could not be checked:", Mark::Heading)];
        for Reason { why, unchecked, in_part } in reasons.iter().take(shown) {
            let part = if in_part.is_empty() { String::new() } else { format!("in part {}", names(in_part)) };
            let rules: Vec<_> = [names(unchecked), part].into_iter().filter(|names| !names.is_empty()).collect();
            lines.extend(page.wrapped("  ", &format!("{}: {}", rules.join(", "), escaped(why))));
        }
        if let Some(more @ 1..) = reasons.len().checked_sub(shown) {
            lines.push(format!("  and for {}: --all shows them", counted(more as u64, "more reason")));
        }
        lines
    }

    /// What a reader can do now.
    fn next(&self, order: &[Rule], all: bool, page: &Page) -> Vec<String> {
        let heading = page.marked("Next:", Mark::Heading);
        let given = arguments(&self.given);
        if let Some(first) = order.first() {
            let mut commands = vec![
                (format!("chitchat diagram {given}{} -o run.svg", self.around(*first)), "draws it"),
                (format!("chitchat verify --gallery {first}"), "explains such mistakes"),
            ];
            if !all {
                commands.push((format!("chitchat verify --all {given}"), "shows all violations"));
            }
            let wide = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
            let aligned: Vec<_> =
                commands.iter().map(|(command, what)| format!("  {command:<wide$}  {what}")).collect();
            let mut lines = vec![heading];
            if aligned.iter().all(|line| page.has_room(line.chars().count())) {
                lines.extend(aligned);
            } else {
                let one = |(command, what): &(String, &str)| page.wrapped("  ", &format!("{command}  {what}"));
                lines.extend(commands.iter().flat_map(one));
            }
            return lines;
        }
        let advice = match self.overall() {
            Overall::Unknown => {
                "add the log of the service (server.jsonl in its --log-dir): it has the order that the others are \
                 compared with."
                    .to_owned()
            }
            _ if self.found.report.rules.iter().any(|rule| rule.lacks_logs) => {
                "check again with the logs that are missing: what they would show is not proved.".into()
            }
            _ => format!("nothing. chitchat diagram {given} -o run.svg draws the run."),
        };
        let mut lines = page.wrapped("Next: ", &advice);
        lines[0] = lines[0].replacen("Next:", &heading, 1);
        lines
    }

    /// The options that make `diagram` show the first violation of a rule.
    fn around(&self, rule: Rule) -> String {
        let lines =
            self.found.report.rule(rule).violations.first().map(|violation| &*violation.lines).unwrap_or_default();
        let records =
            lines.iter().filter_map(|line| serde_json::from_str::<Value>(self.found.evidence.get(line)?).ok());
        let times: Vec<u64> = records
            .flat_map(|record| {
                ["logical_time", "local_time", "sent_logical_time"].map(|time| record[time].as_u64())
            })
            .flatten()
            .collect();
        match (times.iter().min(), times.iter().max()) {
            (Some(first), Some(last)) => {
                format!(" --from {} --to {}", first.saturating_sub(AROUND), last.saturating_add(AROUND))
            }
            _ => String::new(),
        }
    }
}

pub(super) fn names(rules: &[Rule]) -> String {
    rules.iter().map(Rule::to_string).collect::<Vec<_>>().join(" ")
}

/// A count with its noun.
fn counted(count: u64, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// The arguments for another command: the given ones, if they are short and can be used again.
fn arguments(given: &[impl AsRef<Path>]) -> String {
    let quoted = |path: &Path| {
        let text = path.to_str().filter(|text| *text != "-" && !text.contains(acts_on_terminal))?;
        Some(shell_quoted(text))
    };
    let all: Option<Vec<String>> = given.iter().map(|path| quoted(path.as_ref())).collect();
    let all = all.map(|all| all.join(" ")).filter(|all| all.chars().count() <= ARGUMENTS_MAX);
    all.unwrap_or_else(|| "LOG...".into())
}

#[cfg(test)]
mod tests;
