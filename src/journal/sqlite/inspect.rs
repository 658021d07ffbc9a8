//! Reads a journal without writing to it, even while a service writes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::error::{OpenError, OpenFault};
use super::file::head::Head;
use super::file::{connect, schema};
use super::history::SqliteHistory;
use super::{beside, open, size_of};
use crate::chat::Sequence;
use crate::journal::{Epoch, History};

/// A journal opened for reading only. It takes no lock and writes nothing to the journal.
pub struct ReadOnlyJournal {
    path: PathBuf,
    connection: Connection,
    /// Read before the journal was opened, so a service that writes meanwhile may be ahead of it.
    acknowledged: Option<Head>,
    head: Head,
    schema_version: i64,
    history: Arc<SqliteHistory>,
}

/// The facts about a journal that are known without reading all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which journal it is.
    pub epoch: Epoch,
    /// The newest event.
    pub head: Sequence,
    /// The checksum over it and all before it: two journals that agree on it agree on everything.
    pub chain: String,
    /// The schema of the file.
    pub schema_version: i64,
    /// The size of the main file, in bytes.
    pub file_bytes: u64,
    /// The size of its write-ahead log, in bytes.
    pub log_bytes: u64,
}

impl ReadOnlyJournal {
    /// Opens a journal for reading.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_path(path).map_err(|fault| open::damage_at(path, fault))
    }

    fn open_path(path: &Path) -> Result<Self, OpenFault> {
        open::check_file(path)?;
        let path = open::resolve(path)?;
        let acknowledged = Head::beside(&path)?;
        let connection = connect::for_reading(&path)?;
        let schema_version = schema::identify(&connection)?;
        let head = open::head(&connection, schema::epoch(&connection)?)?;
        let history = Arc::new(SqliteHistory::new(path.clone(), head.epoch.clone()));
        Ok(Self { path, connection, acknowledged, head, schema_version, history })
    }

    /// The facts that are known without reading all of it.
    ///
    /// # Errors
    /// [`OpenError`] if the files' sizes cannot be read.
    pub fn summary(&self) -> Result<Summary, OpenError> {
        let size = |path: &Path| size_of(path).map_err(|error| OpenFault::from(error).at(&self.path));
        Ok(Summary {
            epoch: self.head.epoch.clone(),
            head: self.head.sequence,
            chain: self.head.chain.to_string(),
            schema_version: self.schema_version,
            file_bytes: size(&self.path)?,
            log_bytes: size(&beside(&self.path, "-wal"))?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Its events.
    pub fn history(&self) -> Arc<dyn History> {
        self.history.clone()
    }

    /// Looks for damage as opening for writing does. It does not replay the events: see
    /// [`recover`](crate::journal::recover).
    ///
    /// # Errors
    /// [`OpenError`], which says what is wrong.
    pub fn check(&self) -> Result<(), OpenError> {
        open::check_shape(&self.connection, &self.head.epoch)
            .map_err(|fault| open::damage_at(&self.path, fault))?;
        self.check_end()
    }

    /// Checks whether it has everything that was acknowledged. That is quick.
    ///
    /// # Errors
    /// [`OpenError`] if it does not, or if that is unknown.
    pub fn check_end(&self) -> Result<(), OpenError> {
        open::check_acknowledged(&self.connection, &self.head, self.acknowledged.as_ref())
            .and_then(|()| open::check_companion_files(&self.connection, &self.path, &self.head))
            .map_err(|fault| open::damage_at(&self.path, fault))
    }

    /// What to do about damage.
    pub fn remedy(&self) -> &'static str {
        open::remedy(Some(&self.connection))
    }
}

impl fmt::Debug for ReadOnlyJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyJournal")
            .field("path", &self.path)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}
