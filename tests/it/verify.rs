//! `chitchat verify`: truthful logs keep the rules V1 to V14, and every mistake is caught by its rule.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use chitchat::trace::gallery::{Log, Logs, mistakes, truthful};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::support::{Ended, Program, ServerProgram};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/logs/example");

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

fn read(folder: &Path) -> Logs {
    let log = |path: PathBuf| Log::parse(path.display().to_string(), &fs::read_to_string(&path).unwrap()).unwrap();
    Logs(files(folder).into_iter().map(log).collect())
}

fn verify(files: &[PathBuf], options: &[&str]) -> Ended {
    let mut arguments = vec!["verify"];
    arguments.extend(options);
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    Program::run(&arguments, &[])
}

/// A run of the program: two write alternately, one leaves, one stays until the service stops.
fn a_run() -> (ServerProgram, Logs) {
    let mut server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let mut carol = server.join("carol");
    for n in 0..3 {
        alice.program.type_line(format!("question {n}"));
        bob.program.until(&format!("question {n}"));
        bob.program.type_line(format!("answer {n}"));
        alice.program.until(&format!("answer {n}"));
    }
    carol.program.until("answer 2");
    carol.quit().succeeded();
    alice.program.until("carol left");
    alice.program.type_line("carol is gone");
    bob.program.until("carol is gone");
    bob.quit().succeeded();
    alice.program.until("bob left");
    alice.quit().succeeded();
    server.stop("TERM").succeeded();
    let logs = read(server.log_folder());
    (server, logs)
}

#[track_caller]
fn check_every_mistake_is_caught(logs: &Logs, whose: &str) {
    let report = logs.verify().unwrap();
    assert_eq!(report.violated(), [], "{whose}: {report:#?}");
    for mistake in mistakes() {
        let made = mistake.made_in(logs).unwrap_or_else(|| panic!("{whose} has no place for {:?}", mistake.title));
        let report = made.verify().unwrap();
        assert!(report.violated().contains(&mistake.rule), "{whose}: {:?} is not caught", mistake.title);
    }
}

#[test]
fn the_recorded_example_keeps_every_rule_and_every_mistake_in_it_is_caught() {
    check_every_mistake_is_caught(&read(Path::new(EXAMPLE)), "the example");
}

#[test]
fn a_run_of_the_program_keeps_every_rule_and_every_mistake_in_it_is_caught() {
    let (server, logs) = a_run();
    verify(&files(server.log_folder()), &[]).succeeded();
    check_every_mistake_is_caught(&logs, "a run");
}

#[test]
fn a_violation_is_shown_with_its_lines_and_exits_1() {
    let folder = TempDir::new().unwrap();
    for mistake in mistakes() {
        for log in mistake.made_in(&truthful()).unwrap().0 {
            let text: String = log.records.iter().map(|record| format!("{record}\n")).collect();
            fs::write(folder.path().join(log.name), text).unwrap();
        }
        let files = files(folder.path());
        let ended = verify(&files, &["--json"]);
        assert_eq!(ended.code, Some(1), "{}: {ended:?}", mistake.title);
        let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
        let rule = &report["rules"][mistake.rule as usize];
        assert_eq!((&rule["verdict"], &rule["rule"]), (&"violated".into(), &mistake.rule.to_string().into()));
        let line = &rule["violations"][0]["lines"][0];
        let text = fs::read_to_string(line["file"].as_str().unwrap()).unwrap();
        let number = line["line"].as_u64().unwrap() as usize;
        assert_eq!(text.lines().nth(number - 1), line["record"].as_str(), "{}", mistake.title);
        files.iter().for_each(|file| fs::remove_file(file).unwrap());
    }
}

#[test]
fn logs_are_read_in_any_order_zipped_and_all_in_one_file() {
    let folder = TempDir::new().unwrap();
    let (zipped, whole) = (folder.path().join("all.gz"), folder.path().join("all.jsonl"));
    let texts: String = files(Path::new(EXAMPLE)).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let mut encoder = GzEncoder::new(fs::File::create(&zipped).unwrap(), Compression::fast());
    encoder.write_all(texts.as_bytes()).unwrap();
    encoder.finish().unwrap();
    fs::write(&whole, texts).unwrap();
    let rules = |files: &[PathBuf]| verify(files, &[]).succeeded().output.split_off(1);
    let expected = rules(&files(Path::new(EXAMPLE)));
    let backwards: Vec<_> = files(Path::new(EXAMPLE)).into_iter().rev().collect();
    assert_eq!(rules(&backwards), expected);
    assert_eq!(rules(&[zipped]), expected);
    assert_eq!(rules(&[whole]), expected);
}

#[test]
fn what_is_cut_off_or_missing_is_said_and_is_no_silent_pass() {
    let folder = TempDir::new().unwrap();
    let [service, bob] = ["server", "client-bob"].map(|name| Path::new(EXAMPLE).join(format!("{name}.jsonl")));
    let cut = folder.path().join("client-bob.jsonl");
    let text = fs::read_to_string(&bob).unwrap();
    fs::write(&cut, &text[..text.len() - 40]).unwrap();
    let ended = verify(&[service.clone(), cut.clone()], &[]).succeeded();
    let said = ended.output.join("\n");
    assert!(said.contains("cut off: ") && said.contains("client-bob.jsonl:15 ends in the middle"), "{said}");
    assert!(said.contains("no log of alice (p1), carol (p3) was given"), "{said}");

    // Another process went on in the same file, on the same line.
    fs::write(&cut, format!("{}{text}", &text[..text.len() - 40])).unwrap();
    let said = verify(&[service.clone(), cut], &[]).output.join("\n");
    assert!(said.contains("client-bob.jsonl:15 ends in the middle"), "{said}");

    let alone = verify(&[bob], &[]);
    assert_eq!(alone.code, Some(2), "without the service there is no order: {alone:?}");
    let said = verify(&[service], &[]).output.join("\n");
    assert!(said.contains("Not checkable with these logs: V3, V4"), "{said}");
}

#[test]
fn what_is_no_log_exits_2() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let example = fs::read_to_string(Path::new(EXAMPLE).join("server.jsonl")).unwrap();
    let damaged = format!("{example}garbage\n{example}");
    for path in [
        folder.path().join("missing.jsonl"),
        folder.path().to_owned(),
        file("empty", ""),
        file("prose", "not a log\n"),
        file("other", "{}\n"),
        file("damaged", &damaged),
    ] {
        let ended = verify(std::slice::from_ref(&path), &[]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors.starts_with("chitchat: "), "{ended:?}");
    }
    assert_eq!(Program::run(&["verify"], &[]).code, Some(2));
}

#[test]
fn the_gallery_shows_every_mistake_with_its_verdict() {
    let ended = Program::run(&["verify", "--gallery"], &[]).succeeded();
    let shown = ended.output.join("\n");
    let mistakes = mistakes();
    assert_eq!(shown.matches("VIOLATED: ").count(), mistakes.len());
    assert!(mistakes.iter().all(|mistake| shown.contains(mistake.title)));
    assert!(ended.output.iter().all(|line| line.chars().count() < 260), "short");
}
