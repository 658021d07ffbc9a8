//! The journal file as a whole: what is recovered, what is refused, and what is never lost silently.

mod checkpoints;
mod copies;
mod damage;
mod support;

use std::fs;

use rusqlite::Connection;

use super::file::connect;
use super::*;
use crate::journal::{MemoryJournal, RecoveryError, recover};
use support::{append_all, conversation, open, open_as, read_all};

#[tokio::test]
async fn a_reopened_journal_has_the_same_events_and_accepts_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let events = conversation(300);
    let (before, after) = events.split_at(170);
    let epoch = {
        let mut journal = open(&path).unwrap();
        append_all(&mut journal, before, 7).await;
        assert_eq!(read_all(&*journal.history()).await.unwrap(), before);
        journal.epoch()
    };
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["j.db", "j.db-head"], "a journal that was closed is one file and its head");
    let mut journal = open_as(&path, "another").unwrap();
    assert_eq!((journal.epoch(), journal.head_at_open()), (epoch, Sequence(170)));
    append_all(&mut journal, after, 1).await;
    assert_eq!(read_all(&*journal.history()).await.unwrap(), events);

    let mut in_memory = MemoryJournal::new(Epoch::new("memory"));
    in_memory.append(events.clone()).await.unwrap();
    let (from_file, from_memory) = (
        recover(&*journal.history(), |_| {}).await.unwrap(),
        recover(&*in_memory.history(), |_| {}).await.unwrap(),
    );
    assert_eq!(format!("{from_file:?}"), format!("{from_memory:?}"));
}

#[tokio::test]
async fn a_page_has_exactly_the_requested_events() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(&folder.path().join("j.db")).unwrap();
    let events = conversation(20);
    append_all(&mut journal, &events, 20).await;
    let history = journal.history();
    for (after, limit, expected) in [
        (0, 0, 0..0),
        (0, 3, 0..3),
        (3, 3, 3..6),
        (18, 9, 18..20),
        (20, 9, 20..20),
        (21, 9, 20..20),
        (u64::MAX, usize::MAX, 20..20),
        (0, usize::MAX, 0..20),
    ] {
        let page = history.read(Sequence(after), limit).await.unwrap();
        assert!(page.iter().map(|recorded| &recorded.event).eq(&events[expected]), "{limit} after {after}");
    }
    drop(journal);
    assert!(matches!(history.read(Sequence(0), 1).await, Err(JournalError::Unavailable(_))));
}

#[test]
fn a_connection_keeps_few_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    drop(open(&path).unwrap());
    for connection in [connect::for_writing(&path), connect::for_reading(&path)] {
        let size: i64 = connection.unwrap().pragma_query_value(None, "cache_size", |row| row.get(0)).unwrap();
        assert_eq!(size, -connect::PAGE_CACHE_KIB);
    }
}

#[tokio::test]
async fn two_services_never_write_one_journal_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("j.db"), folder.path().join("link.db"));
    let journal = open(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for name in [&path, &link] {
        let error = open(name).unwrap_err();
        assert!(matches!(error.fault, OpenFault::InUse), "{error}");
    }
    drop(journal);
    open(&link).unwrap();
}

#[tokio::test]
async fn a_batch_is_recorded_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let mut journal = open(&path).unwrap();
    let events = conversation(30);
    append_all(&mut journal, &events[..10], 10).await;
    // Event 11 and then event 13: out of order, which is not a transient error.
    let error = journal.append(vec![events[10].clone(), events[12].clone()]).await.unwrap_err();
    assert!(matches!(error, JournalError::Fatal(_)), "{error}");
    assert_eq!(error.to_string(), "the journal has failed: event 13 cannot follow event 11");
    assert!(matches!(journal.append(vec![events[10].clone()]).await, Err(JournalError::Fatal(_))));
    drop(journal);
    assert_eq!(read_all(&*open(&path).unwrap().history()).await.unwrap(), events[..10]);
}

#[tokio::test]
async fn the_journal_is_unavailable_while_another_process_locks_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let mut journal = open(&path).unwrap();
    let events = conversation(12);
    append_all(&mut journal, &events[..6], 6).await;
    let person = Connection::open(&path).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = journal.append(events[6..].to_vec()).await.unwrap_err();
    assert!(matches!(error, JournalError::Unavailable(_)), "{error}");
    person.execute_batch("ROLLBACK").unwrap();
    append_all(&mut journal, &events[6..], 6).await;
    assert_eq!(read_all(&*journal.history()).await.unwrap(), events);
}

#[tokio::test]
async fn a_file_that_another_process_removes_or_writes_stops_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let events = conversation(4);
    for ending in ["", "-wal"] {
        let path = folder.path().join(format!("removed{ending}.db"));
        let mut journal = open(&path).unwrap();
        append_all(&mut journal, &events[..2], 1).await;
        fs::remove_file(beside(&path, ending)).unwrap();
        let error = journal.append(events[2..3].to_vec()).await.unwrap_err();
        assert!(matches!(error, JournalError::Fatal(_)), "{error}");
        assert!(error.to_string().contains("removed or replaced"), "{error}");
    }
    for ending in ["", "-wal"] {
        let path = folder.path().join(format!("emptied{ending}.db"));
        let mut journal = open(&path).unwrap();
        append_all(&mut journal, &events[..2], 1).await;
        fs::write(beside(&path, ending), "").unwrap();
        let error = journal.append(events[2..3].to_vec()).await.unwrap_err();
        assert!(matches!(error, JournalError::Fatal(_)), "{error}");
        assert!(error.to_string().contains("emptied or truncated"), "{error}");
    }
    let path = folder.path().join("written.db");
    let mut journal = open(&path).unwrap();
    append_all(&mut journal, &events[..2], 1).await;
    let copy = "INSERT INTO event SELECT 3, 9, 0, recorded_at, kind, participant_id, display_name, \
                printf('%064d', 0), text, message_id, seen_sequence, reason, chain, NULL FROM event WHERE sequence = 1";
    Connection::open(&path).unwrap().execute(copy, []).unwrap();
    let error = journal.append(events[2..3].to_vec()).await.unwrap_err();
    assert!(matches!(error, JournalError::Fatal(_)), "{error}");
}

/// A write-ahead log that grew during a long read is truncated when SQLite restarts it.
#[tokio::test]
async fn a_log_that_grew_shrinks_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let mut journal = open(&path).unwrap();
    let events = conversation(90_010);
    let log_bytes = || size_of(&beside(&path, "-wal")).unwrap();
    let reader = Connection::open(&path).unwrap();
    append_all(&mut journal, &events[..10], 10).await;
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    append_all(&mut journal, &events[10..70_000], 10_000).await;
    let grown = log_bytes();
    assert!(grown > connect::LOG_BYTES_KEPT as u64, "{grown}");
    reader.execute_batch("COMMIT").unwrap();
    append_all(&mut journal, &events[70_000..90_000], 10_000).await;
    append_all(&mut journal, &events[90_000..], 10).await;
    assert!(log_bytes() <= connect::LOG_BYTES_KEPT as u64, "{}", log_bytes());
    drop(journal);
    assert_eq!(open(&path).unwrap().head_at_open(), Sequence(90_010));
}

#[tokio::test]
async fn a_file_that_is_not_a_journal_is_refused_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, expected: &str| {
        let path = folder.path().join(name);
        let before = fs::read(&path).ok();
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read(&path).ok(), before, "{name}");
    };
    let has_head = |name: &str| beside(&folder.path().join(name), "-head").exists();
    fs::write(folder.path().join("empty.db"), "").unwrap();
    check("empty.db", "is an empty file");
    fs::write(folder.path().join("prose.db"), "It was a dark and stormy night. ".repeat(200)).unwrap();
    check("prose.db", "is not a Chit Chat journal");
    assert!(!has_head("prose.db"), "nothing is created next to it");
    fs::write(folder.path().join("short.db"), "SQLite format 3\0").unwrap();
    check("short.db", "is not a Chit Chat journal");
    fs::create_dir(folder.path().join("folder.db")).unwrap();
    check("folder.db", "is not a Chit Chat journal: it is not a regular file");
    let foreign = Connection::open(folder.path().join("foreign.db")).unwrap();
    foreign.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    check("foreign.db", "it is an SQLite database of another kind");
    foreign.query_row("SELECT x FROM t", [], |_| Ok(())).unwrap();
    let alone = Connection::open(folder.path().join("alone.db")).unwrap();
    alone.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(alone);
    check("alone.db", "it is an SQLite database of another kind");
    assert!(!has_head("foreign.db") && !has_head("alone.db"), "nothing is created next to it");
    check("no-such-folder/j.db", "cannot be opened");
    drop(open(&folder.path().join("newer.db")).unwrap());
    let newer = Connection::open(folder.path().join("newer.db")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    check("newer.db", "has schema version 99, and the newest that this program knows is 2");
    drop(open(&folder.path().join("changed.db")).unwrap());
    let changed = Connection::open(folder.path().join("changed.db")).unwrap();
    changed.execute_batch("CREATE INDEX i ON event (kind)").unwrap();
    drop(open(&folder.path().join("changed.db")).unwrap());
    changed.execute_batch("CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event; END").unwrap();
    drop(changed);
    check("changed.db", "its tables are not those of a journal");
    fs::write(folder.path().join("orphan.db-wal"), "events").unwrap();
    check("orphan.db", "is missing, but");
}

/// A replica's copy needs no backup: the stream has all events.
#[test]
fn a_damaged_copy_of_a_replica_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, epoch) = (folder.path().join("j.db"), Epoch::new("e"));
    let open_copy = || SqliteJournal::open_copy(&path, CheckSettings::default(), &epoch, |_| Ok(None));
    drop(open_copy().unwrap());
    Connection::open(&path).unwrap().execute("DELETE FROM meta", []).unwrap();
    let error = open_copy().unwrap_err().to_string();
    assert!(error.ends_with(&format!("its epoch is missing; {REMOVE_COPY}")), "{error}");
    let error = ReadOnlyJournal::open(&path).unwrap_err().to_string();
    assert!(error.ends_with(REMOVE_COPY), "{error}");
}

/// A service's journal that is given to a replica by mistake may be the only copy of its events.
#[test]
fn a_damaged_journal_of_a_service_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    drop(SqliteJournal::open(&path, || Epoch::new("e")).unwrap());
    Connection::open(&path).unwrap().execute("DELETE FROM meta", []).unwrap();
    let copy = SqliteJournal::open_copy(&path, CheckSettings::default(), &Epoch::new("e"), |_| Ok(None));
    let error = copy.unwrap_err().to_string();
    assert!(error.ends_with(&format!("its epoch is missing; {RESTORE_BACKUP}")), "{error}");
}

#[tokio::test]
async fn a_deleted_journal_starts_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    append_all(&mut open_as(&path, "first").unwrap(), &conversation(5), 5).await;
    fs::remove_file(&path).unwrap();
    let mut journal = open_as(&path, "the second one").unwrap();
    assert_eq!((journal.epoch().as_str(), journal.head_at_open()), ("the second one", Sequence(0)));
    append_all(&mut journal, &conversation(2), 2).await;
    drop(journal);
    assert_eq!(open_as(&path, "third").unwrap().head_at_open(), Sequence(2));
}

#[tokio::test]
async fn changed_rows_are_found_by_position() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |sql: &str, expected: &str| {
        let path = folder.path().join("j.db");
        for ending in ["", "-head"] {
            let _ = fs::remove_file(beside(&path, ending));
        }
        append_all(&mut open(&path).unwrap(), &conversation(40), 40).await;
        let person = Connection::open(&path).unwrap();
        person.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        person.execute_batch(sql).unwrap();
        drop(person);
        let found = match open(&path) {
            Err(error) => error.to_string(),
            Ok(journal) => recover(&*journal.history(), |_| {}).await.unwrap_err().to_string(),
        };
        assert!(found.contains(expected), "{sql}: {found}");
    };
    check("DELETE FROM event WHERE sequence = 17", "event 17 is missing").await;
    check("DELETE FROM event WHERE sequence = 1", "event 1 is missing").await;
    check("DELETE FROM event WHERE sequence > 38", "ends at event 38, but event 40 had been acknowledged").await;
    check("UPDATE event SET text = 'no' WHERE sequence = 29", "event 29 is not what was recorded").await;
    check("UPDATE event SET recorded_at = 'noon' WHERE sequence = 9", "event 9 cannot be read: its recorded_at")
        .await;
    check("UPDATE event SET participant_id = 'x' WHERE sequence = 9", "event 9 cannot be read: its participant")
        .await;
    check("UPDATE event SET chain = 'f' WHERE sequence = 9", "event 9 cannot be read: its chain").await;
    check("UPDATE event SET chain = 'F' || chain WHERE sequence = 40", "event 40 cannot be read: its chain").await;
    check("UPDATE event SET logical_time = -5 WHERE sequence = 9", "event 9 cannot be read: its logical_time")
        .await;
    check("UPDATE event SET kind = 'pondered' WHERE sequence = 9", "event 9 cannot be read: its kind").await;
    check("UPDATE event SET text = '' WHERE sequence = 29", "event 29 cannot be read: its text").await;
    check("UPDATE event SET text = CAST(x'ff' AS TEXT) WHERE kind = 'message'", "its text is not valid").await;
    check("UPDATE meta SET epoch = 'other'", "event 1 is not what was recorded").await;
    check("DELETE FROM meta", "its epoch is missing").await;
    check("DROP TABLE event", "its tables are not those of a journal").await;
}

#[tokio::test]
async fn a_row_that_no_service_would_write_stops_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let mut events = conversation(9);
    let mut wrong = (*events[8]).clone();
    wrong.logical_time.0 += 1;
    events[8] = Arc::new(wrong);
    append_all(&mut open(&path).unwrap(), &events, 9).await;
    let error = recover(&*open(&path).unwrap().history(), |_| {}).await.unwrap_err();
    assert!(
        matches!(&error, RecoveryError::Diverged(divergence) if divergence.sequence == Sequence(9)),
        "{error}"
    );
}

#[tokio::test]
async fn a_clock_that_is_far_off_does_not_stop_the_conversation() {
    use std::time::{Duration, UNIX_EPOCH};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let mut events = conversation(2);
    for (event, at) in events
        .iter_mut()
        .zip([UNIX_EPOCH - Duration::from_secs(86_400), UNIX_EPOCH + Duration::from_secs(400_000_000_000)])
    {
        let mut off = (**event).clone();
        off.recorded_at = at;
        *event = Arc::new(off);
    }
    append_all(&mut open(&path).unwrap(), &events, 2).await;
    assert_eq!(recover(&*open(&path).unwrap().history(), |_| {}).await.unwrap().head(), Sequence(2));
}

#[tokio::test]
async fn a_journal_can_be_read_while_it_is_written_and_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    assert!(matches!(ReadOnlyJournal::open(&path).unwrap_err().fault, OpenFault::Missing));
    let events = conversation(25);
    let mut journal = open(&path).unwrap();
    append_all(&mut journal, &events, 5).await;
    let look = async || {
        let read_only = ReadOnlyJournal::open(&path).unwrap();
        read_only.check().unwrap();
        let summary = read_only.summary().unwrap();
        assert_eq!((summary.head, summary.schema_version), (Sequence(25), 2));
        assert_eq!(read_all(&*read_only.history()).await.unwrap(), events);
        summary.chain
    };
    let chain = look().await;
    drop(journal);
    assert_eq!(look().await, chain);
    assert_eq!(look().await, chain);
    open(&path).unwrap();
}
