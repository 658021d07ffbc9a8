//! Reads log files, plain or gzip: [`inspect`] them, [`read`] their records in order, [`fetch`] single lines.

mod block;
mod input;
mod newest;
mod ordered;
mod output;
mod rotated;
mod seam;

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Component, LineRef, LogRecord};
use crate::terminal::notice;
use block::{LogLine, Source, lines, open, text};
use input::{EXTENSION, Input};

pub use newest::newest_broadcast;
pub use ordered::read;
pub use output::{OutputError, check_output};

/// No record comes near this length.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A log that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum LogError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A device or a socket.
    #[error("{} is neither a file nor a folder nor a pipe", path.display())]
    NoFile { path: PathBuf },
    /// A folder without logs.
    #[error(
        "there is no log in {}: no file with {EXTENSION} in its name (its subfolders are not searched)", path.display()
    )]
    NoLogs { path: PathBuf },
    /// It is not a log.
    #[error(
        "{} is not a log: line {line} {fault}. Name the {EXTENSION} files in the folders of --log-dir, and the logs \
         downloaded from pages; move other files out of any folder that you name",
        path.display()
    )]
    NoLog { path: PathBuf, line: u32, fault: String },
    /// A line of it is damaged.
    #[error(
        "{}:{line} {fault}. The lines before it are those of a log, so the file was damaged or edited: copy it again from \
         where it was written, or leave it out. If the original is damaged, replace the line with a record of what is \
         lost: specification, G8",
        path.display()
    )]
    Damaged { path: PathBuf, line: u32, fault: String },
    /// It has no record.
    #[error("{} has no log record: it is empty, cut off in its first record, or not a log", path.display())]
    Empty { path: PathBuf },
    /// It mixes the lines of several processes.
    #[error(
        "{}:{line} belongs to another participant than the lines before it: this file mixes the records of several \
         processes, but a log must hold them one process after another",
        path.display()
    )]
    Interleaved { path: PathBuf, line: u32 },
}

/// A log to be read: a file, or the segments of one that was rotated, which are read like one file.
#[derive(Debug)]
pub struct Log {
    /// Its number, which identifies it.
    pub number: u32,
    /// The component that wrote its first record.
    pub component: Component,
    /// When it begins, in microseconds since 1970.
    pub begins: i64,
    /// The oldest first.
    pub segments: Vec<LogSegment>,
}

/// One file of a log: rotation cuts a log into segments.
#[derive(Debug)]
pub struct LogSegment {
    input: Input,
    /// Its length when reading began.
    pub bytes: u64,
    /// How many lines the earlier segments have, once that is known.
    pub lines_before: AtomicU32,
}

impl Log {
    /// Its length when reading began.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The place of a line of the log: its file, and its line there.
    pub fn place(&self, line: u32) -> (&Path, u32) {
        self.segment(line).map_or((Path::new(""), line), |(segment, line)| (segment.path(), line))
    }

    fn segment(&self, line: u32) -> Option<(&LogSegment, u32)> {
        self.segments.iter().rev().find_map(|segment| {
            let number = line.checked_sub(segment.lines_before.load(Ordering::Relaxed))?;
            (number > 0).then_some((segment, number))
        })
    }
}

impl LogSegment {
    /// The path or name shown to the user.
    pub fn path(&self) -> &Path {
        &self.input.path
    }
}

/// Finds out which process wrote each file, and which files are segments of one log: for files, for the logs in
/// folders, and for standard input (`-`). A file that is given twice is read once, since a copy always agrees with
/// itself.
///
/// The logs may still be growing. An event is in the service's log before it is in any other, so the length of the
/// service's log is taken last, and no log is read beyond its length at that time.
pub fn inspect(paths: Vec<PathBuf>) -> Result<Vec<Log>, LogError> {
    inspect_with(paths, Vec::new())
}

/// Like [`inspect`], but also takes logs in memory, each with a name.
pub fn inspect_with(paths: Vec<PathBuf>, texts: Vec<(&str, Arc<str>)>) -> Result<Vec<Log>, LogError> {
    let (mut files, mut empty) = (Vec::new(), Vec::new());
    let texts = texts.into_iter().map(|(name, text)| Input::text(name, text));
    for input in input::inputs(paths)?.into_iter().chain(texts) {
        match first_record(&input)? {
            Some(first) => files.push((input, first)),
            None => empty.push(input),
        }
    }
    for Input { path, is_found, .. } in &empty {
        // A log that has just been rotated is an empty file; its records are in the other segments.
        if files.iter().any(|(other, _)| rotated::is_segment(&other.path, path)) {
            continue;
        }
        if !is_found || files.is_empty() {
            return Err(LogError::Empty { path: path.clone() });
        }
        notice(&format!("chitchat: {} has no log record", path.display()));
    }
    let mut logs = rotated::join(files, &empty, seam::continues);
    logs.sort_by_key(|log| log.component == Component::Server);
    for segment in logs.iter_mut().flat_map(|log| &mut log.segments) {
        segment.bytes = segment.input.bytes()?;
    }
    logs.sort_by_key(|log| log.number);
    Ok(logs)
}

/// Receives what is read, in the order of the files and of their lines.
pub trait RecordSink: Send {
    /// Takes a record. Returns whether to continue.
    fn record(&mut self, line: LineRef, record: &LogRecord<'_>) -> bool;

    /// Takes the line that a process was writing when it was killed.
    fn torn(&mut self, _line: LineRef) {}

    /// Reports how many bytes of the files have been read.
    fn at(&mut self, _bytes: u64) {}
}

/// The facts in the first record of a file.
#[derive(Clone, Copy, Debug)]
struct First {
    component: Component,
    /// When it was made, in microseconds since 1970.
    at: i64,
}

impl First {
    fn of(record: &LogRecord<'_>) -> Self {
        Self { component: record.component, at: record.at }
    }
}

/// Looks up the first record of a file, if it has any.
fn first_record(input: &Input) -> Result<Option<First>, LogError> {
    let (files, path) = ([(input, u64::MAX)], &*input.path);
    let mut source = Source::new(&files);
    let mut before = 0;
    while let Some(block) = source.next() {
        let text = text(&block.bytes);
        for (number, line) in (before + 1..).zip(lines(&text)) {
            match line {
                LogLine::Record(record) | LogLine::Torn(Some(record)) => return Ok(Some(First::of(&record))),
                LogLine::Torn(None) | LogLine::Blank => {}
                LogLine::Fault(fault) => {
                    return Err(LogError::NoLog { path: path.to_owned(), line: number, fault });
                }
            }
            before = number;
        }
        block.error.map_or(Ok(()), |error| Err(error.at(path, before + 1)))?;
    }
    Ok(None)
}

/// Fetches lines of a log, by number and in order.
pub fn fetch(log: &Log, lines: &[u32]) -> Result<Vec<String>, LogError> {
    let mut found = Vec::new();
    let places: Vec<_> = lines.iter().filter_map(|line| log.segment(*line)).collect();
    for of_a_file in places.chunk_by(|(segment, _), (next, _)| segment.path() == next.path()) {
        let lines: Vec<u32> = of_a_file.iter().map(|(_, line)| *line).collect();
        fetch_from(&of_a_file[0].0.input, &lines, &mut found)?;
    }
    Ok(found)
}

fn fetch_from(input: &Input, lines: &[u32], found: &mut Vec<String>) -> Result<(), LogError> {
    let fault = |source| LogError::Read { path: input.path.clone(), source };
    let (mut log, mut bytes) = (open(input).map_err(fault)?, Vec::new());
    let last = lines.last().copied().unwrap_or(0);
    for line in 1..=last {
        bytes.clear();
        (&mut log).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes).map_err(fault)?;
        if lines.binary_search(&line).is_ok() {
            found.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        }
    }
    Ok(())
}
