//! The checksum that links every event to all before it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::Epoch;
use crate::chat::{Event, EventKind};

/// 9999-12-31T23:59:59Z: RFC 3339 has no later second.
const LATEST_SECONDS: u64 = 253_402_300_799;

/// A checksum over an event and all events before it: the first 8 bytes of SHA-256(previous chain, event). The chain
/// before the first event is made from the epoch.
///
/// SQLite notices damage to the structure of its file, but not a flipped bit in a text. A chain detects accidents, not
/// forgeries: anybody who can write the file can write chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain([u8; 8]);

impl Chain {
    /// The chain before the first event.
    pub fn of(epoch: &Epoch) -> Self {
        let mut hash = Sha256::new_with_prefix(b"chitchat journal\0");
        hash.update(epoch.as_str());
        Self::ending(hash)
    }

    /// The chain after one more event. Every part has a fixed length or is preceded by its length, so that no two
    /// different events have the same encoding.
    pub fn with(self, event: &Event) -> Self {
        let mut hash = Sha256::new_with_prefix(self.0);
        let mut number = |n: u64| hash.update(n.to_le_bytes());
        let at = readable(event.recorded_at).duration_since(UNIX_EPOCH).unwrap_or_default();
        number(event.sequence.0);
        number(event.logical_time.0);
        number(event.sent_logical_time.0);
        number(at.as_secs());
        number(at.subsec_nanos().into());
        number(event.participant.id.0.0);
        let text = |hash: &mut Sha256, text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        text(&mut hash, event.participant.display_name.as_str());
        match &event.kind {
            EventKind::Joined { session } => {
                hash.update([0]);
                hash.update(session.0);
            }
            EventKind::Left { reason } => hash.update([1, *reason as u8]),
            EventKind::Message { text: written, message_id, seen, sent_at } => {
                hash.update([2]);
                hash.update(seen.0.to_le_bytes());
                text(&mut hash, message_id.as_ref().map_or("", |id| id.as_str()));
                text(&mut hash, written.as_str());
                // It comes last, so that events without it have the same chain as before the field existed.
                if let Some(sent_at) = sent_at {
                    let at = readable(*sent_at).duration_since(UNIX_EPOCH).unwrap_or_default();
                    hash.update(at.as_secs().to_le_bytes());
                    hash.update(at.subsec_nanos().to_le_bytes());
                }
            }
        }
        Self::ending(hash)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        bytes_of(text).map(Self)
    }

    /// The chain with this digest.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn ending(hash: Sha256) -> Self {
        let mut start = [0; 8];
        start.copy_from_slice(&hash.finalize()[..8]);
        Self(start)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The bytes that [`HEXLOWER`] wrote as this text.
pub(super) fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Limits a time to the years 1970 to 9999, since others cannot be written as text. No rule depends on this time, and a
/// clock that was never set must not stop the conversation.
pub(super) fn readable(at: SystemTime) -> SystemTime {
    at.clamp(UNIX_EPOCH, UNIX_EPOCH + Duration::new(LATEST_SECONDS, 999_999_999))
}
