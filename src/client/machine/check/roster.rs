//! The participants, and which of them are connected, as far as this client knows.

use std::collections::HashMap;

use super::{ProtocolFault, ROSTER_MAX};
use crate::client::Update;
use crate::client::event::{Event, Kind, ParticipantInfo};
use crate::wire::pb;

/// The participants by id. Every Welcome resets it: all count as connected until the service says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Roster(HashMap<String, RosterEntry>);

#[derive(Debug)]
struct RosterEntry {
    display_name: String,
    connected: bool,
}

impl Roster {
    pub(crate) fn new(members: &[ParticipantInfo]) -> Self {
        let mut roster = Self::default();
        members.iter().for_each(|member| roster.add(member));
        roster
    }

    fn add(&mut self, member: &ParticipantInfo) {
        let display_name = member.display_name.clone();
        self.0.entry(member.participant_id.clone()).or_insert(RosterEntry { display_name, connected: true });
    }

    /// Applies a join or a leave.
    pub(crate) fn follow(&mut self, event: &Event) -> Result<(), ProtocolFault> {
        match event.kind {
            Kind::Joined if self.0.len() == ROSTER_MAX => return Err(ProtocolFault::Roster),
            Kind::Joined => self.add(&event.participant),
            Kind::Left { .. } => drop(self.0.remove(&event.participant.participant_id)),
            Kind::Message { .. } => {}
        }
        Ok(())
    }

    /// Applies a Presence frame. Returns `None` if the participant is not active, or if nothing has changed, since the
    /// service merges changes that cancel each other out.
    pub(crate) fn presence(&mut self, presence: pb::Presence) -> Option<Update> {
        let pb::Presence { participant_id, connected } = presence;
        let entry = self.0.get_mut(&participant_id).filter(|entry| entry.connected != connected)?;
        entry.connected = connected;
        let participant = ParticipantInfo { participant_id, display_name: entry.display_name.clone() };
        Some(Update::Presence { participant, connected })
    }
}
