//! Changes the table of faults, records each change, and ends faults whose time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::faults::{ActiveFault, Change, FaultTable, Release};
use super::queues::Queues;
use super::recording::Recording;
use crate::chat::{Conversation, DisplayName, ParticipantId};
use crate::journal::Epoch;
use crate::log::{About, ServerRecord};
use crate::server::core::feed::FeedReader;
use crate::wire::Rejection;

/// The words for a stopped writer in the log record.
const WRITER_STOPPED: &str = "writer stopped";

/// The lab of one service. Clones share it.
#[derive(Clone, Debug)]
pub struct Lab(Arc<LabState>);

#[derive(Debug)]
struct LabState {
    table: watch::Sender<FaultTable>,
    queues: Queues,
    recording: Recording,
    reader: FeedReader,
    epoch: Epoch,
    random: fn() -> u128,
}

/// A random number from 0 to 1.
pub fn fraction(random: fn() -> u128) -> f64 {
    f64::from(random() as u32) / f64::from(u32::MAX)
}

impl Lab {
    /// A lab without any fault.
    pub fn new(reader: FeedReader, epoch: Epoch, random: fn() -> u128) -> Self {
        let (table, queues) = (watch::Sender::new(FaultTable::default()), Queues::default());
        let recording = Recording::default();
        Self(Arc::new(LabState { table, queues, recording, reader, epoch, random }))
    }

    /// A receiver of the table and its changes.
    pub fn subscribe(&self) -> watch::Receiver<FaultTable> {
        self.0.table.subscribe()
    }

    /// The requests that the lab holds.
    pub fn queues(&self) -> &Queues {
        &self.0.queues
    }

    /// The requests to record deliveries.
    pub fn recording(&self) -> &Recording {
        &self.0.recording
    }

    /// The epoch of the journal.
    pub fn epoch(&self) -> &Epoch {
        &self.0.epoch
    }

    /// The source of randomness.
    pub fn random(&self) -> fn() -> u128 {
        self.0.random
    }

    /// The current conversation.
    pub fn conversation(&self) -> Conversation {
        self.0.reader.conversation()
    }

    /// The active participant with a name.
    ///
    /// # Errors
    /// [`Rejection::NameUnknown`].
    pub fn find(&self, name: &str) -> Result<(ParticipantId, DisplayName), Rejection> {
        let conversation = self.conversation();
        let found = conversation.roster().find(|(_, member)| member.display_name.as_str() == name);
        let found = found.map(|(participant, member)| (participant, member.display_name.clone()));
        found.ok_or_else(|| Rejection::NameUnknown(name.to_owned()))
    }

    /// Sets the faults of a participant.
    pub fn set(&self, participant: ParticipantId, name: &DisplayName, change: Change) {
        let conversation = self.conversation();
        self.0.table.send_modify(|table| {
            table.retain(|participant| conversation.member(participant).is_some());
            table.set(participant, name, change, conversation.head(), Instant::now());
        });
        let words = self.0.table.borrow().get(participant).map(|active| active.fault.words()).unwrap_or_default();
        if change.fault.is_some() {
            self.record(Some((participant, name)), &words, "SET");
        }
        if change.disconnect {
            self.record(Some((participant, name)), &words, "DISCONNECTED");
        }
    }

    /// Releases some of a participant's held messages.
    pub fn release(&self, participant: ParticipantId, name: &DisplayName, release: Release) {
        let (head, held) = (self.conversation().head(), self.0.queues.held(participant));
        self.0.table.send_modify(|table| table.release(participant, release, head, held));
        let words = self.0.table.borrow().get(participant).map(|active| active.fault.words()).unwrap_or_default();
        self.record(Some((participant, name)), &words, "RELEASED");
    }

    /// Uses up the release of one publish. Returns false if there is none.
    pub(super) fn use_permit(&self, participant: ParticipantId) -> bool {
        self.0.table.send_if_modified(|table| {
            let allowed = table.get(participant).is_some_and(|active| active.publishes_allowed > 0);
            if allowed {
                table.use_permit(participant);
            }
            allowed
        })
    }

    /// Ends the faults of a participant, or with `None` all faults.
    pub fn clear(&self, participant: Option<ParticipantId>) {
        let (mut ended, mut stopped) = (Vec::new(), false);
        self.0.table.send_modify(|table| match participant {
            Some(participant) => ended.extend(table.clear(participant).map(|active| (participant, active))),
            None => (ended, stopped) = (table.clear_all(), table.stop_writer(None)),
        });
        self.record_ended(&ended, stopped, "CLEARED");
    }

    pub fn stop_writer(&self, duration: Duration) {
        let until = Instant::now() + duration;
        self.0.table.send_modify(|table| {
            table.stop_writer(Some(until));
        });
        self.record(None, WRITER_STOPPED, "SET");
    }

    /// Ends faults when their time is over, until the service stops.
    pub async fn keep(&self, stopping: &CancellationToken) {
        let mut table = self.subscribe();
        loop {
            let next = table.borrow_and_update().next_end();
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = table.changed() => if changed.is_err() { return },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.end_due(),
            }
        }
    }

    fn end_due(&self) {
        let (mut ended, mut stopped, now) = (Vec::new(), false, Instant::now());
        self.0.table.send_modify(|table| {
            ended = table.end_due(now);
            if table.writer_stopped_until().is_some_and(|until| until <= now) {
                stopped = table.stop_writer(None);
            }
        });
        self.record_ended(&ended, stopped, "EXPIRED");
    }

    fn record_ended(&self, ended: &[(ParticipantId, ActiveFault)], writer: bool, reason: &str) {
        for (participant, active) in ended.iter().filter(|(_, active)| !active.fault.words().is_empty()) {
            self.record(Some((*participant, &active.name)), "", reason);
        }
        if writer {
            self.record(None, "", reason);
        }
    }

    /// Records a change of faults, which applies from the next event on.
    fn record(&self, whose: Option<(ParticipantId, &DisplayName)>, faults: &str, reason: &str) {
        let about = About::epoch(self.0.epoch.as_str());
        let about = match whose {
            Some((participant, name)) => about.participant(participant, name.as_str()),
            None => about,
        };
        let sequence = self.0.reader.head().next().0;
        ServerRecord::FaultChanged { about, sequence, faults: faults.into(), reason: reason.into() }.emit();
    }
}
