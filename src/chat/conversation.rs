//! The conversation as one state machine (S3 to S6): commands in, decisions out.
//!
//! Deterministic and replayable: the result depends on nothing but the commands before it. It uses no wall clock, no
//! configuration and no hash map's order, so the same commands over a replicated log would give the same conversation
//! everywhere.
//!
//! A conversation is built from persistent trees: a clone costs a few pointers and shares the rest. To roll back, or
//! to read while it changes, keep a clone.

mod snapshot;

use std::time::SystemTime;

use rpds::RedBlackTreeMapSync as Map;

use super::dedup::DedupWindow;
use super::{
    DisplayName, Event, EventKind, LamportClock, LeaveReason, LogicalTime, MessageId, MessageText, NameKey,
    Participant, ParticipantId, Receipt, Refusal, Sequence, SessionKey,
};

pub use snapshot::{MemberState, SnapshotFault};

/// A request to change the conversation.
#[derive(Clone, Debug)]
pub enum Command {
    /// A new participant.
    Join {
        /// Its display name.
        display_name: DisplayName,
        /// Its session; never used before.
        session: SessionKey,
        /// The sender's Lamport clock in the request.
        sent: LogicalTime,
    },
    /// A message to everybody.
    Publish {
        /// The session of the writer.
        session: SessionKey,
        /// The text of the message.
        text: MessageText,
        /// The sender's own id for it.
        message_id: Option<MessageId>,
        /// The last event that has been delivered to the sender.
        seen: Sequence,
        /// The sender's Lamport clock in the request.
        sent: LogicalTime,
        /// The sender's wall clock in the request, for people only.
        sent_at: Option<SystemTime>,
    },
    /// A participant leaves.
    Leave {
        /// The session that leaves.
        session: SessionKey,
        /// The sender's Lamport clock in the request.
        sent: LogicalTime,
    },
    /// A participant's grace period is over. This has no sender, so it carries no time.
    Expire {
        /// The participant whose grace period is over.
        participant: ParticipantId,
    },
}

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A new event, to be broadcast to everybody.
    Happened(Event),
    /// A repeated publish: the original receipt, and no new event.
    Repeated(Receipt),
}

/// A recorded event that does not follow from the events before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence} does not follow from the events before it")]
pub struct Divergence {
    /// The position of the recorded event.
    pub sequence: Sequence,
    /// What the state machine decides for its command; `None` if the event names no active participant.
    pub derived: Option<Box<Result<Decision, Refusal>>>,
}

/// An active participant.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its display name.
    pub display_name: DisplayName,
    /// Its session.
    pub session: SessionKey,
    published: DedupWindow,
}

/// The state of the conversation after its newest event.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    clock: LamportClock,
    head: Sequence,
    members: Map<ParticipantId, Member>,
    by_session: Map<SessionKey, ParticipantId>,
    by_name: Map<NameKey, ParticipantId>,
}

impl Conversation {
    /// An empty conversation.
    pub fn new() -> Self {
        Self::default()
    }

    /// The position of the newest event.
    pub fn head(&self) -> Sequence {
        self.head
    }

    /// The logical time of the newest event.
    pub fn logical_time(&self) -> LogicalTime {
        self.clock.now()
    }

    /// How many participants are active.
    pub fn active(&self) -> usize {
        self.members.size()
    }

    /// The roster, in order of joining.
    pub fn roster(&self) -> impl Iterator<Item = (ParticipantId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// The active participant of a session.
    ///
    /// # Errors
    /// [`Refusal::SessionUnknown`].
    pub fn participant(&self, session: SessionKey) -> Result<ParticipantId, Refusal> {
        self.by_session.get(&session).copied().ok_or(Refusal::SessionUnknown)
    }

    /// An active participant, by id.
    pub fn member(&self, id: ParticipantId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// Checks a position that a client claims to have reached.
    ///
    /// # Errors
    /// [`Refusal::SequenceOutOfRange`] if it is after the newest event.
    pub fn check_position(&self, sequence: Sequence) -> Result<(), Refusal> {
        if sequence > self.head {
            return Err(Refusal::SequenceOutOfRange { sequence, head: self.head });
        }
        Ok(())
    }

    /// Decides one command. `at` is written into the event and never read.
    ///
    /// The time of the event is L(n) = max(L(n-1), t) + 2: one step for the receipt of the command, one for
    /// the broadcast.
    ///
    /// # Errors
    /// A [`Refusal`]; it changes nothing, not even the clock.
    pub fn apply(&mut self, command: Command, at: SystemTime) -> Result<Decision, Refusal> {
        let (participant, sent, kind) = match command {
            Command::Join { display_name, session, sent } => {
                if self.by_name.contains_key(&display_name.key()) {
                    return Err(Refusal::NameTaken);
                }
                let id = ParticipantId(self.head.next());
                (Participant { id, display_name }, sent, EventKind::Joined { session })
            }
            Command::Publish { session, text, message_id, seen, sent, sent_at } => {
                let participant = self.participant(session)?;
                if let Some(receipt) = self.receipt(participant, message_id.as_ref()) {
                    return Ok(Decision::Repeated(receipt));
                }
                self.check_position(seen)?;
                (self.named(participant)?, sent, EventKind::Message { text, message_id, seen, sent_at })
            }
            Command::Leave { session, sent } => {
                let participant = self.participant(session)?;
                (self.named(participant)?, sent, EventKind::Left { reason: LeaveReason::Requested })
            }
            Command::Expire { participant } => {
                let kind = EventKind::Left { reason: LeaveReason::Disconnected };
                (self.named(participant)?, LogicalTime::default(), kind)
            }
        };
        let logical_time = self.next_time(sent)?;
        let sequence = self.head.next();
        let event = Event { sequence, logical_time, sent_logical_time: sent, recorded_at: at, participant, kind };
        self.evolve(&event);
        Ok(Decision::Happened(event))
    }

    /// Applies a recorded event again and checks that the state machine would record exactly the same.
    ///
    /// # Errors
    /// [`Divergence`], after which this conversation can no longer be used.
    pub fn replay(&mut self, recorded: &Event) -> Result<(), Divergence> {
        let derived = self.command_of(recorded).map(|command| self.apply(command, recorded.recorded_at));
        match derived {
            Some(Ok(Decision::Happened(event))) if event == *recorded => Ok(()),
            derived => Err(Divergence { sequence: recorded.sequence, derived: derived.map(Box::new) }),
        }
    }

    fn command_of(&self, event: &Event) -> Option<Command> {
        let sent = event.sent_logical_time;
        let speaker = self.members.get(&event.participant.id).map(|member| member.session);
        Some(match &event.kind {
            EventKind::Joined { session } => {
                Command::Join { display_name: event.participant.display_name.clone(), session: *session, sent }
            }
            EventKind::Message { text, message_id, seen, sent_at } => Command::Publish {
                session: speaker?,
                text: text.clone(),
                message_id: message_id.clone(),
                seen: *seen,
                sent,
                sent_at: *sent_at,
            },
            EventKind::Left { reason: LeaveReason::Requested } => Command::Leave { session: speaker?, sent },
            EventKind::Left { reason: LeaveReason::Disconnected } => {
                Command::Expire { participant: event.participant.id }
            }
        })
    }

    fn named(&self, id: ParticipantId) -> Result<Participant, Refusal> {
        let member = self.members.get(&id).ok_or(Refusal::SessionUnknown)?;
        Ok(Participant { id, display_name: member.display_name.clone() })
    }

    fn receipt(&self, participant: ParticipantId, id: Option<&MessageId>) -> Option<Receipt> {
        self.members.get(&participant)?.published.receipt(id?)
    }

    fn next_time(&self, sent: LogicalTime) -> Result<LogicalTime, Refusal> {
        let latest = self.clock.latest_admissible();
        if sent > latest {
            return Err(Refusal::ClockOutOfRange { time: sent, latest });
        }
        let mut clock = self.clock;
        clock.receive(sent);
        Ok(clock.tick())
    }

    fn evolve(&mut self, event: &Event) {
        let id = event.participant.id;
        self.head = event.sequence;
        self.clock = LamportClock::starting_at(event.logical_time);
        match &event.kind {
            EventKind::Joined { session } => {
                let display_name = event.participant.display_name.clone();
                self.by_name.insert_mut(display_name.key(), id);
                self.by_session.insert_mut(*session, id);
                let member = Member { display_name, session: *session, published: DedupWindow::default() };
                self.members.insert_mut(id, member);
            }
            EventKind::Left { .. } => {
                if let Some(member) = self.members.get(&id) {
                    self.by_name.remove_mut(&member.display_name.key());
                    self.by_session.remove_mut(&member.session);
                }
                self.members.remove_mut(&id);
            }
            EventKind::Message { message_id: Some(message_id), .. } => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.published.insert(message_id, Receipt::from(event));
                }
            }
            EventKind::Message { message_id: None, .. } => {}
        }
    }
}
