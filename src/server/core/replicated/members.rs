//! Records which replicas join and which are gone, and whether this one is available.

use super::ReplicatedEngine;
use crate::chat::{Departure, Fate, GoneReplica, Incarnation};
use crate::log::{About, ReplicaNote, ServerRecord};
use crate::replica::AppliedBatch;

/// Why a replica accepts nothing for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// What it proposes does not come back from the log.
    CutOff,
    /// Its copy of the log cannot be written.
    CopyNotWritten,
    /// The other replicas have removed it, and it starts again.
    TakenForGone,
}

impl Obstacle {
    fn as_str(self) -> &'static str {
        match self {
            Self::CutOff => "CUT_OFF",
            Self::CopyNotWritten => "COPY_NOT_WRITTEN",
            Self::TakenForGone => "TAKEN_FOR_GONE",
        }
    }
}

impl ReplicatedEngine {
    /// Accepts nothing until [`set_available`](Self::set_available), and records that, since this replica ends no grace
    /// period meanwhile. Returns whether it was available before.
    pub(super) fn set_unavailable(&self, obstacle: Obstacle) -> bool {
        let was_available = self.context.readiness.set_journal_works(false);
        if was_available {
            let (about, reason) = (About::epoch(self.epoch.as_str()), obstacle.as_str().into());
            ServerRecord::ReplicaUnavailable { about, reason }.emit();
        }
        was_available
    }

    /// Accepts requests again. Returns whether it did not before.
    pub(super) fn set_available(&self) -> bool {
        let is_new = !self.context.readiness.set_journal_works(true);
        if is_new {
            ServerRecord::ReplicaAvailable { about: About::epoch(self.epoch.as_str()) }.emit();
        }
        is_new
    }

    /// Records which replicas take part when this one begins to serve.
    pub(super) fn record_members(&self) {
        for (incarnation, replica) in self.applier.cluster().replicas() {
            self.record_member(&replica.name, incarnation, None);
        }
    }

    /// Records which replicas a batch adds and which it removes. If it removes this one, which was declared gone by
    /// mistake, no session is attached here anymore: the streams end before any later event is sent.
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
