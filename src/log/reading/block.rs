//! Logs in blocks of whole lines, and the records in a block.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::input::Input;
use super::{LINE_BYTES_MAX, LogError};
use crate::log::{LogRecord, RecordFault};

/// How much is read at a time.
const BLOCK_BYTES: usize = 1 << 18;
/// The beginning of every record, which is used to find one after a torn record.
const RECORD_BEGINS: &str = "{\"timestamp\":\"";
const BYTE_ORDER_MARK: char = '\u{feff}';

pub(super) fn open(input: &Input) -> io::Result<Box<dyn BufRead + Send>> {
    unzipped(input.open()?)
}

fn unzipped(file: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::with_capacity(1 << 16, file);
    let zipped = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if zipped {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// Whole lines of one file.
#[derive(Debug)]
pub(super) struct Block {
    /// The block's number, counted from 0 over all files.
    pub(super) number: u64,
    /// The index of the file.
    pub(super) place: usize,
    pub(super) bytes: Vec<u8>,
    /// Why reading stopped after its last line; `None` before another block or at the end of the file.
    pub(super) error: Option<BlockError>,
    /// How many bytes of all files have been read.
    pub(super) read: u64,
}

/// Why no more of a file can be read.
#[derive(Debug)]
pub(super) enum BlockError {
    /// It cannot be read.
    Read(io::Error),
    /// A line that is too long.
    TooLong,
    /// A gzip file that was cut off.
    Cut,
}

impl BlockError {
    /// The error that the user sees.
    pub(super) fn at(self, path: &Path, line: u32) -> LogError {
        let path = path.to_owned();
        match self {
            Self::Read(source) => LogError::Read { path, source },
            Self::Cut => LogError::Read { path, source: io::ErrorKind::UnexpectedEof.into() },
            Self::TooLong => {
                let fault = format!("is not a log record: it is longer than {LINE_BYTES_MAX} bytes");
                match line {
                    1 => LogError::NoLog { path, line, fault },
                    _ => LogError::Damaged { path, line, fault },
                }
            }
        }
    }
}

/// The blocks of files, in order.
pub(super) struct Source<'a> {
    files: slice::Iter<'a, (&'a Input, u64)>,
    open: Option<Box<dyn BufRead + Send>>,
    /// The beginning of a line that continues in the next block.
    begun: Vec<u8>,
    opened: usize,
    blocks: u64,
    read: Arc<AtomicU64>,
}

impl<'a> Source<'a> {
    /// Reads these files, and of each no more than the number of bytes beside it.
    pub(super) fn new(files: &'a [(&'a Input, u64)]) -> Self {
        Self { files: files.iter(), open: None, begun: vec![], opened: 0, blocks: 0, read: Arc::default() }
    }

    /// The next block. A block with an error is the last of its file.
    pub(super) fn next(&mut self) -> Option<Block> {
        if self.open.is_none() {
            let (input, bytes) = self.files.next()?;
            self.opened += 1;
            let read = Arc::clone(&self.read);
            let counted = |file: Box<dyn Read + Send>| Counted { file: file.take(*bytes), read };
            match input.open().and_then(|file| unzipped(counted(file))) {
                Ok(file) => self.open = Some(file),
                Err(error) => return Some(self.block(Vec::new(), Some(BlockError::Read(error)))),
            }
        }
        let mut bytes = std::mem::take(&mut self.begun);
        loop {
            let Some(file) = &mut self.open else { return Some(self.block(bytes, None)) };
            let before = bytes.len();
            bytes.reserve_exact(BLOCK_BYTES);
            let read = file.take(BLOCK_BYTES as u64).read_to_end(&mut bytes);
            let error = match read {
                Ok(BLOCK_BYTES) => None,
                Ok(_) => {
                    self.open = None;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(BlockError::Cut),
                Err(error) => Some(BlockError::Read(error)),
            };
            let end = bytes[before..].iter().rposition(|byte| *byte == b'\n').map(|at| before + at + 1);
            match (end, error) {
                (Some(end), None) => {
                    self.begun = bytes.split_off(end);
                    return Some(self.block(bytes, None));
                }
                (None, None) if bytes.len() < LINE_BYTES_MAX => {}
                (None, None) => {
                    self.open = None;
                    return Some(self.block(Vec::new(), Some(BlockError::TooLong)));
                }
                (_, Some(error)) => {
                    self.open = None;
                    return Some(self.block(bytes, Some(error)));
                }
            }
        }
    }

    fn block(&mut self, bytes: Vec<u8>, error: Option<BlockError>) -> Block {
        let number = self.blocks;
        self.blocks += 1;
        Block { number, place: self.opened - 1, bytes, error, read: self.read.load(Ordering::Relaxed) }
    }
}

/// Counts the bytes that are read from a file.
struct Counted {
    file: Take<Box<dyn Read + Send>>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A block's text. Only a torn record, or a file that is not a log, is not UTF-8.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// A line of a log, parsed.
#[derive(Debug)]
pub(super) enum LogLine<'a> {
    Record(LogRecord<'a>),
    /// A record that is cut off, and the record of the next process, if it follows on the same line.
    Torn(Option<LogRecord<'a>>),
    /// An empty line, for instance between two logs that were concatenated.
    Blank,
    /// Not a record. The text says what is wrong.
    Fault(String),
}

/// The lines of a block.
pub(super) fn lines(text: &str) -> impl Iterator<Item = LogLine<'_>> {
    text.split_inclusive('\n').map(|line| match LogRecord::parse(line.trim_end()) {
        Ok(record) => LogLine::Record(record),
        Err(fault) => after_torn_record(line, fault),
    })
}

/// A process that was killed leaves half a record. If another process continued in the same file, its first
/// record follows on the same line, or that line was ended first.
fn after_torn_record(line: &str, fault: RecordFault) -> LogLine<'_> {
    if line.trim().is_empty() {
        return LogLine::Blank;
    }
    // Some editors put a byte order mark at the beginning of a file.
    if let Some(Ok(record)) = line.strip_prefix(BYTE_ORDER_MARK).map(|line| LogRecord::parse(line.trim_end())) {
        return LogLine::Record(record);
    }
    let begins = line.rfind(RECORD_BEGINS).filter(|at| *at > 0);
    if let Some(record) = begins.and_then(|at| LogRecord::parse(line[at..].trim_end()).ok()) {
        return LogLine::Torn(Some(record));
    }
    let ended = line.ends_with('\n');
    let half =
        || fault.is_half() && (line.starts_with(RECORD_BEGINS) || RECORD_BEGINS.starts_with(line.trim_end()));
    if !ended || half() { LogLine::Torn(None) } else { LogLine::Fault(fault.in_words(line.trim_end())) }
}
