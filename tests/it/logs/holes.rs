//! The disk of a log is full for a while: the service and the clients continue, the log reports how many records it
//! lost, and a lost record violates no rule.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chitchat::trace::gallery::{JsonLog, Logs};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::journal::service::{SmallDisk, chitchat};
use crate::support::{Participant, Program, Record, ServerProgram};

/// Printed on standard error when a record could not be written, and when writing works again.
const LOST: &str = "records are lost";
const AGAIN: &str = "the log can be written again";
/// Enough messages to fill a log on a [`small_disk`].
const MANY: u64 = 400;
const PAGE_BYTES: u64 = 4096;

fn small_disk() -> SmallDisk {
    SmallDisk::mount("size=64k")
}

/// A service whose log and journal are on different disks.
struct Service {
    program: Program,
    address: SocketAddr,
    log: PathBuf,
    journal: PathBuf,
}

impl Service {
    #[track_caller]
    fn start(logs: &Path, journal: &Path) -> Self {
        Self::start_with(logs, journal, "info")
    }

    /// With records of this level and above.
    #[track_caller]
    fn start_with(logs: &Path, journal: &Path, level: &str) -> Self {
        let [folder, file] = [logs, journal].map(|path| path.to_str().unwrap());
        let options =
            ["--listen", "127.0.0.1:0", "--publish-rate", "0", "--address-limits", "off", "--log-level", level];
        let arguments = [&["serve", "--log-dir", folder, "--journal", file], &options[..]].concat();
        let program = Program::start(&arguments, &[]);
        Self {
            program,
            address: ([127, 0, 0, 1], 0).into(),
            log: logs.join("server.jsonl"),
            journal: journal.into(),
        }
    }

    /// Waits until it serves, and reads its address.
    #[track_caller]
    fn serves(mut self) -> Self {
        let started = self.program.notice("  server_started ");
        let address = started.split_once("address ").unwrap().1.split_whitespace().next().unwrap();
        self.address = address.parse().unwrap();
        self
    }

    #[track_caller]
    fn stop(&mut self) {
        self.program.signal("TERM");
        self.program.end().succeeded();
    }

    fn export(&self, to: &Path) {
        let output = chitchat(&["journal", "export", self.journal.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        fs::write(to, output.stdout).unwrap();
    }
}

/// `verify`'s verdict on each rule.
#[derive(Debug)]
struct Verdicts {
    code: Option<i32>,
    report: Value,
}

impl Verdicts {
    fn of(logs: &[&Path]) -> Self {
        let logs = logs.iter().map(|path| path.to_str().unwrap());
        let arguments: Vec<_> = ["verify", "--json"].into_iter().chain(logs).collect();
        let ended = Program::run(&arguments, &[]);
        Self { code: ended.code, report: serde_json::from_str(&ended.output[0]).unwrap() }
    }

    fn verdict(&self, rule: usize) -> &str {
        self.report["rules"][rule - 1]["verdict"].as_str().unwrap()
    }

    fn gaps(&self, rule: usize) -> String {
        self.report["rules"][rule - 1]["gaps"].to_string()
    }

    /// Nothing is violated.
    #[track_caller]
    fn assert_no_violation(self) -> Self {
        assert_eq!(self.code, Some(0), "{:#}", self.report);
        self
    }
}

/// The records of a log, without truncated lines.
fn whole_records(log: &Path) -> Vec<Record> {
    fs::read_to_string(log).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn is_loss(record: &Record) -> bool {
    record["event"] == "records_lost"
}

/// The same log without its `records_lost` records.
fn without_losses(log: &Path, folder: &TempDir) -> PathBuf {
    let silent = folder.path().join("silent.jsonl");
    let kept = whole_records(log).into_iter().filter(|record| !is_loss(record));
    fs::write(&silent, kept.map(|record| format!("{record}\n")).collect::<String>()).unwrap();
    silent
}

/// Appends half a record to a log and fills its disk, so that not one more byte fits.
fn cut_and_fill(log: &Path, disk: &SmallDisk) -> PathBuf {
    let half = b"{\"timestamp\":\"2026-11-25T03:00:00.000000Z\",\"content\":\"";
    let mut file = OpenOptions::new().append(true).create(true).open(log).unwrap();
    file.write_all(half).unwrap();
    let room = PAGE_BYTES - file.metadata().unwrap().len() % PAGE_BYTES;
    file.write_all(&vec![b'x'; room as usize]).unwrap();
    let ballast = disk.file("ballast");
    let mut filling = fs::File::create(&ballast).unwrap();
    while filling.write(&[0; 4096]).is_ok() {}
    file.write_all(b"\n").unwrap_err();
    ballast
}

#[tokio::test(flavor = "multi_thread")]
async fn records_lost_to_a_full_disk_violate_nothing_v1_v2() {
    let (disk, folder) = (small_disk(), TempDir::new().unwrap());
    let mut service = Service::start(&disk.file("logs"), &folder.path().join("chitchat.db")).serves();
    let alice = Participant::arrive(service.address, "alice").await;
    alice.publish_many(MANY).await;
    service.program.notice(LOST);
    let bob = Participant::arrive(service.address, "bob").await;
    disk.remount("size=2m");
    alice.publish("there is space").await;
    service.program.notice(AGAIN);
    bob.publish("I see").await;
    service.stop();

    let records = whole_records(&service.log);
    let losses: Vec<_> = records.iter().filter(|record| is_loss(record)).collect();
    assert_eq!(losses.len(), 1);
    assert_eq!((&losses[0]["level"], &losses[0]["component"]), (&"WARN".into(), &"server".into()));
    let text = fs::read_to_string(&service.log).unwrap();
    assert!(text.lines().count() - records.len() <= 1, "at most one line is cut, and no two records share a line");
    let broadcasts: Vec<_> = records.iter().filter_map(|record| record["sequence"].as_u64()).collect();
    let jump = broadcasts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
    assert!(losses[0]["count"].as_u64().unwrap() >= jump - 1 && jump > 100, "{jump} {losses:?}");

    let verdicts = Verdicts::of(&[&service.log]).assert_no_violation();
    assert!([1, 2, 5, 8, 9, 12, 14].iter().all(|rule| verdicts.gaps(*rule).contains("were lost")));
    let export = folder.path().join("export.jsonl");
    service.export(&export);
    for logs in [[&*service.log, &*export], [&*export, &*service.log]] {
        let verdicts = Verdicts::of(&logs).assert_no_violation();
        for rule in [1, 2, 5, 8, 13] {
            assert_eq!((verdicts.verdict(rule), &*verdicts.gaps(rule)), ("held", "[]"), "V{rule}");
        }
    }
    let silent = without_losses(&service.log, &folder);
    let verdicts = Verdicts::of(&[&silent]);
    assert_eq!((verdicts.code, verdicts.verdict(1)), (Some(1), "violated"), "an unreported loss is a violation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_log_reports_lost_records_which_violate_nothing_v4_v9_v11_v14() {
    let (disk, folder) = (small_disk(), TempDir::new().unwrap());
    let mut server = ServerProgram::start(&["--publish-rate", "0", "--address-limits", "off"]);
    let mut alice = join(server.address, "alice", &disk, &folder);
    let bob = Participant::arrive(server.address, "bob").await;
    bob.publish_many(MANY).await;
    alice.notice(LOST);
    alice.type_line("not on record");
    alice.until("not on record");
    disk.remount("size=2m");
    alice.type_line("on record");
    alice.notice(AGAIN);
    alice.until("on record");
    bob.publish("good-bye").await;
    alice.until("good-bye");
    alice.end_of_input().succeeded();
    server.stop("TERM").succeeded();
    let (log, service) = (disk.file("client-alice.jsonl"), server.log_folder().join("server.jsonl"));
    assert_eq!(whole_records(&log).iter().filter(|record| is_loss(record)).count(), 1);
    let verdicts = Verdicts::of(&[&service, &log]).assert_no_violation();
    for rule in [3, 4, 6, 7, 9, 10, 11, 12, 14] {
        assert!(verdicts.gaps(rule).contains("of the log of alice (p1) were lost"), "V{rule}: {verdicts:#?}");
    }
    for rule in [1, 2, 3, 4, 6, 7, 10] {
        assert_eq!(verdicts.verdict(rule), "held", "V{rule}");
    }
    let verdicts = Verdicts::of(&[&service, &without_losses(&log, &folder)]);
    assert_eq!((verdicts.code, verdicts.verdict(4)), (Some(1), "violated"));
    // It can still be drawn.
    for format in ["svg", "mermaid", "shiviz"] {
        let drawn = chitchat(&["diagram", "--format", format, service.to_str().unwrap(), log.to_str().unwrap()]);
        assert!(drawn.status.success() && drawn.stdout.len() > 1000, "{drawn:?}");
    }
}

/// A client whose log is on the small disk, but whose session is not.
#[track_caller]
fn join(address: SocketAddr, name: &str, disk: &SmallDisk, state: &TempDir) -> Program {
    let url = format!("http://{address}");
    let (logs, state) = (disk.file(""), state.path().to_str().unwrap());
    let folders = ["--log-dir", logs.to_str().unwrap(), "--state-dir", state];
    let client =
        Program::start(&[&["join", "--plain", "--name", name, "--server", &url], &folders[..]].concat(), &[]);
    client.notice("* here: ");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_while_its_disk_is_full_continues_and_reports_lost_records_v4_v9() {
    let (disk, folder) = (small_disk(), TempDir::new().unwrap());
    let mut server = ServerProgram::start(&["--publish-rate", "0", "--address-limits", "off", "--grace", "1min"]);
    let alice = join(server.address, "alice", &disk, &folder);
    let bob = Participant::arrive(server.address, "bob").await;
    bob.publish_many(MANY).await;
    alice.notice(LOST);
    alice.until(&format!("{} of {MANY}", MANY - 1));
    drop(alice);
    disk.remount("size=2m");
    let mut alice = join(server.address, "alice", &disk, &folder);
    bob.publish("are you there?").await;
    alice.until("are you there?");
    alice.end_of_input().succeeded();
    server.stop("TERM").succeeded();
    let (log, service) = (disk.file("client-alice.jsonl"), server.log_folder().join("server.jsonl"));
    let verdicts = Verdicts::of(&[&service, &log]).assert_no_violation();
    assert!(verdicts.gaps(4).contains("of the log of alice (p1) were lost"), "{verdicts:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_if_its_log_ends_in_a_cut_line_on_a_full_disk() {
    let (disk, folder) = (small_disk(), TempDir::new().unwrap());
    let (logs, journal) = (disk.file("logs"), folder.path().join("chitchat.db"));
    let mut service = Service::start(&logs, &journal).serves();
    let alice = Participant::arrive(service.address, "alice").await;
    alice.publish("on record").await;
    service.stop();
    let ballast = cut_and_fill(&service.log, &disk);

    let service = Service::start(&logs, &journal);
    service.program.notice(LOST);
    let mut service = service.serves();
    let alice = alice.resume(service.address, 2).await.unwrap();
    alice.publish("not on record").await;
    fs::remove_file(ballast).unwrap();
    alice.publish("on record again").await;
    service.program.notice(AGAIN);
    service.stop();
    let records = whole_records(&service.log);
    let loss = records.iter().find(|record| is_loss(record)).unwrap();
    assert_eq!(loss["from_start"], true, "the records of the process's start were lost: {loss}");
    Verdicts::of(&[&service.log]).assert_no_violation();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_starts_if_its_log_ends_in_a_cut_line_on_a_full_disk_v7() {
    let (disk, folder) = (small_disk(), TempDir::new().unwrap());
    let mut server = ServerProgram::start(&["--publish-rate", "0", "--address-limits", "off"]);
    let mut alice = join(server.address, "alice", &disk, &folder);
    for n in 0..5 {
        alice.type_line(format!("{n}"));
        alice.until(&format!("alice: {n}"));
    }
    alice.end_of_input().succeeded();
    let ballast = cut_and_fill(&disk.file("client-alice.jsonl"), &disk);
    // It joins anew, with a clock that begins at 0.
    let mut alice = join(server.address, "alice", &disk, &folder);
    alice.type_line("not on record");
    alice.until("not on record");
    fs::remove_file(ballast).unwrap();
    alice.type_line("on record again");
    alice.until("on record again");
    alice.end_of_input().succeeded();
    server.stop("TERM").succeeded();
    let (log, service) = (disk.file("client-alice.jsonl"), server.log_folder().join("server.jsonl"));
    let losses: Vec<_> = whole_records(&log).into_iter().filter(is_loss).collect();
    assert_eq!((losses.len(), &losses[0]["from_start"]), (1, &true.into()));
    Verdicts::of(&[&service, &log]).assert_no_violation();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_repeatedly_causes_no_violation_v1_to_v14() {
    let (disk, folder) = (small_disk(), TempDir::new().unwrap());
    let (logs, journal) = (disk.file("logs"), folder.path().join("chitchat.db"));
    // At this level the log has all deliveries, which many tasks write concurrently.
    let mut service = Service::start_with(&logs, &journal, "debug").serves();
    let mut alice = join(service.address, "alice", &disk, &folder);
    let bob = Participant::arrive(service.address, "bob").await;
    for (round, size) in [(1, "256k"), (2, "512k"), (3, "1m")] {
        for _ in 0..20 {
            let has_room = fs::write(disk.file("probe"), [0; PAGE_BYTES as usize]).is_ok();
            fs::remove_file(disk.file("probe")).unwrap();
            if !has_room {
                break;
            }
            bob.publish_many(MANY).await;
        }
        bob.publish_many(MANY).await;
        service.program.notice(LOST);
        alice.notice(LOST);
        disk.remount(&format!("size={size}"));
        alice.type_line(format!("there is space, {round}"));
        alice.until(&format!("there is space, {round}"));
        service.program.notice(AGAIN);
        alice.notice(AGAIN);
    }
    alice.end_of_input().succeeded();
    service.stop();
    let (log, export) = (disk.file("client-alice.jsonl"), folder.path().join("export.jsonl"));
    for log in [&log, &service.log] {
        assert!(whole_records(log).iter().filter(|record| is_loss(record)).count() >= 3, "{}", log.display());
    }
    Verdicts::of(&[&service.log, &log]).assert_no_violation();
    service.export(&export);
    let verdicts = Verdicts::of(&[&service.log, &log, &export]).assert_no_violation();
    for rule in [1, 2, 3, 5, 8] {
        assert_eq!(verdicts.verdict(rule), "held", "V{rule}");
    }
}

/// The recorded run: clients are killed, come back and leave, and messages cross.
fn example() -> Logs {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/logs/example"));
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let log = |path: &PathBuf| JsonLog::parse(path.to_str().unwrap(), &fs::read_to_string(path).unwrap()).unwrap();
    Logs(files.iter().map(log).collect())
}

/// Replaces records of a log with a `records_lost` record, as the writer does.
fn lose(log: &mut JsonLog, at: usize, count: usize) {
    let at = at % log.records.len();
    let end = (at + count).min(log.records.len());
    let (next, lost) = (&log.records[at], &log.records[at..end]);
    // A `records_lost` record may itself be lost.
    let count: u64 = lost.iter().map(|record| record["count"].as_u64().unwrap_or(1)).sum();
    let is_start = |r: &Record| r["from_start"] == true || r["event"].as_str().unwrap().ends_with("_started");
    let starts = lost.iter().any(is_start);
    let mut loss = json!({"timestamp": next["timestamp"], "level": "WARN", "component": next["component"],
        "event": "records_lost", "count": count});
    if starts {
        loss["from_start"] = true.into();
    }
    log.records.splice(at..end, [loss]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn lost_records_anywhere_violate_nothing(
        holes in prop::collection::vec((0_usize..8, 0_usize..1000, 1_usize..30), 1..5)
    ) {
        let mut logs = example();
        let files = logs.0.len();
        for (file, at, count) in holes {
            lose(&mut logs.0[file % files], at, count);
        }
        let report = logs.verify().unwrap();
        prop_assert_eq!(report.violated(), [], "{:#?}", report.rules);
    }
}
