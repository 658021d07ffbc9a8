//! Records which replicas take part as this replica applies it, and acts on it for the streams here.

use super::ReplicatedEngine;
use crate::chat::{Departure, Fate, GoneReplica, Incarnation};
use crate::log::{About, ReplicaNote, ServerRecord};
use crate::replica::AppliedBatch;

impl ReplicatedEngine {
    /// Records which replicas take part as this one begins to serve.
    pub(super) fn record_members(&self) {
        for (incarnation, replica) in self.applier.cluster().replicas() {
            self.record_member(&replica.name, incarnation, None);
        }
    }

    /// Records which replicas a batch adds and which it removes. If it removes this one, which was declared gone by
    /// mistake, no session is attached here any more: the streams end before any later event is sent.
    pub(super) fn note_members(&mut self, batch: &AppliedBatch) {
        for GoneReplica { incarnation, name, why } in &batch.applied.gone {
            self.record_member(name, *incarnation, Some(*why));
            if *incarnation == self.identity.incarnation && !self.context.stopping.is_cancelled() {
                self.end_streams();
            }
        }
        let started = batch.start.as_ref().filter(|_| batch.applied.fate == Fate::Applied);
        if let Some((name, _)) = started {
            self.record_member(name, Incarnation(batch.position), None);
        }
    }

    fn record_member(&self, name: &str, incarnation: Incarnation, gone: Option<Departure>) {
        let note = ReplicaNote {
            about: About::epoch(self.epoch.as_str()),
            of_replica: name.into(),
            replica_start: incarnation.0,
            sequence: self.applier.conversation().head().0,
        };
        match gone {
            None => ServerRecord::ReplicaJoined(note),
            Some(why) => ServerRecord::ReplicaGone { note, reason: why.as_str().into() },
        }
        .emit();
    }
}
