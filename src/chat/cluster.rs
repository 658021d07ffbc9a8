//! The conversation of several replicas as one state machine: the conversation, which replicas there are, and which of
//! them each session is attached to (specification, chapter 15).
//!
//! All replicas apply the same batches in the same order, so they reach the same state. A batch contains everything
//! that a decision needs; there is no clock, no randomness and no configuration here.

mod command;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync as Map;

use super::{Command, Conversation, Decision, Event, EventKind, ParticipantId, Receipt, Refusal, Sequence};

pub use command::{Batch, ClusterCommand, Incarnation};
#[cfg(test)]
pub use faults::ReplicaFault;

/// The replica that a session is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// How many times it has been attached. A command that names an older generation is void.
    pub generation: u64,
    /// The replica that serves its stream; none while its grace period runs.
    pub replica: Option<Incarnation>,
}

/// One start of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The name that its operator gave it.
    pub name: Arc<str>,
    /// A random number by which the replica recognizes its own start.
    pub nonce: u64,
    /// The number of its last batch that was applied.
    pub batch: u64,
}

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was applied.
    Applied,
    /// It had been applied before: its replica did not know, and sent it again.
    Repeated,
    /// Its replica has been removed, or the batch does not follow that replica's last one. The whole batch is ignored.
    Void,
}

/// The outcome of one command of a batch that was applied.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A session is attached to the replica that asked for it.
    Attached(Box<Attached>),
    /// The place of a publish or a leave in the order.
    Receipt(Receipt),
    /// Refused: nothing changed.
    Refused(Refusal),
    /// Anything else.
    Done,
}

/// A session that was attached.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The session's participant.
    pub participant: ParticipantId,
    /// The generation of the attachment.
    pub generation: u64,
    /// The event after which its stream begins.
    pub position: Sequence,
    /// Whether the session existed before.
    pub resumed: bool,
    /// The conversation right afterwards, for the Welcome.
    pub conversation: Conversation,
}

/// Why a replica no longer takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It had been silent for too long.
    Silent,
    /// It stopped in an orderly way.
    Stopped,
    /// It started again, or another process started under its name.
    StartedAgain,
}

impl Departure {
    /// Its name in log records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "SILENT",
            Self::Stopped => "STOPPED",
            Self::StartedAgain => "STARTED_AGAIN",
        }
    }
}

/// A replica that no longer takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneReplica {
    /// The start that has ended.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: Arc<str>,
    /// The reason.
    pub why: Departure,
}

/// The effects of a batch.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The outcome of the batch as a whole.
    pub fate: Fate,
    /// One for each command, if the batch was applied.
    pub outcomes: Vec<Outcome>,
    /// The new events of the conversation.
    pub events: Vec<Arc<Event>>,
    /// The participants whose attachments have changed.
    pub participants: BTreeSet<ParticipantId>,
    /// The replicas that have changed.
    pub replicas: BTreeSet<Incarnation>,
    /// The replicas that no longer take part.
    pub gone: Vec<GoneReplica>,
}

impl Applied {
    fn new(fate: Fate) -> Self {
        let (outcomes, events, gone) = (Vec::new(), Vec::new(), Vec::new());
        Self { fate, outcomes, events, participants: BTreeSet::new(), replicas: BTreeSet::new(), gone }
    }
}

/// The state after a batch. A clone costs a few pointers.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    conversation: Conversation,
    attachments: Map<ParticipantId, Attachment>,
    replicas: Map<Incarnation, Replica>,
}

impl Cluster {
    /// The state that a replica has recorded.
    pub fn recovered(
        conversation: Conversation,
        attachments: impl IntoIterator<Item = (ParticipantId, Attachment)>,
        replicas: impl IntoIterator<Item = (Incarnation, Replica)>,
    ) -> Self {
        let (attachments, replicas) = (attachments.into_iter().collect(), replicas.into_iter().collect());
        Self { conversation, attachments, replicas }
    }

    /// The conversation.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The attachment of a participant's session; `None` if the participant is not active.
    pub fn attachment(&self, participant: ParticipantId) -> Option<Attachment> {
        self.attachments.get(&participant).copied()
    }

    /// The attachments of all active participants.
    pub fn attachments(&self) -> impl Iterator<Item = (ParticipantId, Attachment)> {
        self.attachments.iter().map(|(participant, attachment)| (*participant, *attachment))
    }

    /// A replica that has started and is not gone.
    pub fn replica(&self, incarnation: Incarnation) -> Option<&Replica> {
        self.replicas.get(&incarnation)
    }

    /// All replicas that have started and are not gone.
    pub fn replicas(&self) -> impl Iterator<Item = (Incarnation, &Replica)> {
        self.replicas.iter().map(|(incarnation, replica)| (*incarnation, replica))
    }

    /// Applies the batch at a position of the log.
    ///
    /// A replica numbers its batches and has one in flight at a time. So the second copy of a batch has a number that
    /// was applied before, and a late batch of a removed replica comes from a replica that is no longer known.
    pub fn apply(&mut self, position: u64, batch: &Batch) -> Applied {
        if batch.from == Incarnation::NONE {
            return self.start(Incarnation(position), batch);
        }
        let Some(replica) = self.replicas.get_mut(&batch.from) else { return Applied::new(Fate::Void) };
        match batch.number {
            #[cfg(test)]
            _ if ReplicaFault::ApplyTwice.is_made() => replica.batch = replica.batch.max(batch.number),
            number if number <= replica.batch => return Applied::new(Fate::Repeated),
            number if number > replica.batch + 1 => return Applied::new(Fate::Void),
            number => replica.batch = number,
        }
        let mut applied = Applied::new(Fate::Applied);
        applied.replicas.insert(batch.from);
        for command in &batch.commands {
            let outcome = self.command(batch, command, &mut applied).unwrap_or_else(Outcome::Refused);
            applied.outcomes.push(outcome);
        }
        applied
    }

    /// Adds a replica that starts. This ends an earlier start under the same name.
    fn start(&mut self, incarnation: Incarnation, batch: &Batch) -> Applied {
        let [ClusterCommand::Start { name, nonce }] = &*batch.commands else { return Applied::new(Fate::Void) };
        let same_name = self.replicas.iter().find(|(_, replica)| replica.name == *name);
        let earlier = same_name.map(|(incarnation, replica)| (*incarnation, replica.nonce));
        if earlier.is_some_and(|(_, known)| known == *nonce) {
            return Applied::new(Fate::Repeated);
        }
        let mut applied = Applied::new(Fate::Applied);
        if let Some((earlier, _)) = earlier {
            self.remove(earlier, Departure::StartedAgain, &mut applied);
        }
        self.replicas.insert_mut(incarnation, Replica { name: name.clone(), nonce: *nonce, batch: 0 });
        applied.replicas.insert(incarnation);
        applied.outcomes.push(Outcome::Done);
        applied
    }

    fn command(
        &mut self,
        batch: &Batch,
        command: &ClusterCommand,
        applied: &mut Applied,
    ) -> Result<Outcome, Refusal> {
        Ok(match command {
            ClusterCommand::Join { display_name, session, sent } => {
                let (display_name, session, sent) = (display_name.clone(), *session, *sent);
                let receipt = self.happen(batch, Command::Join { display_name, session, sent }, applied)?;
                let participant = self.conversation.participant(session)?;
                self.attach(batch.from, participant, receipt.sequence.previous(), false, applied)
            }
            ClusterCommand::Attach { session, after } => {
                let participant = self.conversation.participant(*session)?;
                self.conversation.check_position(*after)?;
                // The first event of a session is its own Joined.
                let position = (*after).max(participant.0.previous());
                self.attach(batch.from, participant, position, true, applied)
            }
            ClusterCommand::Act(command) => Outcome::Receipt(self.happen(batch, command.clone(), applied)?),
            ClusterCommand::Detach { participant, generation } => {
                let here = Attachment { generation: *generation, replica: Some(batch.from) };
                if self.attachment(*participant) == Some(here) {
                    self.detach(*participant, applied);
                }
                Outcome::Done
            }
            ClusterCommand::Expire { participant, generation } => {
                let absent = Attachment { generation: *generation, replica: None };
                let is_over = self.attachment(*participant) == Some(absent);
                #[cfg(test)]
                let is_over = is_over || ReplicaFault::ExpireAnyway.is_made();
                if is_over {
                    self.happen(batch, Command::Expire { participant: *participant }, applied)?;
                }
                Outcome::Done
            }
            ClusterCommand::Gone { replica, batch } => {
                if self.replicas.get(replica).is_some_and(|known| known.batch == *batch) {
                    self.remove(*replica, Departure::Silent, applied);
                }
                Outcome::Done
            }
            ClusterCommand::Stop => {
                self.remove(batch.from, Departure::Stopped, applied);
                Outcome::Done
            }
            ClusterCommand::Beat | ClusterCommand::Start { .. } => Outcome::Done,
        })
    }

    fn happen(&mut self, batch: &Batch, command: Command, applied: &mut Applied) -> Result<Receipt, Refusal> {
        match self.conversation.apply(command, batch.at)? {
            Decision::Repeated(receipt) => Ok(receipt),
            Decision::Happened(event) => {
                let (receipt, participant) = (Receipt::from(&event), event.participant.id);
                if matches!(event.kind, EventKind::Left { .. }) {
                    self.attachments.remove_mut(&participant);
                    applied.participants.insert(participant);
                }
                applied.events.push(Arc::new(event));
                Ok(receipt)
            }
        }
    }

    fn attach(
        &mut self,
        to: Incarnation,
        participant: ParticipantId,
        position: Sequence,
        resumed: bool,
        applied: &mut Applied,
    ) -> Outcome {
        let generation = self.attachment(participant).map_or(1, |attachment| attachment.generation + 1);
        self.attachments.insert_mut(participant, Attachment { generation, replica: Some(to) });
        applied.participants.insert(participant);
        let conversation = self.conversation.clone();
        Outcome::Attached(Box::new(Attached { participant, generation, position, resumed, conversation }))
    }

    fn detach(&mut self, participant: ParticipantId, applied: &mut Applied) {
        if let Some(attachment) = self.attachments.get_mut(&participant) {
            attachment.replica = None;
            applied.participants.insert(participant);
        }
    }

    /// Removes a replica and detaches its sessions.
    fn remove(&mut self, incarnation: Incarnation, why: Departure, applied: &mut Applied) {
        let name = self.replicas.get(&incarnation).map(|replica| replica.name.clone());
        applied.gone.extend(name.map(|name| GoneReplica { incarnation, name, why }));
        self.replicas.remove_mut(&incarnation);
        applied.replicas.insert(incarnation);
        let is_there = |attachment: &Attachment| attachment.replica == Some(incarnation);
        let detached: Vec<_> =
            self.attachments().filter(|(_, at)| is_there(at)).map(|(participant, _)| participant).collect();
        detached.into_iter().for_each(|participant| self.detach(participant, applied));
    }
}
