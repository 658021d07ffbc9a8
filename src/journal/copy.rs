//! The journal of a replica: a copy of the events that result from the common log of commands, with the place in that
//! log.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{Committed, Journal, JournalError};
use crate::chat::{Attachment, Event, Incarnation, ParticipantId, Replica};

/// A digest of a log of commands up to a position: the start of SHA-256(digest of the message before, message). Like a
/// [`Chain`](super::Chain), it detects accidents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogDigest(pub [u8; 16]);

impl LogDigest {
    /// The digest after one more message.
    #[must_use]
    pub fn with(self, message: &[u8]) -> Self {
        let hash = Sha256::new_with_prefix(self.0).chain_update(message).finalize();
        let mut start = [0; 16];
        start.copy_from_slice(&hash[..16]);
        Self(start)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        super::chain::bytes_of(text).map(Self)
    }
}

impl fmt::Display for LogDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_write(&self.0, f)
    }
}

/// How far a log of commands has been applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// The last message; 0 for none.
    pub position: u64,
    /// The digest before it.
    pub before: LogDigest,
    /// The digest up to it.
    pub digest: LogDigest,
}

impl LogPlace {
    /// The place after the next message.
    #[must_use]
    pub fn with(self, message: &[u8]) -> Self {
        Self { position: self.position + 1, before: self.digest, digest: self.digest.with(message) }
    }
}

/// What the applied messages of the log have changed besides the conversation.
#[derive(Clone, Debug, Default)]
pub struct CopyUpdate {
    /// The place after them.
    pub place: LogPlace,
    /// The current attachments of these sessions; `None` for those that have left.
    pub attachments: Vec<(ParticipantId, Option<Attachment>)>,
    /// The current state of these replicas; `None` for those that are gone.
    pub replicas: Vec<(Incarnation, Option<Replica>)>,
}

/// What a copy has recorded besides the conversation.
#[derive(Clone, Debug, Default)]
pub struct CopyState {
    /// Its place in the log.
    pub place: LogPlace,
    /// The attachment of each session.
    pub attachments: Vec<(ParticipantId, Attachment)>,
    /// The replicas.
    pub replicas: Vec<(Incarnation, Replica)>,
}

/// The journal of a replica.
#[async_trait]
pub trait ReplicaJournal: Journal {
    /// What it had recorded when it was opened.
    fn copied(&self) -> &CopyState;

    /// Appends the effects of messages of the log, with the place after them: all of it or nothing.
    ///
    /// # Errors
    /// [`JournalError`], as for [`Journal::append`].
    async fn record(&mut self, events: Vec<Arc<Event>>, update: CopyUpdate) -> Result<Committed, JournalError>;
}
