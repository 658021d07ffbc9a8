//! A copy of a journal, made while a service may be writing it.
//!
//! The copy is a single file: it needs no write-ahead log next to it. It gets its name when it is complete, checked and
//! on the disk; until then it is called `NAME-new`.

use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::error::{OpenError, OpenFault};
use super::file::head::Head;
use super::file::{connect, schema};
use super::inspect::ReadOnlyJournal;
use super::{beside, folder_of, history, open};
use crate::chat::{Conversation, Sequence};
use crate::journal::JournalError;

/// How many pages are copied, and how many events checked, between two reports of progress.
const PAGES: i32 = 1024;
const EVENTS: usize = 1024;

/// A backup that could not be made. No file with its name is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum BackupError {
    /// A file with that name exists.
    #[error("{} already exists, and a backup never replaces a file", .0.display())]
    Exists(PathBuf),
    /// Another process is making a backup with this name.
    #[error("another backup to {} is under way", .0.display())]
    UnderWay(PathBuf),
    /// The journal is damaged or cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The copy cannot be written.
    #[error("the backup {} cannot be written: {why}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        why: Box<dyn Error + Send + Sync>,
    },
}

/// The progress of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BackupProgress {
    /// Pages of the file that have been copied.
    Copied { pages: u64, total: u64 },
    /// Events of the copy that have been checked.
    Checked { events: u64, total: u64 },
}

/// The file that will become the copy, locked by this process. Removed when this is dropped.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            // Fails if the file has been renamed. Otherwise a leftover does no harm.
            let _ = fs::remove_file(beside(&self.path, ending));
        }
    }
}

impl ReadOnlyJournal {
    /// Copies the journal as it is now to a new file, checks the copy, and returns the conversation in it.
    ///
    /// # Errors
    /// [`BackupError`], in which case there is no copy.
    pub fn backup(
        &self,
        copy: &Path,
        mut on_progress: impl FnMut(BackupProgress),
    ) -> Result<Conversation, BackupError> {
        check_free(copy)?;
        let unfinished = Unfinished::make(copy, self.path())?;
        let mut target =
            connect::for_creating(&unfinished.path).map_err(|error| unwritable(copy, error.into()))?;
        let head = self.copy_to(&mut target, copy, &mut on_progress)?;
        let conversation = check(&target, &head, &mut on_progress)
            .map_err(|fault| fault.at(self.path()))
            .map_err(BackupError::Source)?;
        target.close().map_err(|(_, error)| unwritable(copy, error.into()))?;
        unfinished.finish(copy)?;
        Ok(conversation)
    }

    /// Copies within one read transaction, so that a service's concurrent writes neither enter the copy nor make SQLite
    /// restart it.
    fn copy_to(
        &self,
        target: &mut Connection,
        copy: &Path,
        on_progress: &mut impl FnMut(BackupProgress),
    ) -> Result<Head, BackupError> {
        let at_source = |fault: OpenFault| BackupError::Source(fault.at(self.path()));
        let source = self.connection();
        let snapshot = source.unchecked_transaction().map_err(|error| at_source(error.into()))?;
        let epoch = schema::epoch(source).map_err(at_source)?;
        let head = open::head(source, epoch).map_err(at_source)?;
        let failed = |error: rusqlite::Error| match OpenFault::from(error) {
            OpenFault::Sqlite(error) => unwritable(copy, error.into()),
            fault => at_source(fault),
        };
        let backup = Backup::new(source, target).map_err(failed)?;
        loop {
            match backup.step(PAGES).map_err(failed)? {
                StepResult::Done => break,
                StepResult::More => {
                    let progress = backup.progress();
                    let total = u64::try_from(progress.pagecount).unwrap_or_default();
                    let left = u64::try_from(progress.remaining).unwrap_or_default();
                    on_progress(BackupProgress::Copied { pages: total.saturating_sub(left), total });
                }
                // SQLite has already waited for the lock.
                _ => return Err(at_source(OpenFault::InUse)),
            }
        }
        drop(backup);
        drop(snapshot);
        // Without a write-ahead log, the copy is a single file.
        let mode = target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "delete" => Ok(head),
            Ok(mode) => Err(unwritable(copy, format!("its journal mode stays {mode}").into())),
            Err(error) => Err(unwritable(copy, error.into())),
        }
    }
}

impl Unfinished {
    /// Creates it, with the permissions of the journal. One that a killed backup left behind is reused.
    fn make(copy: &Path, source: &Path) -> Result<Self, BackupError> {
        let failed = |error: io::Error| unwritable(copy, error.into());
        let path = beside(copy, "-new");
        let mode = fs::metadata(source).map_err(failed)?.mode() & 0o777;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(mode).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::UnderWay(copy.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let unfinished = Self { path, file };
        unfinished.file.set_len(0).map_err(failed)?;
        Ok(unfinished)
    }

    /// Renames it to its final name.
    fn finish(self, copy: &Path) -> Result<(), BackupError> {
        let failed = |error: io::Error| unwritable(copy, error.into());
        self.file.sync_all().map_err(failed)?;
        check_free(copy)?;
        fs::rename(&self.path, copy).map_err(failed)?;
        File::open(folder_of(copy)).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// Checks that neither the copy nor any companion file of a journal with that name exists.
fn check_free(copy: &Path) -> Result<(), BackupError> {
    for path in ["", "-wal", "-head", "-journal"].map(|ending| beside(copy, ending)) {
        match fs::symlink_metadata(&path) {
            Ok(_) => return Err(BackupError::Exists(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(copy, error.into())),
        }
    }
    Ok(())
}

/// Looks for damage as opening the journal does, and replays all events.
fn check(
    copy: &Connection,
    head: &Head,
    on_progress: &mut impl FnMut(BackupProgress),
) -> Result<Conversation, OpenFault> {
    open::check_shape(copy, &head.epoch)?;
    open::check_acknowledged(copy, head, Some(head))?;
    let mut conversation = Conversation::new();
    loop {
        let events =
            history::page(copy, &head.epoch, conversation.head(), EVENTS).map_err(|error| match error {
                JournalError::Fatal(why) | JournalError::Unavailable(why) => OpenFault::Damaged(why.to_string()),
            })?;
        if events.is_empty() {
            return Ok(conversation);
        }
        for event in events {
            conversation.replay(&event).map_err(|error| OpenFault::Damaged(error.to_string()))?;
        }
        let Sequence(events) = conversation.head();
        on_progress(BackupProgress::Checked { events, total: head.sequence.0 });
    }
}

fn unwritable(copy: &Path, why: Box<dyn Error + Send + Sync>) -> BackupError {
    BackupError::Write { path: copy.to_owned(), why }
}
