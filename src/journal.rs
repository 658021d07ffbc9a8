//! The durable, ordered log of events from which all state can be rebuilt.
//!
//! Persist, then publish: [`Journal::append`] is the only way to a [`Committed`] batch, and only a committed
//! batch can be given to the feed.

mod chain;
mod check;
mod copy;
mod memory;
mod recovery;
pub mod sqlite;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::chat::{Conversation, Event, Sequence};

pub use chain::Chain;
pub use check::{CHECKPOINT_EVENTS, CheckSettings, CheckState, CheckTime};
pub use copy::{CopyState, CopyUpdate, LogDigest, LogPlace, ReplicaJournal};
pub use memory::MemoryJournal;
pub use recovery::{RecoveryError, recover};
pub use sqlite::SqliteJournal;

/// The random id of one journal. A new journal is a new epoch, in which sequences start again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The epoch with this id.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// Its id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The writing side of a journal. There is only one writer.
#[async_trait]
pub trait Journal: Send + 'static {
    /// The journal's epoch.
    fn epoch(&self) -> Epoch;

    /// Appends a batch, all of it or nothing. When this returns, the batch is as durable as this kind of journal can
    /// make it. An empty batch writes nothing; it probes whether the journal is writable.
    ///
    /// # Errors
    /// [`JournalError`]: the batch has not been appended or, if the error is fatal, may or may not have been.
    async fn append(&mut self, events: Vec<Arc<Event>>) -> Result<Committed, JournalError>;

    /// The reading side, which any number of readers share.
    fn history(&self) -> Arc<dyn History>;

    /// Offers the state after the newest event. A journal that keeps checkpoints writes one now and then, without
    /// delaying any commit.
    fn offer_checkpoint(&mut self, _state: &Conversation) {}

    /// Progress of the check of the older events, if one runs in the background.
    fn later_check(&self) -> Option<watch::Receiver<CheckState>> {
        None
    }
}

/// The reading side of a journal. It sees only committed events.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// Up to `limit` events after a position, in order.
    async fn read(&self, after: Sequence, limit: usize) -> Result<Vec<JournalEvent>, JournalError>;
}

/// An event in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEvent {
    /// The event.
    pub event: Arc<Event>,
    /// Its chain: two journals that agree on it agree on all events up to this one.
    pub chain: Chain,
}

impl Deref for JournalEvent {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

/// A batch that a journal has committed: it can be broadcast.
#[derive(Debug)]
pub struct Committed(Vec<JournalEvent>);

impl Committed {
    /// Only for implementations of [`Journal`]: the caller guarantees that these events are committed.
    pub fn assume_committed(events: Vec<JournalEvent>) -> Self {
        Self(events)
    }

    /// The events, in order.
    pub fn events(&self) -> &[JournalEvent] {
        &self.0
    }
}

/// A journal that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A temporary failure, for instance a full disk.
    #[error("the journal is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Continuing would put recorded events at risk.
    #[error("the journal has failed: {0}")]
    Fatal(#[source] Box<dyn std::error::Error + Send + Sync>),
}
