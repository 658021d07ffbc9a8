//! The state of a participant: its clock, its identity, its position. Every step to which a clock rule applies passes
//! through here, and is logged here.

use std::fmt;
use std::io;

use tonic::Status;

use super::check::ProtocolFault;
use super::event::{Event, KindFields, ParticipantInfo};
use super::receipts::{Receipts, check_receipt};
use super::roster::Roster;
use super::state::StateHandle;
use super::{Receipt, Update};
use crate::chat::{LamportClock, LogicalTime, Sequence};
use crate::log::{About, ClientRecord, Delivered};
use crate::wire::{Reason, pb};

mod incoming;

/// The state of one participant's client. What is recorded is kept in the state file, if there is one, before
/// anything else happens; there is no other I/O here.
#[derive(Debug)]
pub(super) struct Session {
    clock: LamportClock,
    display_name: String,
    membership: Option<Membership>,
    roster: Roster,
    /// How many memberships this process has begun.
    memberships: u64,
    /// The last event that was delivered and recorded; 0 before the first.
    position: Sequence,
    /// The last event that came. It may wait for the program to take it; and where another process was killed
    /// before it showed all that it recorded, it is behind the position.
    cursor: Sequence,
    /// That event's chain hash; empty where it is not known.
    chain_hash: Vec<u8>,
    /// What the next event has to be later than: that event's time, or that of the request to join.
    before: LogicalTime,
    /// When the newest request to join or to leave was sent.
    asked: LogicalTime,
    /// The newest event when the stream was opened, as its Welcome says.
    head: Sequence,
    /// A heartbeat came though there are events that did not.
    is_lagging: bool,
    receipts: Receipts,
    state: Option<StateHandle>,
    /// Why the state is no longer kept.
    not_kept: Option<String>,
}

/// The causal context of a message: what its writer had been delivered when it was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CausalContext {
    /// The membership that it belongs to: it means nothing in another.
    membership: u64,
    seen: Sequence,
}

/// One membership, from its Welcome.
struct Membership {
    token: String,
    epoch: String,
    me: ParticipantInfo,
}

impl fmt::Debug for Membership {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("epoch", &self.epoch).field("me", &self.me).finish_non_exhaustive()
    }
}

/// The content of a Welcome.
#[derive(Debug)]
pub(super) struct Welcomed {
    pub(super) me: ParticipantInfo,
    pub(super) roster: Vec<ParticipantInfo>,
    pub(super) resumed: bool,
    pub(super) heartbeat: Option<std::time::Duration>,
    /// How many events there are that have not come.
    pub(super) missed: u64,
}

impl Session {
    /// A participant that has not joined.
    pub(super) fn new(display_name: String) -> Self {
        let about = About { display_name: Some(display_name.as_str().into()), ..About::default() };
        ClientRecord::ClientStarted { about }.emit();
        Self {
            clock: LamportClock::default(),
            display_name,
            membership: None,
            roster: Roster::default(),
            memberships: 0,
            position: Sequence(0),
            cursor: Sequence(0),
            chain_hash: Vec::new(),
            before: LogicalTime(0),
            asked: LogicalTime(0),
            head: Sequence(0),
            is_lagging: false,
            receipts: Receipts::default(),
            state: None,
            not_kept: None,
        }
    }

    /// A participant that resumes the session in a state file, if there is one.
    pub(super) fn resuming(display_name: String, state: Option<StateHandle>) -> Self {
        let mut session = Self::new(display_name);
        if let Some((saved, header)) = state.as_ref().and_then(StateHandle::session) {
            let me = ParticipantInfo {
                participant_id: saved.participant_id,
                display_name: session.display_name.clone(),
            };
            session.membership = Some(Membership { token: saved.session_token, epoch: saved.epoch, me });
            session.clock = LamportClock::starting_at(LogicalTime(header.clock));
            (session.position, session.cursor) = (Sequence(header.position), Sequence(header.shown));
            session.chain_hash = header.chain_hash();
        }
        Self { state, ..session }
    }

    /// Whether there is a session to resume.
    pub(super) fn is_kept(&self) -> bool {
        self.membership.is_some()
    }

    /// Why the state is no longer kept; returned once.
    pub(super) fn not_kept(&mut self) -> Option<String> {
        self.not_kept.take()
    }

    fn keep(&mut self, written: impl FnOnce(&StateHandle, &Self) -> io::Result<()>) {
        if let Some(state) = self.state.take() {
            match written(&state, self) {
                Ok(()) => self.state = Some(state),
                Err(error) => {
                    self.not_kept = Some(error.to_string());
                    // Nothing more can be done. If the file is still there, the log has what it lacks.
                    drop(state.remove());
                }
            }
        }
    }

    fn save(&mut self) {
        // Until another session begins, the file describes the last one.
        if self.membership.is_some() {
            self.keep(|state, session| state.save(session.position, session.clock.now()));
        }
    }

    /// The participant has left: its session must not be resumed.
    pub(super) fn over(&mut self) {
        if let Some(state) = self.state.take() {
            // If the file cannot be removed, the service refuses the session.
            drop(state.remove());
        }
    }

    /// A request to join, or to resume an existing membership.
    pub(super) fn join_request(&mut self) -> pb::JoinRequest {
        let sent = self.clock.tick();
        self.asked = sent;
        let resume = self.membership.as_ref().map(|membership| pb::ResumePoint {
            session_token: membership.token.clone(),
            epoch: membership.epoch.clone(),
            after_sequence: self.cursor.0,
            chain_hash: self.chain_hash.clone(),
        });
        ClientRecord::JoinSent {
            about: self.about(),
            sequence: resume.as_ref().map(|resume| resume.after_sequence),
            sent_logical_time: sent.0,
            local_time: sent.0,
        }
        .emit();
        self.save();
        pb::JoinRequest { display_name: self.display_name.clone(), logical_time: sent.0, resume }
    }

    /// Restarts with a clock at 0, as another process would.
    pub(super) fn restart(&mut self) {
        self.stopped(None);
        let (state, memberships) = (self.state.take(), self.memberships);
        *self = Self { state, memberships, ..Self::new(std::mem::take(&mut self.display_name)) };
    }

    /// Nothing of a membership has come yet.
    fn begin(&mut self) {
        (self.position, self.cursor, self.chain_hash) = (Sequence(0), Sequence(0), Vec::new());
        (self.before, self.receipts) = (LogicalTime(0), Receipts::default());
    }

    /// The session is over, though the participant did not leave: the next join is a new one.
    pub(super) fn forget(&mut self) {
        self.membership = None;
        self.begin();
    }

    /// Applies a Presence. It is not an event: no clock tick and no log record.
    pub(super) fn presence(&mut self, presence: pb::Presence) -> Option<Update> {
        self.roster.presence(presence)
    }

    /// Gives an event to the program (IR2). One that another process has recorded is not recorded again.
    pub(super) fn deliver(&mut self, event: &mut Event) {
        event.local_time = self.clock.receive(event.logical_time);
        if event.sequence > self.position {
            self.position = event.sequence;
            record_delivery(event);
        }
        self.save();
    }

    /// A message is submitted: this fixes its causal context, whenever it is sent.
    pub(super) fn publish_queued(&self, text: &str, message_id: &str) -> CausalContext {
        ClientRecord::PublishQueued {
            about: self.about(),
            message_id: message_id.into(),
            seen_sequence: self.position.0,
            content: text.into(),
        }
        .emit();
        CausalContext { membership: self.memberships, seen: self.position }
    }

    pub(super) fn publish_request(
        &mut self,
        text: &str,
        message_id: &str,
        context: CausalContext,
    ) -> pb::PublishRequest {
        // As the new participant that it has become meanwhile, its writer had been delivered nothing.
        let seen = if context.membership == self.memberships { context.seen } else { Sequence(0) };
        let sent = self.clock.tick();
        ClientRecord::PublishSent {
            about: self.about(),
            message_id: message_id.into(),
            sent_logical_time: sent.0,
            seen_sequence: seen.0,
            local_time: sent.0,
            content: text.into(),
        }
        .emit();
        self.save();
        self.receipts.sent(message_id, sent);
        pb::PublishRequest {
            session_token: self.token(),
            text: text.to_owned(),
            logical_time: sent.0,
            message_id: message_id.to_owned(),
            seen_sequence: seen.0,
        }
    }

    pub(super) fn published(
        &mut self,
        message_id: &str,
        response: &pb::PublishResponse,
    ) -> Result<Receipt, ProtocolFault> {
        let receipt = receipt(response.sequence, response.logical_time);
        self.receipts.acknowledged(message_id, receipt, self.cursor)?;
        self.acknowledged(Some(message_id), receipt);
        Ok(receipt)
    }

    pub(super) fn publish_refused(&self, message_id: Option<&str>, text: &str, reason: Option<Reason>, why: &str) {
        ClientRecord::PublishRefused {
            about: self.about(),
            message_id: message_id.map(Into::into),
            content: Some(text.into()),
            reason: reason.map_or(why, |reason| reason.as_str()).into(),
        }
        .emit();
    }

    pub(super) fn leave_request(&mut self) -> pb::LeaveRequest {
        let sent = self.clock.tick();
        ClientRecord::LeaveSent { about: self.about(), sent_logical_time: sent.0, local_time: sent.0 }.emit();
        self.save();
        self.asked = sent;
        pb::LeaveRequest { session_token: self.token(), logical_time: sent.0 }
    }

    pub(super) fn left(&mut self, response: &pb::LeaveResponse) -> Result<Receipt, ProtocolFault> {
        let receipt = receipt(response.sequence, response.logical_time);
        check_receipt(receipt, self.asked)?;
        self.acknowledged(None, receipt);
        self.over();
        Ok(receipt)
    }

    pub(super) fn disconnected(&self, status: Option<&Status>, why: &str) {
        let reason = status.and_then(Reason::of).map_or(why, |reason| reason.as_str()).into();
        ClientRecord::Disconnected { about: self.about(), reason }.emit();
    }

    pub(super) fn stopped(&self, reason: Option<&str>) {
        ClientRecord::ClientStopped { about: self.about(), reason: reason.map(Into::into) }.emit();
    }

    /// The time of an answer moves the clock.
    fn acknowledged(&mut self, message_id: Option<&str>, receipt: Receipt) {
        let Receipt { sequence: Sequence(sequence), logical_time } = receipt;
        let local_time = self.clock.receive(logical_time).0;
        let (about, logical_time) = (self.about(), logical_time.0);
        match message_id.map(Into::into) {
            Some(message_id) => {
                ClientRecord::PublishAcknowledged { about, message_id, sequence, logical_time, local_time }
            }
            None => ClientRecord::LeaveAcknowledged { about, sequence, logical_time, local_time },
        }
        .emit();
        self.save();
    }

    /// What the records of its own steps are about.
    fn about(&self) -> About<'_> {
        About {
            epoch: self.epoch().map(Into::into),
            participant_id: self.participant_id().map(Into::into),
            display_name: Some(self.display_name.as_str().into()),
        }
    }

    pub(super) fn token(&self) -> String {
        self.membership.as_ref().map(|membership| membership.token.clone()).unwrap_or_default()
    }

    fn epoch(&self) -> Option<&str> {
        self.membership.as_ref().map(|membership| membership.epoch.as_str())
    }

    /// The clock now.
    pub(super) fn logical_time(&self) -> LogicalTime {
        self.clock.now()
    }

    /// The last event that was received.
    pub(super) fn cursor(&self) -> Sequence {
        self.cursor
    }

    /// The id of the participant.
    pub(super) fn participant_id(&self) -> Option<&str> {
        self.membership.as_ref().map(|membership| membership.me.participant_id.as_str())
    }
}

fn receipt(sequence: u64, logical_time: u64) -> Receipt {
    Receipt { sequence: Sequence(sequence), logical_time: LogicalTime(logical_time) }
}

/// S7 (ii): the content and its logical time.
fn record_delivery(event: &Event) {
    ClientRecord::EventDelivered(delivered(event)).emit();
}

/// An event, as its record has it.
pub(super) fn delivered(event: &Event) -> Delivered<'_> {
    let KindFields { message_id, sent_logical_time, seen_sequence, reason } = event.kind.fields();
    let ParticipantInfo { participant_id, display_name } = &event.participant;
    Delivered {
        about: About::epoch(&*event.epoch).participant(participant_id, &**display_name),
        sequence: event.sequence.0,
        logical_time: event.logical_time.0,
        local_time: Some(event.local_time.0),
        kind: event.kind.logged(),
        content: event.content.as_str().into(),
        message_id: message_id.map(Into::into),
        sent_logical_time,
        seen_sequence,
        reason: reason.map(Into::into),
        earlier: false,
    }
}
