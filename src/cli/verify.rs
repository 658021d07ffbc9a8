//! `chitchat verify`: reads logs, checks the rules, reports the result.

mod clocks;
mod compact;
mod gallery;
mod page;
mod screen;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;

use super::common::exit_codes::{FAILURE, PARTLY, USAGE};
use super::common::progress;
use super::printed;
use crate::log::reading as logs;
use crate::terminal::{json_line, notice};
use crate::trace::published::Overall;
use crate::trace::record::LineRef;
use crate::trace::report::Rule;
use crate::verification::{Progress, Verification, VerifyError};
use gallery::Part;

/// Check from the logs of all processes that the order held. Exits 0 if every rule holds, 1 if one is violated, 2 if the
/// logs cannot be used, 3 if a rule that --strict demands could not be checked.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Logs of service, clients and browsers, in any order, plain or gzip; folders with logs; `-` for standard input.
    #[arg(value_name = "LOG", required_unless_present_any = ["gallery", "gallery_file"])]
    logs: Vec<PathBuf>,

    /// Show mistakes that real implementations make: a list of them, or the logs of one, and the rule that catches it.
    #[arg(
        long,
        value_name = "NUMBER|RULE",
        num_args = 0..=1,
        default_missing_value = "list",
        conflicts_with_all = ["logs", "json", "strict", "all"]
    )]
    gallery: Option<Part>,

    /// Show the mistakes of this TOML file instead: all of them, or those that --gallery names. docs/gallery.md explains
    /// its format.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["logs", "json", "strict", "all"])]
    gallery_file: Option<PathBuf>,

    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,

    /// Show every rule, and all violations with their records.
    #[arg(long, conflicts_with = "json")]
    all: bool,

    /// Exit 3 if a rule could not be checked, or a log that it needs is missing; `--strict=V1,V2` considers only these
    /// rules.
    #[arg(long, value_name = "RULES", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    strict: Option<Demanded>,
}

/// The rules that have to be checked.
#[derive(Clone, Debug)]
struct Demanded(Vec<Rule>);

impl FromStr for Demanded {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self(Rule::ALL.into()));
        }
        let rules: Option<_> = text.split(',').map(Rule::named).collect();
        rules.map(Self).ok_or("should be rules from V1 to V15, separated by commas, or `all`")
    }
}

/// What was verified, and the logs as the user named them.
struct Shown {
    found: Verification,
    given: Vec<PathBuf>,
}

/// How much has been read, on the terminal.
struct ProgressLine(Option<progress::Progress>);

const MEGABYTE: u64 = 1_000_000;

impl Progress for ProgressLine {
    fn begin(&mut self, bytes: u64) {
        self.0 = Some(progress::Progress::of("read", bytes / MEGABYTE, "MB"));
    }

    fn at(&mut self, bytes: u64) -> bool {
        if let Some(line) = &mut self.0 {
            line.reached(bytes / MEGABYTE);
        }
        true
    }
}

impl VerifyArgs {
    pub(super) fn run(self) -> ExitCode {
        if self.gallery.is_some() || self.gallery_file.is_some() {
            return gallery::run(self.gallery.unwrap_or(Part::All), self.gallery_file.as_deref());
        }
        let (json, all) = (self.json, self.all);
        let verification = match check(self.logs) {
            Ok(verification) => verification,
            Err(error) => {
                notice(&format!("chitchat: {error}"));
                return ExitCode::from(USAGE);
            }
        };
        if json && verification.overall() == Overall::Unknown {
            notice("chitchat: no log of the service was given, so the order is not known and nothing is proved");
        }
        let shown = if json { verification.print_json() } else { verification.print(all) };
        printed(shown, verification.exit_code(self.strict.as_ref().map_or(&[], |strict| &strict.0)))
    }
}

fn check(given: Vec<PathBuf>) -> Result<Shown, VerifyError> {
    let found = Verification::of(logs::inspect(given.clone())?, None, &mut ProgressLine(None))?;
    Ok(Shown { found, given })
}

impl Shown {
    fn overall(&self) -> Overall {
        Overall::of(&self.found.report)
    }

    /// The violated rules, in the order of their first violations.
    fn in_order(&self) -> Vec<Rule> {
        self.found.report.in_order().into_iter().map(|(rule, _)| rule).collect()
    }

    fn exit_code(&self, strict: &[Rule]) -> ExitCode {
        let unsettled: Vec<Rule> =
            strict.iter().copied().filter(|rule| !self.found.report.rule(*rule).is_settled()).collect();
        match self.overall() {
            Overall::Violated => ExitCode::from(FAILURE),
            Overall::Unknown => {
                notice(
                    "chitchat: no log of the service was given, so the order is not known and nothing is proved",
                );
                ExitCode::from(USAGE)
            }
            Overall::Holds if !unsettled.is_empty() => {
                let rules = screen::names(&unsettled);
                notice(&format!(
                    "chitchat: --strict: {rules} could not be checked, or logs that they need are missing"
                ));
                ExitCode::from(PARTLY)
            }
            Overall::Holds => ExitCode::SUCCESS,
        }
    }

    /// Where a line is: its file, and its number in that file.
    fn place(&self, line: LineRef) -> String {
        let (path, line) = self.found.logs[line.file as usize].place(line.line);
        format!("{}:{line}", path.display())
    }

    fn print(&self, all: bool) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        for line in self.screen(all, &page::Page::of_output()) {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    fn print_json(&self) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", json_line(&self.found.published()).map_err(io::Error::other)?)
    }
}
