//! Where a journal may be: mounts, and copies elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::journal::service::{Publisher, Service, assert_kept, chitchat, export, serve_refused};

fn journal_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("chitchat.db")
}

/// A second path to a file, until this is dropped. Only root can make one.
struct BindMount(PathBuf);

impl BindMount {
    fn of(file: &Path, at: &Path) -> Self {
        fs::write(at, "").unwrap();
        let status = Command::new("mount").arg("--bind").args([file, at]).status().unwrap();
        assert!(status.success(), "this test has to be run by root: it mounts a file");
        Self(at.to_owned())
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).stderr(Stdio::null()).status();
    }
}

/// A journal that is mounted as a single file is refused, since SQLite's log would not be beside the original.
#[tokio::test]
async fn a_journal_that_is_a_mount_point() {
    let (host, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = journal_in(&host);
    let service = Service::start(&journal).await;
    let mounted = BindMount::of(&journal, &journal_in(&inside));
    let complaint = serve_refused(&mounted.0);
    assert!(complaint.contains("is itself a mount point"), "{complaint}");
    assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 1);
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish().await.unwrap();
    assert_kept(&journal, &[&alice]);
}

/// Two services never write the same file, even if a mount of the whole folder gives it a second name.
#[tokio::test]
async fn a_journal_in_a_folder_that_is_mounted_twice() {
    let (host, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _service = Service::start(&journal_in(&host)).await;
    let status = Command::new("mount").arg("--bind").args([host.path(), inside.path()]).status().unwrap();
    assert!(status.success(), "this test has to be run by root: it mounts a folder");
    let _mounted = BindMount(inside.path().to_owned());
    let complaint = serve_refused(&journal_in(&inside));
    assert!(complaint.contains("is in use by another process"), "{complaint}");
}

/// A copy of only the main file is refused, and so is inspecting it; the error says why.
#[tokio::test]
async fn a_copy_of_the_main_file_alone() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, copy) = (journal_in(&folder), journal_in(&elsewhere));
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    alice.publish().await.unwrap();
    fs::copy(&journal, &copy).unwrap();
    let complaint = serve_refused(&copy);
    assert!(complaint.contains("has 0 events, but it stands alone"), "{complaint}");
    assert!(complaint.contains("chitchat journal backup"), "{complaint}");
    for command in ["info", "export", "check"] {
        let output = chitchat(&["journal", command, &copy.to_string_lossy()]);
        assert_eq!(output.status.code(), Some(2), "{command}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("stands alone"), "{output:?}");
    }
}

/// A backup of a journal in use is intact and has everything that had been acknowledged, and a start needs only that
/// one file.
#[tokio::test]
async fn a_backup_while_the_service_runs() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, copy) = (journal_in(&folder), journal_in(&elsewhere));
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    for _ in 0..50 {
        alice.publish().await.unwrap();
    }
    let backup = || chitchat(&["journal", "backup", &journal.to_string_lossy(), &copy.to_string_lossy()]);
    let made = backup();
    assert!(made.status.success(), "{made:?}");
    assert!(String::from_utf8_lossy(&made.stdout).contains("51 events up to logical time"), "{made:?}");
    assert_kept(&copy, &[&alice]);
    let bytes = fs::read(&copy).unwrap();
    let again = backup();
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("already exists"), "{again:?}");
    assert_eq!(fs::read(&copy).unwrap(), bytes);

    let moved = elsewhere.path().join("moved.db");
    fs::rename(&copy, &moved).unwrap();
    let restored = Service::start(&moved).await;
    alice.move_to(&restored);
    alice.publish().await.unwrap();
    assert_kept(&moved, &[&alice]);
    assert_eq!(export(&moved).len(), 52);
}

/// A backup that is killed at any moment leaves either no file or a complete one under its name, and can be made again.
#[tokio::test]
async fn a_backup_that_is_killed() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, copy) = (journal_in(&folder), journal_in(&elsewhere));
    let service = Service::start(&journal).await;
    let mut alice = Publisher::join(&service, "alice").await;
    for _ in 0..50 {
        alice.publish().await.unwrap();
    }
    let unfinished = elsewhere.path().join("chitchat.db-new");
    for bytes in (0..40).step_by(2).map(|pages| pages * 4096) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chitchat"));
        let mut child = command.args(["journal", "backup"]).args([&journal, &copy]).spawn().unwrap();
        let has_come_so_far = || fs::metadata(&unfinished).is_ok_and(|file| file.len() >= bytes);
        while !has_come_so_far() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        if copy.exists() {
            assert_kept(&copy, &[&alice]);
            fs::remove_file(&copy).unwrap();
        }
    }
    let made = chitchat(&["journal", "backup", &journal.to_string_lossy(), &copy.to_string_lossy()]);
    assert!(made.status.success(), "{made:?}");
    let left: Vec<_> = fs::read_dir(elsewhere.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["chitchat.db"], "nothing half-made is left");
}
