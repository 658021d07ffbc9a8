//! The state of a conversation as bytes. A state has exactly one encoding, so two states can be compared by digest.
//!
//! | what | bytes |
//! |---|---|
//! | newest event, its logical time, number of participants | 8 each |
//! | for each participant, in the order of joining: its id, length of its name, the name, session, number of publishes | 8, 2, that length, 32, 2 |
//! | for each of its publishes, oldest first: digest of the message id, sequence, logical time | 16, 8, 8 |
//!
//! Numbers are little endian.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::CheckpointFault;
use crate::chat::{
    Conversation, DisplayName, LogicalTime, MESSAGE_IDS_REMEMBERED, MemberState, NAME_CHARACTERS_MAX,
    ParticipantId, Receipt, RememberedPublish, Sequence, SessionKey,
};

/// A character has at most four bytes in UTF-8.
const NAME_BYTES_MAX: usize = 4 * NAME_CHARACTERS_MAX;

/// The most participants that memory is reserved for before they are read: their stated number may be damaged.
const MEMBERS_EXPECTED_MAX: usize = 4096;

/// A state that was read, and the digest of its bytes.
pub(super) struct Encoded {
    pub(super) head: Sequence,
    pub(super) logical_time: LogicalTime,
    pub(super) members: Vec<MemberState>,
    pub(super) hash: [u8; 32],
}

/// The digest of the state of a conversation.
pub(super) fn hash(conversation: &Conversation) -> [u8; 32] {
    struct Hash(Sha256);
    impl Write for Hash {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Hash(Sha256::new());
    // Writing to a digest cannot fail.
    let _ = write(conversation, &mut hash);
    hash.0.finalize().into()
}

/// Writes the state of a conversation.
pub(super) fn write(conversation: &Conversation, to: &mut impl Write) -> io::Result<()> {
    let number = |to: &mut dyn Write, n: u64| to.write_all(&n.to_le_bytes());
    // Both are far below 2^16.
    let length = |to: &mut dyn Write, n: usize| to.write_all(&(n as u16).to_le_bytes());
    number(to, conversation.head().0)?;
    number(to, conversation.logical_time().0)?;
    number(to, conversation.active() as u64)?;
    for (ParticipantId(id), member) in conversation.roster() {
        number(to, id.0)?;
        let name = member.display_name.as_str();
        length(to, name.len())?;
        to.write_all(name.as_bytes())?;
        to.write_all(&member.session.0)?;
        length(to, member.publish_count())?;
        for RememberedPublish { digest, receipt } in member.publishes() {
            to.write_all(&digest)?;
            number(to, receipt.sequence.0)?;
            number(to, receipt.logical_time.0)?;
        }
    }
    Ok(())
}

/// Reads what [`write()`] wrote, up to the end. The caller compares the digest to detect damage.
pub(super) fn read(from: &mut impl Read) -> Result<Encoded, CheckpointFault> {
    let mut from = Hashed { from, hash: Sha256::new() };
    let (head, logical_time) = (Sequence(from.number()?), LogicalTime(from.number()?));
    let count = usize::try_from(from.number()?).map_err(|_| CheckpointFault::Damaged)?;
    let mut members = Vec::with_capacity(count.min(MEMBERS_EXPECTED_MAX));
    for _ in 0..count {
        members.push(from.member()?);
    }
    if from.from.read(&mut [0])? > 0 {
        return Err(CheckpointFault::Damaged);
    }
    Ok(Encoded { head, logical_time, members, hash: from.hash.finalize().into() })
}

struct Hashed<'a, R> {
    from: &'a mut R,
    hash: Sha256,
}

impl<R: Read> Hashed<'_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], CheckpointFault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointFault> {
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CheckpointFault::Damaged,
            _ => error.into(),
        })?;
        self.hash.update(bytes);
        Ok(())
    }

    fn number(&mut self) -> Result<u64, CheckpointFault> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn length(&mut self, max: usize) -> Result<usize, CheckpointFault> {
        let length = usize::from(u16::from_le_bytes(self.bytes()?));
        if length <= max { Ok(length) } else { Err(CheckpointFault::Damaged) }
    }

    fn member(&mut self) -> Result<MemberState, CheckpointFault> {
        let id = ParticipantId(Sequence(self.number()?));
        let mut name = vec![0; self.length(NAME_BYTES_MAX)?];
        self.fill(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| CheckpointFault::Damaged)?;
        let display_name = DisplayName::parse(&name).map_err(|_| CheckpointFault::Damaged)?;
        let session = SessionKey(self.bytes()?);
        let count = self.length(MESSAGE_IDS_REMEMBERED)?;
        let publishes = (0..count).map(|_| self.publish()).collect::<Result<_, _>>()?;
        Ok(MemberState { id, display_name, session, publishes })
    }

    fn publish(&mut self) -> Result<RememberedPublish, CheckpointFault> {
        let digest = self.bytes()?;
        let receipt = Receipt { sequence: Sequence(self.number()?), logical_time: LogicalTime(self.number()?) };
        Ok(RememberedPublish { digest, receipt })
    }
}
