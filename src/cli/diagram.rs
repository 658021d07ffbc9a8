//! `chitchat diagram`: draws a space-time diagram from logs.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::common::exit_codes::USAGE;
use super::{number, of_output};
use crate::log::reading::{self, RecordSink};
use crate::terminal::{escaped, notice};
use crate::trace::diagram::{Builder, Chart, Part, mermaid, shiviz, svg};
use crate::trace::record::{Component, LineRef, LogRecord};

/// Draw what happened, from the logs of all processes: a lifeline for each, and messages as arrows, by logical time.
#[derive(Debug, Args)]
pub(super) struct DiagramArgs {
    /// Logs of service, clients and browsers, in any order, plain or gzip; folders with logs; `-` for standard input.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,

    /// A picture for browsers, a text that code hosts render, or a log for the tools ShiViz and TSViz.
    #[arg(long, env = "CHITCHAT_FORMAT", value_enum, default_value = "svg")]
    format: DiagramFormat,

    /// Write to this file instead of standard output. It cannot be one of the logs.
    #[arg(short, long, value_name = "FILE", env = "CHITCHAT_OUTPUT")]
    output: Option<PathBuf>,

    /// Show nothing before this logical time.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_FROM", value_parser = number(0..=u64::MAX))]
    from: Option<u64>,

    /// Show nothing after this logical time.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_TO", value_parser = number(0..=u64::MAX))]
    to: Option<u64>,

    /// Show only the service and the participants with this name. Repeatable. The environment variable has one
    /// name, since names can contain commas.
    #[arg(long, value_name = "NAME", env = "CHITCHAT_ONLY")]
    only: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DiagramFormat {
    Svg,
    Mermaid,
    Shiviz,
}

/// A chart under construction, first from the service's records, then from those of the others.
struct Drawing {
    builder: Builder,
    of_service: bool,
}

impl RecordSink for Drawing {
    fn record(&mut self, line: LineRef, record: &LogRecord<'_>) -> bool {
        let now = (record.component == Component::Server) == self.of_service;
        !now || self.builder.take(line, record).is_ok()
    }
}

/// The requested part of a chart.
fn part(chart: &Chart, part: Part) -> Result<Chart, String> {
    let names: BTreeSet<&str> =
        chart.lanes.iter().filter(|lane| !lane.service).map(|lane| lane.name.as_str()).collect();
    if let Some(unknown) = part.only.iter().find(|name| !names.contains(name.as_str())) {
        let names: Vec<_> = names.into_iter().map(escaped).collect();
        return Err(format!(
            "no participant in these logs is called {:?}; the participants are: {}",
            escaped(unknown),
            names.join(", ")
        ));
    }
    let shown = chart.part(&part);
    if shown.points.is_empty() {
        let last = chart.points.iter().map(|point| point.moment.1).max().unwrap_or(0);
        return Err(format!("nothing happened in that time: logical times go up to {last}"));
    }
    Ok(shown)
}

impl DiagramArgs {
    pub(super) fn run(self) -> ExitCode {
        match self.draw() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                notice(&format!("chitchat: {error}"));
                ExitCode::from(USAGE)
            }
        }
    }

    fn draw(self) -> Result<(), Box<dyn Error>> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(format!("--from {from} is after --to {to}").into());
        }
        if let Some(output) = &self.output {
            reading::check_output(output, &self.logs)
                .map_err(|error| format!("--output: {error}; name another file"))?;
        }
        let logs = reading::inspect(self.logs)?;
        let mut drawing = Drawing { builder: Builder::new(), of_service: true };
        let mut logs: Vec<_> = logs.iter().collect();
        // A process that resumed the session of another shares its lifeline, so the earlier log has to be read first.
        logs.sort_by_key(|log| log.begins);
        for of_service in [true, false] {
            drawing.of_service = of_service;
            reading::read(&logs, &mut drawing)?;
        }
        let chart = drawing.builder.finish();
        if chart.points.is_empty() {
            return Err("the logs contain no events to draw".into());
        }
        let chart = part(&chart, Part { from: self.from, to: self.to, only: self.only })?;
        let text = match self.format {
            DiagramFormat::Svg => svg::text(&chart),
            DiagramFormat::Mermaid => mermaid::text(&chart),
            DiagramFormat::Shiviz => shiviz::text(&chart)
                .ok_or("this run has too many processes for ShiViz: choose a part with --from, --to or --only")?,
        };
        let characters = text.chars().count();
        if matches!(self.format, DiagramFormat::Mermaid) && characters > mermaid::CHARACTERS_MAX {
            notice(&format!(
                "chitchat: the diagram has {characters} characters, and code hosts render at most {}: choose a part \
                 with --from, --to or --only",
                mermaid::CHARACTERS_MAX
            ));
        }
        match self.output {
            Some(path) => {
                fs::write(&path, text)
                    .map_err(|error| format!("--output: cannot write {}: {error}", path.display()))?;
            }
            None => match io::stdout().lock().write_all(text.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(of_output(error).into()),
                _ => {}
            },
        }
        Ok(())
    }
}
