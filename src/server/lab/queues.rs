//! The requests that the lab holds: a bounded number for each participant, in the order of their arrival.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::chat::ParticipantId;
use crate::wire::Rejection;

/// How many publishes the lab holds of one participant.
pub const PUBLISHES_HELD_MAX: usize = 16;

/// The requests that wait, by participant.
#[derive(Clone, Debug, Default)]
pub struct Queues(Arc<Mutex<HashMap<ParticipantId, Queue>>>);

#[derive(Debug, Default)]
struct Queue {
    /// A fair lock: the longest waiting caller is next.
    turn: Arc<Turn<()>>,
    /// How many requests have a place.
    places: usize,
    /// How many of them have not been let through.
    held: usize,
}

/// A request's place among those of its participant.
#[derive(Debug)]
pub(super) struct Place {
    queues: Queues,
    participant: ParticipantId,
    passed: bool,
}

/// A request that was let through. The next one follows when this is dropped.
#[derive(Debug)]
pub struct Pass {
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

impl Pass {
    /// Lets a request through that has the turn.
    pub(super) fn new(turn: OwnedMutexGuard<()>, mut place: Place) -> Self {
        place.pass();
        Self { _turn: turn, _place: place }
    }
}

impl Queues {
    /// How many publishes the lab holds of a participant.
    pub fn held(&self, participant: ParticipantId) -> usize {
        self.0.lock().get(&participant).map_or(0, |queue| queue.held)
    }

    /// Gives a request a place, and the lock that is its turn.
    pub(super) fn enter(&self, participant: ParticipantId) -> Result<(Arc<Turn<()>>, Place), Rejection> {
        let mut queues = self.0.lock();
        let queue = queues.entry(participant).or_default();
        if queue.places >= PUBLISHES_HELD_MAX {
            return Err(Rejection::HeldByLab { publishes_held_max: PUBLISHES_HELD_MAX });
        }
        queue.places += 1;
        queue.held += 1;
        Ok((queue.turn.clone(), Place { queues: self.clone(), participant, passed: false }))
    }

    /// Whether no request of a participant has a place.
    pub(super) fn is_empty(&self, participant: ParticipantId) -> bool {
        !self.0.lock().contains_key(&participant)
    }
}

impl Place {
    fn pass(&mut self) {
        if !std::mem::replace(&mut self.passed, true)
            && let Some(queue) = self.queues.0.lock().get_mut(&self.participant)
        {
            queue.held -= 1;
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
