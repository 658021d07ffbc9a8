//! The lab's calls without the wire: parses them, changes the table, and describes it. The lab's RPCs and its stage use it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::control::Lab;
use super::faults::{
    Change, DELAY_MAX, FAULT_TIME_DEFAULT, FAULT_TIME_MAX, Fault, Impairment, Release, WRITER_STOP_DEFAULT,
    WRITER_STOP_MAX,
};
use super::queues::HeldRequest;
use crate::chat::{Conversation, ParticipantId, Sequence};
use crate::journal::{History, JournalEvent};
use crate::server::core::feed::FeedReader;
use crate::wire::{self, Rejection, pb};

/// How many of a participant's held deliveries are shown.
const DELIVERIES_SHOWN_MAX: usize = 5;
/// How many events an observer reads at a time.
const OBSERVED_AT_A_TIME: usize = 100;

/// A running lab. Clones share it.
#[derive(Clone)]
pub struct LabHandle {
    lab: Lab,
    reader: FeedReader,
    changes: watch::Receiver<()>,
    history: Arc<dyn History>,
}

impl fmt::Debug for LabHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabHandle")
    }
}

impl LabHandle {
    /// The lab of a service that has this feed and this journal.
    pub(in crate::server) fn new(
        lab: Lab,
        reader: FeedReader,
        changes: watch::Receiver<()>,
        history: Arc<dyn History>,
    ) -> Self {
        Self { lab, reader, changes, history }
    }

    /// Access to the table of faults.
    pub(super) fn control(&self) -> Lab {
        self.lab.clone()
    }

    /// The active participants, in order of joining.
    pub fn roster(&self) -> Vec<pb::Participant> {
        let conversation = self.lab.conversation();
        conversation
            .roster()
            .map(|(participant, member)| pb::Participant {
                participant_id: participant.to_string(),
                display_name: member.display_name.to_string(),
            })
            .collect()
    }

    /// The sequence of the newest event.
    pub fn head(&self) -> u64 {
        self.reader.head().0
    }

    /// How many of a participant's requests the lab holds.
    pub fn publishes_held(&self, display_name: &str) -> usize {
        self.lab.find(display_name).map_or(0, |(participant, _)| self.lab.queues().held(participant))
    }

    /// Follows the conversation from here on, without taking part. No fault affects it.
    pub fn observe(&self) -> LabObserver {
        let position = self.reader.head();
        let (reader, changes, history) = (self.reader.clone(), self.changes.clone(), self.history.clone());
        LabObserver { reader, changes, history, position, read: VecDeque::new() }
    }

    /// Sets the faults of a participant.
    pub fn set_fault(&self, request: &pb::SetFaultRequest) -> Result<pb::LabParticipant, Rejection> {
        let (participant, name) = self.lab.find(&request.display_name)?;
        let fault = request.fault.as_ref().map(parse_fault).transpose()?;
        if fault.unwrap_or_default() == Fault::default() && !request.disconnect {
            return Err(invalid("fault", "the request names no fault".into()));
        }
        let duration = parse_duration(request.duration, "duration", FAULT_TIME_DEFAULT, FAULT_TIME_MAX)?;
        if duration.is_zero() {
            return Err(invalid("duration", "a fault needs a time greater than zero".into()));
        }
        self.lab.set(participant, &name, Change { fault, disconnect: request.disconnect, duration });
        self.described(participant, &request.display_name)
    }

    /// Releases some of a participant's held messages.
    pub fn release_held(&self, request: &pb::ReleaseHeldRequest) -> Result<pb::LabParticipant, Rejection> {
        let (participant, name) = self.lab.find(&request.display_name)?;
        let (count, direction) = ((request.count > 0).then_some(request.count), request.direction());
        let deliveries = direction != pb::Direction::Publishes;
        let publishes = direction != pb::Direction::Deliveries;
        self.lab.release(participant, &name, Release { count, deliveries, publishes });
        self.described(participant, &request.display_name)
    }

    /// Ends the faults of one participant, or with an empty name all faults.
    pub fn clear_faults(&self, display_name: &str) -> Result<(), Rejection> {
        let participant = match display_name {
            "" => None,
            name => Some(self.lab.find(name)?.0),
        };
        self.lab.clear(participant);
        Ok(())
    }

    /// Stops the writer for a while.
    pub fn stop_writer(&self, request: &pb::StopWriterRequest) -> Result<(), Rejection> {
        let duration = parse_duration(request.duration, "duration", WRITER_STOP_DEFAULT, WRITER_STOP_MAX)?;
        if duration.is_zero() {
            return Err(invalid("duration", "a stop needs a time greater than zero".into()));
        }
        self.lab.stop_writer(duration);
        Ok(())
    }

    /// For how much longer the writer is stopped.
    pub(super) fn writer_stopped_for(&self) -> Option<prost_types::Duration> {
        let stopped = self.lab.subscribe().borrow().writer_stopped_until();
        stopped.and_then(remaining)
    }

    /// All active participants, with their faults and their held messages.
    pub(super) async fn participants(&self) -> Vec<pb::LabParticipant> {
        let conversation = self.lab.conversation();
        let roster: Vec<ParticipantId> = conversation.roster().map(|(participant, _)| participant).collect();
        let mut participants = Vec::with_capacity(roster.len());
        for participant in roster {
            let Some(mut described) = self.describe(participant, &conversation) else { continue };
            described.next_deliveries = self.next_deliveries(participant, conversation.head()).await;
            participants.push(described);
        }
        participants
    }

    async fn next_deliveries(&self, participant: ParticipantId, head: Sequence) -> Vec<pb::Event> {
        let table = self.lab.subscribe();
        let held = table.borrow().deliveries_held(participant, head);
        let shown = usize::try_from(held).map_or(DELIVERIES_SHOWN_MAX, |held| held.min(DELIVERIES_SHOWN_MAX));
        if shown == 0 {
            return Vec::new();
        }
        let read = self.history.read(Sequence(head.0 - held), shown).await;
        read.iter().flatten().map(pb::Event::from).collect()
    }

    fn described(&self, participant: ParticipantId, name: &str) -> Result<pb::LabParticipant, Rejection> {
        let described = self.describe(participant, &self.lab.conversation());
        described.ok_or_else(|| Rejection::NameUnknown(name.to_owned()))
    }

    fn describe(&self, participant: ParticipantId, conversation: &Conversation) -> Option<pb::LabParticipant> {
        let member = conversation.member(participant)?;
        let table = self.lab.subscribe();
        let table = table.borrow();
        let active = table.get(participant).filter(|active| active.fault != Fault::default());
        Some(pb::LabParticipant {
            participant: Some(pb::Participant {
                participant_id: participant.to_string(),
                display_name: member.display_name.to_string(),
            }),
            fault: active.map(|active| fault_message(&active.fault)),
            ends_in: active.and_then(|active| remaining(active.ends_at)),
            deliveries_held: table.deliveries_held(participant, conversation.head()),
            publishes_held: u32::try_from(self.lab.queues().held(participant)).unwrap_or(u32::MAX),
            from_sequence: active.map_or(0, |active| active.from.0),
            companion: None,
            next_deliveries: Vec::new(),
            held_requests: self.lab.queues().held_requests(participant).into_iter().map(held_request).collect(),
        })
    }
}

/// Follows a conversation, event by event.
pub struct LabObserver {
    reader: FeedReader,
    changes: watch::Receiver<()>,
    history: Arc<dyn History>,
    position: Sequence,
    read: VecDeque<JournalEvent>,
}

impl LabObserver {
    /// The next event; `None` once the service has stopped or its journal cannot be read.
    pub async fn next(&mut self) -> Option<pb::Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(pb::Event::from(&event));
            }
            // Before the head is read, so that events that are published meanwhile count as a change.
            self.changes.mark_unchanged();
            let head = self.reader.head();
            if self.position < head {
                let read = self.history.read(self.position, OBSERVED_AT_A_TIME).await.ok()?;
                self.read.extend(read.into_iter().filter(|event| event.sequence <= head));
                self.position = self.read.back()?.sequence;
            } else {
                self.changes.changed().await.ok()?;
            }
        }
    }
}

fn held_request(request: HeldRequest) -> pb::HeldRequest {
    match request {
        HeldRequest::Publish(text) => pb::HeldRequest { text: text.to_string() },
        HeldRequest::Leave => pb::HeldRequest::default(),
    }
}

fn invalid(field: &'static str, why: String) -> Rejection {
    Rejection::FaultInvalid { field, why }
}

fn remaining(until: Instant) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(until.saturating_duration_since(Instant::now())).ok()
}

/// Parses a duration. `field` is its path in the request.
fn parse_duration(
    duration: Option<prost_types::Duration>,
    field: &'static str,
    default: Duration,
    longest: Duration,
) -> Result<Duration, Rejection> {
    let Some(duration) = duration else { return Ok(default) };
    let parsed = wire::duration(duration).filter(|duration| *duration <= longest);
    let name = field.rsplit('.').next().unwrap_or(field);
    parsed.ok_or_else(|| invalid(field, format!("{name} should be from 0 to {} s", longest.as_secs())))
}

fn parse_fault(fault: &pb::Fault) -> Result<Fault, Rejection> {
    let parse = |impairment: &Option<pb::Impairment>, paths: [&'static str; 2]| -> Result<Impairment, Rejection> {
        let Some(impairment) = impairment else { return Ok(Impairment::default()) };
        let [delay, jitter] = paths;
        Ok(Impairment {
            hold: impairment.hold,
            cut: impairment.cut,
            delay: parse_duration(impairment.delay, delay, Duration::ZERO, DELAY_MAX)?,
            jitter: parse_duration(impairment.jitter, jitter, Duration::ZERO, DELAY_MAX)?,
        })
    };
    Ok(Fault {
        deliveries: parse(&fault.deliveries, ["fault.deliveries.delay", "fault.deliveries.jitter"])?,
        publishes: parse(&fault.publishes, ["fault.publishes.delay", "fault.publishes.jitter"])?,
        pause: fault.pause,
    })
}

fn fault_message(fault: &Fault) -> pb::Fault {
    let message = |impairment: &Impairment| {
        let duration = |duration: Duration| {
            (!duration.is_zero()).then(|| prost_types::Duration::try_from(duration).unwrap_or_default())
        };
        let present = *impairment != Impairment::default();
        present.then(|| pb::Impairment {
            hold: impairment.hold,
            cut: impairment.cut,
            delay: duration(impairment.delay),
            jitter: duration(impairment.jitter),
        })
    };
    pb::Fault { deliveries: message(&fault.deliveries), publishes: message(&fault.publishes), pause: fault.pause }
}
