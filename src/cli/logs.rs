//! Log files, plain or gzip, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::trace::record::{Component, LineRef, Record, RecordFault};

/// No record is nearly as long.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// How every record begins: that is how one is found behind a torn one.
const RECORD_BEGINS: &str = "{\"timestamp\":\"";

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
    /// It is something else than a log.
    #[error("{}:{line} {fault}", path.display())]
    Line { path: PathBuf, line: u32, fault: RecordFault },
    /// There is nothing in it.
    #[error("{} has no log record", path.display())]
    Empty { path: PathBuf },
}

/// A place in a log where a process was killed while it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Torn(pub(super) LineRef);

/// Opens a log.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>, LogError> {
    let fault = |source| LogError::Read { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(fault)?);
    let zipped = file.fill_buf().map_err(fault)?.starts_with(&[0x1f, 0x8b]);
    Ok(if zipped {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// Whose log it is, by its first record.
pub(super) fn component(path: &Path) -> Result<Component, LogError> {
    let mut found = None;
    read(path, 0, |_, record| {
        found = Some(record.component);
        false
    })?;
    found.ok_or_else(|| LogError::Empty { path: path.to_owned() })
}

/// Reads a log's records until `take` wants no more. Says where the log is torn.
pub(super) fn read(
    path: &Path,
    file: u32,
    mut take: impl FnMut(LineRef, &Record<'_>) -> bool,
) -> Result<Vec<Torn>, LogError> {
    let fault = |source| LogError::Read { path: path.to_owned(), source };
    let (mut log, mut bytes, mut torn) = (open(path)?, Vec::new(), Vec::new());
    for line in 1.. {
        bytes.clear();
        let at = LineRef { file, line };
        match (&mut log).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            // A gzip file that was cut off.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                torn.push(Torn(at));
                break;
            }
            Err(error) => return Err(fault(error)),
        }
        let ended = bytes.last() == Some(&b'\n');
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        let record = match Record::parse(text) {
            Ok(record) => Ok(Some(record)),
            Err(fault) => behind_the_tear(text, ended, fault).inspect(|_| torn.push(Torn(at))),
        };
        let record = record.map_err(|fault| LogError::Line { path: path.to_owned(), line, fault })?;
        if record.is_some_and(|record| !take(at, &record)) {
            break;
        }
    }
    Ok(torn)
}

/// A process that was killed leaves half a record. If another process went on in the same file, its first
/// record follows on the same line.
fn behind_the_tear(text: &str, ended: bool, fault: RecordFault) -> Result<Option<Record<'_>>, RecordFault> {
    let begins = text.rfind(RECORD_BEGINS).filter(|at| *at > 0);
    match begins.and_then(|at| Record::parse(&text[at..]).ok()) {
        Some(record) => Ok(Some(record)),
        None if !ended => Ok(None),
        None => Err(fault),
    }
}

/// Fetches lines of a log, by number and in order.
pub(super) fn fetch(path: &Path, lines: &[u32]) -> Result<Vec<String>, LogError> {
    let fault = |source| LogError::Read { path: path.to_owned(), source };
    let (mut log, mut bytes, mut found) = (open(path)?, Vec::new(), Vec::new());
    let last = lines.last().copied().unwrap_or(0);
    for line in 1..=last {
        bytes.clear();
        (&mut log).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).map_err(fault)?;
        if lines.binary_search(&line).is_ok() {
            found.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        }
    }
    Ok(found)
}
