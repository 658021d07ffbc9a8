//! How many log records a second does the verifier check? It reads the log files of eleven processes, from a run of ten
//! sessions that write in turn.
//!
//! `cargo bench --bench verify -- [RECORDS] [SESSIONS]`, by default one million and ten. The files are in the folder for
//! temporary files (TMPDIR), 380 bytes a record, and have just been written, so the program is measured and not the disk.
//!
//! It measures the rules alone, on one thread, and the command, which reads and parses on all cores, with its memory.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use chitchat::trace::record::{LineRef, LogRecord};
use chitchat::trace::verify::Checker;

/// How often the memory is read.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const STAMP: &str = r#"{"timestamp":"2026-11-22T07:29:"#;
const EPOCH: &str = r#""epoch":"3fbaf5c4a107e17c""#;

fn main() -> Result<(), Box<dyn Error>> {
    let figures: Vec<usize> = std::env::args().skip(1).filter_map(|figure| figure.parse().ok()).collect();
    let records = figures.first().copied().unwrap_or(1_000_000);
    let sessions = figures.get(1).copied().unwrap_or(10);
    let folder = tempfile::tempdir()?;
    let logs = run(folder.path(), records, sessions)?;
    let bytes = logs.iter().map(|log| fs::metadata(log).map(|file| file.len())).sum::<Result<u64, _>>()?;
    println!("{records} records of {sessions} sessions, {} MB", bytes / 1_000_000);
    let say = |what: &str, seconds: f64| {
        let (rate, speed) = (records as f64 / seconds, bytes as f64 / 1e6 / seconds);
        println!("{what}: {seconds:.2} s, {rate:.0} records/s, {speed:.0} MB/s");
    };
    say("the rules, on one thread", rules(&logs)?);
    let (seconds, peak) = command(&logs)?;
    say("chitchat verify", seconds);
    println!("memory of chitchat verify at its peak: {} MB", peak / 1_000_000);
    Ok(())
}

/// Checks the logs in this process.
fn rules(logs: &[PathBuf]) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let mut checker = Checker::new();
    for (file, log) in (0..).zip(logs) {
        let (mut log, mut text) = (BufReader::with_capacity(1 << 18, File::open(log)?), String::new());
        for line in 1.. {
            text.clear();
            if log.read_line(&mut text)? == 0 {
                break;
            }
            checker.take(LineRef { file, line }, &LogRecord::parse(&text)?)?;
        }
    }
    let report = checker.finish();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(report.violated(), [], "{:?}", report.rules.iter().flat_map(|rule| &rule.violations).next());
    Ok(seconds)
}

/// Checks the logs as a user does. Returns the seconds, and the most memory that the process had, in bytes.
fn command(logs: &[PathBuf]) -> Result<(f64, u64), Box<dyn Error>> {
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    let mut child = command.arg("verify").args(logs).stdout(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait()));
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        if let Ok(status) = end.recv_timeout(LOOK_EVERY) {
            assert!(status?.success());
            return Ok((start.elapsed().as_secs_f64(), peak));
        }
    }
}

/// A process: its log and its clock.
struct Process {
    log: BufWriter<File>,
    clock: u64,
}

impl Process {
    /// A participant receives an event.
    fn is_delivered(&mut self, at: &str, logical_time: u64, event: &str) -> std::io::Result<()> {
        self.clock = self.clock.max(logical_time) + 1;
        let clock = self.clock;
        writeln!(
            self.log,
            "{STAMP}{at}Z\",\"level\":\"INFO\",\"component\":\"client\",\"event\":\"event_delivered\",{event},\"local_time\":{clock}}}"
        )
    }

    /// A participant receives the answer to its publish.
    fn is_acknowledged(&mut self, at: &str, logical_time: u64, publish: &str) -> std::io::Result<()> {
        self.clock = self.clock.max(logical_time) + 1;
        let clock = self.clock;
        writeln!(
            self.log,
            "{STAMP}{at}Z\",\"level\":\"INFO\",\"component\":\"client\",\"event\":\"publish_acknowledged\",{publish},\"logical_time\":{logical_time},\"local_time\":{clock}}}"
        )
    }
}

/// Everybody joins; then they write in turn, each after it has received everything.
fn run(folder: &Path, records: usize, sessions: usize) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let logs: Vec<_> = (0..=sessions).map(|file| folder.join(format!("{file}.jsonl"))).collect();
    let process = |log: &PathBuf| File::create(log).map(|file| Process { log: BufWriter::new(file), clock: 0 });
    let mut service = process(&logs[0])?;
    let mut people = logs[1..].iter().map(process).collect::<Result<Vec<_>, _>>()?;
    let (mut sequence, mut written) = (0_u64, 1);
    writeln!(
        service.log,
        "{STAMP}00.000000Z\",\"component\":\"server\",\"event\":\"server_started\",{EPOCH},\"sequence\":0,\"logical_time\":0}}"
    )?;
    while written < records {
        let joining = (sequence as usize) < sessions;
        let author = sequence as usize % sessions;
        let here = if joining { author + 1 } else { sessions };
        let (name, id) = (format!("person {author}"), format!("p{}", author + 1));
        let at =
            |step: usize| format!("{:02}.{:06}", (written + step) / 1_000_000 % 60, (written + step) % 1_000_000);
        let who = format!("{EPOCH},\"participant_id\":\"{id}\",\"display_name\":\"{name}\"");

        people[author].clock += 1;
        let (sent, seen) = (people[author].clock, sequence);
        sequence += 1;
        let time = service.clock.max(sent) + 2;
        service.clock = time;
        let (verb, body) = if joining {
            let text = format!("Participant {name} joined Chit Chat at logical time {time}");
            ("join", format!("\"kind\":\"joined\",\"content\":\"{text}\""))
        } else {
            let body = format!(
                "\"content\":\"This is message number {sequence}.\",\"message_id\":\"{sequence:032x}\",\"seen_sequence\":{seen}"
            );
            writeln!(
                people[author].log,
                "{STAMP}{}Z\",\"level\":\"INFO\",\"component\":\"client\",\"event\":\"publish_sent\",{who},\"sent_logical_time\":{sent},\"local_time\":{sent},{body}}}",
                at(0)
            )?;
            ("message", format!("\"kind\":\"message\",{body}"))
        };
        let event =
            format!("{who},\"sequence\":{sequence},\"logical_time\":{time},\"sent_logical_time\":{sent},{body}");
        writeln!(
            service.log,
            "{STAMP}{}Z\",\"level\":\"INFO\",\"component\":\"server\",\"event\":\"{verb}_broadcast\",\"local_time\":{time},\"recipients\":{here},{event}}}",
            at(1)
        )?;
        if joining {
            people[author].clock = time + 1;
            writeln!(
                people[author].log,
                "{STAMP}{}Z\",\"level\":\"INFO\",\"component\":\"client\",\"event\":\"connected\",{who},\"sequence\":{sequence},\"logical_time\":{time},\"local_time\":{}}}",
                at(2),
                time + 1
            )?;
        }
        for (index, person) in people.iter_mut().enumerate().take(here) {
            person.is_delivered(&at(2 + index), time, &event)?;
        }
        if !joining {
            let publish = format!("{who},\"message_id\":\"{sequence:032x}\",\"sequence\":{sequence}");
            people[author].is_acknowledged(&at(2 + here), time, &publish)?;
        }
        written += 3 + here;
    }
    for mut process in people.into_iter().chain([service]) {
        process.log.flush()?;
    }
    Ok(logs)
}
