//! How many log records a second does the verifier check? A run of ten sessions that write in turn, as the
//! logs of eleven processes, read from memory.
//!
//! `cargo bench --bench verify -- [RECORDS] [SESSIONS]`

use std::error::Error;
use std::fmt::Write;
use std::time::Instant;

use chitchat::trace::record::{LineRef, Record};
use chitchat::trace::verify::Checker;

const STAMP: &str = r#"{"timestamp":"2026-11-22T07:29:"#;
const EPOCH: &str = r#""epoch":"3fbaf5c4a107e17c""#;

fn main() -> Result<(), Box<dyn Error>> {
    let figures: Vec<usize> = std::env::args().skip(1).filter_map(|figure| figure.parse().ok()).collect();
    let records = figures.first().copied().unwrap_or(1_000_000);
    let sessions = figures.get(1).copied().unwrap_or(10);
    let logs = run(records, sessions)?;
    let bytes: usize = logs.iter().map(String::len).sum();

    let start = Instant::now();
    let mut checker = Checker::new();
    for (file, log) in (0..).zip(&logs) {
        for (line, text) in (1..).zip(log.lines()) {
            checker.take(LineRef { file, line }, &Record::parse(text)?)?;
        }
    }
    let report = checker.finish();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(report.violated(), [], "{:?}", report.rules.iter().flat_map(|rule| &rule.violations).next());
    println!(
        "{} records of {sessions} sessions ({} MB, {} events): {seconds:.2} s, {:.0} records/s, {:.0} MB/s",
        report.records,
        bytes / 1_000_000,
        report.events,
        report.records as f64 / seconds,
        bytes as f64 / 1e6 / seconds,
    );
    Ok(())
}

/// A process: its log and its clock.
struct Process {
    log: String,
    clock: u64,
}

/// Everybody joins; then they write in turn, each when it has been delivered everything.
fn run(records: usize, sessions: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let mut service = Process { log: String::new(), clock: 0 };
    let mut people: Vec<Process> = (0..sessions).map(|_| Process { log: String::new(), clock: 0 }).collect();
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
            person.clock = person.clock.max(time) + 1;
            writeln!(
                person.log,
                "{STAMP}{}Z\",\"level\":\"INFO\",\"component\":\"client\",\"event\":\"event_delivered\",{event},\"local_time\":{}}}",
                at(2 + index),
                person.clock
            )?;
        }
        if !joining {
            let person = &mut people[author];
            person.clock = person.clock.max(time) + 1;
            writeln!(
                person.log,
                "{STAMP}{}Z\",\"level\":\"INFO\",\"component\":\"client\",\"event\":\"publish_acknowledged\",{who},\"message_id\":\"{sequence:032x}\",\"sequence\":{sequence},\"logical_time\":{time},\"local_time\":{}}}",
                at(2 + here),
                person.clock
            )?;
        }
        written += 3 + here;
    }
    Ok([service].into_iter().chain(people).map(|process| process.log).collect())
}
