//! The journal in a file, from outside: restarts, disks that fill up or fail, and inspection.
//!
//! | module | what it shows |
//! |---|---|
//! | [`backfill`] | the service's log after a crash |
//! | [`checkpoints`] | starts from a checkpoint: kills around it, and damage that is found later |
//! | [`kill_loop`] | the service killed again and again under load |
//! | [`places`] | mounts, copies and backups of a journal |
//! | [`recovery`] | a journal that fails for now or for good; a restart on the same journal |
//! | [`restored_backup`] | a backup in place of the journal |
//! | [`upgrade`] | a journal from an earlier version |
//! | [`service`] | a service process with a journal file, for these tests |

mod backfill;
mod checkpoints;
mod kill_loop;
mod places;
mod recovery;
mod restored_backup;
pub mod service;
mod upgrade;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::OnceCell;

use crate::journal::service::{
    Publisher, Service, SmallDisk, assert_kept, chitchat, export, serve_refused, until,
};
use crate::support::{DurableServer, Participant, records, wait_for_record};

fn journal_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("chitchat.db")
}

#[tokio::test]
async fn acknowledged_messages_survive_a_stop_and_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    for _ in 0..20 {
        alice.publish().await.unwrap();
    }
    service.kill();
    let service = Service::start(&journal).await;
    alice.move_to(&service);
    for _ in 0..20 {
        alice.publish().await.unwrap();
    }
    assert!(service.stop().await.success());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "one file and its head: {left:?}");
    let service = Service::start(&journal).await;
    alice.move_to(&service);
    alice.publish().await.unwrap();
    assert_kept(&journal, &[&alice]);
    let sequences: Vec<_> = alice.acknowledged.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(sequences, (2..=42).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_second_service_on_the_same_journal_is_refused_and_the_first_continues() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let service = Service::start(&journal).await;
    let second = serve_refused(&journal);
    assert!(second.contains("is in use by another process"), "{second}");
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish().await.unwrap();
    assert_kept(&journal, &[&alice]);
}

#[tokio::test]
async fn a_journal_with_a_second_name_is_refused_under_either() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, link, alias) =
        (journal_in(&folder), folder.path().join("hard-link.db"), folder.path().join("alias.db"));
    assert!(Service::start(&journal).await.stop().await.success());
    fs::hard_link(&journal, &link).unwrap();
    for name in [&journal, &link] {
        let complaint = serve_refused(name);
        assert!(complaint.contains("has 2 names"), "{complaint}");
    }
    fs::remove_file(&link).unwrap();
    // A symbolic link does not give the file a second name.
    std::os::unix::fs::symlink(&journal, &alias).unwrap();
    let _service = Service::start(&alias).await;
    let complaint = serve_refused(&journal);
    assert!(complaint.contains("is in use by another process"), "{complaint}");
}

#[tokio::test]
async fn a_path_that_is_not_a_journal_is_refused_and_gets_no_second_file() {
    let folder = tempfile::tempdir().unwrap();
    let (text, inside) = (folder.path().join("notes.txt"), folder.path().join("folder"));
    fs::write(&text, "").unwrap();
    fs::create_dir(&inside).unwrap();
    for (path, why) in [(&text, "is an empty file"), (&inside, "it is not a regular file")] {
        let complaint = serve_refused(path);
        assert!(complaint.contains(why), "{complaint}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn inspecting_a_journal_that_lost_its_end_reports_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish().await.unwrap();
    service.kill();
    fs::remove_file(folder.path().join("chitchat.db-wal")).unwrap();
    for command in ["info", "export", "check"] {
        let output = chitchat(&["journal", command, &journal.to_string_lossy()]);
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains("ends at event 0, but event 2 had been acknowledged"), "{complaint}");
    }
}

#[tokio::test]
async fn a_damaged_journal_stops_the_start_and_the_error_locates_the_damage() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    for _ in 0..5 {
        alice.publish().await.unwrap();
    }
    assert!(service.stop().await.success());
    let mut bytes = fs::read(&journal).unwrap();
    // Change the last digit of the third message, which is the fourth event.
    let text = alice.acknowledged[2].1.as_bytes();
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap() + text.len() - 1;
    bytes[at] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let complaint = serve_refused(&journal);
    assert!(complaint.contains("event 4 is not what was recorded"), "{complaint}");
    assert!(complaint.contains("restore a backup"), "{complaint}");
    let check = chitchat(&["journal", "check", &journal.to_string_lossy()]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    let complaint = String::from_utf8_lossy(&check.stderr);
    assert!(complaint.contains("event 4 ") && complaint.contains("restore a backup"), "{check:?}");
    assert_eq!(fs::read(&journal).unwrap(), bytes);
}

#[tokio::test]
async fn a_journal_can_be_inspected_while_the_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish().await.unwrap();
    let path = journal.to_string_lossy();
    let info = chitchat(&["journal", "info", "--json", &path]);
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!((&info["events"], &info["messages"], &info["joined"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!(info["participants"][0]["display_name"], "alice");
    let people = String::from_utf8(chitchat(&["journal", "info", &path]).stdout).unwrap();
    assert!(people.contains("2  (1 messages, 1 joined, 0 left)"), "{people}");
    let events = export(&journal);
    assert_eq!(events[0]["event"], "join_broadcast");
    assert_eq!(events[0]["content"], "Participant alice joined Chit Chat at logical time 3");
    assert_eq!((&events[1]["event"], &events[1]["message_id"]), (&"message_broadcast".into(), &"1".into()));
    assert_eq!(events[1]["epoch"], info["epoch"]);
    for event in &events {
        assert!(!event.to_string().contains("digest"), "{event}");
    }
    alice.publish().await.unwrap();
    assert_kept(&journal, &[&alice]);
    for (file, code) in [("no-such.db", 2), ("empty.db", 2)] {
        let file = folder.path().join(file);
        if file.ends_with("empty.db") {
            fs::write(&file, "").unwrap();
        }
        let check = chitchat(&["journal", "check", &file.to_string_lossy()]);
        assert_eq!(check.status.code(), Some(code), "{check:?}");
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_the_service_recovers_when_there_is_space() {
    let disk = SmallDisk::mount("size=1m");
    let (journal, ballast) = (disk.file("chitchat.db"), disk.file("ballast"));
    fs::write(&ballast, vec![0; 256 * 1024]).unwrap();
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish_until_unavailable().await;
    assert!(alice.publish().await.is_err(), "a full disk stays full");
    assert_eq!(service.readiness().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_kept(&journal, &[&alice]);
    fs::remove_file(&ballast).unwrap();
    // The service recovers by itself: nothing is published meanwhile.
    until("readiness", async || (service.readiness().await == StatusCode::OK).then_some(())).await;
    alice.publish().await.unwrap();
    assert_kept(&journal, &[&alice]);
    alice.publish_until_unavailable().await;
    service.kill();
    assert_kept(&journal, &[&alice]);
    disk.remount("size=2m");
    let service = Service::start(&journal).await;
    alice.move_to(&service);
    alice.publish_until_accepted().await;
    assert_kept(&journal, &[&alice]);
}

#[tokio::test]
async fn a_limit_on_file_sizes_loses_nothing_and_the_service_recovers_when_it_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let mut limited = Command::new("prlimit");
    limited.args(["--fsize=150000:unlimited", env!("CARGO_BIN_EXE_chitchat")]);
    let service = Service::start_with(&journal, &mut limited).await;
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish_until_unavailable().await;
    assert_kept(&journal, &[&alice]);
    let raised = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &service.id().to_string()]).status();
    assert!(raised.unwrap().success());
    alice.publish_until_accepted().await;
    assert!(service.stop().await.success());
    assert_kept(&journal, &[&alice]);
}

/// The library from `failing_disk.c`, built with the C compiler that SQLite needs anyway.
pub async fn failing_disk() -> &'static Path {
    static LIBRARY: OnceCell<PathBuf> = OnceCell::const_new();
    LIBRARY
        .get_or_init(async || {
            let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("failing_disk.so");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/journal/failing_disk.c");
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]);
            assert!(compiler.status().unwrap().success());
            library
        })
        .await
}

#[tokio::test]
async fn a_failed_write_loses_nothing_and_the_service_recovers_with_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, fault) = (journal_in(&folder), folder.path().join("fault"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    program.env("LD_PRELOAD", failing_disk().await).env("FAILING_WRITE", &fault);
    let service = Service::start_with(&journal, &mut program).await;
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish().await.unwrap();
    fs::write(&fault, "").unwrap();
    alice.publish_until_unavailable().await;
    assert_eq!(alice.acknowledged.len(), 1);
    fs::remove_file(&fault).unwrap();
    alice.publish_until_accepted().await;
    assert_kept(&journal, &[&alice]);
}

/// The log says that the journal could not be written even if nobody sends a request, which explains why a participant
/// left too late.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_without_requests_is_logged_and_a_late_leave_violates_nothing_v15() {
    /// With the grace period of 1 s, longer than V15 allows for a leave.
    const OUTAGE: Duration = Duration::from_secs(6);
    let folder = tempfile::tempdir().unwrap();
    let fault = folder.path().join("fault");
    let disk =
        [("LD_PRELOAD", failing_disk().await.to_str().unwrap()), ("FAILING_WRITE", fault.to_str().unwrap())];
    let server = DurableServer::start_with(&["--grace", "1s"], &disk);
    let alice = Participant::arrive(server.address, "alice").await;
    fs::write(&fault, "").unwrap();
    drop(alice);
    wait_for_record(&server.log(), |record| record["event"] == "journal_unavailable");
    tokio::time::sleep(OUTAGE).await;
    fs::remove_file(&fault).unwrap();
    wait_for_record(&server.log(), |record| record["event"] == "leave_broadcast");
    let log = records(&server.log());
    let of = |event: &str| log.iter().filter(|record| record["event"] == event).collect::<Vec<_>>();
    let (outages, ends) = (of("journal_unavailable"), of("journal_available"));
    assert_eq!((outages.len(), ends.len()), (1, 1), "once each, although it was probed every second");
    assert_eq!((&outages[0]["level"], &outages[0]["reason"]), (&"WARN".into(), &"JOURNAL_UNAVAILABLE".into()));
    assert!(outages[0]["message"].as_str().unwrap().starts_with("the journal is unavailable: "), "{}", outages[0]);
    assert!(of("request_refused").is_empty());
}

#[tokio::test]
async fn a_failed_fsync_stops_the_service_before_it_acknowledges_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, fault) = (journal_in(&folder), folder.path().join("fault"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    program.env("LD_PRELOAD", failing_disk().await).env("FAILING_SYNC", &fault);
    let service = Service::start_with(&journal, &mut program).await;
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish().await.unwrap();
    fs::write(&fault, "").unwrap();
    alice.publish().await.unwrap_err();
    let (status, complaint) = service.end().await;
    assert_eq!(status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("the journal has failed") && complaint.contains("fsync failed"), "{complaint}");
    assert_kept(&journal, &[&alice]);
    let service = Service::start(&journal).await;
    alice.move_to(&service);
    alice.publish().await.unwrap();
    assert_kept(&journal, &[&alice]);
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_start() {
    let disk = SmallDisk::mount("size=1m");
    let journal = disk.file("chitchat.db");
    assert!(Service::start(&journal).await.stop().await.success());
    disk.remount("ro");
    let complaint = serve_refused(&journal);
    assert!(complaint.contains("Read-only file system"), "{complaint}");
    let check = chitchat(&["journal", "check", &journal.to_string_lossy()]);
    assert!(check.status.success(), "{check:?}");
}
