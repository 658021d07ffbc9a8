//! The faults of a journal file.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::chat::Sequence;
use crate::journal::JournalError;

/// What to do about a damaged journal.
pub const RESTORE_BACKUP: &str = "move the journal's files away, and restore a backup in their place";
/// What to do about a damaged copy of a replica, whose events are all in the stream.
pub const REMOVE_COPY: &str =
    "remove the journal with the files next to it, and the replica reads the stream again when it starts";

/// A journal file that cannot be opened. Nothing in it has been changed.
#[derive(Debug, thiserror::Error)]
#[error("the journal {} {fault}{}", path.display(), remedy_of(fault, remedy))]
#[allow(missing_docs, reason = "the message says what each field is")]
pub struct OpenError {
    pub path: PathBuf,
    #[source]
    pub fault: OpenFault,
    /// What to do about it if it is damaged.
    pub(super) remedy: &'static str,
}

fn remedy_of(fault: &OpenFault, remedy: &str) -> String {
    match fault {
        OpenFault::Damaged(_) | OpenFault::Shortened { .. } => format!("; {remedy}"),
        _ => String::new(),
    }
}

/// Why a journal file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum OpenFault {
    /// A running service holds it.
    #[error("is in use by another process; only one service at a time can write to it")]
    InUse,
    /// There is no such file.
    #[error("does not exist")]
    Missing,
    /// The main file is gone, but its write-ahead log is still there, with events.
    #[error("is missing, but {} is there: put the missing file back, or remove both", wal.display())]
    Orphaned { wal: PathBuf },
    /// It, or one of its companion files, is a mount point.
    #[error(
        "cannot be used safely: {} is itself a mount point, so the files next to it do not belong to it. \
         Mount the folder that the journal is in instead", mounted.display()
    )]
    MountPoint { mounted: PathBuf },
    /// A symbolic link into a folder that does not exist, for instance on a volume that is not mounted.
    #[error(
        "is a symbolic link to {}, whose folder does not exist: mount the volume that it is on, or remove the link",
        target.display()
    )]
    DanglingLink { target: PathBuf },
    /// The main file without its companion files, and no log shows where it should end.
    #[error(
        "has {events} events, but it stands alone, and a copy of a running journal's main file lacks the newest ones. \
         Copy it with its -wal and -head files, or use a copy made by `chitchat journal backup`. \
         To continue with only these events, make a journal of them: chitchat journal backup {} NEW-FILE", path.display()
    )]
    Alone { path: PathBuf, events: Sequence },
    /// The service's log, which may have events that the journal lacks, cannot be read.
    #[error("cannot be compared with the service's log: {0}")]
    Log(#[source] io::Error),
    /// Zero bytes. A journal never has that size: it is created under another name and renamed when it is complete.
    #[error("is an empty file, which is not a journal: remove it to start a new conversation")]
    Empty,
    /// It has hard links.
    #[error("has {names} names (hard links), but the files of a journal belong to one name: remove the others")]
    SeveralNames { names: u64 },
    /// A file that is not a journal.
    #[error("is not a Chit Chat journal: {0}")]
    NotAJournal(String),
    /// Made by a version of the program that this one does not know.
    #[error("has schema version {found}, and the newest that this program knows is {newest}")]
    Version { found: i64, newest: i64 },
    /// Something in it contradicts itself.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// It lacks events that had been acknowledged.
    #[error("is damaged: it ends at event {head}, but event {acknowledged} had been acknowledged")]
    Shortened { head: Sequence, acknowledged: Sequence },
    /// It is the copy of a replica. A single service would make it diverge from the common log.
    #[error("is the copy of a replica: start it with --replicate, or name another file")]
    OfReplica,
    /// It is the journal of a single service, whose events are not in a common log.
    #[error(
        "is the journal of a service without replicas, and has {events} events that the common log lacks: name another \
         file for the replica's copy. The conversation of a single service cannot be carried over into a cluster"
    )]
    OfService { events: Sequence },
    /// It cannot be written.
    #[error("is read-only")]
    ReadOnly,
    /// An error of the operating system.
    #[error("cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// An error of SQLite.
    #[error("cannot be opened: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

/// How many characters of an SQLite message are passed on: some quote whole tables.
const COMPLAINT_CHARACTERS_MAX: usize = 160;

impl OpenFault {
    /// Damage in SQLite's words, on one line.
    pub(super) fn damaged(complaint: &str) -> Self {
        let complaint = complaint.trim_start_matches("*** in database main ***").trim_start();
        let line = complaint.lines().next().unwrap_or_default();
        Self::Damaged(line.chars().take(COMPLAINT_CHARACTERS_MAX).collect())
    }

    pub(super) fn at(self, path: &Path) -> OpenError {
        OpenError { path: path.to_owned(), fault: self, remedy: RESTORE_BACKUP }
    }
}

impl From<rusqlite::Error> for OpenFault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAJournal("it is not an SQLite database".into()),
            // A missing or changed table or column is damage, too.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) => Self::damaged(&error.to_string()),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            _ => Self::Sqlite(error),
        }
    }
}

/// A recorded event that differs from what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence} {fault}")]
pub struct Damage {
    /// The position of the event.
    pub sequence: Sequence,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a recorded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is missing, but there are later events.
    #[error("is missing")]
    Missing,
    /// One of its columns has a value that is never written there.
    #[error("cannot be read: its {0} is not valid")]
    Column(&'static str),
    /// Its checksum does not match its contents and the checksum of the event before it.
    #[error("is not what was recorded: its checksum is wrong")]
    Chain,
}

impl From<Damage> for JournalError {
    fn from(damage: Damage) -> Self {
        Self::Fatal(Box::new(damage))
    }
}

/// The written data may or may not be on the disk, and another fsync would not tell.
#[derive(Debug, thiserror::Error)]
#[error(
    "the disk did not confirm what was written (fsync failed: {0}); it may or may not be there after a restart"
)]
struct NotSynced(#[source] rusqlite::Error);

/// Whether a journal can be used after an error of SQLite. The transaction must be known to be rolled back.
///
/// After a failed fsync the kernel may have dropped the pages it could not write and report success the
/// next time, so a retry would acknowledge data that is not on the disk. That is fatal, and so is every error that is
/// not listed as transient.
pub(super) fn classify(error: rusqlite::Error) -> JournalError {
    let (code, extended) = match error.sqlite_error() {
        Some(error) => (error.code, error.extended_code),
        None => return JournalError::Fatal(error.into()),
    };
    match extended {
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => JournalError::Fatal(Box::new(NotSynced(error))),
        ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA | ffi::SQLITE_READONLY_DBMOVED => {
            JournalError::Fatal(error.into())
        }
        _ if matches!(
            code,
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        ) =>
        {
            JournalError::Unavailable(error.into())
        }
        _ => JournalError::Fatal(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Damage says what to do, even if SQLite found it.
    #[test]
    fn a_damaged_page() {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None);
        let fault = OpenFault::from(error);
        assert!(matches!(fault, OpenFault::Damaged(_)), "{fault}");
        let error = fault.at(Path::new("j.db")).to_string();
        assert!(error.ends_with(RESTORE_BACKUP), "{error}");
    }

    #[test]
    fn only_transient_errors_leave_the_journal_usable() {
        let check = |code, is_transient| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(matches!(classify(error), JournalError::Unavailable(_)), is_transient, "{code}");
        };
        check(ffi::SQLITE_FULL, true);
        check(ffi::SQLITE_IOERR_WRITE, true);
        check(ffi::SQLITE_IOERR_READ, true);
        check(ffi::SQLITE_READONLY, true);
        check(ffi::SQLITE_BUSY, true);
        check(ffi::SQLITE_IOERR_FSYNC, false);
        check(ffi::SQLITE_IOERR_DIR_FSYNC, false);
        check(ffi::SQLITE_READONLY_DBMOVED, false);
        check(ffi::SQLITE_CORRUPT, false);
        check(ffi::SQLITE_NOTADB, false);
        check(ffi::SQLITE_CONSTRAINT_PRIMARYKEY, false);
        check(ffi::SQLITE_MISUSE, false);
    }
}
