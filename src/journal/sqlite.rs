//! A journal in an SQLite file: durable when [`append`](Journal::append) returns, readable by a person with the
//! `sqlite3` shell, and either intact or refused.
//!
//! - One thread writes; a batch is one transaction, on the disk (WAL, synchronous=FULL) before it is published.
//! - Readers have their own connections and see what is committed. Other processes can read it, too.
//! - Every event carries a checksum over itself and all before it (`chain`), and the newest position that
//!   was acknowledged is noted in a second file ([`head`](file::head)), which is also the lock.
//!
//! Opening a journal detects any damage to the structure of the file, any changed value, and any event that is missing
//! in the middle or at the end. It cannot detect that the last events were lost together with the head file, nor a
//! forgery. After a start from a [`checkpoint`], the older events are checked while the journal is used.

mod backup;
mod checkpoint;
mod copy;
pub(super) mod error;
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
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use super::check::{CheckSettings, CheckState};
use super::recovery::{RecoveryError, replay};
use super::{Committed, CopyState, CopyUpdate, Epoch, History, Journal, JournalError, ReplicaJournal};
use crate::chat::{Conversation, Event, Sequence};

pub use backup::{BackupError, BackupProgress};
pub use error::{Damage, Fault, OpenError, OpenFault, REMOVE_COPY, RESTORE_BACKUP};
pub use inspect::{ReadOnlyJournal, Summary};
pub use open::Fork;

use checkpoint::Checkpoint;
use checkpoint::damage::DamageFlag;
use checkpoint::keeper::{CheckpointFile, Keeper};
use checkpoint::later::{LaterCheck, Plan};
use copy::Owner;
use file::connect;
use file::head::Head;
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
    /// The newest event that was appended.
    newest: Head,
    checkpoint_events: u64,
    /// The checkpoint to recover the conversation from; `None` afterwards.
    checkpoint: Option<Checkpoint>,
    /// Writes checkpoints; `None` until the recovery is done.
    keeper: Option<Keeper>,
    later_check: Option<LaterCheck>,
    /// The damage that the background check has found.
    damage: DamageFlag,
    /// What to do about damage.
    remedy: &'static str,
    /// Whether the state on the disk is unknown.
    failed: bool,
    /// `None` once the journal is being closed.
    requests: Option<mpsc::Sender<Append>>,
    writer: Option<JoinHandle<()>>,
}

/// The writer's thread has ended: it failed before, or panicked.
#[derive(Debug, thiserror::Error)]
#[error("its writer has stopped")]
struct WriterGone;

impl SqliteJournal {
    /// Opens the journal at a path, or creates one with a new epoch if there is none. Without a checkpoint it looks for
    /// damage first, which takes a second or two for a million events, so do not call it on an async thread.
    ///
    /// # Errors
    /// [`OpenError`]; the existing file is left unchanged.
    pub fn open(path: &Path, new_epoch: impl FnOnce() -> Epoch) -> Result<Self, OpenError> {
        Self::open_with_log(path, CheckSettings::default(), new_epoch, |_| Ok(None))
    }

    /// Opens it like [`open`](Self::open), and compares it with the service's log: `logged` looks up the newest
    /// event of an epoch there. If the log is ahead of the journal, the journal continues in a new epoch: see
    /// [`fork`](Self::fork).
    ///
    /// # Errors
    /// [`OpenError`]; the existing file is left unchanged.
    pub fn open_with_log(
        path: &Path,
        settings: CheckSettings,
        new_epoch: impl FnOnce() -> Epoch,
        logged: impl FnOnce(&Epoch) -> io::Result<Option<Sequence>>,
    ) -> Result<Self, OpenError> {
        Self::start(open::for_writing(path, Owner::Service, settings, new_epoch, logged)?, settings)
    }

    /// Opens a replica's copy of the conversation of this epoch, or creates one if there is none. `logged` looks up the
    /// newest event of an epoch in the replica's log.
    ///
    /// # Errors
    /// [`OpenError`]; the existing file is left unchanged.
    pub fn open_copy(
        path: &Path,
        settings: CheckSettings,
        epoch: &Epoch,
        logged: impl FnOnce(&Epoch) -> io::Result<Option<Sequence>>,
    ) -> Result<Self, OpenError> {
        Self::start(open::for_writing(path, Owner::Replica, settings, || epoch.clone(), logged)?, settings)
    }

    fn start(opened: Opened, settings: CheckSettings) -> Result<Self, OpenError> {
        let Opened { path, head_file, connection, head, logged, fork, copied, checkpoint } = opened;
        let remedy = open::remedy(Some(&connection));
        let (epoch, sequence, newest, damage) =
            (head.epoch.clone(), head.sequence, head.clone(), DamageFlag::default());
        // The engine waits for each batch, so there is never more than one.
        let (requests, arriving) = mpsc::channel(1);
        let parts = WriterParts { path: path.clone(), head_file, connection, head, damage: damage.clone() };
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
            newest,
            checkpoint_events: settings.checkpoint_events,
            checkpoint,
            keeper: None,
            later_check: None,
            damage,
            remedy,
            failed: false,
            requests: Some(requests),
            writer: Some(writer),
        })
    }

    /// The file, by its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to do if it is damaged.
    pub fn remedy(&self) -> &'static str {
        self.remedy
    }

    /// The newest event when it was opened.
    pub fn head_at_open(&self) -> Sequence {
        self.head
    }

    /// Set if the journal is an older copy, and therefore has just begun a new epoch.
    pub fn fork(&self) -> Option<&Fork> {
        self.fork.as_ref()
    }

    /// Rebuilds the conversation: from the checkpoint, if there is a valid one, and the events after it. The events
    /// before it are then checked while the journal is used: see [`later_check`](Journal::later_check). A checkpoint
    /// that the events after it contradict is not used.
    ///
    /// # Errors
    /// [`RecoveryError`], with the position where the journal contradicts itself.
    pub async fn recover(&mut self, mut on_event: impl FnMut(&Event)) -> Result<Conversation, RecoveryError> {
        let file = Arc::new(CheckpointFile::new(self.path.clone(), self.damage.clone()));
        let (conversation, from) = match self.checkpoint.take() {
            None => (replay(&*self.history, Conversation::new(), on_event).await?, Sequence(0)),
            Some(Checkpoint { place, digest, conversation }) => {
                match replay(&*self.history, conversation, &mut on_event).await {
                    Ok(conversation) => {
                        let (path, epoch, last) = (self.path.clone(), self.epoch.clone(), place.sequence);
                        let (file, damage, remedy) = (file.clone(), self.damage.clone(), self.remedy);
                        let plan = Plan { path, epoch, last, digest, file, damage, remedy };
                        let check = LaterCheck::start(plan).map_err(|fault| fault.at(&self.path))?;
                        self.later_check = Some(check);
                        (conversation, last)
                    }
                    Err(error @ RecoveryError::Journal(JournalError::Unavailable(_))) => return Err(error),
                    Err(error) => {
                        tracing::warn!(
                            "the checkpoint is not used, and the whole journal is checked first: {error}"
                        );
                        self.check_shape().await?;
                        (replay(&*self.history, Conversation::new(), on_event).await?, Sequence(0))
                    }
                }
            }
        };
        let keeper = Keeper::start(file, self.checkpoint_events, from);
        self.keeper = Some(keeper.map_err(|error| OpenFault::from(error).at(&self.path))?);
        Ok(conversation)
    }

    async fn check_shape(&self) -> Result<(), RecoveryError> {
        let (path, epoch) = (self.path.clone(), self.epoch.clone());
        let checking = spawn_blocking(move || {
            let connection = connect::for_reading(&path).map_err(|error| OpenFault::from(error).at(&path))?;
            open::check_shape(&connection, &epoch).map_err(|fault| open::damage_at(&path, fault))
        });
        Ok(checking.await.map_err(|panic| JournalError::Fatal(panic.into()))??)
    }

    async fn write(
        &mut self,
        events: Vec<Arc<Event>>,
        update: Option<CopyUpdate>,
    ) -> Result<Committed, JournalError> {
        let gone = || JournalError::Fatal(Box::new(WriterGone));
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(Append { events, update, answer }).await.map_err(|_| gone())?;
        let appended = answered.await.unwrap_or_else(|_| Err(gone()));
        match &appended {
            Ok(committed) => {
                if let Some(last) = committed.events().last() {
                    (self.newest.sequence, self.newest.chain) = (last.sequence, last.chain);
                }
            }
            Err(JournalError::Fatal(_)) => self.failed = true,
            Err(JournalError::Unavailable(_)) => {}
        }
        appended
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

    fn offer_checkpoint(&mut self, state: &Conversation) {
        if let Some(keeper) = &mut self.keeper {
            keeper.offer(&self.newest, state);
        }
    }

    fn later_check(&self) -> Option<watch::Receiver<CheckState>> {
        self.later_check.as_ref().map(LaterCheck::state)
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

/// Closes the journal: writes a last checkpoint, and waits for the writer, which merges the log into the main file.
/// That takes milliseconds, or a second if participants have published millions of messages.
impl Drop for SqliteJournal {
    fn drop(&mut self) {
        if let Some(check) = self.later_check.take() {
            check.end();
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.finish(!self.failed);
        }
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

/// The path of a file next to the journal, with this ending added to its name: `chitchat.db` → `chitchat.db-wal`.
fn beside(journal: &Path, ending: &str) -> PathBuf {
    let mut path = journal.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn size_of(path: &Path) -> io::Result<u64> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
