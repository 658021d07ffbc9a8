//! The journal of a service with a lab: the lab can stop it. Since the engine waits for its journal, this stops the
//! writer without changing the engine.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

use crate::chat::{Conversation, Event};
use crate::journal::{CheckState, Committed, Epoch, History, Journal, JournalError};
use crate::server::lab::control::Lab;
use crate::server::lab::faults::FaultTable;

/// A journal whose writes the lab can delay.
pub struct StoppableJournal {
    journal: Box<dyn Journal>,
    table: watch::Receiver<FaultTable>,
    stopping: CancellationToken,
}

impl StoppableJournal {
    /// A journal that the lab can stop, though not once the service is stopping.
    pub fn new(journal: Box<dyn Journal>, lab: &Lab, stopping: CancellationToken) -> Self {
        Self { journal, table: lab.subscribe(), stopping }
    }
}

#[async_trait]
impl Journal for StoppableJournal {
    fn epoch(&self) -> Epoch {
        self.journal.epoch()
    }

    async fn append(&mut self, events: Vec<Arc<Event>>) -> Result<Committed, JournalError> {
        tokio::select! {
            _ = self.table.wait_for(|table| table.writer_stopped_until().is_none()) => {}
            () = self.stopping.cancelled() => {}
        }
        self.journal.append(events).await
    }

    fn history(&self) -> Arc<dyn History> {
        self.journal.history()
    }

    fn offer_checkpoint(&mut self, state: &Conversation) {
        self.journal.offer_checkpoint(state);
    }

    fn later_check(&self) -> Option<watch::Receiver<CheckState>> {
        self.journal.later_check()
    }
}
