//! The lab's gate in front of a participant's stream: how far it may be delivered now.

use std::future::pending;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::delay::DelayLine;
use crate::chat::{ParticipantId, Sequence};
use crate::server::lab::control::{Lab, fraction};
use crate::server::lab::faults::FaultTable;
use crate::wire::Frame;

/// What the lab lets pass on a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// Events up to this one, and heartbeats.
    UpTo(Sequence),
    Silent,
    /// This frame is sent first: it states the faults in force.
    Notice(Frame),
    /// The stream has to break.
    Broken,
}

/// A stream's view of the faults of its participant.
#[derive(Debug)]
pub struct StreamGate {
    table: watch::Receiver<FaultTable>,
    random: fn() -> u128,
    participant: ParticipantId,
    /// The newest disconnect before this stream.
    disconnect: u64,
    line: DelayLine,
    is_delayed: bool,
    /// The faults that were last announced to the client.
    announced: String,
}

impl StreamGate {
    /// A gate for a stream that begins now.
    pub fn new(lab: &Lab, participant: ParticipantId) -> Self {
        let table = lab.subscribe();
        let disconnect = table.borrow().disconnects();
        let (line, announced) = (DelayLine::default(), String::new());
        Self { table, random: lab.random(), participant, disconnect, line, is_delayed: false, announced }
    }

    /// Whether nothing at all may pass.
    pub fn is_silent(&mut self) -> bool {
        self.table.borrow_and_update().get(self.participant).is_some_and(|active| active.fault.is_silent())
    }

    /// What may pass on a stream that is at `position` while the newest event is `head`.
    pub fn look(&mut self, position: Sequence, head: Sequence, now: Instant) -> Passage {
        let active = self.table.borrow_and_update().get(self.participant).cloned();
        if active.as_ref().is_some_and(|active| active.disconnect > self.disconnect) {
            return Passage::Broken;
        }
        let fault = active.as_ref().map(|active| active.fault).unwrap_or_default();
        if fault.is_silent() {
            return Passage::Silent;
        }
        let words = fault.words();
        if words != self.announced {
            self.announced.clone_from(&words);
            return Passage::Notice(Frame::lab_notice(words));
        }
        let Some(active) = active else {
            self.is_delayed = false;
            return Passage::Open;
        };
        let deliveries = fault.deliveries;
        let mut limit = deliveries.hold.then_some(active.deliver_up_to);
        if deliveries.is_delayed() {
            if !std::mem::replace(&mut self.is_delayed, true) {
                // Events from before the fault are not delayed by it.
                self.line.restart(position.max(active.from.previous()));
            }
            self.line.note(head, now, deliveries.delay(fraction(self.random)));
            let due = self.line.due(now);
            limit = Some(limit.map_or(due, |limit| limit.min(due)));
        } else {
            self.is_delayed = false;
        }
        limit.map_or(Passage::Open, Passage::UpTo)
    }

    /// Waits until the faults have changed since the last [`look`](Self::look), or a delayed event is due.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let due = self.line.next_due().filter(|_| self.is_delayed);
        let mut table = self.table.clone();
        async move {
            tokio::select! {
                changed = table.changed() => if changed.is_err() { pending().await },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }
}
