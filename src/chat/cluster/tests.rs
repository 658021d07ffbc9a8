use std::time::{Duration, SystemTime};

use super::*;
use crate::chat::{DisplayName, LeaveReason, LogicalTime, MessageText, SessionKey};

/// A log, and the state after the batches stored in it.
#[derive(Default)]
struct Log {
    cluster: Cluster,
    position: u64,
    stored: Vec<Batch>,
}

const ANNA: SessionKey = SessionKey([1; 32]);

impl Log {
    fn store(&mut self, batch: Batch) -> Applied {
        self.position += 1;
        self.stored.push(batch.clone());
        self.cluster.apply(self.position, &batch)
    }

    fn start(&mut self, name: &str, nonce: u64) -> Incarnation {
        let commands = vec![ClusterCommand::Start { name: name.into(), nonce }];
        self.store(Batch { from: Incarnation::NONE, number: 0, at: SystemTime::UNIX_EPOCH, commands });
        Incarnation(self.position)
    }

    fn next(&self, from: Incarnation, command: ClusterCommand) -> Batch {
        let number = self.cluster.replica(from).map_or(1, |replica| replica.batch + 1);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(self.position);
        Batch { from, number, at, commands: vec![command] }
    }

    fn send(&mut self, from: Incarnation, command: ClusterCommand) -> Applied {
        let batch = self.next(from, command);
        self.store(batch)
    }

    fn join(&mut self, at: Incarnation) -> Attached {
        let display_name = DisplayName::parse("anna").unwrap();
        attached(self.send(at, ClusterCommand::Join { display_name, session: ANNA, sent: LogicalTime(1) }))
    }

    fn attach(&mut self, at: Incarnation) -> Attached {
        attached(self.send(at, ClusterCommand::Attach { session: ANNA, after: Sequence(1) }))
    }

    fn events(&mut self, from: Incarnation, command: ClusterCommand) -> usize {
        self.send(from, command).events.len()
    }
}

fn attached(mut applied: Applied) -> Attached {
    match applied.outcomes.pop() {
        Some(Outcome::Attached(attached)) => *attached,
        other => panic!("{other:?}"),
    }
}

fn publish() -> ClusterCommand {
    let (text, seen, sent) = (MessageText::parse("hi").unwrap(), Sequence(1), LogicalTime(2));
    ClusterCommand::Act(Command::Publish { session: ANNA, text, message_id: None, seen, sent, sent_at: None })
}

#[test]
fn a_batch_that_is_stored_twice_is_applied_once_r3() {
    let mut log = Log::default();
    let a = log.start("a", 1);
    log.join(a);
    let batch = log.next(a, publish());
    assert_eq!(log.store(batch.clone()).events.len(), 1);
    let again = log.store(batch);
    assert_eq!((again.fate, again.events.len(), again.outcomes.len()), (Fate::Repeated, 0, 0));
    assert_eq!(log.cluster.conversation().head(), Sequence(2));
}

#[test]
fn a_batch_that_skips_a_number_or_comes_from_a_replica_that_is_gone_is_void_r3() {
    let mut log = Log::default();
    let (a, b) = (log.start("a", 1), log.start("b", 2));
    log.join(a);
    let mut skips = log.next(a, publish());
    skips.number += 1;
    assert_eq!(log.store(skips).fate, Fate::Void);
    let late = log.next(a, publish());
    log.send(b, ClusterCommand::Gone { replica: a, batch: 1 });
    assert_eq!(log.store(late).fate, Fate::Void);
    // A start that was delayed brings back neither the replica nor its batches.
    log.start("a", 1);
    assert_eq!(log.send(a, publish()).fate, Fate::Void);
    assert_eq!(log.cluster.conversation().head(), Sequence(1));
}

#[test]
fn a_session_is_attached_to_the_replica_that_attached_it_last_r4() {
    let mut log = Log::default();
    let (a, b) = (log.start("a", 1), log.start("b", 2));
    let joined = log.join(a);
    let moved = log.attach(b);
    assert_eq!((joined.generation, moved.generation, moved.resumed), (1, 2, true));
    let who = joined.participant;
    // The end of the older stream does not detach the newer one.
    log.send(a, ClusterCommand::Detach { participant: who, generation: 1 });
    assert_eq!(log.cluster.attachment(who), Some(Attachment { generation: 2, replica: Some(b) }));
    log.send(b, ClusterCommand::Detach { participant: who, generation: 2 });
    assert_eq!(log.cluster.attachment(who), Some(Attachment { generation: 2, replica: None }));
}

#[test]
fn an_expiry_is_void_if_the_session_has_been_attached_since_r5() {
    let mut log = Log::default();
    let (a, b) = (log.start("a", 1), log.start("b", 2));
    let who = log.join(a).participant;
    let expire = |generation| ClusterCommand::Expire { participant: who, generation };
    assert_eq!(log.events(b, expire(1)), 0, "it is attached");
    log.send(a, ClusterCommand::Detach { participant: who, generation: 1 });
    log.attach(b);
    log.send(b, ClusterCommand::Detach { participant: who, generation: 2 });
    assert_eq!(log.events(a, expire(1)), 0, "it was attached since");
    let applied = log.send(a, expire(2));
    assert!(matches!(applied.events[0].kind, EventKind::Left { reason: LeaveReason::Disconnected }));
    assert_eq!(log.cluster.attachment(who), None);
    assert_eq!(log.events(b, expire(2)), 0, "it has left");
}

#[test]
fn a_silent_replica_is_removed_unless_it_has_written_meanwhile_r6() {
    let mut log = Log::default();
    let (a, b) = (log.start("a", 1), log.start("b", 2));
    let who = log.join(a).participant;
    log.send(a, ClusterCommand::Beat);
    log.send(b, ClusterCommand::Gone { replica: a, batch: 1 });
    assert!(log.cluster.replica(a).is_some(), "a batch came in between");
    log.send(b, ClusterCommand::Gone { replica: a, batch: 2 });
    assert_eq!((log.cluster.replica(a), log.cluster.replicas().count()), (None, 1));
    assert_eq!(log.cluster.attachment(who), Some(Attachment { generation: 1, replica: None }));
}

#[test]
fn a_stop_or_a_start_under_the_same_name_ends_the_earlier_start_r6() {
    let mut log = Log::default();
    let first = log.start("a", 1);
    let who = log.join(first).participant;
    let second = log.start("a", 2);
    assert_eq!((log.cluster.replica(first), log.cluster.replica(second).map(|a| a.nonce)), (None, Some(2)));
    assert_eq!(log.cluster.attachment(who).unwrap().replica, None);
    log.attach(second);
    log.send(second, ClusterCommand::Stop);
    assert_eq!((log.cluster.replicas().count(), log.cluster.attachment(who).unwrap().replica), (0, None));
}

#[test]
fn the_same_log_leads_to_the_same_state_from_any_recorded_position_r1() {
    let mut log = Log::default();
    let (a, b) = (log.start("a", 1), log.start("b", 2));
    log.join(a);
    log.send(b, publish());
    log.attach(b);
    log.send(b, ClusterCommand::Stop);
    let fingerprint = |cluster: &Cluster| {
        let members: Vec<_> = cluster.attachments().collect();
        let replicas: Vec<_> = cluster.replicas().map(|(which, replica)| (which, replica.clone())).collect();
        (cluster.conversation().head(), cluster.conversation().logical_time(), members, replicas)
    };
    for cut in 0..log.stored.len() {
        let mut first = Cluster::default();
        let place = |at: usize| at as u64 + 1;
        log.stored[..cut].iter().enumerate().for_each(|(at, batch)| drop(first.apply(place(at), batch)));
        let replicas: Vec<_> = first.replicas().map(|(which, replica)| (which, replica.clone())).collect();
        let mut second = Cluster::recovered(first.conversation().clone(), first.attachments(), replicas);
        log.stored[cut..].iter().enumerate().for_each(|(at, batch)| drop(second.apply(place(cut + at), batch)));
        assert_eq!(fingerprint(&second), fingerprint(&log.cluster), "from {cut} on");
    }
}
