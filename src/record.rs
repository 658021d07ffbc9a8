//! Log records: JSON Lines in a file, from which the order of events can be proved afterwards, and the
//! same for people on standard error (DESIGN, Log records).
//!
//! The library emits records through `tracing` under one target; where they go is for the program to say,
//! and [`install`] is what our own program says.

mod newest;
mod people;

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::terminal::notice;

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
    /// The least level of record that is kept in the file.
    pub level: Level,
    /// Whether people are shown the same on standard error.
    pub stderr: bool,
}

/// Keeps standard error's writer alive; flushes it when dropped.
#[derive(Debug)]
pub struct RecordGuard(#[allow(dead_code, reason = "held for its drop")] Option<WorkerGuard>);

/// Sends this process's records to a file, and to standard error where that is wanted.
///
/// The file is written record by record, without a buffer: what has been recorded outlives a killed
/// process. Standard error may be a pipe that nobody reads, so it has a bounded buffer, and what
/// overflows it is dropped there and only there.
///
/// # Errors
/// [`RecordError`].
pub fn install(destination: &Destination<'_>) -> Result<RecordGuard, RecordError> {
    let path = destination.folder.join(destination.file);
    let file = open(&path).map_err(|source| RecordError::File { path, source })?;
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(RecordFile { file, failed: AtomicBool::new(false) })
        .with_filter(Targets::new().with_target(TARGET, destination.level));

    let (people, guard) = match destination.stderr.then(stderr_writer) {
        Some((writer, guard)) => {
            let layer = tracing_subscriber::fmt::layer()
                .event_format(people::ForPeople)
                .with_ansi(io::stderr().is_terminal())
                .with_writer(writer)
                .with_filter(Targets::new().with_target("chitchat", LevelFilter::INFO));
            (Some(layer), Some(guard))
        }
        None => (None, None),
    };
    tracing_subscriber::registry().with(json).with(people).try_init()?;
    Ok(RecordGuard(guard))
}

/// The file of the records. Says once, on standard error, when records are lost: on a full disk, say.
struct RecordFile {
    file: File,
    failed: AtomicBool,
}

impl Write for &RecordFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&self.file).write(bytes);
        match &written {
            Ok(_) => self.failed.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.failed.swap(true, Ordering::Relaxed) {
                    notice(&format!("chitchat: the log cannot be written, and records are lost: {error}"));
                }
            }
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.file).flush()
    }
}

impl<'a> MakeWriter<'a> for RecordFile {
    type Writer = &'a RecordFile;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    end_cut_line(&mut file)?;
    Ok(file)
}

/// Ends the last line where a process was killed while it wrote that: it stays one bad line, and the next
/// record is a line of its own.
fn end_cut_line(file: &mut File) -> io::Result<()> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(()) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    if byte == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

fn stderr_writer() -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).finish(io::stderr())
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
