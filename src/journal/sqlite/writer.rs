//! The one writer: a thread that owns the connection, and turns every batch into one transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Statement};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::damage::{DamageFlag, Refused};
use super::copy;
use super::error::classify;
use super::file::connect::keep_log_on_close;
use super::file::head::{Head, HeadFile};
use super::file::schema;
use super::file::watched::WatchedFiles;
use super::row::{self, INSERT};
use crate::chat::Event;
use crate::journal::{Committed, CopyUpdate, JournalError, JournalEvent};

/// After this many commits or events the write-ahead log is merged into the main file, so it stays at a few MiB.
const MERGE_COMMITS: u32 = 1024;
const MERGE_EVENTS: usize = 16 * 1024;

/// A batch to be recorded, and the caller that waits for it.
pub(super) struct Append {
    pub(super) events: Vec<Arc<Event>>,
    /// For replicas: its place in the common log after them.
    pub(super) update: Option<CopyUpdate>,
    pub(super) answer: oneshot::Sender<Result<Committed, JournalError>>,
}

/// The parts that the writer's thread gets.
pub(super) struct WriterParts {
    pub(super) path: PathBuf,
    pub(super) head_file: HeadFile,
    pub(super) connection: Connection,
    /// The end of the journal.
    pub(super) head: Head,
    /// The damage that a background check has found, if any.
    pub(super) damage: DamageFlag,
}

/// The batch does not follow the recorded events.
#[derive(Debug, thiserror::Error)]
#[error("event {found} cannot follow event {head}")]
struct OutOfOrder {
    found: u64,
    head: u64,
}

/// Why the writer stopped.
enum WriterExit {
    /// All senders are gone.
    Closed,
    /// It cannot continue, and the last caller has been given the error.
    Reported,
    /// The writer cannot continue. The next caller gets the error.
    Failed(JournalError),
}

/// Commits batches until all senders are gone, or until continuing would put committed events at risk.
pub(super) fn run(parts: WriterParts, mut requests: mpsc::Receiver<Append>) {
    // Variables are dropped in reverse order: the head file's lock outlives the connection, even in a panic.
    let WriterParts { path, mut head_file, connection, head, damage } = parts;
    let (exit, recorded) = match Writer::new(&path, &connection, &mut head_file, head, &damage) {
        Ok(mut writer) => (writer.work(&mut requests), writer.recorded),
        Err(error) => (WriterExit::Failed(classify(error)), false),
    };
    match exit {
        // If nothing was added, the journal may never have been checked, or is damaged: it stays as it is.
        WriterExit::Closed if recorded && damage.get().is_none() => {
            let closed = keep_log_on_close(&connection, false)
                .and_then(|()| connection.close().map_err(|(_, error)| error));
            if let Err(error) = closed {
                tracing::warn!(%error, "the journal's write-ahead log remains next to it");
            }
        }
        WriterExit::Closed | WriterExit::Reported => {}
        WriterExit::Failed(error) => {
            tracing::error!(%error, "the journal's writer is stopping");
            if let Some(Append { answer, .. }) = requests.blocking_recv() {
                let _ = answer.send(Err(error));
            }
        }
    }
}

struct Writer<'a> {
    connection: &'a Connection,
    begin: Statement<'a>,
    insert: Statement<'a>,
    commit: Statement<'a>,
    rollback: Statement<'a>,
    merge_log: Statement<'a>,
    /// For replicas: set by the first update.
    copy: Option<copy::Recorder<'a>>,
    files: WatchedFiles,
    head_file: &'a mut HeadFile,
    /// The end of the journal.
    head: Head,
    damage: &'a DamageFlag,
    /// Whether anything has been added.
    recorded: bool,
    /// The commits since the log was last merged into the main file.
    commits: u32,
    events: usize,
}

impl<'a> Writer<'a> {
    fn new(
        path: &Path,
        connection: &'a Connection,
        head_file: &'a mut HeadFile,
        head: Head,
        damage: &'a DamageFlag,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            insert: connection.prepare(INSERT)?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            merge_log: connection.prepare("PRAGMA wal_checkpoint(PASSIVE)")?,
            copy: None,
            files: WatchedFiles::at(path),
            head_file,
            head,
            damage,
            recorded: false,
            commits: 0,
            events: 0,
        })
    }

    fn work(&mut self, requests: &mut mpsc::Receiver<Append>) -> WriterExit {
        while let Some(Append { events, update, answer }) = requests.blocking_recv() {
            let appended = self.append(events, update.as_ref());
            let fatal = matches!(appended, Err(JournalError::Fatal(_)));
            self.commits += 1;
            self.events += appended.as_ref().map_or(0, |committed| committed.events().len());
            // The caller may be gone; what is recorded stays recorded.
            let _ = answer.send(appended);
            if fatal {
                return WriterExit::Reported;
            }
            // After the answer, so that only callers that arrive meanwhile have to wait for it.
            if let Err(error) = self.merge_log_if_due() {
                return WriterExit::Failed(error);
            }
        }
        WriterExit::Closed
    }

    fn append(&mut self, events: Vec<Arc<Event>>, update: Option<&CopyUpdate>) -> Result<Committed, JournalError> {
        if let Some(found) = self.damage.get() {
            // Not fatal: recorded events can still be read, and the service reports why it accepts no more.
            return Err(JournalError::Unavailable(Box::new(Refused(found.clone()))));
        }
        self.files.check()?;
        let appended = self.transaction(events, update);
        self.files.measure_log();
        let recorded = match appended {
            Ok(recorded) => recorded,
            Err(error) => {
                // Most errors have rolled back already. If a rollback fails, the state is unknown.
                if !self.connection.is_autocommit() {
                    self.rollback.execute([]).map_err(|error| JournalError::Fatal(error.into()))?;
                }
                return Err(error);
            }
        };
        if let Some(last) = recorded.last() {
            (self.head.sequence, self.head.chain) = (last.sequence, last.chain);
        }
        self.recorded = true;
        if let Err(error) = self.head_file.write(&self.head) {
            // The events themselves are on the disk. Only the cross-check is missing.
            tracing::warn!(%error, "the journal's head file could not be updated");
        }
        Ok(Committed::assume_committed(recorded))
    }

    fn transaction(
        &mut self,
        events: Vec<Arc<Event>>,
        update: Option<&CopyUpdate>,
    ) -> Result<Vec<JournalEvent>, JournalError> {
        self.begin.execute([]).map_err(classify)?;
        let (mut head, mut chain) = (self.head.sequence, self.head.chain);
        let mut recorded = Vec::with_capacity(events.len());
        for event in events {
            if event.sequence != head.next() {
                let out_of_order = OutOfOrder { found: event.sequence.0, head: head.0 };
                return Err(JournalError::Fatal(Box::new(out_of_order)));
            }
            (head, chain) = (event.sequence, chain.with(&event));
            row::insert(&mut self.insert, &event, chain).map_err(classify)?;
            recorded.push(JournalEvent { event, chain });
        }
        if let Some(update) = update {
            self.copy(update).map_err(classify)?;
        } else if recorded.is_empty() {
            schema::rewrite_version(self.connection).map_err(classify)?;
        }
        self.commit.execute([]).map_err(classify)?;
        Ok(recorded)
    }

    fn copy(&mut self, update: &CopyUpdate) -> rusqlite::Result<()> {
        let copy = match &mut self.copy {
            Some(copy) => copy,
            none => none.insert(copy::Recorder::new(self.connection)?),
        };
        copy.record(update)
    }

    fn merge_log_if_due(&mut self) -> Result<(), JournalError> {
        if self.commits < MERGE_COMMITS && self.events < MERGE_EVENTS {
            return Ok(());
        }
        (self.commits, self.events) = (0, 0);
        match self.merge_log.query_row([], |_| Ok(())).map_err(classify) {
            Err(JournalError::Unavailable(error)) => {
                // The events are safe in the log, which grows until this works again.
                tracing::warn!(%error, "the journal's log could not be merged into the main file");
                Ok(())
            }
            result => result,
        }
    }
}
