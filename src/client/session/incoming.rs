//! What the service says of the conversation, checked before it is taken in.

use super::{Membership, Session, Welcomed};
use crate::chat::{LogicalTime, Sequence};
use crate::client::Receipt;
use crate::client::check::{self, CheckedWelcome, ProtocolFault};
use crate::client::event::{Event, Kind};
use crate::client::roster::Roster;
use crate::log::{About, ClientRecord, WelcomeDetails};
use crate::wire::pb;

impl Session {
    /// Checks the Welcome of a stream against what it was asked for and what this participant knows.
    pub(in crate::client) fn check(&self, welcome: pb::Welcome) -> Result<CheckedWelcome, ProtocolFault> {
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

    /// Takes in the Welcome of a stream.
    pub(in crate::client) fn welcome(&mut self, welcome: CheckedWelcome) -> Welcomed {
        let CheckedWelcome { token, epoch, me, head, logical_time, resumed, roster, heartbeat } = welcome;
        let local_time = self.clock.receive(logical_time);
        let record = WelcomeDetails {
            about: About::epoch(&*epoch).participant(&me.participant_id, &*me.display_name),
            sequence: head.0,
            logical_time: logical_time.0,
            local_time: local_time.0,
            transport: None,
        };
        let record = if resumed { ClientRecord::Resumed(record) } else { ClientRecord::Connected(record) };
        record.emit();
        if resumed {
            self.save();
            self.receipts.reconnected();
        } else {
            self.memberships += 1;
            self.begin();
            self.before = self.asked;
            self.keep(|state, _| state.begin(&me.participant_id, &epoch, &token, local_time));
        }
        (self.head, self.is_lagging) = (head, false);
        self.display_name.clone_from(&me.display_name);
        self.roster = Roster::new(&roster);
        self.membership = Some(Membership { token, epoch, me: me.clone() });
        let missed = head.0.saturating_sub(self.cursor.0);
        Welcomed { me, roster, resumed, heartbeat, missed }
    }

    /// Takes in an event, to be [delivered](Self::deliver). One that cannot be true is refused: the clock does not
    /// tick for it, and the program does not get it.
    pub(in crate::client) fn receive(&mut self, event: pb::Event) -> Result<Event, ProtocolFault> {
        let (sequence, expected) = (event.sequence, self.expected());
        let accepted = self.accept(event);
        if let Err(fault) = &accepted {
            ClientRecord::EventRefused {
                about: self.about(),
                sequence,
                expected_sequence: expected.map(|expected| expected.0),
                reason: fault.to_string().into(),
            }
            .emit();
        }
        accepted
    }

    /// The sequence of the next event; none before the first of a membership.
    fn expected(&self) -> Option<Sequence> {
        (self.cursor > Sequence(0)).then(|| self.cursor.next())
    }

    fn accept(&mut self, event: pb::Event) -> Result<Event, ProtocolFault> {
        let chain_hash = event.chain_hash.clone();
        let expected = self.expected();
        let event = check::event(event, expected, self.before, self.epoch().unwrap_or_default())?;
        let is_own = self.participant_id() == Some(&event.participant.participant_id);
        if expected.is_none() && !(is_own && matches!(event.kind, Kind::Joined)) {
            return Err(ProtocolFault::FirstEvent);
        }
        let own_id = event.kind.fields().message_id.filter(|_| is_own);
        let Event { sequence, logical_time, .. } = event;
        self.receipts.came(Receipt { sequence, logical_time }, own_id)?;
        self.roster.follow(&event)?;
        if let Some(state) = &self.state {
            state.came(sequence, &chain_hash);
        }
        (self.cursor, self.chain_hash, self.before) = (sequence, chain_hash, logical_time);
        self.is_lagging = false;
        Ok(event)
    }

    /// The replay is over: everything that the Welcome promised has come.
    pub(in crate::client) fn caught_up(&self, sequence: Sequence) -> Result<(), ProtocolFault> {
        let (position, head) = (self.cursor, self.head);
        if sequence == position && position >= head {
            Ok(())
        } else {
            Err(ProtocolFault::CaughtUp { sequence, position, head })
        }
    }

    /// A heartbeat says how far the conversation is. Events may be on their way behind it, but not behind two.
    pub(in crate::client) fn heartbeat(&mut self, head: Sequence) -> Result<(), ProtocolFault> {
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

    /// Reads a page of earlier events: those after a position, up to a limit.
    pub(in crate::client) fn read_page(
        &self,
        events: Vec<pb::Event>,
        after: Sequence,
        count: u32,
    ) -> Result<Vec<Event>, ProtocolFault> {
        if events.len() > count as usize {
            return Err(ProtocolFault::Page);
        }
        let (mut expected, mut before) = (after.next(), LogicalTime(0));
        let epoch = self.epoch().unwrap_or_default();
        let read = events.into_iter().map(|event| {
            let event = check::event(event, Some(expected), before, epoch)?;
            (expected, before) = (expected.next(), event.logical_time);
            Ok(event)
        });
        read.collect()
    }
}
