//! Log files, plain or gzip.

mod block;
mod reading;

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::terminal::notice;
use crate::trace::record::{Component, LineRef, Record};

use block::{Line, Source, lines, open, text};

pub(super) use reading::read;

/// No record is nearly as long.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A log that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A folder, or a pipe.
    #[error("{} is no file, and a log has to be read more than once", path.display())]
    NoFile { path: PathBuf },
    /// It is something else than a log.
    #[error("{}:{line} {fault}", path.display())]
    Line { path: PathBuf, line: u32, fault: String },
    /// It has a line that cannot be one of a log.
    #[error("{}:{line} is not a log record: it is longer than {LINE_BYTES_MAX} bytes", path.display())]
    TooLong { path: PathBuf, line: u32 },
    /// There is nothing in it.
    #[error("{} has no log record", path.display())]
    Empty { path: PathBuf },
    /// Its lines have no order of their own.
    #[error(
        "{}:{line} is of another participant than the lines before it: the records of several processes are mixed up \
         in this file, and a log has to have them one process after the other",
        path.display()
    )]
    Interleaved { path: PathBuf, line: u32 },
}

/// A file to be read.
#[derive(Debug)]
pub(super) struct Log {
    /// By which it is known.
    pub(super) number: u32,
    pub(super) path: PathBuf,
    /// Whose it is, by its first record.
    pub(super) component: Component,
    /// When it begins, in microseconds since 1970.
    pub(super) begins: i64,
    /// How much of it there was when reading began.
    pub(super) bytes: u64,
}

/// Looks into files, each once: against itself a log would always agree. Says so where one is given twice.
///
/// The logs may still grow. An event is in the service's log before it is in any other, so the length of that
/// one is looked up last, and of none more is read than was there then.
pub(super) fn inspect(paths: Vec<PathBuf>) -> Result<Vec<Log>, LogError> {
    let (mut logs, mut known) = (Vec::new(), HashSet::new());
    for path in paths {
        let file = metadata(&path)?;
        if known.insert((file.dev(), file.ino())) {
            let (number, (component, begins)) = (logs.len() as u32, beginning(&path)?);
            logs.push(Log { number, path, component, begins, bytes: 0 });
        } else {
            notice(&format!("chitchat: {} is given twice, and read once", path.display()));
        }
    }
    logs.sort_by_key(|log| log.component == Component::Server);
    for log in &mut logs {
        log.bytes = metadata(&log.path)?.len();
    }
    logs.sort_by_key(|log| log.number);
    Ok(logs)
}

/// Of a file that can be read more than once.
fn metadata(path: &Path) -> Result<fs::Metadata, LogError> {
    let file = fs::metadata(path).map_err(|source| LogError::Read { path: path.to_owned(), source })?;
    if file.is_file() { Ok(file) } else { Err(LogError::NoFile { path: path.to_owned() }) }
}

/// Takes what is read, in the order of the files and of their lines.
pub(super) trait Sink: Send {
    /// Takes a record. Says whether to go on.
    fn record(&mut self, line: LineRef, record: &Record<'_>) -> bool;

    /// A process was killed while it wrote this line.
    fn torn(&mut self, _line: LineRef) {}

    /// So many bytes of the files have been read.
    fn at(&mut self, _bytes: u64) {}
}

/// Whose log it is and when it begins, by its first record.
fn beginning(path: &Path) -> Result<(Component, i64), LogError> {
    let files = [(path, u64::MAX)];
    let mut source = Source::new(&files);
    let mut before = 0;
    while let Some(block) = source.next() {
        let text = text(&block.bytes);
        for (number, line) in (before + 1..).zip(lines(&text)) {
            match line {
                Line::Record(record) | Line::Torn(Some(record)) => return Ok((record.component, record.at)),
                Line::Torn(None) => {}
                Line::Fault(fault) => {
                    return Err(LogError::Line { path: path.to_owned(), line: number, fault: fault.to_string() });
                }
            }
            before = number;
        }
        block.error.map_or(Ok(()), |error| Err(error.at(path, before + 1)))?;
    }
    Err(LogError::Empty { path: path.to_owned() })
}

/// Fetches lines of a log, by number and in order.
pub(super) fn fetch(path: &Path, lines: &[u32]) -> Result<Vec<String>, LogError> {
    let fault = |source| LogError::Read { path: path.to_owned(), source };
    let (mut log, mut bytes, mut found) = (open(path).map_err(fault)?, Vec::new(), Vec::new());
    let last = lines.last().copied().unwrap_or(0);
    for line in 1..=last {
        bytes.clear();
        (&mut log).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes).map_err(fault)?;
        if lines.binary_search(&line).is_ok() {
            found.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        }
    }
    Ok(found)
}
