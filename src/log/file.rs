//! The file of the records. It states when records are missing: on a full disk nothing can be written, but logging must
//! not stop the process. When the file has been renamed, the records continue in a new one.

mod name;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ClientRecord, Component, Loss, Record, RecordBody, ServerRecord, Severity, run};
use crate::terminal::{json_line, notice};
use name::Name;
use parking_lot::{Mutex, RwLock};

/// How many processes with one name can write logs in one folder, each to its own file.
const PROCESSES_MAX: u32 = 100;

/// Each record is one write at the end of the file, and many threads can write at a time. They wait for each other only
/// while records are being lost, and while the file is replaced.
///
/// The records of one task stay in order. Those of two tasks have no order unless the tasks communicate. So no record
/// that comes before the record of a loss depends on a lost one.
pub(super) struct RecordFile<F = File> {
    file: RwLock<F>,
    name: Name,
    component: Component,
    /// Whether the file has a record of this process.
    began: AtomicBool,
    /// Whether the last write failed.
    failing: AtomicBool,
    lost: Mutex<LostRecords>,
}

/// Records that are missing from the file, to be reported there when it can be written again.
#[derive(Debug, Default)]
struct LostRecords {
    /// How many. A record without its line end counts as lost, since another thread may have written right after it.
    count: u64,
    /// Whether a notice has been printed.
    reported: bool,
}

/// The file, or in tests a stand-in for it.
pub(super) trait Appended {
    /// Writes at the end, as much as fits.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether the file ends within a line.
    fn is_cut(&self) -> io::Result<bool>;
}

impl Appended for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        file.write(bytes)
    }

    fn is_cut(&self) -> io::Result<bool> {
        let Some(last) = self.metadata()?.len().checked_sub(1) else { return Ok(false) };
        let mut byte = [0];
        self.read_exact_at(&mut byte, last)?;
        Ok(byte != *b"\n")
    }
}

impl RecordFile {
    /// Opens the file, and creates it and its folder if they are missing. If another process is writing to it,
    /// a participant takes the next free name; a service, which may take over from one that is about to end, says so.
    pub(super) fn open(path: &Path, component: Component) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        if component == Component::Server {
            let file = appending(path)?;
            if !is_ours(&file) {
                let path = path.display();
                notice(&format!(
                    "chitchat: another service is writing to {path}, too: give each its own --log-dir"
                ));
            }
            return Ok(Self::over(file, path, component));
        }
        for number in 1..=PROCESSES_MAX {
            let path = name::numbered(path, number);
            let file = appending(&path)?;
            if is_ours(&file) {
                return Ok(Self::over(file, &path, component));
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("{PROCESSES_MAX} processes are already writing to logs with this name"),
        ))
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.name.path
    }

    /// Continues in the file that has the name now, unless that is the same file, and creates it if it is missing. If
    /// it cannot be opened, or another process is writing to it, the records continue in the old file.
    pub(super) fn reopen(&self) {
        if self.name.is_of(&self.file.read()) {
            return;
        }
        let opened = appending(&self.name.path).and_then(|opened| match self.component {
            _ if is_ours(&opened) => Ok(opened),
            Component::Client | Component::Browser => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing to it"))
            }
            Component::Server => Ok(opened),
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let path = self.name.path.display();
                return notice(&format!(
                    "chitchat: cannot reopen the log {path}; records continue in the old file: {error}"
                ));
            }
        };
        let mut lost = self.lost.lock();
        // Waits for writes to the old file to end. The next record goes to the new one.
        let mut file = self.file.write();
        *file = opened;
        drop(file);
        // The new file reports what the old one lacks.
        if let Err(error) = self.repair(&mut lost) {
            self.fail(&mut lost, &error);
        }
    }

    /// Checks from time to time whether the file was renamed.
    fn look(&self) {
        if self.name.is_due() && self.name.is_of_another(&self.file.read()) {
            self.reopen();
        }
    }
}

/// Creates a folder if it is missing. If a file is in its place, the system's error only says that a file exists, which
/// does not help.
fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(|error| match folder.exists() && !folder.is_dir() {
        true => io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a folder", folder.display())),
        false => error,
    })
}

/// Locks a file for this process for as long as it is open. Returns whether that worked; on a file system without
/// locks, it is assumed.
fn is_ours(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Opens a file to write at its end.
fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

impl<F: Appended> RecordFile<F> {
    /// If a process was killed while it wrote the last line, this ends that line, so that the next record gets its own.
    /// If that fails now, the next record tries again.
    fn over(file: F, path: &Path, component: Component) -> Self {
        let (began, failing, lost) = (AtomicBool::new(false), AtomicBool::new(false), Mutex::default());
        let (file, name) = (RwLock::new(file), Name::new(path.to_owned()));
        let file = Self { file, name, component, began, failing, lost };
        let mut lost = file.lost.lock();
        if let Err(error) = file.repair(&mut lost) {
            file.fail(&mut lost, &error);
        }
        drop(lost);
        file
    }

    fn take(&self, record: &[u8]) {
        if !self.failing.load(Ordering::Acquire) {
            match self.append(record) {
                Ok(()) => {
                    if !self.began.load(Ordering::Relaxed) {
                        self.began.store(true, Ordering::Relaxed);
                    }
                }
                Err(error) => self.lose(&mut self.lost.lock(), &error),
            }
            return;
        }
        let mut lost = self.lost.lock();
        let written = self.repair(&mut lost).and_then(|()| self.append(record));
        match written {
            Ok(()) => self.began.store(true, Ordering::Relaxed),
            Err(error) => self.lose(&mut lost, &error),
        }
    }

    /// Writes one record with a single call: a remainder that is written later could end up after another record.
    fn append(&self, record: &[u8]) -> io::Result<()> {
        let file = self.file.read();
        loop {
            match file.append(record) {
                Ok(written) if written == record.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::StorageFull.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends a cut line, and records the loss.
    fn repair(&self, lost: &mut LostRecords) -> io::Result<()> {
        // A file that cannot be read may still be writable.
        let mut text = if self.file.read().is_cut().unwrap_or(false) { "\n".to_owned() } else { String::new() };
        if lost.count > 0 {
            let loss = Loss { count: lost.count, from_start: !self.began.load(Ordering::Relaxed) };
            let body = match self.component {
                Component::Server => RecordBody::Server(ServerRecord::RecordsLost(loss)),
                Component::Client | Component::Browser => RecordBody::Client(ClientRecord::RecordsLost(loss)),
            };
            let record = Record::of_this_process(run::now(), Severity::Warn, self.component, body);
            text.push_str(&json_line(&record)?);
            text.push('\n');
        }
        if !text.is_empty() {
            self.append(text.as_bytes())?;
        }
        if lost.count > 0 {
            notice(&format!("chitchat: the log can be written again; records missing from it: {}", lost.count));
        }
        *lost = LostRecords::default();
        self.failing.store(false, Ordering::Release);
        Ok(())
    }

    fn lose(&self, lost: &mut LostRecords, error: &io::Error) {
        lost.count += 1;
        self.fail(lost, error);
    }

    fn fail(&self, lost: &mut LostRecords, error: &io::Error) {
        self.failing.store(true, Ordering::Release);
        if !std::mem::replace(&mut lost.reported, true) {
            notice(&format!("chitchat: the log cannot be written, and records are lost: {error}"));
        }
    }
}

impl Write for &RecordFile {
    /// Always accepts a whole record. If it cannot be written, a later record states the loss.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.look();
        self.take(record);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
