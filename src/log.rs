//! Log records: JSON Lines in a file, which prove the order of events afterwards, and readable lines on standard error
//! (specification, chapter 9).
//!
//! [`Record`] is the one definition of all records and their fields; [`LogRecord`] is the type that every record is read
//! into. The library emits records through `tracing` under one target, each as a finished line in the field `record`.
//! The program decides where they go: ours calls [`install`].

mod file;
mod format;
mod line;
mod name;
mod own;
mod people;
pub mod reading;
mod record;
mod run;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::terminal;
use file::RecordFile;

pub use line::{CowStr, LineRef, LogRecord, RecordFault};
pub use name::file_name;
pub(crate) use name::safe_name;
pub use own::OwnLog;
pub use reading::newest_broadcast;
pub use record::{
    About, Broadcast, ClientRecord, Component, Delivered, LoggedKind, Loss, Record, RecordBody, ReplicaNote,
    ServerRecord, Severity, StreamBegun, Text, WelcomeDetails, keeps_deliveries, timestamp,
};
pub use run::{RunId, name_replica};

/// The `tracing` target of all records, and of nothing else.
pub const TARGET: &str = "chitchat::record";

/// A log that cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum RecordError {
    /// The folder or the file in it cannot be created or opened for writing.
    #[error("cannot write the log {}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// This process already writes its records elsewhere.
    #[error(transparent)]
    Installed(#[from] TryInitError),
}

/// Where records go.
#[derive(Clone, Debug)]
pub struct Destination<'a> {
    /// The folder of the file; created if it is missing.
    pub folder: &'a Path,
    /// The file's name; see [`file_name`].
    pub file: &'a str,
    /// The component that its records state.
    pub component: Component,
    /// The lowest level of records that the file keeps.
    pub level: Level,
    /// Whether the records are also shown on standard error, as lines for people.
    pub stderr: bool,
}

/// The log of this process.
#[derive(Clone)]
pub struct RecordLog(Arc<RecordFile>);

impl std::fmt::Debug for RecordLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordLog(…)")
    }
}

impl RecordLog {
    /// The file with the records. It is not the requested one if another process is writing to that.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Continues in the file that has the log's name now, if that is a different file. The log also does so on its own
    /// soon after it was renamed.
    pub fn reopen(&self) {
        self.0.reopen();
    }
}

/// Sends this process's records to a file, and to standard error if requested.
///
/// The file is written record by record, without a buffer: what has been recorded survives when the process is killed.
/// Records that cannot be written, because the disk is full for instance, are lost; the file says so as soon as it can
/// be written again (`records_lost`). Standard error may be a pipe that is not being read: see [`terminal::flush`].
///
/// Only one process writes to a participant's log: while it runs, others with the same name write to
/// `client-NAME-2.jsonl` and so on.
///
/// A log that is renamed (by logrotate, for example) continues in a new file, and no record is split between the two.
pub fn install(destination: &Destination<'_>) -> Result<RecordLog, RecordError> {
    let path = destination.folder.join(destination.file);
    let file =
        RecordFile::open(&path, destination.component).map_err(|source| RecordError::File { path, source })?;
    let file = Arc::new(file);
    let json = tracing_subscriber::fmt::layer()
        .event_format(format::JsonLine)
        .with_writer(Arc::clone(&file))
        .with_filter(Targets::new().with_target(TARGET, destination.level));

    let people = destination.stderr.then(|| {
        tracing_subscriber::fmt::layer()
            .event_format(people::ForPeople)
            .with_ansi(terminal::has_colors())
            .with_writer(|| terminal::Stderr)
            .with_filter(Targets::new().with_target("chitchat", LevelFilter::INFO))
    });
    tracing_subscriber::registry().with(json).with(people).try_init()?;
    Ok(RecordLog(file))
}
