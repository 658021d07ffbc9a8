//! The open streams, as the rest of the service sees them: which to wake when there is news, which are stuck, and which
//! have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::chat::Sequence;
use crate::wire::Rejection;

/// How many streams are checked before other tasks get their turn.
const SLICE_STREAMS: usize = 256;
/// The longest time between two checks of a stream.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Why a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The participant has left.
    Left,
    /// The connection is gone.
    Disconnected,
    /// The service ended it.
    Rejected(Rejection),
}

/// Identifies a stream within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(u64);

/// All open streams. Clones share them.
#[derive(Clone, Debug)]
pub struct OpenStreams(Arc<AllStreams>);

#[derive(Debug)]
struct AllStreams {
    heartbeat: Duration,
    stall: Duration,
    next: AtomicU64,
    /// An entry keeps its place, so that an iteration over the places misses none.
    open: Mutex<Slab<Arc<StreamLink>>>,
    /// Streams that have ended since they were last taken. There are never more than there were open streams.
    ended: Mutex<Vec<(StreamId, StreamEnd)>>,
    changed: Notify,
    /// Signals the first stream.
    opened: Notify,
}

/// The state that a stream shares with the rest of the service.
#[derive(Debug)]
pub struct StreamLink {
    id: StreamId,
    place: usize,
    streams: OpenStreams,
    /// Everything up to this event was handed to the transport.
    position: AtomicU64,
    /// The waker of the task that waits for news.
    waker: Mutex<Option<Waker>>,
    state: Mutex<LinkState>,
}

#[derive(Debug)]
struct LinkState {
    end: Option<StreamEnd>,
    /// Whether the transport has asked for more and waits for it.
    is_asked: bool,
    /// When something was last handed over.
    handed_over: Instant,
    /// When the stream was first seen to have news that the transport does not ask for.
    stalled_since: Option<Instant>,
    is_heartbeat_due: bool,
}

/// The state of a stream that has nothing to hand over.
#[derive(Debug, PartialEq, Eq)]
pub enum Idle {
    /// It has ended.
    Ended(StreamEnd),
    /// It has been quiet for so long that a heartbeat is due.
    HeartbeatDue,
    /// It will be woken when there is news.
    Waiting,
}

impl OpenStreams {
    /// No streams yet. Each gets a heartbeat after a quiet time, and is ended when its transport has taken nothing for
    /// the stall limit.
    pub fn new(heartbeat: Duration, stall: Duration) -> Self {
        Self(Arc::new(AllStreams {
            heartbeat,
            stall,
            next: AtomicU64::new(0),
            open: Mutex::default(),
            ended: Mutex::default(),
            changed: Notify::new(),
            opened: Notify::new(),
        }))
    }

    /// Opens a stream that begins after a position.
    pub fn open(&self, position: Sequence) -> Arc<StreamLink> {
        let mut open = self.0.open.lock();
        let entry = open.vacant_entry();
        let link = Arc::new(StreamLink {
            id: StreamId(self.0.next.fetch_add(1, Ordering::Relaxed)),
            place: entry.key(),
            streams: self.clone(),
            position: AtomicU64::new(position.0),
            waker: Mutex::default(),
            state: Mutex::new(LinkState {
                end: None,
                is_asked: false,
                handed_over: Instant::now(),
                stalled_since: None,
                is_heartbeat_due: false,
            }),
        });
        entry.insert(Arc::clone(&link));
        if open.len() == 1 {
            self.0.opened.notify_one();
        }
        link
    }

    /// Whether there is a stream.
    pub fn has_any(&self) -> bool {
        !self.0.open.lock().is_empty()
    }

    /// Waits until there is a stream. Only one task may await this.
    pub async fn wait_for_one(&self) {
        while !self.has_any() {
            self.0.opened.notified().await;
        }
    }

    /// How often all streams are to be checked by [`look_after_some`](Self::look_after_some).
    pub fn sweep_interval(&self) -> Duration {
        (self.0.heartbeat.min(self.0.stall) / 4).clamp(SWEEP_INTERVAL_MIN, SWEEP_INTERVAL_MAX)
    }

    /// Wakes up to `most` streams that wait for news, beginning at a place. Returns the place after them, or `None` if
    /// there are no more.
    pub fn wake_some(&self, from: usize, most: usize) -> Option<usize> {
        let mut wakers = Vec::with_capacity(most);
        let open = self.0.open.lock();
        let last = open.capacity().min(from + SLICE_STREAMS);
        let mut place = from;
        while place < last && wakers.len() < most {
            wakers.extend(open.get(place).and_then(|link| link.waker.lock().take()));
            place += 1;
        }
        let more = place < open.capacity();
        drop(open);
        wakers.into_iter().for_each(Waker::wake);
        more.then_some(place)
    }

    /// Beginning at a place, wakes the streams that have to send a heartbeat, and ends those whose transport has taken
    /// nothing for the stall limit. `head` is the newest event. Returns the place after them, or `None` if there are no
    /// more.
    pub fn look_after_some(&self, from: usize, head: Sequence, now: Instant) -> Option<usize> {
        let soon = now + self.sweep_interval();
        let mut due = Vec::new();
        let open = self.0.open.lock();
        let last = open.capacity().min(from + SLICE_STREAMS);
        for link in (from..last).filter_map(|place| open.get(place)) {
            due.extend(link.look(head, now, soon).map(|due| (Arc::clone(link), due)));
        }
        let more = last < open.capacity();
        drop(open);
        for (link, due) in due {
            match due {
                StreamDue::Heartbeat => link.wake(),
                StreamDue::End => {
                    link.end(StreamEnd::Rejected(Rejection::SlowConsumer { stall: self.0.stall }));
                }
            }
        }
        more.then_some(last)
    }

    /// Ends all streams.
    pub fn end_all(&self, rejection: &Rejection) {
        let all: Vec<_> = self.0.open.lock().iter().map(|(_, link)| Arc::clone(link)).collect();
        for link in all {
            link.end(StreamEnd::Rejected(rejection.clone()));
        }
    }

    /// Waits until streams have ended. Only one task may await this.
    pub async fn wait_for_ends(&self) {
        while self.0.ended.lock().is_empty() {
            self.0.changed.notified().await;
        }
    }

    /// The streams that have ended since the last time.
    pub fn take_ended(&self) -> Vec<(StreamId, StreamEnd)> {
        std::mem::take(&mut *self.0.ended.lock())
    }
}

/// What is due for a stream.
enum StreamDue {
    Heartbeat,
    End,
}

impl StreamLink {
    /// The stream's id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The last event that was handed to the transport.
    pub fn position(&self) -> Sequence {
        Sequence(self.position.load(Ordering::Acquire))
    }

    /// Records that the stream hands something over to the transport, which then has everything up to this event.
    ///
    /// # Errors
    /// The reason, if the stream has ended; nothing is handed over then.
    pub fn hand_over(&self, position: Sequence) -> Result<(), StreamEnd> {
        let mut state = self.state.lock();
        if let Some(end) = &state.end {
            return Err(end.clone());
        }
        state.is_asked = false;
        state.handed_over = Instant::now();
        state.stalled_since = None;
        state.is_heartbeat_due = false;
        self.position.store(position.0, Ordering::Release);
        Ok(())
    }

    /// Records that the stream has nothing to hand over. Its task is woken when there may be news. Earlier news does
    /// not wake it, so it has to check once more after this call.
    pub fn wait(&self, context: &Context<'_>) -> Idle {
        match &mut *self.waker.lock() {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        let mut state = self.state.lock();
        if let Some(end) = &state.end {
            return Idle::Ended(end.clone());
        }
        state.is_asked = true;
        state.stalled_since = None;
        if std::mem::take(&mut state.is_heartbeat_due) { Idle::HeartbeatDue } else { Idle::Waiting }
    }

    /// Ends the stream, unless it has already ended, and wakes its task. Returns why it has ended.
    pub fn end(&self, end: StreamEnd) -> StreamEnd {
        let mut state = self.state.lock();
        if let Some(before) = &state.end {
            return before.clone();
        }
        state.end = Some(end.clone());
        drop(state);
        self.streams.0.open.lock().try_remove(self.place);
        self.streams.0.ended.lock().push((self.id, end.clone()));
        self.streams.0.changed.notify_one();
        self.wake();
        end
    }

    fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn look(&self, head: Sequence, now: Instant, soon: Instant) -> Option<StreamDue> {
        let mut state = self.state.lock();
        let has_been_quiet = |at: Instant| at.duration_since(state.handed_over) >= self.streams.0.heartbeat;
        if state.is_asked {
            state.is_heartbeat_due = has_been_quiet(soon);
            return state.is_heartbeat_due.then_some(StreamDue::Heartbeat);
        }
        if head <= self.position() && !has_been_quiet(now) {
            return None;
        }
        let since = *state.stalled_since.get_or_insert(now);
        (now.duration_since(since) >= self.streams.0.stall).then_some(StreamDue::End)
    }
}

#[cfg(test)]
mod tests;
