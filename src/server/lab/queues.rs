//! The requests that the lab holds: a bounded number for each participant, in the order of their arrival.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::chat::{Command, MessageText, ParticipantId};
use crate::wire::Rejection;

/// The most requests of one participant that the lab holds.
pub const PUBLISHES_HELD_MAX: usize = 16;

/// A request, as the lab shows it while it holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldRequest {
    Publish(MessageText),
    Leave,
}

impl HeldRequest {
    /// How a command is shown while it is held.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Publish { text, .. } => Self::Publish(text.clone()),
            _ => Self::Leave,
        }
    }
}

/// The requests that wait, by participant.
#[derive(Clone, Debug, Default)]
pub struct Queues(Arc<Mutex<HashMap<ParticipantId, Queue>>>);

#[derive(Debug, Default)]
struct Queue {
    /// A fair lock: the longest waiting caller is next.
    turn: Arc<Turn<()>>,
    /// How many requests have a place.
    places: usize,
    /// How many have arrived.
    arrived: u64,
    /// The requests that have not been let through, in the order of their arrival.
    held: BTreeMap<u64, HeldRequest>,
}

/// A request's place among those of its participant.
#[derive(Debug)]
pub(super) struct Place {
    queues: Queues,
    participant: ParticipantId,
    number: u64,
}

/// A request that was let through. The next one follows when this is dropped.
#[derive(Debug)]
pub struct Pass {
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

impl Pass {
    /// Lets the request whose turn it is through.
    pub(super) fn new(turn: OwnedMutexGuard<()>, mut place: Place) -> Self {
        place.pass();
        Self { _turn: turn, _place: place }
    }
}

impl Queues {
    /// How many of a participant's requests the lab holds.
    pub fn held(&self, participant: ParticipantId) -> usize {
        self.0.lock().get(&participant).map_or(0, |queue| queue.held.len())
    }

    /// The requests of a participant that the lab holds, in the order of their arrival.
    pub fn held_requests(&self, participant: ParticipantId) -> Vec<HeldRequest> {
        self.0.lock().get(&participant).map_or_else(Vec::new, |queue| queue.held.values().cloned().collect())
    }

    /// Gives a request a place, and the lock that is its turn.
    pub(super) fn enter(
        &self,
        participant: ParticipantId,
        request: HeldRequest,
    ) -> Result<(Arc<Turn<()>>, Place), Rejection> {
        let mut queues = self.0.lock();
        let queue = queues.entry(participant).or_default();
        if queue.places >= PUBLISHES_HELD_MAX {
            return Err(Rejection::HeldByLab { publishes_held_max: PUBLISHES_HELD_MAX });
        }
        queue.places += 1;
        queue.arrived += 1;
        let number = queue.arrived;
        queue.held.insert(number, request);
        Ok((queue.turn.clone(), Place { queues: self.clone(), participant, number }))
    }

    /// Whether no request of a participant has a place.
    pub(super) fn is_empty(&self, participant: ParticipantId) -> bool {
        !self.0.lock().contains_key(&participant)
    }
}

impl Place {
    fn pass(&mut self) {
        if let Some(queue) = self.queues.0.lock().get_mut(&self.participant) {
            queue.held.remove(&self.number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pass();
        let mut queues = self.queues.0.lock();
        if let Some(queue) = queues.get_mut(&self.participant) {
            queue.places -= 1;
            if queue.places == 0 {
                queues.remove(&self.participant);
            }
        }
    }
}
