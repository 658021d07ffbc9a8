//! Starts with links to a journal, with copies of it, and with backups.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::super::backup::{BackupError, BackupProgress};
use super::super::{OpenFault, ReadOnlyJournal, SqliteJournal, beside};
use super::support::{append_all, conversation, open, read_all};
use crate::chat::Sequence;
use crate::journal::{CheckSettings, Epoch, Journal as _};

/// If a link leads to a missing file, the file is created there; a link into a missing folder is refused. The link stays
/// as it is in both cases.
#[tokio::test]
async fn links_to_missing_files() {
    let folder = tempfile::tempdir().unwrap();
    let (volume, away) = (folder.path().join("volume"), folder.path().join("away"));
    let (link, links) = (folder.path().join("link.db"), folder.path().join("links.db"));
    fs::create_dir(&volume).unwrap();
    symlink("volume/chat.db", &link).unwrap();
    symlink(&link, &links).unwrap();
    append_all(&mut open(&links).unwrap(), &conversation(3), 3).await;
    assert!(volume.join("chat.db").is_file());
    fs::rename(&volume, &away).unwrap();
    for name in [&link, &links] {
        let error = open(name).unwrap_err();
        assert!(matches!(&error.fault, OpenFault::DanglingLink { target } if target.ends_with("volume/chat.db")));
        assert!(name.is_symlink());
    }
    fs::rename(&away, &volume).unwrap();
    assert_eq!(open(&links).unwrap().head_at_open(), Sequence(3));
    symlink("circle.db", folder.path().join("circle.db")).unwrap();
    assert!(matches!(open(&folder.path().join("circle.db")).unwrap_err().fault, OpenFault::Io(_)));
}

/// A main file without its -wal and -head files is refused, every time, unless the service's log has its epoch.
#[tokio::test]
async fn a_main_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("j.db"), folder.path().join("copy.db"));
    let mut journal = open(&path).unwrap();
    append_all(&mut journal, &conversation(9), 3).await;
    let alone = |events| move |fault: &OpenFault| matches!(fault, OpenFault::Alone { events: Sequence(n), .. } if *n == events);
    // While the service runs, and after it has stopped.
    for events in [0, 9] {
        fs::copy(&path, &copy).unwrap();
        for _ in 0..2 {
            assert!(alone(events)(&open(&copy).unwrap_err().fault));
        }
        assert!(alone(events)(&ReadOnlyJournal::open(&copy).unwrap().check().unwrap_err().fault));
        if events == 0 {
            append_all(&mut journal, &[], 1).await;
            drop(std::mem::replace(&mut journal, open(&folder.path().join("other.db")).unwrap()));
        }
    }
    let logged = |_: &Epoch| Ok(Some(Sequence(8)));
    let journal =
        SqliteJournal::open_with_log(&copy, CheckSettings::default(), || Epoch::new("new"), logged).unwrap();
    assert_eq!((journal.head_at_open(), journal.logged_at_open()), (Sequence(9), Some(Sequence(8))));
    let unreadable = |_: &Epoch| Err(std::io::ErrorKind::PermissionDenied.into());
    let error = SqliteJournal::open_with_log(&path, CheckSettings::default(), || Epoch::new("new"), unreadable)
        .unwrap_err();
    assert!(matches!(error.fault, OpenFault::Log(_)), "{error}");
}

/// The log has no events of a service's new epoch. A replica that starts without its copy has recorded events before.
#[test]
fn a_new_file_and_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, journal) = (folder.path().join("copy.db"), folder.path().join("j.db"));
    let (settings, epoch) = (CheckSettings::default(), Epoch::new("e"));
    let logged = |_: &Epoch| Ok(Some(Sequence(8)));
    let copy = SqliteJournal::open_copy(&copy, settings, &epoch, logged).unwrap();
    assert_eq!((copy.head_at_open(), copy.logged_at_open()), (Sequence(0), Some(Sequence(8))));
    let journal = SqliteJournal::open_with_log(&journal, settings, || epoch, logged).unwrap();
    assert_eq!((journal.head_at_open(), journal.logged_at_open()), (Sequence(0), None));
}

/// A backup has all events up to one moment, is a single file from which a service can start, and has the permissions of
/// the journal.
#[tokio::test]
async fn a_backup_of_a_journal_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("j.db"), folder.path().join("copy.db"));
    let events = conversation(3_000);
    let mut journal = open(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    append_all(&mut journal, &events[..2_900], 29).await;
    let read_only = ReadOnlyJournal::open(&path).unwrap();
    append_all(&mut journal, &events[2_900..2_950], 5).await;
    let mut last = None;
    let copied = read_only.backup(&copy, |progress| last = Some(progress)).unwrap();
    assert_eq!(copied.head(), Sequence(2_950));
    assert_eq!(last, Some(BackupProgress::Checked { events: 2_950, total: 2_950 }));
    append_all(&mut journal, &events[2_950..], 5).await;
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.retain(|name| name.to_str().unwrap().starts_with("copy"));
    assert_eq!(files, ["copy.db"]);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let mut restored = open(&copy).unwrap();
    assert_eq!(restored.epoch(), journal.epoch());
    append_all(&mut restored, &events[2_950..2_960], 5).await;
    assert_eq!(read_all(&*restored.history()).await.unwrap(), events[..2_960]);
}

/// A backup never replaces a file, and a failed one leaves none behind.
#[tokio::test]
async fn a_backup_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("j.db"), folder.path().join("copy.db"));
    append_all(&mut open(&path).unwrap(), &conversation(40), 40).await;
    let backup = |copy: &std::path::Path| ReadOnlyJournal::open(&path).unwrap().backup(copy, |_| {});
    for ending in ["", "-wal", "-head"] {
        fs::write(beside(&copy, ending), "mine").unwrap();
        let error = backup(&copy).unwrap_err();
        assert!(matches!(&error, BackupError::Exists(file) if *file == beside(&copy, ending)), "{error}");
        assert_eq!(fs::read(beside(&copy, ending)).unwrap(), b"mine");
        fs::remove_file(beside(&copy, ending)).unwrap();
    }
    let error = backup(&folder.path().join("no-such-folder/copy.db")).unwrap_err();
    assert!(matches!(error, BackupError::Write { .. }), "{error}");
    // The leftover of a backup that was killed.
    fs::write(beside(&copy, "-new"), "half").unwrap();
    let other = fs::File::open(beside(&copy, "-new")).unwrap();
    other.lock().unwrap();
    assert!(matches!(backup(&copy).unwrap_err(), BackupError::UnderWay(_)));
    drop(other);
    assert_eq!(backup(&copy).unwrap().head(), Sequence(40));
    fs::remove_file(&copy).unwrap();
    let person = rusqlite::Connection::open(&path).unwrap();
    person.execute("UPDATE event SET text = 'no' WHERE sequence = 29", []).unwrap();
    let error = backup(&copy).unwrap_err();
    assert!(
        matches!(&error, BackupError::Source(error) if matches!(error.fault, OpenFault::Damaged(_))),
        "{error}"
    );
    let files =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(files.into_iter().all(|name| !name.starts_with("copy")));
}

/// If the log is ahead of the journal, the journal begins a new epoch, once, and keeps its events.
#[tokio::test]
async fn a_journal_that_is_behind_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let events = conversation(3_000);
    let first = open(&path).unwrap().epoch();
    append_all(&mut open(&path).unwrap(), &events[..2_500], 500).await;
    let start = |new: &'static str, logged| {
        SqliteJournal::open_with_log(
            &path,
            CheckSettings::default(),
            || Epoch::new(new),
            move |_| Ok(Some(Sequence(logged))),
        )
        .unwrap()
    };
    for logged in [2_499, 2_500] {
        assert_eq!(start("none", logged).fork(), None);
    }
    let forked = start("second", 2_501);
    let fork = forked.fork().unwrap().clone();
    assert_eq!((fork.previous, fork.logged, fork.after), (first, Sequence(2_501), Sequence(2_500)));
    drop(forked);
    let mut journal = open(&path).unwrap();
    assert_eq!((journal.epoch().as_str(), journal.fork()), ("second", None));
    append_all(&mut journal, &events[2_500..], 500).await;
    assert_eq!(read_all(&*journal.history()).await.unwrap(), events);
    ReadOnlyJournal::open(&path).unwrap().check().unwrap();
}
