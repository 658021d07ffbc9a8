//! A journal that lasts as long as the process. It keeps the whole conversation, as every journal does.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;

use super::{
    Chain, Committed, CopyState, CopyUpdate, Epoch, History, Journal, JournalError, JournalEvent, ReplicaJournal,
};
use crate::chat::{Event, Sequence};

/// The journal in memory.
#[derive(Debug)]
pub struct MemoryJournal {
    epoch: Epoch,
    events: Arc<MemoryHistory>,
    copied: CopyState,
}

#[derive(Debug, Default)]
struct MemoryHistory(RwLock<Vec<JournalEvent>>);

impl MemoryJournal {
    /// An empty journal.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, events: Arc::default(), copied: CopyState::default() }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn epoch(&self) -> Epoch {
        self.epoch.clone()
    }

    async fn append(&mut self, events: Vec<Arc<Event>>) -> Result<Committed, JournalError> {
        let mut recorded = self.events.0.write();
        let mut chain = recorded.last().map_or_else(|| Chain::of(&self.epoch), |last| last.chain);
        let linked = events.into_iter().map(|event| {
            chain = chain.with(&event);
            JournalEvent { event, chain }
        });
        let linked: Vec<_> = linked.collect();
        recorded.extend_from_slice(&linked);
        Ok(Committed::assume_committed(linked))
    }

    fn history(&self) -> Arc<dyn History> {
        self.events.clone()
    }
}

/// A replica that keeps its copy in memory rebuilds it from the log at each start.
#[async_trait]
impl ReplicaJournal for MemoryJournal {
    fn copied(&self) -> &CopyState {
        &self.copied
    }

    async fn record(&mut self, events: Vec<Arc<Event>>, _: CopyUpdate) -> Result<Committed, JournalError> {
        self.append(events).await
    }
}

#[async_trait]
impl History for MemoryHistory {
    async fn read(&self, after: Sequence, limit: usize) -> Result<Vec<JournalEvent>, JournalError> {
        let events = self.0.read();
        // Sequences have no gap and start at 1, so the event after position n is at index n.
        let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(events.len());
        let end = start.saturating_add(limit).min(events.len());
        Ok(events[start..end].to_vec())
    }
}
