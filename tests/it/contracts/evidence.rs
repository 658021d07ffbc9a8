//! `logs/README.md` walks through the recorded run: its quotations and statements agree with the logs (S1 to S7, T1 to
//! T3). The report has another run.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::support::Program;

const LOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/logs");

/// A line that the walkthrough quotes: ``- [`FILE:LINE`](example/FILE#LLINE) `{fields}` ``.
struct Quote {
    section: String,
    file: String,
    line: usize,
    link: String,
    fields: Map<String, Value>,
}

fn quotes(text: &str) -> Vec<Quote> {
    let mut section = String::new();
    let mut quotes = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.split(':').next().unwrap().into();
        }
        let Some(quoted) = line.strip_prefix("- [`") else { continue };
        let (place, rest) = quoted.split_once("`](").unwrap();
        let (link, fields) = rest.split_once(") ").unwrap();
        let (file, line) = place.split_once(':').unwrap();
        quotes.push(Quote {
            section: section.clone(),
            file: file.into(),
            line: line.parse().unwrap(),
            link: link.into(),
            fields: serde_json::from_str(fields.trim_matches(['`', ' '])).unwrap(),
        });
    }
    quotes
}

#[test]
fn every_quoted_line_is_in_the_logs_and_every_requirement_has_one() {
    let text = fs::read_to_string(Path::new(LOGS).join("README.md")).unwrap();
    let quotes = quotes(&text);
    for Quote { file, line, link, fields, .. } in &quotes {
        let place = format!("{file}:{line}");
        assert_eq!(*link, format!("example/{file}#L{line}"));
        let log = fs::read_to_string(Path::new(LOGS).join("example").join(file)).unwrap();
        let record = log.lines().nth(line - 1).unwrap_or_else(|| panic!("there is no {place}"));
        let record: Map<String, Value> = serde_json::from_str(record).unwrap();
        assert!(!fields.is_empty(), "{place} is quoted without fields");
        for (field, value) in fields {
            assert_eq!(
                record.get(field),
                Some(value),
                "{field} of {place}: run tests/record-example to update the quotations"
            );
        }
    }
    let proved: HashSet<_> = quotes.iter().map(|quote| quote.section.as_str()).collect();
    for requirement in ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "T1", "T2", "T3"] {
        assert!(proved.contains(requirement), "nothing is quoted for {requirement}");
    }
}

/// Checks the statements beside the quotes, which the quotes do not cover.
#[test]
fn the_walkthrough_is_true_of_the_run() {
    let text = fs::read_to_string(Path::new(LOGS).join("README.md")).unwrap();
    let quotes = quotes(&text);
    let of = |section: &str, event: &str| -> Vec<&Map<String, Value>> {
        let wanted = |quote: &&Quote| quote.section == section && quote.fields.get("event") == Some(&event.into());
        quotes.iter().filter(wanted).map(|quote| &quote.fields).collect()
    };
    let seen: HashSet<_> = of("S3", "publish_sent").iter().filter_map(|sent| sent.get("seen_sequence")).collect();
    assert_eq!(seen.len(), 1, "the writers of the messages that crossed had seen the same events");
    let accepted = of("S3", "message_broadcast")[0]["content"].as_str().unwrap();
    let refused = of("S3", "publish_refused")[0]["content"].as_str().unwrap();
    assert_eq!([accepted.chars().count(), refused.chars().count()], [128, 129]);
    let delivered =
        of("T1", "event_delivered").into_iter().filter(|record| !record.contains_key("participant_ids"));
    let times: Vec<_> = delivered.filter_map(|record| record["timestamp"].as_str()).collect();
    let (carol, others) = times.split_last().unwrap();
    assert!(others.iter().all(|time| time < carol), "only carol waited");
    assert_eq!(of("S4", "session_resumed").len(), 1);
}

/// The logs in a folder, in order.
fn logs(folder: &Path) -> Vec<String> {
    let mut logs: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    logs.sort();
    logs.iter().map(|path| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_recorded_runs_keep_every_rule_and_their_diagrams_are_current() {
    for folder in ["logs/example", "docs/run"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let run = |subcommand: &str| {
            let logs = logs(&folder);
            let arguments: Vec<_> = [subcommand].into_iter().chain(logs.iter().map(String::as_str)).collect();
            Program::run(&arguments, &[]).succeeded().output
        };
        run("verify");
        let picture = fs::read_to_string(folder.join("diagram.svg")).unwrap();
        assert!(
            run("diagram").iter().eq(picture.lines()),
            "{}: run tests/record-example to draw it again",
            folder.display()
        );
    }
}

#[test]
fn every_link_in_the_documents_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_docs = fs::read_dir(root.join("docs")).unwrap().map(|file| file.unwrap().path());
    let documents = in_docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let (mut links, mut broken) = (0, Vec::new());
    for document in documents.chain(["README.md", "logs/README.md", "web/README.md"].map(|path| root.join(path))) {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
            if link.is_empty() || link.contains("://") {
                continue;
            }
            links += 1;
            if !document.with_file_name(link).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(links > 200, "{links}");
    assert!(broken.is_empty(), "{broken:#?}");
}
