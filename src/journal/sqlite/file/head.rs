//! The small file next to a journal, `chitchat.db-head`: the lock that lets only one service at a time write
//! to the journal, and the newest position that has been acknowledged.
//!
//! SQLite reads its log up to the last intact commit. So a log that lost its end, or has a flipped bit in the middle,
//! looks like a shorter log, and acknowledged events would be lost unnoticed. This file is the cross-check. It is written
//! after a commit and before the answer, in place and without fsync, which costs a microsecond: it can lag behind the
//! journal, but never be ahead of what the journal has put on the disk. It is a check, not a source: a journal opens
//! without it, or with a torn one.
//!
//! SQLite's own locks cannot serve as this lock, because other processes must be able to read the journal meanwhile. The
//! journal's main file is locked, too, by a kind of lock that SQLite does not use: under a mount it may have another
//! name, with another head file next to it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::chat::Sequence;
use crate::journal::sqlite::error::OpenFault;
use crate::journal::{Chain, Epoch};

/// An upper bound on the size of a head file, in bytes.
const BYTES_MAX: u64 = 1024;

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) epoch: Epoch,
    /// The newest event that has been acknowledged.
    pub(crate) sequence: Sequence,
    pub(crate) chain: Chain,
}

impl Head {
    /// One line, so that a person can read it too. Its length depends only on the epoch's.
    fn line(&self) -> String {
        let Self { epoch, sequence, chain } = self;
        let facts = format!("chitchat-head 1 epoch {epoch} sequence {sequence:020} chain {chain}");
        let check = check_of(&facts);
        format!("{facts} check {check}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let (facts, check) = line.strip_suffix('\n')?.rsplit_once(" check ")?;
        if check != check_of(facts) {
            return None;
        }
        let (epoch, facts) = facts.strip_prefix("chitchat-head 1 epoch ")?.split_once(" sequence ")?;
        let (sequence, chain) = facts.split_once(" chain ")?;
        Some(Self {
            epoch: Epoch::new(epoch),
            sequence: Sequence(sequence.parse().ok()?),
            chain: Chain::parse(chain)?,
        })
    }

    /// Reads the file; `None` if it is missing or torn.
    pub(crate) fn beside(journal: &Path) -> io::Result<Option<Self>> {
        match File::open(path_beside(journal)) {
            Ok(file) => read(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn check_of(facts: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(facts)[..8])
}

fn read(file: &File) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok().and_then(|line| Head::parse(&line)))
}

fn path_beside(journal: &Path) -> PathBuf {
    crate::journal::sqlite::beside(journal, "-head")
}

/// The file, held by the service that writes the journal.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: File,
    /// The main file, open for its lock. Closing it drops all of SQLite's locks on it in this process, so it is closed
    /// after all connections.
    journal: Option<File>,
    /// Whether the file has the length of its line yet.
    sized: bool,
}

impl HeadFile {
    /// Takes the lock, and reads what the previous service left. The lock ends with this value, or with the process,
    /// however that ends.
    pub(crate) fn lock(journal: &Path) -> Result<(Self, Option<Head>), OpenFault> {
        let path = path_beside(journal);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(named)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenFault::InUse),
            Err(TryLockError::Error(error)) => return Err(named(error).into()),
        }
        let head = read(&file).map_err(named)?;
        Ok((Self { file, journal: None, sized: false }, head))
    }

    /// Takes the lock on the main file itself, if the system keeps such locks apart from SQLite's.
    pub(crate) fn lock_journal(&mut self, journal: &Path) -> Result<(), OpenFault> {
        if cfg!(target_os = "linux") {
            let file = File::open(journal)?;
            match file.try_lock() {
                Ok(()) => self.journal = Some(file),
                Err(TryLockError::WouldBlock) => return Err(OpenFault::InUse),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Records that everything up to this position may be acknowledged.
    pub(crate) fn write(&mut self, head: &Head) -> io::Result<()> {
        let line = head.line();
        self.file.write_all_at(line.as_bytes(), 0)?;
        if !self.sized {
            // It may be left from another journal, with a longer line.
            self.file.set_len(line.len() as u64)?;
            self.sized = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let epoch = Epoch::new("0123456789abcdef");
        Head { chain: Chain::of(&epoch), epoch, sequence: Sequence(77) }
    }

    #[test]
    fn a_changed_head_is_never_read() {
        let line = head().line();
        assert_eq!(Head::parse(&line), Some(head()));
        for bit in 0..line.len() * 8 {
            let mut bytes = line.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = String::from_utf8(bytes).ok().and_then(|line| Head::parse(&line));
            assert_eq!(changed, None, "bit {bit}");
        }
        for end in 0..line.len() {
            assert_eq!(Head::parse(&line[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn the_lock_has_one_holder_and_is_free_when_that_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("j.db");
        let (mut first, found) = HeadFile::lock(&journal).unwrap();
        assert_eq!(found, None);
        assert!(matches!(HeadFile::lock(&journal), Err(OpenFault::InUse)));
        first.write(&head()).unwrap();
        drop(first);
        let (_second, found) = HeadFile::lock(&journal).unwrap();
        assert_eq!(found, Some(head()));
        assert_eq!(Head::beside(&journal).unwrap(), Some(head()));
    }
}
