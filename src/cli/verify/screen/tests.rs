use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::cli::verify::check;
use crate::trace::gallery::{Logs, mistakes, truthful};

fn write(folder: &Path, logs: &Logs) {
    for log in &logs.0 {
        let text: String = log.records.iter().map(|record| format!("{record}\n")).collect();
        fs::write(folder.join(&log.name), text).unwrap();
    }
}

fn verified(logs: &Logs) -> (TempDir, Shown) {
    let folder = TempDir::new().unwrap();
    write(folder.path(), logs);
    let verification = check(vec![folder.path().to_owned()]).unwrap();
    (folder, verification)
}

/// The lines, and that none is wider than the terminal.
#[track_caller]
fn fits(verification: &Shown, all: bool, columns: usize) -> Vec<String> {
    let lines = verification.screen(all, &Page::wide(columns));
    for line in &lines {
        assert!(line.chars().count() <= columns, "{columns}: {line}");
        assert!(!line.contains(acts_on_terminal), "{line:?}");
    }
    lines
}

/// The five questions: did it hold, what broke first, where, what could not be checked and why, what to do next.
#[test]
fn the_first_screen_answers_for_every_mistake() {
    for mistake in mistakes() {
        let (_folder, verification) = verified(&mistake.made_in(&truthful()).unwrap());
        for (columns, rows) in [(80, 24), (120, 24)] {
            let lines = fits(&verification, false, columns);
            let text = lines.join("\n");
            assert!(lines.len() < rows, "{}: {} lines\n{text}", mistake.title, lines.len());
            assert!(lines[0].starts_with("VIOLATED: "), "{text}");
            let begin = lines.iter().position(|line| line.starts_with("Begin here: V")).unwrap();
            assert!(begin <= 4 && text.contains(".jsonl:"), "{text}");
            assert!(text.contains("\nNext:\n  chitchat diagram "), "{text}");
        }
        fits(&verification, true, 80);
    }
}

#[test]
fn the_first_screen_of_a_run_that_held_has_every_rule() {
    let (_folder, verification) = verified(&truthful());
    for columns in [80, 120] {
        let lines = fits(&verification, false, columns);
        let text = lines.join("\n");
        assert!(lines.len() < 24, "{text}");
        assert!(text.starts_with("HOLDS: no rule is violated. All 15 held.\n"), "{text}");
        assert_eq!(lines.iter().filter(|line| line.contains(" held, ")).count(), 15, "{text}");
        assert!(text.contains("Next: nothing. chitchat diagram "), "{text}");
    }
    let mut without = truthful();
    without.0.remove(1);
    let text = fits(&verified(&without).1, false, 80).join("\n");
    assert_eq!(text.matches("no log of alice").count(), 1, "{text}");
    assert!(text.contains("check again with the logs that are missing"), "{text}");
    let mut alone = truthful();
    alone.0.remove(0);
    let text = fits(&verified(&alone).1, false, 80).join("\n");
    assert!(text.starts_with("UNKNOWN: ") && text.contains("add the log of the service"), "{text}");
}

/// A rule that had nothing to check in a quiet run held.
#[test]
fn a_rule_that_had_nothing_to_check_held() {
    let mut logs = truthful();
    for log in &mut logs.0 {
        let about_messages = ["publish_queued", "publish_sent", "publish_acknowledged", "message_broadcast"];
        let start = |record: &Value| !about_messages.iter().any(|event| record["event"] == *event);
        // Until somebody has joined.
        let until = log.records.iter().position(|record| !start(record)).unwrap_or(0);
        log.records.truncate(until);
    }
    logs.0.truncate(2);
    logs.0[0].records.retain(|record| record["sequence"].as_u64().is_none_or(|sequence| sequence <= 1));
    let (_folder, verification) = verified(&logs);
    let text = fits(&verification, false, 80).join("\n");
    let nothing = verification.found.report.rules.iter().filter(|rule| rule.had_nothing()).count();
    assert!(nothing >= 3, "{text}");
    assert!(text.contains(&format!(" held, {nothing} had nothing to check")), "{text}");
    assert_eq!(text.matches("  nothing to check").count(), nothing, "{text}");
    assert!(fits(&verification, true, 80).join("\n").contains("\n   no message was broadcast"), "{text}");

    // The short list next to a violation has it apart from those that held, as the headline does.
    let first = logs.0[1].records.iter_mut().find(|record| record["event"] == "event_delivered").unwrap();
    first["logical_time"] = json!(first["logical_time"].as_u64().unwrap() + 1);
    let text = fits(&verified(&logs).1, false, 80).join("\n");
    let listed = |start: &str| {
        let list = text.lines().find_map(|line| line.strip_prefix(start)).expect(start);
        list.split(' ').count()
    };
    let (held, nothing) = (listed("Held: "), listed("Nothing to check: "));
    assert!(text.contains(&format!("{held} held, {nothing} had nothing to check")), "{text}");
}

/// Logs of version 1 do not say which process wrote a record. The other logs are still used.
#[test]
fn a_log_of_several_processes_is_left_out_and_the_others_are_checked() {
    let mut logs = truthful();
    let (carol, mut bob) = (logs.0.pop().unwrap(), logs.0.pop().unwrap());
    bob.records.extend(carol.records);
    bob.records.sort_by_key(|record| record["timestamp"].as_str().map(str::to_owned));
    logs.0.push(bob);
    let (_folder, verification) = verified(&logs);
    let text = fits(&verification, false, 80).join("\n");
    assert!(text.starts_with("HOLDS: ") && text.contains("\nleft out: "), "{text}");
    assert!(text.contains("no log of bob (p2), carol (p3) was given"), "{text}");
    let alone = Logs(vec![logs.0.pop().unwrap()]);
    let folder = TempDir::new().unwrap();
    write(folder.path(), &alone);
    let error = check(vec![folder.path().to_owned()]).err().unwrap().to_string();
    assert!(error.contains("mixes the records of several processes"), "{error}");
}

#[test]
fn names_that_act_on_a_terminal_are_escaped() {
    let mut logs = truthful();
    for record in logs.0.iter_mut().flat_map(|log| &mut log.records) {
        if record["display_name"] == "alice" {
            record["display_name"] = json!("a\u{1b}[2J\u{202e}lice");
        }
    }
    logs.0.remove(1);
    logs.0[0].name = "server\u{1b}[31m.jsonl".into();
    let (_folder, verification) = verified(&logs);
    let text = fits(&verification, true, 80).join("\n");
    assert!(text.contains("\\u{1b}[2J"), "{text}");
}

#[test]
fn given_arguments_are_repeated_if_possible() {
    let arguments = |given: &[&str]| arguments(&given.iter().map(PathBuf::from).collect::<Vec<_>>());
    assert_eq!(arguments(&["logs"]), "logs");
    assert_eq!(arguments(&["my logs", "it's"]), r"'my logs' 'it'\''s'");
    assert_eq!(arguments(&["-"]), "LOG...");
    assert_eq!(arguments(&["a\u{1b}"]), "LOG...");
    assert_eq!(arguments(&["server.jsonl"; 9]), "LOG...");
}

/// The README shows a violation as it is printed for a mistake of the gallery, in 120 columns.
#[test]
fn the_readme_shows_a_violation_as_it_is_printed() {
    let mistakes = mistakes();
    let repeated = mistakes.iter().find(|mistake| mistake.title == "A retry is taken for a new message").unwrap();
    let (folder, mut verification) = verified(&repeated.made_in(&truthful()).unwrap());
    verification.given = vec!["logs".into()];
    let folder = folder.path().to_str().unwrap();
    let columns = 120 + folder.len() - "logs".len();
    let text = fits(&verification, false, columns).join("\n").replace(folder, "logs");
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    assert!(readme.contains(&format!("```\n{text}\n```")), "{text}");
}
