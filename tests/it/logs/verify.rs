//! `chitchat verify`: truthful logs keep the rules V1 to V15, and every mistake is caught by its rule.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use chitchat::trace::gallery::{JsonLog, Logs, mistakes, truthful};
use chitchat::trace::report::Rule;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ended, Program, ServerProgram};

pub const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/logs/example");

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

fn read(folder: &Path) -> Logs {
    let log =
        |path: PathBuf| JsonLog::parse(path.display().to_string(), &fs::read_to_string(&path).unwrap()).unwrap();
    Logs(files(folder).into_iter().map(log).collect())
}

pub fn verify(files: &[PathBuf], options: &[&str]) -> Ended {
    let mut arguments = vec!["verify"];
    arguments.extend(options);
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    Program::run(&arguments, &[])
}

pub fn example(name: &str) -> String {
    fs::read_to_string(Path::new(EXAMPLE).join(format!("{name}.jsonl"))).unwrap()
}

/// The verdict on a rule in a JSON report.
fn verdict(ended: &Ended, rule: usize) -> String {
    let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
    report["rules"][rule - 1]["verdict"].as_str().unwrap().to_owned()
}

/// A run of the program: two participants write alternately, and all leave one after another.
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
        let made = mistake.made_in(logs).unwrap_or_else(|why| panic!("{whose}, {:?}: {why}", mistake.title));
        let made = if mistake.rule == Rule::V12 { beyond_doubt(logs, made) } else { made };
        let report = made.verify().unwrap();
        assert!(report.violated().contains(&mistake.rule), "{whose}: {:?} is not caught", mistake.title);
    }
}

/// How far apart the clocks of two processes may be, according to their messages, in microseconds.
fn doubt(logs: &Logs) -> i64 {
    let report = logs.verify().unwrap();
    let (most, least): (Vec<_>, Vec<_>) =
        report.clocks.iter().filter_map(|clock| Some((clock.most?, clock.least?))).unzip();
    let times = logs.0.iter().flat_map(|log| &log.records).map(|record| micros(&record["timestamp"]));
    let (first, last) = times.fold((i64::MAX, 0), |(first, last), at| (first.min(at), last.max(at)));
    // For each of the two: 0.2 ms, plus 0.2 ms per second of its run.
    let drift = 2 * ((last - first) / 5_000 + 200);
    most.iter().max().unwrap() - least.iter().min().unwrap() + drift
}

fn micros(timestamp: &Value) -> i64 {
    let at = humantime::parse_rfc3339(timestamp.as_str().unwrap()).unwrap();
    at.duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

/// The mistake of V12 moves one publish before another. On a busy machine the messages bound the clocks only loosely,
/// so it must be moved further to be seen: by twice that uncertainty.
fn beyond_doubt(truth: &Logs, mut made: Logs) -> Logs {
    let earlier = Duration::from_micros(2 * doubt(&made) as u64);
    let is_publish = |record: &Value| record["event"].as_str().unwrap().starts_with("publish_");
    for (log, before) in made.0.iter_mut().zip(&truth.0) {
        let was = |record: &Value| {
            let same = |other: &&Value| {
                ["event", "message_id", "local_time"].iter().all(|field| other[*field] == record[*field])
            };
            before.records.iter().find(same).map(|other| other["timestamp"].clone())
        };
        let moved: Vec<usize> = (0..log.records.len())
            .filter(|at| {
                is_publish(&log.records[*at])
                    && was(&log.records[*at]) != Some(log.records[*at]["timestamp"].clone())
            })
            .collect();
        for at in moved {
            let record = &mut log.records[at];
            let time = humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap() - earlier;
            record["timestamp"] = humantime::format_rfc3339_micros(time).to_string().into();
        }
        log.records.sort_by_key(|record| micros(&record["timestamp"]));
        assert!(
            log.records[0]["event"].as_str().unwrap().ends_with("_started"),
            "{}: it was running then",
            log.name
        );
    }
    made
}

#[test]
fn the_recorded_example_keeps_every_rule_and_every_mistake_in_it_is_caught() {
    check_every_mistake_is_caught(&read(Path::new(EXAMPLE)), "the example");
}

/// They have no `run`, and a record for each delivery of the service.
#[test]
fn the_logs_of_version_1_still_verify_g3() {
    verify(&files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/v1"))), &[]).succeeded();
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
        assert_eq!(report["verdict"], "violated");
        assert!(report["in_order"].as_array().unwrap().contains(&mistake.rule.to_string().into()), "{report}");
        let line = &rule["violations"][0]["evidence"][0];
        let text = fs::read_to_string(line["file"].as_str().unwrap()).unwrap();
        let number = line["line"].as_u64().unwrap() as usize;
        let record: serde_json::Value = serde_json::from_str(text.lines().nth(number - 1).unwrap()).unwrap();
        assert_eq!(record, line["record"], "{}", mistake.title);
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
    let rules = |files: &[PathBuf]| {
        let ended = verify(files, &["--json"]).succeeded();
        let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
        (report["rules"].clone(), report["not_checked"].clone(), report["records"].clone())
    };
    let expected = rules(&files(Path::new(EXAMPLE)));
    let backwards: Vec<_> = files(Path::new(EXAMPLE)).into_iter().rev().collect();
    assert_eq!(rules(&backwards), expected);
    assert_eq!(rules(&[zipped]), expected);
    assert_eq!(rules(&[whole]), expected);
}

/// Three hundred runs in the same files, some megabytes, which several threads read in blocks.
#[test]
fn long_logs_are_judged_as_if_read_line_by_line_plain_or_zipped() {
    let mut logs = truthful();
    for log in &mut logs.0 {
        let run = |n: usize| {
            log.records.clone().into_iter().map(move |mut record| {
                if record["epoch"].is_string() {
                    record["epoch"] = format!("{n:016x}").into();
                }
                record
            })
        };
        log.records = (0..300).flat_map(run).collect();
    }
    let delivery = |record: &&mut serde_json::Value| record["event"] == "event_delivered";
    let altered = logs.0[2].records.iter_mut().filter(delivery).nth(2000).unwrap();
    altered["content"] = "something else".into();
    let expected = logs.verify().unwrap();
    assert_eq!(expected.violated(), [Rule::V3]);

    let folder = TempDir::new().unwrap();
    let (mut plain, mut zipped) = (Vec::new(), Vec::new());
    for log in &logs.0 {
        let text: String = log.records.iter().map(|record| format!("{record}\n")).collect();
        assert!(text.len() > 1 << 19, "{} has several blocks", log.name);
        plain.push(folder.path().join(&log.name));
        fs::write(plain.last().unwrap(), &text).unwrap();
        zipped.push(folder.path().join(format!("{}.gz", log.name)));
        let mut encoder = GzEncoder::new(fs::File::create(zipped.last().unwrap()).unwrap(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }
    for files in [plain, zipped] {
        let ended = verify(&files, &["--json"]);
        let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
        assert_eq!((ended.code, &report["records"]), (Some(1), &expected.records.into()));
        for (rule, found) in expected.rules.iter().zip(report["rules"].as_array().unwrap()) {
            assert_eq!((&found["records"], &found["violated"]), (&rule.checked.into(), &rule.violated.into()));
        }
        let lines = &expected.rule(Rule::V3).violations[0].lines;
        for (line, found) in lines.iter().zip(report["rules"][2]["violations"][0]["evidence"].as_array().unwrap())
        {
            assert_eq!(found["file"], files[line.file as usize].to_str().unwrap());
            assert_eq!(&found["record"], logs.record(*line).unwrap());
        }
    }
}

#[test]
fn cut_off_records_and_missing_logs_are_reported() {
    let folder = TempDir::new().unwrap();
    let [service, bob] = ["server", "client-bob"].map(|name| Path::new(EXAMPLE).join(format!("{name}.jsonl")));
    let cut = folder.path().join("client-bob.jsonl");
    let text = fs::read_to_string(&bob).unwrap();
    let last = format!("client-bob.jsonl:{} ends in the middle", text.lines().count());
    fs::write(&cut, &text[..text.len() - 40]).unwrap();
    let ended = verify(&[service.clone(), cut.clone()], &["--all"]).succeeded();
    let said = ended.output.join("\n");
    assert!(said.contains("cut off: ") && said.contains(&last), "{said}");
    assert!(said.contains("no log of alice (p1), carol (p3), dora (p4) was given"), "{said}");

    // The next process continues in the same file, on the same line.
    fs::write(&cut, format!("{}{text}", &text[..text.len() - 40])).unwrap();
    let said = verify(&[service.clone(), cut], &[]).output.join("\n");
    assert!(said.contains(&last), "{said}");

    let alone = verify(&[bob], &[]);
    assert_eq!(alone.code, Some(2), "without the service's log there is no order: {alone:?}");
    let said = verify(&[service], &[]).output.join("\n");
    assert_eq!(said.matches("no log of alice").count(), 1, "{said}");
    assert!(said.contains("V3 V4"), "{said}");
}

#[test]
fn a_cut_off_record_is_reported_even_if_the_next_process_ended_its_line() {
    let folder = TempDir::new().unwrap();
    let (server, text) = (folder.path().join("server.jsonl"), example("server"));
    let line = text.lines().nth(12).unwrap();
    for length in [1, 20, line.len() / 2, line.len() - 1] {
        let cut = text.replace(line, &format!("{}\n{line}", &line[..length]));
        fs::write(&server, cut).unwrap();
        let mut logs = files(Path::new(EXAMPLE));
        logs.retain(|log| !log.ends_with("server.jsonl"));
        logs.push(server.clone());
        let said = verify(&logs, &[]).succeeded().output.join("\n");
        assert!(said.contains("server.jsonl:13 ends in the middle of a record"), "{said}");
    }
}

#[test]
fn a_file_given_twice_is_read_once_and_compared_with_nothing_v13() {
    let server = Path::new(EXAMPLE).join("server.jsonl");
    let folder = TempDir::new().unwrap();
    let link = folder.path().join("link.jsonl");
    std::os::unix::fs::symlink(&server, &link).unwrap();
    let mut logs = files(Path::new(EXAMPLE));
    logs.extend([server.clone(), link]);
    let ended = verify(&logs, &["--json"]).succeeded();
    assert!(ended.errors.contains("given twice"), "{ended:?}");
    let compared = |ended: &Ended| {
        let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
        (verdict(ended, 13), report["rules"][12]["records"].as_u64().unwrap())
    };
    assert_eq!(compared(&ended), ("held".into(), 1), "the journal was empty at the start");
    let copy = folder.path().join("copy.jsonl");
    fs::copy(&server, &copy).unwrap();
    logs.push(copy);
    let (verdict, records) = compared(&verify(&logs, &["--json"]).succeeded());
    assert!(verdict == "held" && records > 10, "{records}");
}

#[test]
fn the_logs_of_two_runs_in_the_same_files_keep_every_rule() {
    let (one, two) = (a_run().1, a_run().1);
    let folder = TempDir::new().unwrap();
    for (one, two) in one.0.iter().zip(&two.0) {
        let text: String = one.records.iter().chain(&two.records).map(|record| format!("{record}\n")).collect();
        fs::write(folder.path().join(Path::new(&one.name).file_name().unwrap()), text).unwrap();
    }
    let ended = verify(&files(folder.path()), &["--json"]).succeeded();
    let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
    assert_eq!((&report["epochs"], &report["sessions"]), (&2.into(), &6.into()));
}

#[test]
fn an_older_copy_and_a_session_that_continued_elsewhere_violate_nothing_v11_v14() {
    let mut server = ServerProgram::start(&["--grace", "1min"]);
    let (elsewhere, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let url = format!("http://{}", server.address);
    let options = ["--plain", "--state-dir", state.path().to_str().unwrap()];
    let (alice, mut bob) = (server.join("alice"), server.join_at(&url, "bob", &options));
    bob.program.type_line("before");
    alice.program.until("before");
    bob.program.until("before");
    let older = elsewhere.path().join("older.jsonl");
    fs::copy(&alice.log, &older).unwrap();
    drop(bob.program);
    let folder = elsewhere.path().to_str().unwrap();
    let arguments = ["join", "--name", "bob", "--server", &url, "--log-dir", folder];
    let mut bob = Program::start(&[&arguments, &options[..]].concat(), &[]);
    bob.notice("* back as bob");
    bob.type_line("after");
    bob.until("after");
    alice.program.until("after");
    server.stop("TERM").succeeded();
    let here = files(server.log_folder());
    let said = verify(&here, &["--json"]).succeeded();
    assert!(said.output[0].contains("its log was not given, or not all of it"), "{said:?}");
    let everything = [here, files(elsewhere.path())].concat();
    assert_eq!(verdict(&verify(&everything, &["--json"]).succeeded(), 14), "held");
}

#[test]
fn logs_that_still_grow_violate_nothing() {
    let server = ServerProgram::start(&["--publish-rate", "0", "--address-limits", "off"]);
    let (mut alice, bob) = (server.join("alice"), server.join("bob"));
    let logs = files(server.log_folder());
    let (stop, stopped) = mpsc::channel::<()>();
    let talking = thread::spawn(move || {
        for n in 0.. {
            alice.program.type_line(format!("message {n}."));
            alice.program.until(&format!("message {n}."));
            if stopped.try_recv() != Err(TryRecvError::Empty) {
                return alice;
            }
        }
        alice
    });
    for _ in 0..10 {
        bob.program.until("message");
        verify(&logs, &[]).succeeded();
    }
    drop(stop);
    talking.join().unwrap();
}

/// Each line has its `run`. Logs of version 1 have none, so their processes must follow one another.
#[test]
fn the_lines_of_several_processes_may_be_mixed_in_one_file_if_they_have_a_run() {
    let folder = TempDir::new().unwrap();
    let sorted = folder.path().join("sorted.jsonl");
    let texts = ["server", "client-alice", "client-bob", "client-carol"].map(example).concat();
    let mut lines: Vec<_> = texts.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    fs::write(&sorted, lines.join("\n")).unwrap();
    verify(std::slice::from_ref(&sorted), &[]).succeeded();
    for line in &mut lines {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("run");
        *line = record.to_string();
    }
    fs::write(&sorted, lines.join("\n")).unwrap();
    let ended = verify(&[sorted], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.errors.contains("one process after another"), "{ended:?}");
}
