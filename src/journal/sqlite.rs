//! A journal in a SQLite file: durable when [`append`](Journal::append) returns, readable by a person with
//! the `sqlite3` shell, and whole or refused.
//!
//! - One thread writes; a batch is one transaction, on the disk (WAL, synchronous=FULL) before it is published.
//! - Readers have connections of their own and see what is committed. Other processes can read too.
//! - Every event carries a checksum over itself and all before it (`chain`), and the newest position that
//!   was acknowledged is noted in a second file ([`head`]), which is also the lock.
//!
//! A start detects any damage to the structure of the file, any changed value, and any event that is missing in the
//! middle or at the end. It cannot detect an end that was lost together with the head file, nor a forgery.

mod backup;
mod copy;
mod error;
mod file;
mod history;
mod inspect;
mod open;
mod row;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::{Committed, CopyState, CopyUpdate, Epoch, History, Journal, JournalError, ReplicaJournal};
use crate::chat::{Event, Sequence};

pub use backup::{BackupError, BackupProgress};
pub use error::{Damage, Fault, OpenError, OpenFault};
pub use inspect::{ReadOnlyJournal, Summary};
pub use open::Fork;

use copy::Owner;
use history::SqliteHistory;
use open::Opened;
use writer::{Append, WriterParts};

/// The journal in a file.
pub struct SqliteJournal {
    path: PathBuf,
    epoch: Epoch,
    head: Sequence,
    logged: Option<Sequence>,
    fork: Option<Fork>,
    copied: CopyState,
    history: Arc<SqliteHistory>,
    /// None once the journal is being closed.
    requests: Option<mpsc::Sender<Append>>,
    writer: Option<JoinHandle<()>>,
}

/// The writer's thread is gone: it has failed before, or panicked.
#[derive(Debug, thiserror::Error)]
#[error("its writer has stopped")]
struct WriterGone;

impl SqliteJournal {
    /// Opens the journal at a path, or makes one of a new epoch where there is none. Looks for damage first,
    /// which takes a second or two for a million events: not for an async thread.
    ///
    /// # Errors
    /// [`OpenError`]; the existing file is left unchanged.
    pub fn open(path: &Path, new_epoch: impl FnOnce() -> Epoch) -> Result<Self, OpenError> {
        Self::open_with_log(path, new_epoch, |_| Ok(None))
    }

    /// Opens it like [`open`](Self::open), and compares it with the service's log: `logged` looks up the newest
    /// event of an epoch there. If the log is ahead of the journal, the journal continues in a new epoch: see
    /// [`fork`](Self::fork).
    ///
    /// # Errors
    /// [`OpenError`]; the existing file is left unchanged.
    pub fn open_with_log(
        path: &Path,
        new_epoch: impl FnOnce() -> Epoch,
        logged: impl FnOnce(&Epoch) -> io::Result<Option<Sequence>>,
    ) -> Result<Self, OpenError> {
        Self::start(open::for_writing(path, Owner::Service, new_epoch, logged)?)
    }

    /// Opens a replica's copy of a conversation of this epoch, or makes one where there is none. `logged` looks up the
    /// newest event of an epoch in the replica's log.
    ///
    /// # Errors
    /// [`OpenError`]; the existing file is left unchanged.
    pub fn open_copy(
        path: &Path,
        epoch: &Epoch,
        logged: impl FnOnce(&Epoch) -> io::Result<Option<Sequence>>,
    ) -> Result<Self, OpenError> {
        Self::start(open::for_writing(path, Owner::Replica, || epoch.clone(), logged)?)
    }

    fn start(opened: Opened) -> Result<Self, OpenError> {
        let Opened { path, head_file, connection, head, logged, fork, copied } = opened;
        let (epoch, sequence) = (head.epoch.clone(), head.sequence);
        // The engine waits for each batch, so there is never a second one.
        let (requests, arriving) = mpsc::channel(1);
        let parts = WriterParts { path: path.clone(), head_file, connection, head };
        let writer = thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer::run(parts, arriving))
            .map_err(|error| OpenFault::from(error).at(&path))?;
        Ok(Self {
            history: Arc::new(SqliteHistory::new(path.clone(), epoch.clone())),
            path,
            epoch,
            head: sequence,
            logged,
            fork,
            copied: copied.unwrap_or_default(),
            requests: Some(requests),
            writer: Some(writer),
        })
    }

    /// The file, by its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest event when it was opened.
    pub fn head_at_open(&self) -> Sequence {
        self.head
    }

    /// Why this epoch has begun just now, though the journal has events: it is an older copy.
    pub fn fork(&self) -> Option<&Fork> {
        self.fork.as_ref()
    }

    async fn write(&self, events: Vec<Arc<Event>>, update: Option<CopyUpdate>) -> Result<Committed, JournalError> {
        let gone = || JournalError::Fatal(Box::new(WriterGone));
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(Append { events, update, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// The newest event of this epoch that the service's log had when the journal was opened.
    pub fn logged_at_open(&self) -> Option<Sequence> {
        self.logged
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    fn epoch(&self) -> Epoch {
        self.epoch.clone()
    }

    async fn append(&mut self, events: Vec<Arc<Event>>) -> Result<Committed, JournalError> {
        self.write(events, None).await
    }

    fn history(&self) -> Arc<dyn History> {
        self.history.clone()
    }
}

#[async_trait]
impl ReplicaJournal for SqliteJournal {
    fn copied(&self) -> &CopyState {
        &self.copied
    }

    async fn record(&mut self, events: Vec<Arc<Event>>, update: CopyUpdate) -> Result<Committed, JournalError> {
        self.write(events, Some(update)).await
    }
}

/// Closes the journal: waits for the writer, which takes the log over into the main file. A matter of
/// milliseconds, at the end of the process.
impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.history.close();
        self.requests = None;
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the journal's writer has panicked");
        }
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal")
            .field("path", &self.path)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// The companion file of a journal whose name has another ending: `chitchat.db` → `chitchat.db-wal`.
fn beside(journal: &Path, ending: &str) -> PathBuf {
    let mut path = journal.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn size_of(path: &Path) -> io::Result<u64> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
