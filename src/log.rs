//! Log records: JSON Lines in a file, from which the order of events can be proved afterwards, and the
//! same for people on standard error (specification, chapter 9).
//!
//! The library emits records through `tracing` under one target; where they go is for the program to say,
//! and [`install`] is what our own program says.

mod file;
mod newest;
mod people;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::terminal;
use file::RecordFile;

pub use newest::newest_broadcast;

/// The target of all records, and of nothing else.
pub const TARGET: &str = "chitchat::record";

/// Emits one record: `record!(INFO, "server", "server_started", epoch = %epoch, …)`.
macro_rules! record {
    ($level:ident, $component:expr, $event:expr $(, $($fields:tt)*)?) => {
        tracing::event!(
            target: $crate::record::TARGET,
            tracing::Level::$level,
            component = $component,
            event = $event,
            $($($fields)*)?
        )
    };
}
pub(crate) use record;

/// A log that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The folder or the file in it cannot be made or opened for writing.
    #[error("cannot write the log {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// This process has given its records another place already.
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
    pub component: &'static str,
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
    /// Goes on in the file that has the log's name now, if that is another one than before. By itself the log
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
/// A log that is renamed, by logrotate say, goes on in a new file, and each record is whole in one of them.
///
/// # Errors
/// [`RecordError`].
pub fn install(destination: &Destination<'_>) -> Result<RecordLog, RecordError> {
    let path = destination.folder.join(destination.file);
    let file =
        RecordFile::open(&path, destination.component).map_err(|source| RecordError::File { path, source })?;
    let file = Arc::new(file);
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
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

/// How many bytes a display name may take in a file name: file systems allow some 255 for all of it.
const NAME_BYTES_MAX: usize = 128;
/// How many bytes of a longer one are kept, before what tells it from others like it.
const NAME_BYTES_KEPT: usize = 96;

/// A safe file name for the records of a client with this display name: every character that some file
/// system or shell could take for something else is written as `%` and its UTF-8 bytes in hexadecimal. A
/// name that becomes too long by that is cut, and ends with a digest. So different names stay different.
pub fn file_name(component: &str, display_name: &str) -> String {
    format!("{component}-{}.jsonl", safe_name(display_name))
}

/// The part of a file's name that stands for a display name.
pub(crate) fn safe_name(display_name: &str) -> String {
    let mut name = String::new();
    for (index, c) in display_name.chars().enumerate() {
        let plain = c.is_alphanumeric() || c == '_' || c == '-' || (c == '.' && index > 0);
        if plain {
            name.push(c);
        } else {
            let mut utf8 = [0; 4];
            name.extend(c.encode_utf8(&mut utf8).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    if name.len() > NAME_BYTES_MAX {
        let digest = Sha256::digest(display_name);
        let kept = (0..=NAME_BYTES_KEPT).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(kept);
        name.push('~');
        name.extend(digest.iter().take(8).map(|byte| format!("{byte:02x}")));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_characters_makes_a_safe_file_name_of_its_own() {
        let check = |name: &str, expected: &str| assert_eq!(file_name("client", name), expected);
        check("alice", "client-alice.jsonl");
        check("Åse Ø", "client-Åse%20Ø.jsonl");
        check("../../etc/passwd", "client-%2E.%2F..%2Fetc%2Fpasswd.jsonl");
        check("a%20b", "client-a%2520b.jsonl");
        check("😀", "client-%F0%9F%98%80.jsonl");
        check(&"李".repeat(32), &format!("client-{}.jsonl", "李".repeat(32)));
        check("nul:*?\"<>|\\", "client-nul%3A%2A%3F%22%3C%3E%7C%5C.jsonl");
    }

    #[test]
    fn a_long_name_makes_a_file_name_that_file_systems_take_and_that_is_its_own() {
        let smile = "😀".repeat(31);
        let [a, b] = ["😀", "🙂"].map(|last| file_name("client", &format!("{smile}{last}")));
        assert_ne!(a, b);
        assert!(a.len() < 200 && b.len() < 200, "{a} {b}");
    }
}
