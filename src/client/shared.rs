//! What the [driver](super::driver) and the program's two handles share: the [machine](super::machine), and what its
//! outputs act on. Each step, with the log records and the state that it writes, runs under one short lock. So a
//! message's causal context and the deliveries before it have the same order in the session and in its log.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::error::{LeaveError, ListError, PublishError};
use super::event::Event;
use super::machine::{
    DriverCall, Failure, FirstWelcome, Input, Keep, ListRequest, Machine, Moment, Outgoing, Output,
    PUBLISHES_WAITING,
};
use super::state_file::StateHandle;
use super::{JoinError, Receipt, Update};
use crate::chat::{LogicalTime, Sequence};
use crate::log::ClientRecord;
use crate::wire::pb;

/// The result of the first join.
pub(super) type Joining = Result<FirstWelcome, JoinError>;

/// The service's answer to a list request.
pub(super) type Listed = Result<pb::ListEventsResponse, Failure>;

/// A call by the program that waits for the outcome of its message.
#[derive(Debug)]
pub(super) struct Waiter {
    answer: oneshot::Sender<Result<Receipt, PublishError>>,
    /// The message's place in the queue: one of [`PUBLISHES_WAITING`].
    place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct SharedState {
    machine: Machine,
    state: Option<StateHandle>,
    joining: Option<Joining>,
    /// The calls that the driver has yet to make.
    calls: VecDeque<DriverCall>,
    waiters: HashMap<String, Waiter>,
    leave: Option<oneshot::Sender<Result<Receipt, LeaveError>>>,
    lists: HashMap<u64, oneshot::Sender<Result<Vec<Event>, ListError>>>,
    tickets: u64,
    /// The message that the current step submitted, and the update that it took.
    submitted: Option<Outgoing>,
    taken: Option<Update>,
    /// The participant has been abandoned, as if its process had ended.
    is_abandoned: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    inner: Mutex<SharedState>,
    places: Arc<Semaphore>,
    /// Signals that there is an update.
    updated: Notify,
    /// Signals that the driver has a call to make, or that what it waits for has changed.
    changed: Notify,
}

impl Shared {
    pub(super) fn new(machine: Machine, state: Option<StateHandle>) -> Self {
        let inner = SharedState {
            machine,
            state,
            joining: None,
            calls: VecDeque::new(),
            waiters: HashMap::new(),
            leave: None,
            lists: HashMap::new(),
            tickets: 0,
            submitted: None,
            taken: None,
            is_abandoned: false,
        };
        Self(Arc::new(Parts {
            inner: Mutex::new(inner),
            places: Arc::new(Semaphore::new(PUBLISHES_WAITING)),
            updated: Notify::new(),
            changed: Notify::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.0.inner.lock()
    }

    /// Takes a step for the driver.
    pub(super) fn drive(&self, input: Input) {
        self.step(&mut self.lock(), input);
    }

    /// Takes the answer to a list request, which runs in its own task.
    pub(super) fn listed(&self, ticket: u64, request: pb::ListEventsRequest, result: Listed) {
        self.feed(&mut self.lock(), Input::Listed { ticket, request, result });
    }

    /// Takes a step that the driver did not cause, and wakes the driver if needed.
    fn feed(&self, inner: &mut SharedState, input: Input) {
        let before = (inner.machine.has_room(), inner.machine.next_tick());
        self.step(inner, input);
        if !inner.calls.is_empty() || before != (inner.machine.has_room(), inner.machine.next_tick()) {
            self.0.changed.notify_one();
        }
    }

    fn step(&self, inner: &mut SharedState, input: Input) {
        if inner.is_abandoned {
            return;
        }
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let now = Moment { at: Instant::now().into_std(), chance: fastrand::f64() };
            for output in inner.machine.advance(input, now) {
                next = inner.perform(output).map(Input::NotKept).or(next);
            }
        }
        if inner.machine.is_over() {
            self.0.places.close();
        }
        if inner.machine.has_updates() || inner.machine.is_over() {
            self.0.updated.notify_one();
        }
    }

    /// The driver has failed.
    pub(super) fn failed(&self, why: String) {
        self.feed(&mut self.lock(), Input::Failed(why));
    }

    /// The next call for the driver.
    pub(super) fn next_call(&self) -> Option<DriverCall> {
        self.lock().calls.pop_front()
    }

    /// The time at which the driver must take a step, and whether it should read the stream.
    pub(super) fn waits_for(&self) -> (Option<Instant>, bool) {
        let inner = self.lock();
        (inner.machine.next_tick().map(Instant::from_std), inner.machine.has_room())
    }

    /// Waits until the program's calls give the driver something to do.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The result of the first join, once it is known.
    pub(super) fn joining(&self) -> Option<Joining> {
        self.lock().joining.take()
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.lock().machine.is_over()
    }

    /// The next update for the program; `None` once there will be no more.
    pub(super) async fn next(&self) -> Option<Update> {
        loop {
            {
                let mut inner = self.lock();
                self.feed(&mut inner, Input::Take);
                if let Some(update) = inner.taken.take() {
                    return Some(update);
                }
                if inner.machine.is_over() {
                    return None;
                }
            }
            self.0.updated.notified().await;
        }
    }

    /// The program takes no more updates.
    pub(super) fn unread(&self) {
        self.feed(&mut self.lock(), Input::Unread);
    }

    /// Submits a message and queues it. Returns it if the queue is full.
    pub(super) fn submit(
        &self,
        text: String,
        answer: oneshot::Sender<Result<Receipt, PublishError>>,
    ) -> Option<(Outgoing, Waiter)> {
        let id = new_message_id();
        let mut inner = self.lock();
        inner.waiters.insert(id.clone(), Waiter { answer, place: None });
        self.feed(&mut inner, Input::Submit { id, text });
        let message = inner.submitted.take()?;
        let waiter = inner.waiters.remove(&message.id)?;
        match self.0.places.clone().try_acquire_owned() {
            Ok(place) => {
                self.enqueue(&mut inner, message, Waiter { place: Some(place), ..waiter });
                None
            }
            Err(_) => Some((message, waiter)),
        }
    }

    /// Queues a message as soon as there is room.
    pub(super) async fn enqueue_later(&self, message: Outgoing, waiter: Waiter) {
        match self.0.places.clone().acquire_owned().await {
            Ok(place) => self.enqueue(&mut self.lock(), message, Waiter { place: Some(place), ..waiter }),
            Err(_) => drop(waiter.answer.send(Err(PublishError::Ended))),
        }
    }

    fn enqueue(&self, inner: &mut SharedState, message: Outgoing, waiter: Waiter) {
        inner.waiters.insert(message.id.clone(), waiter);
        self.feed(inner, Input::Enqueue(message));
    }

    /// The program wants to leave. Only the first call gets the answer.
    pub(super) fn leave(&self, answer: Option<oneshot::Sender<Result<Receipt, LeaveError>>>) {
        let mut inner = self.lock();
        if !inner.machine.is_leaving() {
            inner.leave = answer;
        }
        self.feed(&mut inner, Input::Leave);
    }

    /// The program no longer waits for any answer.
    pub(super) fn give_up(&self) {
        self.feed(&mut self.lock(), Input::GiveUp);
    }

    /// See [`Chat::abandon`](super::Chat::abandon).
    pub(super) fn abandon(&self) {
        self.lock().is_abandoned = true;
    }

    /// The participant's clock now.
    pub(super) fn logical_time(&self) -> LogicalTime {
        self.lock().machine.logical_time()
    }

    /// The program wants to read earlier events.
    pub(super) fn list(
        &self,
        before: Sequence,
        count: u32,
        answer: oneshot::Sender<Result<Vec<Event>, ListError>>,
    ) {
        let mut inner = self.lock();
        inner.tickets += 1;
        let ticket = inner.tickets;
        inner.lists.insert(ticket, answer);
        self.feed(&mut inner, Input::List(ListRequest { ticket, before, count }));
    }
}

impl SharedState {
    /// Carries out an output of the machine, or queues it for the driver. If the session can no longer be kept, returns
    /// why. It is not a failure if the receiver of an answer has been dropped.
    fn perform(&mut self, output: Output) -> Option<String> {
        match output {
            Output::Record(record) => record.emit(),
            Output::Delivered(event) => ClientRecord::EventDelivered(event.delivered()).emit(),
            Output::Keep(keep) => return self.keep(keep),
            Output::Submitted(message) => self.submitted = Some(message),
            Output::Answer { id, result } => {
                if let Some(Waiter { answer, place }) = self.waiters.remove(&id) {
                    drop(place);
                    let _ = answer.send(result);
                }
            }
            Output::LeaveAnswer(result) => drop(self.leave.take().map(|answer| answer.send(result))),
            Output::Listed { ticket, result } => {
                drop(self.lists.remove(&ticket).map(|answer| answer.send(result)));
            }
            Output::Update(update) => self.taken = Some(update),
            Output::Joined(welcome) => self.joining = Some(Ok(welcome)),
            Output::NotJoined(error) => self.joining = Some(Err(error)),
            Output::Call(call) => self.calls.push_back(call),
        }
        None
    }

    fn keep(&mut self, keep: Keep) -> Option<String> {
        let state = self.state.take()?;
        let kept = match keep {
            Keep::Begin { participant_id, epoch, token, clock } => {
                state.begin(&participant_id, &epoch, &token, clock)
            }
            Keep::Save { position, clock } => state.save(position, clock),
            Keep::Received { sequence, chain_hash } => {
                state.received(sequence, &chain_hash);
                Ok(())
            }
            Keep::Remove => {
                // If the file cannot be removed, the service will refuse its session.
                drop(state.remove());
                return None;
            }
        };
        match kept {
            Ok(()) => {
                self.state = Some(state);
                None
            }
            Err(error) => {
                // If the file cannot be removed either, the next process completes its state from the log.
                drop(state.remove());
                Some(error.to_string())
            }
        }
    }
}

fn new_message_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    HEXLOWER.encode(&bytes)
}
