//! The stream or the running grace period of each participant.

use std::collections::{BTreeMap, HashMap};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::time::{DelayQueue, delay_queue};

use super::feed::Feed;
use super::streams::deliveries::{DELIVERIES_RECORDED, DeliveryRecords};
use super::streams::open_streams::{StreamEnd, StreamId, StreamLink};
use super::streams::stream::{Stream, StreamContext, WelcomeSeed};
use crate::chat::{Conversation, DisplayName, ParticipantId, Sequence};
use crate::log::{About, ServerRecord, StreamBegun};
use crate::server::edge::origin::Origin;
use crate::wire::Rejection;

/// How soon an expiry is tried again if the journal could not record it.
const EXPIRY_RETRY: Duration = Duration::from_secs(1);
/// How long presence changes are collected after some have been published. Even a participant that keeps reconnecting,
/// or ten thousand that vanish at once, wake each stream no more often than this.
pub const PRESENCE_MERGE: Duration = Duration::from_millis(200);

/// A stream to be attached.
#[derive(Debug)]
pub struct Attach {
    pub participant: ParticipantId,
    pub display_name: DisplayName,
    /// The session's secret, for the Welcome.
    pub token: Arc<str>,
    /// The origin of the stream.
    pub origin: Origin,
    /// The last event that the client already has.
    pub position: Sequence,
    /// Whether an existing session is resumed.
    pub resumed: bool,
    /// The conversation as the Welcome describes it.
    pub conversation: Conversation,
}

/// Which participants have a stream, and whose grace period runs.
pub struct Attachments {
    context: Arc<StreamContext>,
    feed: Feed,
    grace: Duration,
    deliveries: DeliveryRecords,
    record_deliveries: Interval,
    /// The lab's requests to record deliveries at once, if there is a lab.
    recording: Option<watch::Receiver<u64>>,
    serving: HashMap<StreamId, Serving>,
    attached: HashMap<ParticipantId, Arc<StreamLink>>,
    graces: DelayQueue<ParticipantId>,
    waiting: HashMap<ParticipantId, delay_queue::Key>,
    /// Presence changes that are not published yet: for each participant, whether it is connected now.
    changes: BTreeMap<ParticipantId, bool>,
    /// When the next changes may be published.
    tell_at: Instant,
}

struct Serving {
    participant: ParticipantId,
    display_name: DisplayName,
    origin: Origin,
}

impl Attachments {
    /// No streams yet. Every participant on the roster gets a fresh grace period.
    pub fn new(context: StreamContext, feed: Feed, grace: Duration, conversation: &Conversation) -> Self {
        let deliveries = DeliveryRecords::new(context.epoch.clone());
        let mut record_deliveries = interval(DELIVERIES_RECORDED);
        record_deliveries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let recording = context.lab.as_ref().map(|lab| lab.recording().wanted());
        let mut attachments = Self {
            context: Arc::new(context),
            feed,
            grace,
            deliveries,
            record_deliveries,
            recording,
            serving: HashMap::new(),
            attached: HashMap::new(),
            graces: DelayQueue::new(),
            waiting: HashMap::new(),
            changes: BTreeMap::new(),
            tell_at: Instant::now(),
        };
        for (participant, _) in conversation.roster() {
            attachments.start_grace(participant, grace);
        }
        attachments.feed.publish_presence(conversation.roster().map(|(participant, _)| (participant, false)));
        attachments
    }

    /// How many participants have a stream.
    pub fn attached(&self) -> usize {
        self.attached.len()
    }

    /// Starts a participant's stream, in place of the one it may have.
    pub fn attach(&mut self, attach: Attach) -> Stream {
        let Attach { participant, display_name, token, origin, position, resumed, conversation } = attach;
        self.end_grace(participant);
        let link = self.context.streams.open(position);
        let welcome = WelcomeSeed { token, resumed, conversation };
        let stream = Stream::new(Arc::clone(&self.context), Arc::clone(&link), participant, welcome);
        let begun = StreamBegun {
            about: About::epoch(self.context.epoch.as_str()).participant(participant, display_name.as_str()),
            peer: origin.peer.to_string().into(),
            transport: origin.transport.to_string().into(),
            sequence: position.0,
        };
        ServerRecord::ClientConnected(begun.clone()).emit();
        if resumed {
            ServerRecord::SessionResumed(begun).emit();
        }
        self.deliveries.begin(participant, Arc::clone(&link));
        self.serving.insert(link.id(), Serving { participant, display_name, origin });
        // Streams that were open when the service began to stop have already been ended.
        if self.context.server.stopping.is_cancelled() {
            link.end(StreamEnd::Rejected(Rejection::ShuttingDown));
        }
        if let Some(older) = self.attached.insert(participant, link) {
            // The participant was connected the whole time.
            older.end(StreamEnd::Rejected(Rejection::Replaced));
        } else if resumed {
            self.note(participant, true);
        }
        stream
    }

    /// Forgets a participant that has left. Its stream ends when it reaches the Left event.
    pub fn left(&mut self, participant: ParticipantId) {
        self.attached.remove(&participant);
        self.end_grace(participant);
    }

    /// For replicas: the participant's session is attached to another replica, and its stream here ends with REPLACED.
    pub fn replaced(&mut self, participant: ParticipantId) {
        if let Some(link) = self.attached.remove(&participant) {
            link.end(StreamEnd::Rejected(Rejection::Replaced));
        }
    }

    /// For replicas: ends all streams with JOURNAL_UNAVAILABLE, since this replica is cut off from the log. Their
    /// clients resume at another replica, if they know one.
    pub fn cut_off(&mut self) {
        for (_, link) in self.attached.drain() {
            link.end(StreamEnd::Rejected(Rejection::JournalUnavailable));
        }
    }

    /// Tries an expiry again a little later.
    pub fn postpone(&mut self, participant: ParticipantId) {
        self.start_grace(participant, EXPIRY_RETRY);
    }

    /// Waits for the next participant whose grace period is over. Meanwhile, handles streams that end.
    pub async fn next_expiry(&mut self) -> ParticipantId {
        loop {
            tokio::select! {
                () = self.context.streams.wait_for_ends() => self.see_to_ends(),
                Some(expired) = poll_fn(|cx| self.graces.poll_expired(cx)), if !self.graces.is_empty() => {
                    let participant = expired.into_inner();
                    self.waiting.remove(&participant);
                    return participant;
                }
                () = sleep_until(self.tell_at), if !self.changes.is_empty() => self.tell(),
                _ = self.record_deliveries.tick(), if !self.serving.is_empty() => self.deliveries.record(),
                number = asked(self.recording.as_mut()) => self.record_up_to_now(number),
                else => pending().await,
            }
        }
    }

    fn record_up_to_now(&mut self, number: u64) {
        self.deliveries.record();
        if let Some(lab) = &self.context.lab {
            lab.recording().done(number);
        }
    }

    /// Waits until all streams have ended.
    pub async fn finish(&mut self) {
        while !self.serving.is_empty() {
            self.context.streams.wait_for_ends().await;
            self.see_to_ends();
        }
    }

    fn see_to_ends(&mut self) {
        for (stream, end) in self.context.streams.take_ended() {
            self.ended(stream, end);
        }
    }

    fn ended(&mut self, stream: StreamId, end: StreamEnd) {
        let Some(Serving { participant, display_name, origin }) = self.serving.remove(&stream) else { return };
        self.deliveries.end(stream);
        ServerRecord::ClientDisconnected {
            about: About::epoch(self.context.epoch.as_str()).participant(participant, display_name.as_str()),
            peer: origin.peer.to_string().into(),
            transport: origin.transport.to_string().into(),
            reason: match &end {
                StreamEnd::Left => "LEFT",
                StreamEnd::Disconnected => "DISCONNECTED",
                StreamEnd::Rejected(rejection) => rejection.reason().as_str(),
            }
            .into(),
        }
        .emit();
        // Only the newest stream decides whether the participant is connected.
        if self.attached.get(&participant).is_some_and(|link| link.id() == stream) {
            self.attached.remove(&participant);
            // A service that is stopping keeps its sessions: after a restart the grace periods start again.
            if end != StreamEnd::Rejected(Rejection::ShuttingDown) {
                self.start_grace(participant, self.grace);
                self.note(participant, false);
            }
        }
    }

    /// Notes that a participant has lost its stream or is back. Publishes that at once, or after [`PRESENCE_MERGE`] if
    /// a change has just been published.
    pub fn note(&mut self, participant: ParticipantId, connected: bool) {
        self.changes.insert(participant, connected);
        if self.tell_at <= Instant::now() {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        // A service that is stopping ends all streams, but its participants are not gone.
        if !self.context.server.stopping.is_cancelled() {
            self.feed.publish_presence(changes);
        }
        self.tell_at = Instant::now() + PRESENCE_MERGE;
    }

    fn start_grace(&mut self, participant: ParticipantId, grace: Duration) {
        let key = self.graces.insert(participant, grace);
        self.waiting.insert(participant, key);
    }

    fn end_grace(&mut self, participant: ParticipantId) {
        if let Some(key) = self.waiting.remove(&participant) {
            self.graces.remove(&key);
        }
    }
}

/// The number of the lab's next request; never resolves without a lab.
async fn asked(recording: Option<&mut watch::Receiver<u64>>) -> u64 {
    let Some(recording) = recording else { return pending().await };
    if recording.changed().await.is_err() {
        return pending().await;
    }
    *recording.borrow_and_update()
}
