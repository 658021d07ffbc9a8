//! The timers of a replica: it proposes that a grace period is over, and that another replica is gone. The state
//! machine decides both.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::chat::{Attachment, Cluster, ClusterCommand, Incarnation, ParticipantId};

/// How often a replica announces that it is alive, unless it has something else to publish.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// How long a replica may be silent before the others propose to remove it.
pub(super) const SILENCE: Duration = Duration::from_secs(6);
/// The delay between the replicas' turns to propose that a grace period is over, so that usually only one of them does.
const TURN: Duration = Duration::from_secs(1);
/// The most such delays that a replica waits.
const TURNS_MAX: u32 = 3;
/// How soon a proposal without effect is repeated.
const AGAIN: Duration = Duration::from_secs(2);

/// The running grace periods: the generation and the end of each.
#[derive(Debug, Default)]
pub(super) struct Graces(BTreeMap<ParticipantId, (u64, Instant)>);

impl Graces {
    /// Starts or ends a participant's grace period after a change of its attachment.
    pub(super) fn set(&mut self, participant: ParticipantId, attachment: Option<Attachment>, until: Instant) {
        match attachment {
            Some(Attachment { generation, replica: None }) => {
                let known = self.0.get(&participant).is_some_and(|(known, _)| *known == generation);
                if !known {
                    self.0.insert(participant, (generation, until));
                }
            }
            #[cfg(test)]
            Some(_) if crate::chat::ReplicaFault::ExpireAnyway.is_made() => {}
            _ => drop(self.0.remove(&participant)),
        }
    }

    /// The commands for the grace periods that are over. They become due again a little later, in case they have no
    /// effect.
    pub(super) fn due(&mut self, now: Instant) -> Vec<ClusterCommand> {
        let due = self.0.iter_mut().filter(|(_, (_, until))| *until <= now);
        due.map(|(participant, (generation, until))| {
            *until = now + AGAIN;
            ClusterCommand::Expire { participant: *participant, generation: *generation }
        })
        .collect()
    }

    /// Whether any is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.0.values().any(|(_, until)| *until <= now)
    }
}

/// How long after the end of a grace period this replica proposes the expiry.
pub(super) fn turn(cluster: &Cluster, own: Incarnation) -> Duration {
    let before = cluster.replicas().take_while(|(incarnation, _)| *incarnation < own).count();
    TURN * u32::try_from(before).unwrap_or(TURNS_MAX).min(TURNS_MAX)
}

/// When each of the other replicas last wrote.
#[derive(Debug)]
pub(super) struct LastWrites {
    by_replica: HashMap<Incarnation, Instant>,
    /// When the last message came from the log.
    any: Instant,
}

impl LastWrites {
    pub(super) fn new(now: Instant) -> Self {
        Self { by_replica: HashMap::new(), any: now }
    }

    /// Notes that messages of the log were applied. After a pause of the whole log no replica is suspected: the log or
    /// this replica was stalled.
    pub(super) fn note_progress(&mut self, now: Instant) {
        if now.duration_since(self.any) > 2 * BEAT {
            self.by_replica.values_mut().for_each(|wrote| *wrote = now);
        }
        self.any = now;
    }

    /// Notes that a batch of a replica was applied.
    pub(super) fn note_write(&mut self, replica: Incarnation, now: Instant) {
        self.by_replica.insert(replica, now);
    }

    /// The commands that remove the replicas that have been silent for too long.
    pub(super) fn silent(&mut self, cluster: &Cluster, own: Incarnation, now: Instant) -> Vec<ClusterCommand> {
        self.by_replica.retain(|replica, _| cluster.replica(*replica).is_some());
        let mut gone = Vec::new();
        for (incarnation, replica) in cluster.replicas().filter(|(incarnation, _)| *incarnation != own) {
            let wrote = self.by_replica.entry(incarnation).or_insert(now);
            if now.duration_since(*wrote) > SILENCE {
                *wrote += AGAIN;
                gone.push(ClusterCommand::Gone { replica: incarnation, batch: replica.batch });
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::chat::{Batch, Sequence};

    fn of_two() -> (Cluster, [Incarnation; 2]) {
        let mut cluster = Cluster::default();
        for (position, name) in [(1, "a"), (2, "b")] {
            let commands = vec![ClusterCommand::Start { name: name.into(), nonce: position }];
            let batch = Batch { from: Incarnation::NONE, number: 0, at: SystemTime::UNIX_EPOCH, commands };
            cluster.apply(position, &batch);
        }
        (cluster, [Incarnation(1), Incarnation(2)])
    }

    #[test]
    fn a_grace_period_runs_from_the_first_time_that_a_generation_is_detached_r5() {
        let (now, who) = (Instant::now(), ParticipantId(Sequence(1)));
        let detached = |generation| Some(Attachment { generation, replica: None });
        let mut graces = Graces::default();
        graces.set(who, detached(1), now + BEAT);
        graces.set(who, detached(1), now + 2 * BEAT);
        assert!(graces.due(now).is_empty() && graces.is_due(now + BEAT));
        let due = graces.due(now + BEAT);
        assert!(matches!(due[..], [ClusterCommand::Expire { participant, generation: 1 }] if participant == who));
        assert!(graces.due(now + BEAT).is_empty(), "once");
        graces.set(who, Some(Attachment { generation: 2, replica: Some(Incarnation(1)) }), now);
        assert!(graces.due(now + 9 * BEAT).is_empty());
    }

    #[test]
    fn the_removal_of_a_silent_replica_is_proposed_unless_the_log_stood_still_r6() {
        let (cluster, [own, other]) = of_two();
        let start = Instant::now();
        let mut writes = LastWrites::new(start);
        assert!(writes.silent(&cluster, own, start).is_empty());
        // This replica's own beats keep the log moving.
        let flowing = |writes: &mut LastWrites, from: Duration, seconds: u64| {
            (0..seconds).for_each(|second| writes.note_progress(start + from + Duration::from_secs(second)));
        };
        flowing(&mut writes, Duration::ZERO, 8);
        let gone = writes.silent(&cluster, own, start + Duration::from_secs(7));
        assert!(matches!(gone[..], [ClusterCommand::Gone { replica, batch: 0 }] if replica == other));
        writes.note_write(other, start + Duration::from_secs(7));
        assert!(writes.silent(&cluster, own, start + Duration::from_secs(8)).is_empty());
        // A stall of a minute.
        let later = Duration::from_secs(67);
        writes.note_progress(start + later);
        assert!(writes.silent(&cluster, own, start + later).is_empty());
        flowing(&mut writes, later, 8);
        assert_eq!(writes.silent(&cluster, own, start + later + Duration::from_secs(7)).len(), 1);
    }

    #[test]
    fn each_replica_has_its_turn_to_propose_an_expiry() {
        let (cluster, [first, second]) = of_two();
        assert_eq!((turn(&cluster, first), turn(&cluster, second)), (Duration::ZERO, TURN));
    }
}
