//! The state of a conversation as plain values that can be written and read again: the result of a replay of all
//! events, without the events.

use super::{Conversation, Member};
use crate::chat::dedup::DedupWindow;
use crate::chat::{
    DisplayName, LamportClock, LogicalTime, MESSAGE_IDS_REMEMBERED, ParticipantId, RememberedPublish, Sequence,
    SessionKey,
};

/// An active participant with all that the conversation knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Its id.
    pub id: ParticipantId,
    /// Its display name.
    pub display_name: DisplayName,
    /// Its session.
    pub session: SessionKey,
    /// Its last publishes that had a message id, oldest first.
    pub publishes: Vec<RememberedPublish>,
}

/// Values that are not the state of any conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// The participants are not in the order of joining.
    #[error("participant {0} is out of order")]
    Order(ParticipantId),
    /// A participant or a publish is later than the newest event.
    #[error("participant {0} joined or published after the newest event")]
    Later(ParticipantId),
    /// Two participants have the same name, or names that look the same.
    #[error("participant {0} has the same name as another participant")]
    Name(ParticipantId),
    /// Two participants have the same session.
    #[error("participant {0} has the same session as another participant")]
    Session(ParticipantId),
    /// More publishes than are remembered, or publishes out of order.
    #[error("participant {0} has too many publishes, or they are out of order")]
    Publishes(ParticipantId),
}

impl Member {
    /// Its last publishes that had a message id, oldest first.
    pub fn publishes(&self) -> impl Iterator<Item = RememberedPublish> {
        self.published.publishes()
    }

    /// How many of its publishes are remembered.
    pub fn publish_count(&self) -> usize {
        self.published.len()
    }
}

impl Conversation {
    /// The conversation with this newest event, its time, and these members in the order of joining.
    ///
    /// # Errors
    /// A [`SnapshotFault`] if no conversation can have that state.
    pub fn restored(
        head: Sequence,
        logical_time: LogicalTime,
        members: impl IntoIterator<Item = MemberState>,
    ) -> Result<Self, SnapshotFault> {
        let mut restored = Self { clock: LamportClock::starting_at(logical_time), head, ..Self::default() };
        let mut before = ParticipantId(Sequence(0));
        for member in members {
            if member.id <= before {
                return Err(SnapshotFault::Order(member.id));
            }
            before = member.id;
            restored.add(member)?;
        }
        Ok(restored)
    }

    fn add(&mut self, member: MemberState) -> Result<(), SnapshotFault> {
        let MemberState { id, display_name, session, publishes } = member;
        let is_later = |publish: &RememberedPublish| {
            publish.receipt.sequence > self.head || publish.receipt.logical_time > self.clock.now()
        };
        if id.0 > self.head || publishes.last().is_some_and(is_later) {
            return Err(SnapshotFault::Later(id));
        }
        let sequences = publishes.iter().map(|publish| publish.receipt.sequence);
        if publishes.len() > MESSAGE_IDS_REMEMBERED
            || !sequences.clone().is_sorted_by(|earlier, later| earlier < later)
            || sequences.clone().next().is_some_and(|first| first <= id.0)
        {
            return Err(SnapshotFault::Publishes(id));
        }
        let key = display_name.key();
        if self.by_name.contains_key(&key) {
            return Err(SnapshotFault::Name(id));
        }
        if self.by_session.contains_key(&session) {
            return Err(SnapshotFault::Session(id));
        }
        self.by_name.insert_mut(key, id);
        self.by_session.insert_mut(session, id);
        let published = DedupWindow::of(&publishes);
        self.members.insert_mut(id, Member { display_name, session, published });
        Ok(())
    }
}
