//! The service's log: `server.jsonl`, or `server-2.jsonl` and so on while other services of the folder write to those
//! before it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::Level;

use crate::log::{self, Component, Destination, RecordLog};

/// The log's name in its folder.
const LOG_FILE: &str = "server.jsonl";
/// How long to wait for a log that another process is writing to: it may be a service that is just ending.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The name of the log that a file is a piece of, if it is a service's.
pub(super) fn name_of(file: &str) -> Option<&str> {
    const EXTENSION: &str = ".jsonl";
    let (stem, _) = file.split_once(EXTENSION)?;
    let number = stem.strip_prefix("server")?;
    let is_of_service = number.is_empty() || number.strip_prefix('-')?.parse::<u32>().is_ok();
    is_of_service.then(|| &file[..stem.len() + EXTENSION.len()])
}

/// The log of this service.
pub(super) struct ServiceLog {
    pub(super) records: RecordLog,
    path: PathBuf,
}

impl ServiceLog {
    /// Opens the log, which keeps records of this level and above.
    pub(super) async fn open(folder: &Path, level: Level) -> Result<Self, String> {
        let (file, component) = (LOG_FILE, Component::Server);
        let mut destination = Destination { folder, file, numbered: false, component, level, stderr: true };
        let deadline = Instant::now() + PATIENCE;
        let records = loop {
            match log::install(&destination) {
                Err(error) if error.is_in_use() && !destination.numbered => {
                    destination.numbered = Instant::now() >= deadline;
                    sleep(PAUSE).await;
                }
                installed => break installed.map_err(|error| format!("--log-dir: {error}"))?,
            }
        };
        let log = Self { path: records.path().to_owned(), records };
        if log.is_numbered() {
            let path = log.path.display();
            tracing::warn!("another process is writing to {LOG_FILE} in this folder; this service logs to {path}");
        }
        Ok(log)
    }

    fn is_numbered(&self) -> bool {
        !self.path.ends_with(LOG_FILE)
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes the log of a second service that failed before its first record: `verify` refuses an empty file.
impl Drop for ServiceLog {
    fn drop(&mut self) {
        let is_empty = fs::metadata(&self.path).is_ok_and(|file| file.len() == 0);
        if is_empty && self.is_numbered() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
