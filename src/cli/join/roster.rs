//! Who is here, kept up to date from joins and leaves.

use crate::client::{Event, Kind, Member};

/// The active participants, in order of joining, and which of them the user is.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: Vec<Member>,
    me: String,
}

impl Roster {
    /// Begins with the roster of a Welcome.
    pub(super) fn begin(&mut self, members: &[Member]) {
        self.members = members.to_vec();
    }

    /// Which participant the user is.
    pub(super) fn is_me(&mut self, participant_id: &str) {
        self.me = participant_id.into();
    }

    /// Takes in an event. The roster of a Welcome may know of it already.
    pub(super) fn take(&mut self, event: &Event) {
        let same = |member: &Member| member.participant_id == event.participant.participant_id;
        match event.kind {
            Kind::Joined if !self.members.iter().any(same) => self.members.push(event.participant.clone()),
            Kind::Left { .. } => self.members.retain(|member| !same(member)),
            _ => {}
        }
    }

    /// The names, separated by commas; with the user marked.
    pub(super) fn names(&self, mark: bool) -> String {
        let name = |member: &Member| match member.participant_id == self.me {
            true if mark => format!("{} (you)", member.display_name),
            _ => member.display_name.clone(),
        };
        self.members.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}
