//! Detects that another process has replaced or shortened a file of the journal. SQLite would not notice that a name
//! now belongs to another file, or that a file has been emptied; and data that is written to a removed file is gone when
//! the process ends.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::journal::JournalError;
use crate::journal::sqlite::beside;

/// Another process has changed a file of the journal.
#[derive(Debug, thiserror::Error)]
enum ExternalChange {
    #[error("the file {} was removed or replaced while it was in use", .0.display())]
    Displaced(PathBuf),
    #[error("the file {} was emptied or truncated while it was in use", .0.display())]
    Cut(PathBuf),
}

/// The files of a journal, as the writer last found them.
pub(crate) struct WatchedFiles([Watched; 3]);

/// The index of the write-ahead log.
const LOG: usize = 1;

struct Watched {
    path: PathBuf,
    /// `None` until the file exists.
    id: Option<FileId>,
    /// Its length. Only the writer makes it shorter.
    bytes: u64,
}

type FileId = (u64, u64);

/// The file that a name belongs to.
struct FoundFile {
    id: FileId,
    bytes: u64,
}

impl WatchedFiles {
    /// The files of the journal at a path as they are now.
    pub(crate) fn at(path: &Path) -> Self {
        Self(["", "-wal", "-head"].map(|ending| {
            let path = beside(path, ending);
            let found = look(&path).ok();
            let bytes = found.as_ref().map_or(0, |found| found.bytes);
            Watched { path, id: found.map(|found| found.id), bytes }
        }))
    }

    /// Checks, before a commit, that they are the same files and that none has become shorter.
    ///
    /// # Errors
    /// A fatal one if another process has changed something.
    pub(crate) fn check(&mut self) -> Result<(), JournalError> {
        for (index, file) in self.0.iter_mut().enumerate() {
            let fatal = |change| Err(JournalError::Fatal(Box::new(change)));
            match look(&file.path) {
                Ok(FoundFile { id, bytes }) => {
                    if *file.id.get_or_insert(id) != id {
                        return fatal(ExternalChange::Displaced(file.path.clone()));
                    }
                    if bytes < file.bytes {
                        return fatal(ExternalChange::Cut(file.path.clone()));
                    }
                    // The others only grow.
                    if index != LOG {
                        file.bytes = bytes;
                    }
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(JournalError::Unavailable(error.into()));
                }
                Err(_) if file.id.is_some() => return fatal(ExternalChange::Displaced(file.path.clone())),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Notes, after a commit, how long the log is. It becomes shorter when it restarts.
    pub(crate) fn measure_log(&mut self) {
        let log = &mut self.0[LOG];
        log.bytes = match look(&log.path) {
            Ok(found) => found.bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(_) => log.bytes,
        };
    }
}

/// Queries the file's number and length, but not its times. After a query for the times, some file systems record the
/// exact time of the next write in the inode, and each commit would have to put that on the disk, too.
#[cfg(target_os = "linux")]
fn look(path: &Path) -> io::Result<FoundFile> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    use rustix::io::Errno;

    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::SIZE) {
        Ok(found) => {
            let device = makedev(found.stx_dev_major, found.stx_dev_minor);
            Ok(FoundFile { id: (device, found.stx_ino), bytes: found.stx_size })
        }
        // An older system, or a sandbox that does not know this call.
        Err(Errno::NOSYS | Errno::PERM) => metadata(path),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn look(path: &Path) -> io::Result<FoundFile> {
    metadata(path)
}

fn metadata(path: &Path) -> io::Result<FoundFile> {
    fs::metadata(path).map(|found| FoundFile { id: (found.dev(), found.ino()), bytes: found.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `statx` and `metadata` agree.
    #[test]
    fn a_file_is_identified_by_device_and_inode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db");
        assert_eq!(look(&path).err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
        fs::write(&path, "seven b").unwrap();
        let (found, expected) = (look(&path).unwrap(), metadata(&path).unwrap());
        assert_eq!((found.id, found.bytes), (expected.id, expected.bytes));
        assert_eq!(found.bytes, 7);
    }

    #[test]
    fn a_file_that_was_replaced_or_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("j.db");
        let files = ["j.db", "j.db-wal", "j.db-head"].map(|name| folder.path().join(name));
        for file in &files {
            fs::write(file, "1234").unwrap();
            let mut watched = WatchedFiles::at(&journal);
            // The log may not be there yet.
            assert!(watched.check().is_ok());
            fs::write(file, "12345678").unwrap();
            assert!(watched.check().is_ok());
            watched.measure_log();
            fs::write(file, "1234").unwrap();
            assert!(matches!(watched.check(), Err(JournalError::Fatal(_))), "{} is cut", file.display());
            let mut watched = WatchedFiles::at(&journal);
            fs::remove_file(file).unwrap();
            assert!(matches!(watched.check(), Err(JournalError::Fatal(_))), "{} is gone", file.display());
            fs::write(file, "another").unwrap();
        }
    }
}
