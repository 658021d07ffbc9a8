//! What the [driver](super::driver) and the program's two handles share: the session, the updates that wait for the
//! program, and the messages that wait for the connection.
//!
//! Everything here happens under one short lock, so a message's causal context and the deliveries before it have one order, in
//! the session and in its log. An event is delivered, and recorded, at the moment when the program takes it: what the
//! program has not taken yet it has not seen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::PublishError;
use super::event::{Event, Kind};
use super::session::{CausalContext, Session};
use super::{Missed, Receipt, Update};
use crate::chat::{LogicalTime, MessageText, Sequence};
use crate::wire::Rejection;

/// How many updates can wait for the program; the stream waits with them.
const UPDATES_WAITING: usize = 256;
/// Of how many missed events the client waits for the last, to say how many of them are messages.
const MISSED_COUNTED: u64 = 200;
/// How many messages can wait to be sent. More wait in the calls that publish them.
pub(super) const PUBLISHES_WAITING: usize = 1024;

/// A message that has not been answered.
#[derive(Debug)]
pub(super) struct PendingPublish {
    pub(super) text: String,
    pub(super) id: String,
    /// What its writer had been delivered when it was submitted.
    pub(super) context: CausalContext,
    /// Some try may have reached the service without its answer reaching us.
    pub(super) outcome_unknown: bool,
    /// How often in a row it failed without a reason.
    pub(super) failures: u32,
    answer: oneshot::Sender<Result<Receipt, PublishError>>,
    /// Its place among [`PUBLISHES_WAITING`].
    place: Option<OwnedSemaphorePermit>,
}

impl PendingPublish {
    /// Answers the program, which may no longer wait, and makes room.
    pub(super) fn resolve(self, result: Result<Receipt, PublishError>) {
        drop(self.place);
        let _ = self.answer.send(result);
    }
}

/// Whether the driver and the program are still at work.
#[derive(Debug)]
enum Lifecycle {
    Running,
    /// The driver has stopped, with this reason if it failed; the program has not taken all updates.
    Stopped(Option<String>),
    /// The program has taken all updates, and the end is in the log.
    Recorded,
}

/// What was missed arrives, to be counted before the program learns of any of it.
#[derive(Debug)]
struct Replay {
    after: Option<Duration>,
    count: u64,
    events: Vec<Event>,
}

#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) session: Session,
    updates: VecDeque<Update>,
    replay: Option<Replay>,
    /// The program has dropped its updates.
    is_unread: bool,
    publishes: VecDeque<PendingPublish>,
    /// Nothing more can be submitted.
    is_leaving: bool,
    /// The leave is on its way: nothing more is sent.
    is_closed: bool,
    lifecycle: Lifecycle,
}

impl SessionState {
    /// Puts in an update for the program.
    pub(super) fn push(&mut self, update: Update) {
        match (&mut self.replay, update) {
            (Some(replay), Update::Event(event)) => {
                replay.events.push(event);
                if replay.events.len() as u64 == replay.count {
                    self.end_replay();
                }
            }
            (_, update) => {
                self.end_replay();
                self.put(update);
            }
        }
    }

    /// A stream resumes the session, and this many missed events come first.
    pub(super) fn resumed(&mut self, after: Option<Duration>, missed: u64) {
        self.end_replay();
        let replay = Replay { after, count: missed, events: Vec::new() };
        self.replay = Some(replay);
        if missed == 0 || missed > MISSED_COUNTED {
            self.end_replay();
        }
    }

    /// Reports to the program how much it missed, followed by those of the missed events that have arrived.
    fn end_replay(&mut self) {
        let Some(Replay { after, count, events }) = self.replay.take() else { return };
        let me = self.session.participant_id().map(str::to_owned);
        let others = || events.iter().filter(|event| Some(&event.participant.participant_id) != me.as_ref());
        let missed = if events.len() as u64 == count {
            let messages = others().filter(|event| matches!(event.kind, Kind::Message { .. })).count() as u64;
            Missed { events: others().count() as u64, messages: Some(messages) }
        } else {
            Missed { events: count, messages: None }
        };
        let before = |event: &Event| Sequence(event.sequence.0.saturating_sub(1));
        self.put(match after {
            Some(after) => Update::Back { after, missed },
            None => {
                Update::Continued { after: events.first().map_or_else(|| self.session.cursor(), before), missed }
            }
        });
        events.into_iter().for_each(|event| self.put(Update::Event(event)));
    }

    fn put(&mut self, mut update: Update) {
        if self.is_unread {
            // The program takes no more updates, so the event is delivered here.
            return self.deliver(&mut update);
        }
        // If the connection breaks again and again while the program takes no updates, it is reported once.
        while self.updates.len() >= 2 * UPDATES_WAITING
            && matches!(
                self.updates.back(),
                Some(
                    Update::Offline { .. }
                        | Update::Back { .. }
                        | Update::Waiting { .. }
                        | Update::Presence { .. }
                        | Update::Lab { .. }
                )
            )
        {
            self.updates.pop_back();
        }
        self.updates.push_back(update);
    }

    fn deliver(&mut self, update: &mut Update) {
        // A clock that has received anything is past 0.
        if let Update::Event(event) = update
            && event.local_time == LogicalTime(0)
        {
            self.session.deliver(event);
        }
    }

    /// The membership is over. The updates that wait for the program belong to it, so they are recorded before another
    /// one begins.
    pub(super) fn deliver_all(&mut self) {
        self.end_replay();
        let mut updates = std::mem::take(&mut self.updates);
        updates.iter_mut().for_each(|update| self.deliver(update));
        self.updates = updates;
    }

    fn take(&mut self) -> Option<Update> {
        let mut update = self.updates.pop_front();
        if let Some(update) = &mut update {
            self.deliver(update);
        }
        self.record_end();
        update
    }

    fn record_end(&mut self) {
        if self.updates.is_empty()
            && let Lifecycle::Stopped(reason) = &self.lifecycle
        {
            self.session.stopped(reason.as_deref());
            self.lifecycle = Lifecycle::Recorded;
        }
    }

    /// The next message that is to be sent.
    pub(super) fn next_publish(&mut self) -> Option<PendingPublish> {
        self.publishes.pop_front()
    }

    /// From now on nothing more is sent. Messages that come too late fail.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.publishes.drain(..).for_each(|publish| publish.resolve(Err(PublishError::Ended)));
    }
}

#[derive(Clone, Debug)]
pub(super) struct SharedSession(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    state: Mutex<SessionState>,
    places: Arc<Semaphore>,
    /// An update has come.
    came: Notify,
    /// The program has taken one.
    taken: Notify,
    /// There is a message to send.
    submitted: Notify,
}

impl SharedSession {
    pub(super) fn new(session: Session) -> Self {
        let state = SessionState {
            session,
            updates: VecDeque::new(),
            replay: None,
            is_unread: false,
            publishes: VecDeque::new(),
            is_leaving: false,
            is_closed: false,
            lifecycle: Lifecycle::Running,
        };
        Self(Arc::new(Parts {
            state: Mutex::new(state),
            places: Arc::new(Semaphore::new(PUBLISHES_WAITING)),
            came: Notify::new(),
            taken: Notify::new(),
            submitted: Notify::new(),
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in an update for the program.
    pub(super) fn push(&self, update: Update) {
        self.lock().push(update);
        self.0.came.notify_one();
    }

    /// See [`SessionState::resumed`].
    pub(super) fn resumed(&self, after: Option<Duration>, missed: u64) {
        self.lock().resumed(after, missed);
        self.0.came.notify_one();
    }

    /// Whether the stream can be read on.
    pub(super) fn has_room(&self) -> bool {
        self.lock().updates.len() < UPDATES_WAITING
    }

    /// Waits until the program takes an update.
    pub(super) async fn taken(&self) {
        self.0.taken.notified().await;
    }

    /// The next update for the program; none once there will be no more.
    pub(super) async fn next(&self) -> Option<Update> {
        loop {
            {
                let mut state = self.lock();
                if let Some(update) = state.take() {
                    self.0.taken.notify_one();
                    return Some(update);
                }
                if !matches!(state.lifecycle, Lifecycle::Running) {
                    return None;
                }
            }
            self.0.came.notified().await;
        }
    }

    /// The program takes no more updates: what waits, and what is still to come, is delivered all the same.
    pub(super) fn unread(&self) {
        let mut state = self.lock();
        state.is_unread = true;
        state.deliver_all();
        state.updates.clear();
        state.record_end();
        self.0.taken.notify_one();
    }

    /// The driver has stopped. The program takes what there is.
    pub(super) fn end(&self, last: Option<Update>, reason: Option<String>) {
        let mut state = self.lock();
        state.close();
        state.end_replay();
        last.into_iter().for_each(|update| state.put(update));
        state.lifecycle = Lifecycle::Stopped(reason);
        state.record_end();
        self.0.places.close();
        self.0.came.notify_one();
    }

    /// Submits a message: fixes its causal context and gives it its id. None where it can never be sent, which is
    /// answered at once.
    pub(super) fn submit(
        &self,
        text: String,
        answer: oneshot::Sender<Result<Receipt, PublishError>>,
    ) -> Option<PendingPublish> {
        let state = self.lock();
        if state.is_leaving || state.is_closed {
            let _ = answer.send(Err(PublishError::Ended));
            return None;
        }
        if let Err(refusal) = MessageText::parse(text.as_str()) {
            let rejection = Rejection::from(refusal);
            state.session.publish_refused(None, &text, Some(rejection.reason()), "");
            let (reason, message) = (Some(rejection.reason()), rejection.to_string());
            let _ = answer.send(Err(PublishError::Refused { reason, message }));
            return None;
        }
        let id = new_message_id();
        let context = state.session.publish_queued(&text, &id);
        Some(PendingPublish { text, id, context, outcome_unknown: false, failures: 0, answer, place: None })
    }

    /// Queues a message. It is returned if the queue is full.
    pub(super) fn try_enqueue(&self, publish: PendingPublish) -> Option<PendingPublish> {
        match self.0.places.clone().try_acquire_owned() {
            Ok(place) => {
                self.enqueue(publish, place);
                None
            }
            Err(_) => Some(publish),
        }
    }

    /// Queues a message as soon as there is room.
    pub(super) async fn enqueue_later(&self, publish: PendingPublish) {
        match self.0.places.clone().acquire_owned().await {
            Ok(place) => self.enqueue(publish, place),
            Err(_) => publish.resolve(Err(PublishError::Ended)),
        }
    }

    fn enqueue(&self, mut publish: PendingPublish, place: OwnedSemaphorePermit) {
        publish.place = Some(place);
        let mut state = self.lock();
        if state.is_closed {
            return publish.resolve(Err(PublishError::Ended));
        }
        state.publishes.push_back(publish);
        self.0.submitted.notify_one();
    }

    /// Waits until there is a message to send.
    pub(super) async fn submitted(&self) {
        self.0.submitted.notified().await;
    }

    /// The participant's clock now.
    pub(super) fn logical_time(&self) -> LogicalTime {
        self.lock().session.logical_time()
    }

    /// From now on nothing more can be submitted; what was, is still sent.
    pub(super) fn leaving(&self) {
        self.lock().is_leaving = true;
    }
}

fn new_message_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    format!("{:032x}", u128::from_le_bytes(bytes))
}
