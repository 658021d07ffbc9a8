//! The shared tail of the conversation. Every stream reads it from its own position.
//!
//! There is no queue per stream: a stream is a position. The newest events are here, encoded once for all streams. A
//! stream that has fallen behind this window reads from the journal.

use std::collections::{VecDeque, vec_deque};

use tokio::sync::watch;

use super::presence::{PresenceCursor, PresenceLog};
use crate::chat::{Conversation, EventKind, ParticipantId, Sequence};
use crate::journal::{Committed, JournalEvent};
use crate::wire::Frame;

/// How many bytes of events a stream takes at a time, unless a single event is larger. An unread stream holds as many.
pub const BATCH_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of the frame of a presence change.
const PRESENCE_BYTES_MAX: usize = 48;

/// How many events the window holds: a few MiB at most.
pub const FEED_WINDOW: usize = 4096;

/// One event, ready to be sent.
#[derive(Clone, Debug)]
pub struct FeedEntry {
    pub sequence: Sequence,
    /// Its encoded form, which all streams share.
    pub frame: Frame,
    /// The participant that left, if it is a Left event: that participant's stream ends before it.
    pub left: Option<ParticipantId>,
}

impl From<&JournalEvent> for FeedEntry {
    fn from(event: &JournalEvent) -> Self {
        let left = matches!(event.kind, EventKind::Left { .. }).then_some(event.participant.id);
        Self { sequence: event.sequence, frame: Frame::event(event), left }
    }
}

/// What readers see: the newest committed events, the conversation after them, and changes of presence.
#[derive(Debug)]
struct Published {
    conversation: Conversation,
    window: VecDeque<FeedEntry>,
    presence: PresenceLog,
}

/// The writing end, held by the engine and what it owns.
#[derive(Clone, Debug)]
pub struct Feed {
    published: watch::Sender<Published>,
    /// Signals news to the fan-out, which wakes the readers.
    changes: watch::Sender<()>,
}

impl Feed {
    /// A feed that continues a recovered conversation.
    pub fn new(conversation: Conversation) -> Self {
        let (window, presence) = (VecDeque::new(), PresenceLog::default());
        let published = watch::Sender::new(Published { conversation, window, presence });
        Self { published, changes: watch::Sender::new(()) }
    }

    /// Signals when there is news, and when the feed is closed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Publishes a batch to all streams, with the conversation after it. Each event is encoded here, once.
    pub fn publish(&self, committed: &Committed, conversation: Conversation) {
        let entries: Vec<FeedEntry> = committed.events().iter().map(FeedEntry::from).collect();
        self.published.send_modify(|published| {
            for participant in entries.iter().filter_map(|entry| entry.left) {
                published.presence.remove(participant);
            }
            published.window.extend(entries);
            let surplus = published.window.len().saturating_sub(FEED_WINDOW);
            published.window.drain(..surplus);
            published.conversation = conversation;
        });
        self.changes.send_replace(());
    }

    /// Publishes which participants are connected and which are not. Changes of inactive participants are ignored.
    pub fn publish_presence(&self, changes: impl IntoIterator<Item = (ParticipantId, bool)>) {
        let encoded = |(participant, connected)| (participant, connected, Frame::presence(participant, connected));
        let changes: Vec<_> = changes.into_iter().map(encoded).collect();
        let modified = self.published.send_if_modified(|published| {
            let mut modified = false;
            for (participant, connected, frame) in changes {
                if published.conversation.member(participant).is_some() {
                    modified |= published.presence.set(participant, connected, frame);
                }
            }
            modified
        });
        if modified {
            self.changes.send_replace(());
        }
    }

    /// A reader of this feed.
    pub fn reader(&self) -> FeedReader {
        FeedReader(self.published.subscribe())
    }
}

/// What a reader finds after its position.
#[derive(Debug)]
pub enum Found<'a> {
    /// Entries, changes of presence, or both.
    News {
        /// The next entries, in order, without a gap.
        entries: vec_deque::Iter<'a, FeedEntry>,
        /// The presence changes that follow them, if they reach the newest event.
        presence: Vec<Frame>,
        /// The newest event.
        head: Sequence,
    },
    Nothing,
    /// The position has left the window: the events that follow, up to this one, are in the journal.
    Lagged(Sequence),
}

/// How many of these frames are taken at a time, and their bytes: as many as fit into [`BATCH_BYTES_MAX`], and at least
/// one.
pub fn within_batch<'a>(frames: impl Iterator<Item = &'a Frame>) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for size in frames.map(Frame::size) {
        if count > 0 && bytes + size > BATCH_BYTES_MAX {
            break;
        }
        (count, bytes) = (count + 1, bytes + size);
    }
    (count, bytes)
}

/// A handle for reading the feed.
#[derive(Clone, Debug)]
pub struct FeedReader(watch::Receiver<Published>);

impl FeedReader {
    /// Hands over up to `limit` entries after a position, and no more than [`within_batch`] allows. If they reach the
    /// newest event, so that the reader knows exactly who is active, changes of presence fill the rest of the
    /// limit.
    pub fn after<R>(
        &mut self,
        position: Sequence,
        presence: &mut PresenceCursor,
        limit: usize,
        take: impl FnOnce(Found<'_>) -> R,
    ) -> R {
        // Anything that is published after this call counts as a change.
        let published = self.0.borrow_and_update();
        let head = published.conversation.head();
        let first = published.window.front().map(|entry| entry.sequence);
        let start = match first.and_then(|first| (position.0 + 1).checked_sub(first.0)) {
            _ if position >= head => published.window.len(),
            Some(offset) => usize::try_from(offset).unwrap_or(usize::MAX),
            None => return take(Found::Lagged(head)),
        };
        let rest = published.window.range(start..);
        let (count, bytes) = within_batch(rest.take(limit).map(|entry| &entry.frame));
        let entries = published.window.range(start..start + count);
        let presence = if start + count == published.window.len() {
            let room = BATCH_BYTES_MAX.saturating_sub(bytes) / PRESENCE_BYTES_MAX;
            published.presence.read(presence, head, room.min(limit - count))
        } else {
            Vec::new()
        };
        take(match count {
            0 if presence.is_empty() => Found::Nothing,
            _ => Found::News { entries, presence, head },
        })
    }

    /// Whether something has been published since the last [`after`](Self::after).
    pub fn has_changed(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// The newest committed event, and whether a participant is on the roster as of it. Anything published after this
    /// call counts as a [change](Self::has_changed).
    pub fn look(&mut self, participant: ParticipantId) -> (Sequence, bool) {
        let published = self.0.borrow_and_update();
        (published.conversation.head(), published.conversation.member(participant).is_some())
    }

    /// The newest committed event.
    pub fn head(&self) -> Sequence {
        self.0.borrow().conversation.head()
    }

    /// The conversation as of the newest committed event.
    pub fn conversation(&self) -> Conversation {
        self.0.borrow().conversation.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::chat::{Command, Decision, DisplayName, LogicalTime, SessionKey};
    use crate::journal::{Chain, Epoch};

    fn feed_of(joins: u64) -> Feed {
        let mut conversation = Conversation::new();
        let feed = Feed::new(conversation.clone());
        for n in 0..joins {
            let display_name = DisplayName::parse(&format!("name {n}")).unwrap();
            let mut session = [0; 32];
            session[..8].copy_from_slice(&n.to_le_bytes());
            let join = Command::Join { display_name, session: SessionKey(session), sent: LogicalTime(0) };
            let Ok(Decision::Happened(event)) = conversation.apply(join, SystemTime::UNIX_EPOCH) else {
                panic!("the join was not accepted")
            };
            let chain = Chain::of(&Epoch::new("test"));
            feed.publish(
                &Committed::assume_committed(vec![JournalEvent { event: Arc::new(event), chain }]),
                conversation.clone(),
            );
        }
        feed
    }

    fn cursor() -> PresenceCursor {
        PresenceCursor::new(ParticipantId(Sequence(1)), Sequence(0))
    }

    /// The sequences that are found, or `None` if the position has left the window.
    fn after(reader: &mut FeedReader, position: u64, limit: usize) -> Option<Vec<u64>> {
        reader.after(Sequence(position), &mut cursor(), limit, |found| match found {
            Found::News { entries, .. } => Some(entries.map(|entry| entry.sequence.0).collect()),
            Found::Nothing => Some(Vec::new()),
            Found::Lagged(_) => None,
        })
    }

    #[test]
    fn a_reader_gets_what_follows_its_position_and_no_more_than_it_asked_for() {
        let mut reader = feed_of(5).reader();
        assert_eq!(after(&mut reader, 0, 2), Some(vec![1, 2]));
        assert_eq!(after(&mut reader, 2, 9), Some(vec![3, 4, 5]));
        assert_eq!(after(&mut reader, 5, 9), Some(vec![]));
    }

    #[test]
    fn a_reader_whose_position_has_left_the_window_has_lagged() {
        let window = FEED_WINDOW as u64;
        let mut reader = feed_of(window + 10).reader();
        assert_eq!(after(&mut reader, 9, 1), None);
        assert_eq!(after(&mut reader, 10, 1), Some(vec![11]));
    }

    /// A reader that found nothing new notices what is published afterwards.
    #[test]
    fn a_change_is_seen_once() {
        let feed = feed_of(1);
        let mut reader = feed.reader();
        assert_eq!((after(&mut reader, 1, 9), reader.has_changed()), (Some(vec![]), false));
        feed.publish_presence([(ParticipantId(Sequence(1)), false)]);
        assert!(reader.has_changed());
        after(&mut reader, 1, 9);
        assert!(!reader.has_changed());
    }

    /// However many frames there are, and however large, a batch has a bounded number of bytes, and at least one frame.
    #[test]
    fn a_batch_is_bounded() {
        let largest = Frame::presence(ParticipantId(Sequence(u64::MAX)), false);
        assert!(largest.size() <= PRESENCE_BYTES_MAX, "{}", largest.size());
        let many = vec![largest.clone(); BATCH_BYTES_MAX];
        let (count, bytes) = within_batch(many.iter());
        assert_eq!((count, bytes), (BATCH_BYTES_MAX / largest.size(), count * largest.size()));
        let huge = Frame::lab_notice("x".repeat(BATCH_BYTES_MAX));
        assert_eq!(within_batch([&huge, &huge].into_iter()), (1, huge.size()));
        assert_eq!(within_batch([].into_iter()), (0, 0));
    }
}
