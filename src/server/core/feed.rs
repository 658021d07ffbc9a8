//! The shared tail of the conversation that every stream reads, each with a cursor of its own.
//!
//! There is no queue per stream: a stream is a position. What it has not yet taken lies here once, encoded,
//! for everybody; what has left this window, it reads from the journal.
//!
//! The streams are woken in slices. If all were woken at once, a publisher would wait in the run queue behind a thousand
//! of them; so it is served in between, and streams whose turn comes later find several events at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::task::yield_now;

use super::presence::{PresenceCursor, PresenceLog};
use crate::chat::{Conversation, EventKind, ParticipantId, Sequence};
use crate::journal::{Committed, JournalEvent};
use crate::wire::Frame;

/// How many bytes of events a stream takes at a time, unless one event alone has more. It is also what a stream
/// that takes nothing holds.
pub const BATCH_BYTES_MAX: usize = 16 * 1024;

/// How many events the window holds: a few MiB at most.
pub const FEED_WINDOW: usize = 4096;

/// One event, ready to be sent.
#[derive(Clone, Debug)]
pub struct FeedEntry {
    pub sequence: Sequence,
    /// Its encoded form, which all streams share.
    pub frame: Frame,
    /// Who has left with it, if it is a Left event: the leaver's own stream ends before it.
    pub left: Option<ParticipantId>,
}

impl From<&JournalEvent> for FeedEntry {
    fn from(event: &JournalEvent) -> Self {
        let left = matches!(event.kind, EventKind::Left { .. }).then_some(event.participant.id);
        Self { sequence: event.sequence, frame: Frame::event(event), left }
    }
}

/// What has been committed, and nothing else.
#[derive(Debug)]
struct Published {
    conversation: Conversation,
    window: VecDeque<FeedEntry>,
    presence: PresenceLog,
}

/// Into how many slices the streams are divided.
const SLICES: usize = 64;

/// The writing end, held by the engine and what it owns.
#[derive(Clone, Debug)]
pub struct Feed {
    published: watch::Sender<Published>,
    /// Tells the [`FanOut`] that there is something new.
    changes: watch::Sender<()>,
    slices: Slices,
}

/// Where a reader can wait: each gets the next slice in turn.
#[derive(Clone, Debug)]
struct Slices {
    receivers: Arc<[watch::Receiver<()>]>,
    next: Arc<AtomicUsize>,
}

impl Slices {
    fn next(&self) -> watch::Receiver<()> {
        self.receivers[self.next.fetch_add(1, Ordering::Relaxed) % self.receivers.len()].clone()
    }
}

/// Wakes the readers of a feed, one slice after another.
#[derive(Debug)]
pub struct FanOut {
    changes: watch::Receiver<()>,
    slices: Vec<watch::Sender<()>>,
}

impl FanOut {
    /// Works until the feed is closed, which the readers then find out.
    pub async fn run(mut self) {
        while self.changes.changed().await.is_ok() {
            for slice in self.slices.iter().filter(|slice| slice.receiver_count() > 1) {
                slice.send_replace(());
                yield_now().await;
            }
        }
    }
}

impl Feed {
    /// A feed that continues a recovered conversation, and what wakes its readers.
    pub fn new(conversation: Conversation) -> (Self, FanOut) {
        let (window, presence) = (VecDeque::new(), PresenceLog::default());
        let published = watch::Sender::new(Published { conversation, window, presence });
        let (changes, changed) = watch::channel(());
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..SLICES).map(|_| watch::channel(())).unzip();
        let slices = Slices { receivers: receivers.into(), next: Arc::default() };
        (Self { published, changes, slices }, FanOut { changes: changed, slices: senders })
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

    /// Publishes who is connected and who is not. Changes of a participant that is not active are ignored.
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
        FeedReader {
            published: self.published.subscribe(),
            woken: self.slices.next(),
            slices: self.slices.clone(),
        }
    }
}

/// What a reader finds after its position.
#[derive(Debug)]
pub enum Found {
    /// Something: entries, changes of presence, or both.
    News {
        /// The next entries, in order, without a gap.
        entries: Vec<FeedEntry>,
        /// The presence changes that follow them, if they reach the newest event.
        presence: Vec<Frame>,
    },
    Nothing,
    /// The position has left the window: the journal has what follows.
    Lagged,
}

/// The first entries, as many as have [`BATCH_BYTES_MAX`] together, and at least one.
pub fn within_batch(entries: impl Iterator<Item = FeedEntry>) -> impl Iterator<Item = FeedEntry> {
    let mut bytes = 0;
    entries.take_while(move |entry| {
        let first = bytes == 0;
        bytes += entry.frame.size();
        first || bytes <= BATCH_BYTES_MAX
    })
}

/// A reading end of the feed. A clone is another reader, in another slice.
#[derive(Debug)]
pub struct FeedReader {
    published: watch::Receiver<Published>,
    woken: watch::Receiver<()>,
    slices: Slices,
}

impl Clone for FeedReader {
    fn clone(&self) -> Self {
        Self { published: self.published.clone(), woken: self.slices.next(), slices: self.slices.clone() }
    }
}

impl FeedReader {
    /// Up to `limit` entries after a position, and no more than [`within_batch`] allows. Where they reach the newest
    /// event, so that the reader knows everybody who is there and nobody who is not, changes of presence fill up what
    /// is left of the limit.
    pub fn after(&mut self, position: Sequence, presence: &mut PresenceCursor, limit: usize) -> Found {
        // Before it looks: what is published after that wakes it again.
        self.woken.mark_unchanged();
        let published = self.published.borrow();
        let head = published.conversation.head();
        if position >= head {
            let presence = published.presence.read(presence, head, limit);
            let nothing = presence.is_empty();
            return if nothing { Found::Nothing } else { Found::News { entries: Vec::new(), presence } };
        }
        let first = published.window.front().map(|entry| entry.sequence);
        let Some(offset) = first.and_then(|first| (position.0 + 1).checked_sub(first.0)) else {
            return Found::Lagged;
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let entries: Vec<_> = within_batch(published.window.iter().skip(start).take(limit).cloned()).collect();
        let presence = match entries.last() {
            Some(last) if last.sequence >= head => published.presence.read(presence, head, limit - entries.len()),
            _ => Vec::new(),
        };
        Found::News { entries, presence }
    }

    /// Waits until something has been published since the last [`after`](Self::after). False once the feed
    /// is closed.
    pub async fn changed(&mut self) -> bool {
        self.woken.changed().await.is_ok()
    }

    /// The newest committed event, and whether a participant is on the roster as of it. What is published later counts
    /// as [`changed`](Self::changed).
    pub fn look(&mut self, participant: ParticipantId) -> (Sequence, bool) {
        self.woken.mark_unchanged();
        let published = self.published.borrow();
        (published.conversation.head(), published.conversation.member(participant).is_some())
    }

    /// The newest committed event.
    pub fn head(&self) -> Sequence {
        self.published.borrow().conversation.head()
    }

    /// The conversation as of the newest committed event.
    pub fn conversation(&self) -> Conversation {
        self.published.borrow().conversation.clone()
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
        let (feed, _) = Feed::new(conversation.clone());
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

    fn nobody() -> PresenceCursor {
        PresenceCursor::new(ParticipantId(Sequence(1)), Sequence(0))
    }

    fn sequences(found: Found) -> Vec<u64> {
        match found {
            Found::News { entries, .. } => entries.iter().map(|entry| entry.sequence.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reader_gets_what_follows_its_position_and_no_more_than_it_asked_for() {
        let mut reader = feed_of(5).reader();
        assert_eq!(sequences(reader.after(Sequence(0), &mut nobody(), 2)), [1, 2]);
        assert_eq!(sequences(reader.after(Sequence(2), &mut nobody(), 9)), [3, 4, 5]);
        assert!(matches!(reader.after(Sequence(5), &mut nobody(), 9), Found::Nothing));
    }

    #[test]
    fn a_position_that_has_left_the_window_is_said_to_be_behind() {
        let window = FEED_WINDOW as u64;
        let mut reader = feed_of(window + 10).reader();
        assert!(matches!(reader.after(Sequence(9), &mut nobody(), 1), Found::Lagged));
        assert_eq!(sequences(reader.after(Sequence(10), &mut nobody(), 1)), [11]);
    }

    /// A feed is closed when nothing holds its writing end any more.
    #[tokio::test]
    async fn every_reader_is_woken_once_there_is_news_and_when_the_feed_is_closed() {
        let (feed, fan_out) = Feed::new(Conversation::new());
        let fan_out = tokio::spawn(fan_out.run());
        let first = feed.reader();
        let mut readers: Vec<_> = (0..3 * SLICES).map(|_| first.clone()).collect();
        for reader in &mut readers {
            assert!(matches!(reader.after(Sequence(0), &mut nobody(), 1), Found::Nothing));
        }
        feed.changes.send_replace(());
        for reader in &mut readers {
            assert!(reader.changed().await);
        }
        drop(feed);
        for reader in &mut readers {
            assert!(!reader.changed().await);
        }
        fan_out.await.unwrap();
    }
}
