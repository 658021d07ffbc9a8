//! The list of participants that the user is shown, kept up to date from joins and leaves.

use crate::client::{Event, Kind, ParticipantInfo};

/// How many names are listed at a time.
const NAMES_MAX: usize = 100;

/// The active participants, in order of joining, and which of them the user is.
#[derive(Debug, Default)]
pub(super) struct RosterDisplay {
    members: Vec<ParticipantInfo>,
    me: String,
}

impl RosterDisplay {
    /// Starts again with the roster of a Welcome.
    pub(super) fn begin(&mut self, members: &[ParticipantInfo]) {
        self.members = members.to_vec();
    }

    /// Sets which participant the user is.
    pub(super) fn is_me(&mut self, participant_id: &str) {
        self.me = participant_id.into();
    }

    /// Applies an event, which the roster of a Welcome may contain already.
    pub(super) fn take(&mut self, event: &Event) {
        let same = |member: &ParticipantInfo| member.participant_id == event.participant.participant_id;
        match event.kind {
            Kind::Joined if !self.members.iter().any(same) => self.members.push(event.participant.clone()),
            Kind::Left { .. } => self.members.retain(|member| !same(member)),
            _ => {}
        }
    }

    /// The names, separated by commas; the user is marked if `mark` is set. If there are many, only the first names and
    /// the number of the others.
    pub(super) fn names(&self, mark: bool) -> String {
        let name = |member: &ParticipantInfo| match member.participant_id == self.me {
            true if mark => format!("{} (you)", member.display_name),
            _ => member.display_name.clone(),
        };
        let names = self.members.iter().take(NAMES_MAX).map(name).collect::<Vec<_>>().join(", ");
        match self.members.len().saturating_sub(NAMES_MAX) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_is_cut_short() {
        let member = |n: usize| ParticipantInfo { participant_id: format!("p{n}"), display_name: format!("n{n}") };
        let names = |count: usize| {
            let mut roster = RosterDisplay::default();
            roster.begin(&(0..count).map(member).collect::<Vec<_>>());
            roster.names(false)
        };
        assert_eq!(names(3), "n0, n1, n2");
        assert!(names(NAMES_MAX).ends_with(&format!(", n{}", NAMES_MAX - 1)));
        assert!(names(NAMES_MAX + 7).ends_with(&format!(", n{} and 7 more", NAMES_MAX - 1)));
    }
}
