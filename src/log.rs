//! Log records: JSON Lines in a file, from which the order of events can be proved afterwards, and the
//! same for people on standard error (specification, chapter 9).
//!
//! [`Record`] is the one place that says which records there are and what they hold; [`LogRecord`] is how any of them is
//! read. The library emits records through `tracing` under one target, each as the line that it will be in the field
//! `record`. The program decides where they go: ours calls [`install`].

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
    ServerRecord, Severity, StreamBegun, Text, WelcomeDetails, timestamp,
};
pub use run::{RunId, name_replica};

/// The target of all records, and of nothing else.
pub const TARGET: &str = "chitchat::record";

/// A log that cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum RecordError {
    /// The folder or the file in it cannot be made or opened for writing.
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
    /// The folder of the file; made where it is missing.
    pub folder: &'a Path,
    /// The file's name; see [`file_name`].
    pub file: &'a str,
    /// What the process is, as its records say it.
    pub component: Component,
    /// The least level of record that is kept in the file.
    pub level: Level,
    /// Whether people are shown the same on standard error.
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
    /// The file that has the records: another one than was asked for, if another process writes to that.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Continues in the file that has the log's name now, if that is another file than before. The log also
    /// does so soon after it was renamed.
    pub fn reopen(&self) {
        self.0.reopen();
    }
}

/// Sends this process's records to a file, and to standard error where that is wanted.
///
/// The file is written record by record, without a buffer: what has been recorded outlives a killed
/// process. What cannot be written, on a full disk, say, is lost; the file says so as soon as it can be
/// written again (`records_lost`). Standard error may be a pipe that nobody reads: see [`terminal::flush`].
///
/// A participant's log has one process that writes to it: while it runs, further ones of the same name write to
/// `client-NAME-2.jsonl` and so on.
///
/// A log that is renamed (by logrotate, for example) continues in a new file, and each record is whole in one of them.
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
            .with_ansi(terminal::has_colours())
            .with_writer(|| terminal::Stderr)
            .with_filter(Targets::new().with_target("chitchat", LevelFilter::INFO))
    });
    tracing_subscriber::registry().with(json).with(people).try_init()?;
    Ok(RecordLog(file))
}
