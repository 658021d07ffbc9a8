//! A journal that fails on demand.

use std::sync::Arc;

use chitchat::chat::Event;
use chitchat::journal::{Committed, Epoch, History, Journal, JournalError, MemoryJournal};
use tokio::sync::watch;
use tonic::async_trait;

/// How the journal fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not fail.
    None,
    /// It does not answer for now, and records the pending batch later.
    Silent,
    /// It refuses batches for now.
    Unavailable,
    /// It has failed for good.
    Fatal,
}

/// A memory journal that fails when the test tells it to.
pub struct FaultyJournal {
    memory: MemoryJournal,
    fault: watch::Receiver<Fault>,
    /// How many batches it has refused.
    refused: watch::Sender<usize>,
}

/// The test's control of a [`FaultyJournal`].
pub struct FaultyJournalControl {
    fault: watch::Sender<Fault>,
    refused: watch::Receiver<usize>,
    pub history: Arc<dyn History>,
}

impl FaultyJournal {
    pub fn new() -> (Box<Self>, FaultyJournalControl) {
        let memory = MemoryJournal::new(Epoch::new("test"));
        let history = memory.history();
        let (fault, today) = watch::channel(Fault::None);
        let (refused, counted) = watch::channel(0);
        let journal = Box::new(Self { memory, fault: today, refused });
        (journal, FaultyJournalControl { fault, refused: counted, history })
    }
}

impl FaultyJournalControl {
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Waits until it has refused this many batches.
    pub async fn has_refused(&mut self, count: usize) {
        super::super::soon(self.refused.wait_for(|refused| *refused >= count)).await.unwrap();
    }
}

#[async_trait]
impl Journal for FaultyJournal {
    fn epoch(&self) -> Epoch {
        self.memory.epoch()
    }

    async fn append(&mut self, events: Vec<Arc<Event>>) -> Result<Committed, JournalError> {
        let answering = self.fault.wait_for(|fault| *fault != Fault::Silent).await;
        let fault = answering.map_or(Fault::None, |fault| *fault);
        if fault != Fault::None {
            self.refused.send_modify(|refused| *refused += 1);
        }
        match fault {
            Fault::None | Fault::Silent => self.memory.append(events).await,
            Fault::Unavailable => Err(JournalError::Unavailable("the disk is full".into())),
            Fault::Fatal => Err(JournalError::Fatal("the disk is gone".into())),
        }
    }

    fn history(&self) -> Arc<dyn History> {
        self.memory.history()
    }
}
