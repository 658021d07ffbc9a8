//! Checks frames and answers of the service. A client accepts nothing that breaks the contract or contradicts what it
//! received before. It drops the stream instead, so false data reaches neither its user nor its clock.
//!
//! A service can still lie within these rules, differently to each participant. Only the logs of several participants
//! show that (`chitchat verify`).

pub(super) mod receipts;
pub(super) mod roster;

use std::collections::HashSet;
use std::time::Duration;

use crate::chat::{
    LogicalTime, MESSAGE_ID_BYTES_MAX, NAME_CHARACTERS_MAX, Sequence, TEXT_CHARACTERS_MAX, membership_sentence,
};
use crate::client::event::{Event, Kind, ParticipantInfo, read};
use crate::wire::{duration, pb};

/// The largest sequence or time that is accepted. A journal stores 63 bits of each, and whatever a client adds to them
/// fits in 64.
const NUMBER_MAX: u64 = i64::MAX as u64;
/// The longest token, epoch, participant id or chain hash, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 256;
/// How many participants a roster may have.
pub(super) const ROSTER_MAX: usize = 100_000;

/// How a service broke the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum ProtocolFault {
    /// The first frame of a stream is not a Welcome.
    #[error("a stream began without a Welcome")]
    NoWelcome,
    /// A Welcome on a stream that has already begun with one.
    #[error("a stream had a second Welcome")]
    SecondWelcome,
    /// The roster of the Welcome lacks this participant.
    #[error("the roster lacks this participant")]
    NotInRoster,
    /// The roster has too many participants, or one of them twice.
    #[error("the roster has more than {ROSTER_MAX} participants, or one of them twice")]
    Roster,
    /// An identifier is missing, or longer than the contract allows.
    #[error("the {0} is missing or too long")]
    Text(&'static str),
    /// A number that no service can reach.
    #[error("{0} is not a credible sequence or time")]
    Number(u64),
    /// A resume in a different epoch or as a different participant.
    #[error("it resumed a different session from the one that was asked for")]
    OtherSession,
    /// The conversation is shorter than the part of it that has been delivered.
    #[error("its newest event is {head}, but event {position} has been delivered")]
    Behind { head: Sequence, position: Sequence },
    /// An event that does not follow the last one.
    #[error("event {sequence} came where event {expected} was due")]
    Order { sequence: Sequence, expected: Sequence },
    /// A membership that does not begin with its Joined.
    #[error("the first event is not this participant's own join")]
    FirstEvent,
    /// A time that is not later than the one before.
    #[error("event {sequence} has logical time {logical_time}, which is not later than {before}")]
    Time { sequence: Sequence, logical_time: LogicalTime, before: LogicalTime },
    /// An event without a kind or a participant.
    #[error("event {0} lacks its kind or its participant")]
    Incomplete(Sequence),
    /// Content that no event of its kind can have.
    #[error("event {0} has content that its kind cannot have")]
    Content(Sequence),
    /// A message whose writer claims to have seen it, or a later event, before writing it.
    #[error("event {0} says that its writer had seen it before writing it")]
    Seen(Sequence),
    /// The replay ended too early, or at the wrong event.
    #[error(
        "the replay ended at event {sequence}, but the last event was {position}, and events up to {head} were promised"
    )]
    CaughtUp { sequence: Sequence, position: Sequence, head: Sequence },
    /// The service sends heartbeats instead of events.
    #[error("there are events after {position}, but the service sends heartbeats instead")]
    Withheld { position: Sequence },
    /// A message has a different event in the stream than in its acknowledgement.
    #[error("a message was acknowledged as event {acknowledged}, which is not its event in the stream")]
    Acknowledgement { acknowledged: Sequence },
    /// The service sent more earlier events than were asked for.
    #[error("the service sent more earlier events than were asked for")]
    Page,
}

/// A Welcome that has been checked.
#[derive(Debug)]
pub(super) struct CheckedWelcome {
    pub(super) token: String,
    pub(super) epoch: String,
    pub(super) me: ParticipantInfo,
    pub(super) head: Sequence,
    pub(super) logical_time: LogicalTime,
    pub(super) resumed: bool,
    pub(super) roster: Vec<ParticipantInfo>,
    pub(super) heartbeat: Option<Duration>,
}

/// Checks a Welcome by itself, without the state of the client.
pub(super) fn welcome(welcome: pb::Welcome) -> Result<CheckedWelcome, ProtocolFault> {
    identifier(&welcome.session_token, "session token")?;
    identifier(&welcome.epoch, "epoch")?;
    let (head, logical_time) = (number(welcome.head_sequence)?, number(welcome.logical_time)?);
    if welcome.participants.len() > ROSTER_MAX {
        return Err(ProtocolFault::Roster);
    }
    let roster = welcome.participants.into_iter().map(participant).collect::<Result<Vec<_>, _>>()?;
    let ids: HashSet<&str> = roster.iter().map(|member| &*member.participant_id).collect();
    if ids.len() < roster.len() {
        return Err(ProtocolFault::Roster);
    }
    let me = roster.iter().find(|member| member.participant_id == welcome.participant_id).cloned();
    Ok(CheckedWelcome {
        token: welcome.session_token,
        epoch: welcome.epoch,
        me: me.ok_or(ProtocolFault::NotInRoster)?,
        head: Sequence(head),
        logical_time: LogicalTime(logical_time),
        resumed: welcome.resumed,
        roster,
        heartbeat: welcome.heartbeat_interval.and_then(duration),
    })
}

/// Checks that an event is the expected one, later than `before`, and complete. `expected` is `None` for a membership's
/// first event, whose sequence is not known in advance.
pub(super) fn event(
    event: pb::Event,
    expected: Option<Sequence>,
    before: LogicalTime,
    epoch: &str,
) -> Result<Event, ProtocolFault> {
    let sequence = Sequence(number(event.sequence)?);
    match expected {
        Some(expected) if sequence != expected => return Err(ProtocolFault::Order { sequence, expected }),
        None if sequence == Sequence(0) => return Err(ProtocolFault::Number(0)),
        _ => {}
    }
    let logical_time = LogicalTime(number(event.logical_time)?);
    if logical_time <= before {
        return Err(ProtocolFault::Time { sequence, logical_time, before });
    }
    if event.chain_hash.len() > IDENTIFIER_BYTES_MAX {
        return Err(ProtocolFault::Text("chain hash"));
    }
    let (Some(_), Some(author)) = (&event.kind, event.participant.clone()) else {
        return Err(ProtocolFault::Incomplete(sequence));
    };
    participant(author)?;
    let event = read(event, epoch, LogicalTime(0)).ok_or(ProtocolFault::Incomplete(sequence))?;
    match content(&event) {
        Some(fault) => Err(fault),
        None => Ok(event),
    }
}

/// Checks an event's content and what it says about its writer.
fn content(event: &Event) -> Option<ProtocolFault> {
    let Event { sequence, logical_time, content, participant, .. } = event;
    let says = |went: &str| *content == membership_sentence(&participant.display_name, went, *logical_time);
    let fits = match &event.kind {
        Kind::Joined => says("joined"),
        Kind::Left { .. } => says("left"),
        Kind::Message { message_id, sent_logical_time, seen_sequence, .. } => {
            if sent_logical_time >= logical_time {
                let (sequence, logical_time, before) = (*sequence, *logical_time, *sent_logical_time);
                return Some(ProtocolFault::Time { sequence, logical_time, before });
            }
            if seen_sequence >= sequence {
                return Some(ProtocolFault::Seen(*sequence));
            }
            is_short(content, TEXT_CHARACTERS_MAX) && message_id.len() <= MESSAGE_ID_BYTES_MAX
        }
    };
    (!fits).then_some(ProtocolFault::Content(*sequence))
}

/// Checks a participant.
fn participant(participant: pb::Participant) -> Result<ParticipantInfo, ProtocolFault> {
    identifier(&participant.participant_id, "id of a participant")?;
    if !is_short(&participant.display_name, NAME_CHARACTERS_MAX) {
        return Err(ProtocolFault::Text("name of a participant"));
    }
    Ok(participant.into())
}

fn identifier(text: &str, what: &'static str) -> Result<(), ProtocolFault> {
    match text.len() {
        1..=IDENTIFIER_BYTES_MAX => Ok(()),
        _ => Err(ProtocolFault::Text(what)),
    }
}

/// Whether a text has at least one character and at most the limit.
fn is_short(text: &str, characters_max: usize) -> bool {
    !text.is_empty() && text.chars().nth(characters_max).is_none()
}

/// Checks that a sequence or time is credible.
pub(super) fn number(number: u64) -> Result<u64, ProtocolFault> {
    if number > NUMBER_MAX { Err(ProtocolFault::Number(number)) } else { Ok(number) }
}
