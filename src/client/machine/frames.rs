//! The frames of a stream, which are checked before they are accepted.

use super::Machine;
use super::check::{self, CheckedWelcome, ProtocolFault};
use super::refusal::Failure;
use super::state::{Membership, Phase};
use super::step::{Keep, Moment, Output};
use crate::chat::{Receipt, Sequence};
use crate::client::Update;
use crate::client::event::{Event, Kind};
use crate::log::ClientRecord;
use crate::wire::pb;
use crate::wire::pb::join_response::Frame;

impl Machine {
    /// A frame of the current stream.
    pub(super) fn frame(&mut self, frame: Option<Frame>, now: Moment) {
        match (&mut self.phase, frame) {
            (Phase::Connecting { .. }, Some(Frame::Welcome(welcome))) => match self.check_welcome(welcome) {
                Ok(welcome) => self.welcomed(welcome, now),
                Err(fault) => self.not_opened(Failure::broken(fault), now),
            },
            (Phase::Connecting { .. }, Some(_)) => self.not_opened(Failure::broken(ProtocolFault::NoWelcome), now),
            (Phase::Online { silent_since, .. }, frame) => {
                *silent_since = now.at;
                if let Err(fault) = self.receive(frame) {
                    self.broken(Failure::broken(fault), now);
                }
            }
            _ => {}
        }
    }

    /// Checks a Welcome against the request and against what this participant knows.
    fn check_welcome(&self, welcome: pb::Welcome) -> Result<CheckedWelcome, ProtocolFault> {
        let welcome = check::welcome(welcome)?;
        if !welcome.resumed {
            return Ok(welcome);
        }
        let is_same = |membership: &Membership| {
            membership.epoch == welcome.epoch && membership.me.participant_id == welcome.me.participant_id
        };
        if !self.membership.as_ref().is_some_and(is_same) {
            return Err(ProtocolFault::OtherSession);
        }
        let (head, position) = (welcome.head, self.position.max(self.cursor));
        if head < position {
            return Err(ProtocolFault::Behind { head, position });
        }
        Ok(welcome)
    }

    fn receive(&mut self, frame: Option<Frame>) -> Result<(), ProtocolFault> {
        match frame {
            Some(Frame::Event(event)) => {
                let event = self.event(event)?;
                self.push(Update::Event(event));
            }
            // Not an event: no clock tick and no log record.
            Some(Frame::Presence(presence)) => {
                let update = self.roster.presence(presence);
                update.into_iter().for_each(|update| self.push(update));
            }
            // Transport, not events: no clock ticks.
            Some(Frame::CaughtUp(caught_up)) => {
                self.caught_up(Sequence(caught_up.sequence))?;
                self.replay_is_complete();
            }
            Some(Frame::Heartbeat(heartbeat)) => self.heartbeat(Sequence(heartbeat.head_sequence))?,
            Some(Frame::LabNotice(notice)) => self.push(Update::Lab { faults: notice.faults }),
            None => {}
            Some(Frame::Welcome(_)) => return Err(ProtocolFault::SecondWelcome),
        }
        Ok(())
    }

    /// Accepts an event, which is delivered when the program takes it. An impossible event is refused: the clock does
    /// not tick for it, and the program does not get it.
    fn event(&mut self, event: pb::Event) -> Result<Event, ProtocolFault> {
        let (sequence, expected) = (event.sequence, self.expected());
        let accepted = self.accept(event, expected);
        if let Err(fault) = &accepted {
            let (about, reason) = (self.about(), fault.to_string().into());
            let expected_sequence = expected.map(|expected| expected.0);
            self.record(ClientRecord::EventRefused { about, sequence, expected_sequence, reason });
        }
        accepted
    }

    /// The sequence of the next event; `None` before the first of a membership.
    fn expected(&self) -> Option<Sequence> {
        (self.cursor > Sequence(0)).then(|| self.cursor.next())
    }

    fn accept(&mut self, event: pb::Event, expected: Option<Sequence>) -> Result<Event, ProtocolFault> {
        let chain_hash = event.chain_hash.clone();
        let event = check::event(event, expected, self.before, self.epoch().unwrap_or_default())?;
        let is_own = self.participant_id() == Some(&event.participant.participant_id);
        if expected.is_none() && !(is_own && matches!(event.kind, Kind::Joined)) {
            return Err(ProtocolFault::FirstEvent);
        }
        let own_id = event.kind.fields().message_id.filter(|_| is_own);
        let Event { sequence, logical_time, .. } = event;
        self.receipts.received(Receipt { sequence, logical_time }, own_id)?;
        self.roster.follow(&event)?;
        self.outputs.push(Output::Keep(Keep::Received { sequence, chain_hash: chain_hash.clone() }));
        (self.cursor, self.chain_hash, self.before) = (sequence, chain_hash, logical_time);
        self.is_lagging = false;
        Ok(event)
    }

    /// The replay is over: everything that the Welcome promised should have been received.
    fn caught_up(&self, sequence: Sequence) -> Result<(), ProtocolFault> {
        let (position, head) = (self.cursor, self.head);
        if sequence == position && position >= head {
            Ok(())
        } else {
            Err(ProtocolFault::CaughtUp { sequence, position, head })
        }
    }

    /// A heartbeat names the newest event. Events may be missing at one heartbeat, but not at two in a row.
    fn heartbeat(&mut self, head: Sequence) -> Result<(), ProtocolFault> {
        let position = self.cursor;
        if head < position {
            return Err(ProtocolFault::Behind { head, position });
        }
        let is_behind = head > position || position == Sequence(0);
        if is_behind && self.is_lagging {
            return Err(ProtocolFault::Withheld { position });
        }
        self.is_lagging = is_behind;
        Ok(())
    }
}
