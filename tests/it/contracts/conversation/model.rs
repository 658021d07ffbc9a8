//! The conversation as a list of events: slow, simple, and sharing no code with the real one.

use chitchat::chat::{
    CLOCK_LEAP_MAX, Command, Event, EventKind, LeaveReason, LogicalTime, ParticipantId, Receipt, Refusal,
    Sequence, SessionKey,
};
use proptest::prelude::*;

use super::Sight;
use super::commands::{NAMES, key};

/// The state so far.
#[derive(Default)]
pub struct Model {
    events: Vec<Event>,
    sessions: usize,
}

/// What a person would read in a name, as a number from [`NAMES`].
fn look(name: &str) -> u8 {
    // The RFC 8266 form of a name can differ from the given form, but still looks the same.
    NAMES.iter().find(|(given, _)| *given == name).map_or(0, |(_, look)| *look)
}

impl Model {
    pub fn new_session(&mut self) -> SessionKey {
        self.sessions += 1;
        key(self.sessions - 1)
    }

    /// The newest sequence and time.
    pub fn position(&self) -> (u64, u64) {
        self.events.last().map_or((0, 0), |event| (event.sequence.0, event.logical_time.0))
    }

    /// The Joined events of the active participants.
    fn members(&self) -> impl Iterator<Item = (&Event, SessionKey)> {
        let has_left = |id: ParticipantId| {
            self.events
                .iter()
                .any(|event| event.participant.id == id && matches!(event.kind, EventKind::Left { .. }))
        };
        self.events.iter().filter_map(move |event| match event.kind {
            EventKind::Joined { session } if !has_left(event.participant.id) => Some((event, session)),
            _ => None,
        })
    }

    pub fn sight(&self) -> Sight {
        let (head, now) = self.position();
        let roster = self
            .members()
            .map(|(joined, session)| (joined.participant.id, joined.participant.display_name.clone(), session));
        (Sequence(head), LogicalTime(now), roster.collect())
    }

    /// The sender of a command, if it is an active participant.
    fn speaker(&self, command: &Command) -> Option<&Event> {
        let (Command::Publish { session, .. } | Command::Leave { session, .. }) = command else { return None };
        self.members().find(|(_, of)| of == session).map(|(joined, _)| joined)
    }

    /// The event of an earlier publish with the same id in the same session.
    fn earlier(&self, command: &Command) -> Option<&Event> {
        let Command::Publish { message_id: Some(id), .. } = command else { return None };
        let speaker = self.speaker(command)?.participant.id;
        self.events.iter().find(|event| {
            let same = matches!(&event.kind, EventKind::Message { message_id: Some(of), .. } if of == id);
            same && event.participant.id == speaker
        })
    }

    /// Everything that is wrong with a command.
    fn faults(&self, command: &Command) -> Vec<Refusal> {
        let (head, now) = self.position();
        let mut faults = Vec::new();
        let sent = match command {
            Command::Join { display_name, sent, .. } => {
                let look_of = |joined: &Event| look(joined.participant.display_name.as_str());
                if self.members().any(|(joined, _)| look_of(joined) == look(display_name.as_str())) {
                    faults.push(Refusal::NameTaken);
                }
                *sent
            }
            Command::Publish { seen, sent, .. } => {
                if seen.0 > head {
                    faults.push(Refusal::SequenceOutOfRange { sequence: *seen, head: Sequence(head) });
                }
                *sent
            }
            Command::Leave { sent, .. } => *sent,
            Command::Expire { participant } => {
                if !self.members().any(|(joined, _)| joined.participant.id == *participant) {
                    faults.push(Refusal::SessionUnknown);
                }
                LogicalTime(0)
            }
        };
        if matches!(command, Command::Publish { .. } | Command::Leave { .. }) && self.speaker(command).is_none() {
            faults.push(Refusal::SessionUnknown);
        }
        let latest = now + CLOCK_LEAP_MAX;
        if sent.0 > latest {
            faults.push(Refusal::ClockOutOfRange { time: sent, latest: LogicalTime(latest) });
        }
        faults
    }

    /// A refusal is correct if the command has that fault and is not a repeat.
    pub fn check_refusal(&self, command: &Command, refusal: &Refusal) -> Result<(), TestCaseError> {
        prop_assert!(self.earlier(command).is_none(), "a repeat gets its answer: {command:?}");
        prop_assert!(self.faults(command).contains(refusal), "{refusal:?} to {command:?}");
        Ok(())
    }

    /// A repeat must get the answer to the first.
    pub fn check_repeated(&self, command: &Command, receipt: Receipt) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.earlier(command).map(Receipt::from), Some(receipt));
        Ok(())
    }

    /// An event is correct if the command has no fault and is not a repeat, and the event has all of its content.
    pub fn check_event(&mut self, command: &Command, event: &Event) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.faults(command), [], "{:?}", command);
        prop_assert!(self.earlier(command).is_none(), "{command:?}");
        let (head, now) = self.position();
        let (who, sent, kind) = match command.clone() {
            Command::Join { session, sent, display_name } => {
                prop_assert_eq!(&event.participant.display_name, &display_name);
                (None, sent, EventKind::Joined { session })
            }
            Command::Publish { text, message_id, seen, sent, sent_at, .. } => {
                (self.speaker(command), sent, EventKind::Message { text, message_id, seen, sent_at })
            }
            Command::Leave { sent, .. } => {
                (self.speaker(command), sent, EventKind::Left { reason: LeaveReason::Requested })
            }
            Command::Expire { participant } => {
                let who = self.members().find(|(joined, _)| joined.participant.id == participant);
                let kind = EventKind::Left { reason: LeaveReason::Disconnected };
                (who.map(|(joined, _)| joined), LogicalTime(0), kind)
            }
        };
        match who {
            Some(joined) => prop_assert_eq!(&event.participant, &joined.participant),
            None => prop_assert_eq!(event.participant.id.0, event.sequence, "a newcomer's id is its position"),
        }
        prop_assert_eq!((event.sent_logical_time, &event.kind), (sent, &kind));
        prop_assert_eq!(event.sequence.0, head + 1);
        prop_assert_eq!(event.logical_time.0, now.max(sent.0) + 2);
        self.events.push(event.clone());
        Ok(())
    }
}
