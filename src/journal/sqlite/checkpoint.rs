//! The state of the conversation after one event, in a small file next to the journal: `chitchat.db-checkpoint`. With it
//! a start replays only the events after that one, and checks the earlier ones while it serves ([`later`]).
//!
//! It is a shortcut, not a source. A start uses it only if its checksums are right and the journal still has the event
//! that it was taken at, with the same chain; otherwise it replays all events. It is in a separate file, so that writing
//! it delays no commit, and damage to it does not damage the journal.
//!
//! The first line can be read by people, too. The rest is the state, as [`encoding`] writes it.

pub(super) mod damage;
mod encoding;
pub(super) mod keeper;
pub(super) mod later;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::file::head::Head;
use super::{beside, folder_of};
use crate::chat::{Conversation, Sequence, SnapshotFault};
use crate::journal::chain::bytes_of;
use crate::journal::{Chain, Epoch};

use encoding::Encoded;

/// The format that this program reads and writes. It is raised with each change of the encoding, or of the state that
/// the state machine derives from the same events.
const FORMAT: u32 = 1;

/// An upper bound on the size of the first line, in bytes.
const LINE_BYTES_MAX: u64 = 1024;

/// A digest of the state after all events up to a position: SHA-256 of the encoded state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateDigest([u8; 32]);

impl StateDigest {
    /// The digest of a conversation's state.
    pub(super) fn of(conversation: &Conversation) -> Self {
        Self(encoding::hash(conversation))
    }
}

/// A checkpoint that was read.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// The event that it was taken at.
    pub(super) place: Head,
    pub(super) digest: StateDigest,
    pub(super) conversation: Conversation,
}

/// Why a checkpoint is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointFault {
    #[error("there is none")]
    Missing,
    #[error("it is damaged")]
    Damaged,
    #[error("it has format {found}, and the newest that this program knows is {FORMAT}")]
    Newer { found: u32 },
    #[error("it belongs to another journal, of epoch {0}")]
    AnotherJournal(Epoch),
    #[error("it was taken at event {0}, and the journal has another event there, or none")]
    AnotherEvent(Sequence),
    #[error("it does not hold a valid state of a conversation: {0}")]
    State(#[from] SnapshotFault),
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

struct FirstLine {
    place: Head,
    digest: StateDigest,
}

impl FirstLine {
    fn written(&self) -> String {
        let Self { place: Head { epoch, sequence, chain }, digest } = self;
        let (program, state) = (env!("CARGO_PKG_VERSION"), HEXLOWER.encode(&digest.0));
        let facts = format!(
            "chitchat-checkpoint {FORMAT} program {program} epoch {epoch} sequence {sequence} chain {chain} state {state}"
        );
        let check = check_of(&facts);
        format!("{facts} check {check}\n")
    }

    fn parse(line: &str) -> Result<Self, CheckpointFault> {
        let rest = line.strip_prefix("chitchat-checkpoint ").ok_or(CheckpointFault::Damaged)?;
        let (facts, check) =
            line.strip_suffix('\n').and_then(|line| line.rsplit_once(" check ")).unwrap_or_default();
        if check != check_of(facts) {
            return Err(CheckpointFault::Damaged);
        }
        // The format defines what follows it, except for the checksum.
        match rest.split_once(' ').and_then(|(format, _)| format.parse().ok()) {
            Some(FORMAT) => Self::of_facts(facts).ok_or(CheckpointFault::Damaged),
            Some(found) => Err(CheckpointFault::Newer { found }),
            None => Err(CheckpointFault::Damaged),
        }
    }

    fn of_facts(facts: &str) -> Option<Self> {
        let (_, facts) = facts.split_once(" epoch ")?;
        let (epoch, facts) = facts.split_once(" sequence ")?;
        let (sequence, facts) = facts.split_once(" chain ")?;
        let (chain, state) = facts.split_once(" state ")?;
        let place = Head {
            epoch: Epoch::new(epoch),
            sequence: Sequence(sequence.parse().ok()?),
            chain: Chain::parse(chain)?,
        };
        Some(Self { place, digest: StateDigest(bytes_of(state)?) })
    }
}

pub(super) fn check_of(facts: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(facts)[..8])
}

/// The path of a journal's checkpoint.
pub(super) fn path_beside(journal: &Path) -> PathBuf {
    beside(journal, "-checkpoint")
}

/// Reads the checkpoint next to a journal. Does not check that the journal has the event that it was taken at.
pub(super) fn read(journal: &Path, epoch: &Epoch) -> Result<Checkpoint, CheckpointFault> {
    let file = match File::open(path_beside(journal)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(CheckpointFault::Missing),
        Err(error) => return Err(error.into()),
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    let FirstLine { place, digest } =
        FirstLine::parse(std::str::from_utf8(&line).map_err(|_| CheckpointFault::Damaged)?)?;
    if place.epoch != *epoch {
        return Err(CheckpointFault::AnotherJournal(place.epoch));
    }
    let Encoded { head, logical_time, members, hash } = encoding::read(&mut reader)?;
    if StateDigest(hash) != digest || head != place.sequence {
        return Err(CheckpointFault::Damaged);
    }
    Ok(Checkpoint { place, digest, conversation: Conversation::restored(head, logical_time, members)? })
}

/// Writes a checkpoint to the disk under a temporary name. `rename` then moves it into place.
pub(super) fn write_unfinished(journal: &Path, place: &Head, conversation: &Conversation) -> io::Result<PathBuf> {
    let unfinished = beside(journal, "-checkpoint-new");
    let mode = fs::metadata(journal)?.mode() & 0o777;
    let digest = StateDigest::of(conversation);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
    let mut writer = BufWriter::new(file);
    let written = writer
        .write_all(FirstLine { place: place.clone(), digest }.written().as_bytes())
        .and_then(|()| encoding::write(conversation, &mut writer))
        .and_then(|()| writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all());
    if let Err(error) = written {
        // If the disk is full, the incomplete file must not take up its space.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    Ok(unfinished)
}

/// Moves a complete checkpoint into place.
pub(super) fn rename(journal: &Path, unfinished: &Path) -> io::Result<()> {
    fs::rename(unfinished, path_beside(journal))?;
    File::open(folder_of(journal))?.sync_all()
}
