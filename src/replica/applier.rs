//! Applies the messages of the log to this replica's copy: the state machine decides, and the result is recorded in one
//! transaction with the place in the log.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use super::encoding::{LogMessage, Prefix, Unreadable};
use super::error::{ReplicaError, SetupFault};
use super::reader::Entry;
use crate::chat::{Applied, Batch, Cluster, ClusterCommand, Conversation, Event, Incarnation, Sequence};
use crate::journal::{
    Chain, CheckState, Committed, CopyState, CopyUpdate, Epoch, History, JournalEvent, LogPlace, ReplicaJournal,
};

/// How many of its newest states a replica keeps, to compare them with those that other replicas state.
const PREFIXES_REMEMBERED: usize = 4096;

/// A batch that was applied, or found void.
#[derive(Clone, Debug)]
pub struct AppliedBatch {
    /// Its position in the log.
    pub position: u64,
    /// The replica that made it.
    pub from: Incarnation,
    /// Its number.
    pub number: u64,
    /// For a Start: the name and the nonce of the replica that started.
    pub start: Option<(Arc<str>, u64)>,
    /// Its effects.
    pub applied: Applied,
}

/// The state of a replica, and its copy.
pub struct Applier {
    cluster: Cluster,
    place: LogPlace,
    chain: Chain,
    prefixes: VecDeque<Prefix>,
    /// What is applied but not recorded yet.
    draft: Option<Draft>,
    journal: Box<dyn ReplicaJournal>,
}

/// The state after some messages, before it is recorded.
struct Draft {
    cluster: Cluster,
    place: LogPlace,
    /// The places in the log that were passed, each with the newest event there.
    passed: Vec<(LogPlace, Sequence)>,
    events: Vec<Arc<Event>>,
    participants: BTreeSet<crate::chat::ParticipantId>,
    replicas: BTreeSet<Incarnation>,
    batches: Vec<AppliedBatch>,
}

impl Applier {
    /// Continues from the state of a copy. The conversation is the one that was recovered from it.
    ///
    /// # Errors
    /// [`ReplicaError`] if the copy cannot be read or contradicts itself.
    pub async fn new(
        mut journal: Box<dyn ReplicaJournal>,
        conversation: Conversation,
    ) -> Result<Self, ReplicaError> {
        journal.offer_checkpoint(&conversation);
        let CopyState { place, attachments, replicas } = journal.copied().clone();
        let active: BTreeSet<_> = conversation.roster().map(|(participant, _)| participant).collect();
        if active != attachments.iter().map(|(participant, _)| *participant).collect() {
            return Err(SetupFault::Damaged.into());
        }
        let head = conversation.head();
        let newest = journal.history().read(head.previous(), 1).await?;
        let chain = newest.first().map_or_else(|| Chain::of(&journal.epoch()), |event| event.chain);
        let cluster = Cluster::recovered(conversation, attachments, replicas);
        let prefixes = VecDeque::from([Prefix { position: place.position, digest: place.digest, chain }]);
        Ok(Self { cluster, place, chain, prefixes, draft: None, journal })
    }

    /// The state that is recorded.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The state after everything that is drafted.
    pub fn newest(&self) -> &Cluster {
        self.draft.as_ref().map_or(&self.cluster, |draft| &draft.cluster)
    }

    /// The batches that are drafted but not recorded yet; `None` if nothing is drafted.
    pub fn drafted(&self) -> Option<&[AppliedBatch]> {
        self.draft.as_ref().map(|draft| &*draft.batches)
    }

    /// The conversation.
    pub fn conversation(&self) -> &Conversation {
        self.cluster.conversation()
    }

    /// How far it has applied the log.
    pub fn place(&self) -> LogPlace {
        self.place
    }

    /// Which conversation it is.
    pub fn epoch(&self) -> Epoch {
        self.journal.epoch()
    }

    /// The copy's events.
    pub fn history(&self) -> Arc<dyn History> {
        self.journal.history()
    }

    /// Progress of the check of the copy's older events, if one runs in the background.
    pub fn later_check(&self) -> Option<watch::Receiver<CheckState>> {
        self.journal.later_check()
    }

    /// A batch of this replica as a message of the log, with what it has recorded so far.
    pub fn message(&self, batch: Batch) -> Vec<u8> {
        let LogPlace { position, digest, .. } = self.place;
        let prefix = (batch.from != Incarnation::NONE).then_some(Prefix { position, digest, chain: self.chain });
        LogMessage::Batch { batch, prefix }.encode()
    }

    /// Applies the next messages and records their effects, all of them or none.
    ///
    /// # Errors
    /// [`ReplicaError`]. After a journal error that is not fatal the same messages can be tried again.
    pub async fn apply(&mut self, entries: &[Entry]) -> Result<(Vec<AppliedBatch>, Committed), ReplicaError> {
        self.draft(entries)?;
        self.record().await
    }

    /// Applies the next messages in memory. The effects must not be visible to clients before they are
    /// [recorded](Self::record).
    ///
    /// # Errors
    /// [`ReplicaError`], and nothing is drafted.
    pub fn draft(&mut self, entries: &[Entry]) -> Result<(), ReplicaError> {
        let mut draft = Draft {
            cluster: self.cluster.clone(),
            place: self.place,
            passed: Vec::with_capacity(entries.len()),
            events: Vec::new(),
            participants: BTreeSet::new(),
            replicas: BTreeSet::new(),
            batches: Vec::with_capacity(entries.len()),
        };
        for entry in entries {
            self.draft_one(&mut draft, entry)?;
        }
        self.draft = Some(draft);
        Ok(())
    }

    /// Records the draft. After an error the draft is gone.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub async fn record(&mut self) -> Result<(Vec<AppliedBatch>, Committed), ReplicaError> {
        let Some(draft) = &mut self.draft else {
            return Ok((Vec::new(), Committed::assume_committed(Vec::new())));
        };
        let (cluster, events) = (&draft.cluster, std::mem::take(&mut draft.events));
        let attachments = draft.participants.iter().map(|who| (*who, cluster.attachment(*who))).collect();
        let replicas = draft.replicas.iter().map(|which| (*which, cluster.replica(*which).cloned())).collect();
        let update = CopyUpdate { place: draft.place, attachments, replicas };
        let recorded = self.journal.record(events, update).await;
        let Some(Draft { cluster, place, passed, batches, .. }) = self.draft.take() else {
            return Ok((Vec::new(), recorded?));
        };
        let committed = recorded?;
        (self.cluster, self.place) = (cluster, place);
        self.remember(&passed, committed.events());
        self.journal.offer_checkpoint(self.cluster.conversation());
        Ok((batches, committed))
    }

    fn draft_one(&self, draft: &mut Draft, entry: &Entry) -> Result<(), ReplicaError> {
        let position = entry.position;
        #[cfg(test)]
        if super::faults::skips() {
            // The position in the log is right, but the skipped message is not in the digest.
            draft.place.position = position - 1;
        }
        if position != draft.place.position + 1 {
            return Err(ReplicaError::Gap { position: draft.place.position + 1 });
        }
        draft.place = draft.place.with(&entry.message);
        match LogMessage::decode(&entry.message) {
            Ok(LogMessage::Batch { batch, prefix }) => {
                self.compare(&batch, prefix)?;
                let applied = draft.cluster.apply(position, &batch);
                draft.events.extend(applied.events.iter().cloned());
                draft.participants.extend(&applied.participants);
                draft.replicas.extend(&applied.replicas);
                let start = match &*batch.commands {
                    [ClusterCommand::Start { name, nonce }] => Some((name.clone(), *nonce)),
                    _ => None,
                };
                let (from, number) = (batch.from, batch.number);
                draft.batches.push(AppliedBatch { position, from, number, start, applied });
            }
            Ok(LogMessage::Genesis { .. }) => {}
            Err(Unreadable::Foreign) => {
                tracing::warn!(position, "a message of the stream is not from a replica; it is skipped");
            }
            Err(why @ Unreadable::Newer(_)) => {
                return Err(ReplicaError::Newer { position, why: why.to_string() });
            }
        }
        draft.passed.push((draft.place, draft.cluster.conversation().head()));
        Ok(())
    }

    /// Compares another replica's state after a message with this one's, as far as it is remembered.
    fn compare(&self, batch: &Batch, prefix: Option<Prefix>) -> Result<(), ReplicaError> {
        let Some(theirs) = prefix else { return Ok(()) };
        #[cfg(test)]
        if crate::chat::ReplicaFault::SkipUnnoticed.is_made() {
            return Ok(());
        }
        let found = self.prefixes.binary_search_by_key(&theirs.position, |prefix| prefix.position);
        match found.ok().and_then(|index| self.prefixes.get(index)) {
            Some(ours) if *ours != theirs => {
                Err(ReplicaError::Diverged { other: batch.from.0, position: theirs.position })
            }
            _ => Ok(()),
        }
    }

    fn remember(&mut self, passed: &[(LogPlace, Sequence)], recorded: &[JournalEvent]) {
        let mut recorded = recorded.iter().peekable();
        for (place, head) in passed {
            while let Some(event) = recorded.next_if(|event| event.sequence <= *head) {
                self.chain = event.chain;
            }
            let (position, digest) = (place.position, place.digest);
            self.prefixes.push_back(Prefix { position, digest, chain: self.chain });
        }
        let surplus = self.prefixes.len().saturating_sub(PREFIXES_REMEMBERED);
        self.prefixes.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;

    use super::*;
    use crate::journal::MemoryJournal;

    fn entry(position: u64, message: Vec<u8>) -> Entry {
        Entry { position, message: Bytes::from(message), behind: 0 }
    }

    fn genesis() -> Entry {
        entry(1, LogMessage::Genesis { epoch: "e".into() }.encode())
    }

    fn start(position: u64, name: &str) -> Entry {
        let commands = vec![ClusterCommand::Start { name: name.into(), nonce: position }];
        let batch = Batch { from: Incarnation::NONE, number: 0, at: SystemTime::UNIX_EPOCH, commands };
        entry(position, LogMessage::Batch { batch, prefix: None }.encode())
    }

    async fn applier() -> Applier {
        Applier::new(Box::new(MemoryJournal::new(Epoch::new("e"))), Conversation::new()).await.unwrap()
    }

    #[tokio::test]
    async fn a_message_that_is_missing_stops_a_replica_and_changes_nothing_r8() {
        let mut applier = applier().await;
        let found = applier.apply(&[genesis(), start(3, "a")]).await;
        assert!(matches!(found, Err(ReplicaError::Gap { position: 2 })), "{found:?}");
        assert_eq!((applier.place().position, applier.cluster().replicas().count()), (0, 0));
        applier.apply(&[genesis(), start(2, "a"), start(3, "b")]).await.unwrap();
        assert_eq!((applier.place().position, applier.cluster().replicas().count()), (3, 2));
    }

    #[tokio::test]
    async fn another_state_after_the_same_message_stops_a_replica_r8() {
        let (mut one, mut other) = (applier().await, applier().await);
        one.apply(&[genesis(), start(2, "a"), start(3, "b")]).await.unwrap();
        other.apply(&[genesis(), start(2, "a"), start(3, "c")]).await.unwrap();
        let beat = |from: u64| Batch {
            from: Incarnation(from),
            number: 1,
            at: SystemTime::UNIX_EPOCH,
            commands: vec![ClusterCommand::Beat],
        };
        let (from_one, from_other) = (one.message(beat(2)), other.message(beat(2)));
        let found = one.apply(&[entry(4, from_other)]).await;
        assert!(matches!(found, Err(ReplicaError::Diverged { other: 2, position: 3 })), "{found:?}");
        one.apply(&[entry(4, from_one)]).await.unwrap();
    }
}
