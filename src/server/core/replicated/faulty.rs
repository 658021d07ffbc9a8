//! A replica that answers too early: a mistake that a test makes on purpose.

use super::ReplicatedEngine;
use super::waiting::Waiter;
use crate::chat::{Batch, Outcome, ReplicaFault};

impl ReplicatedEngine {
    /// The outcomes of a batch if no other batch precedes it.
    pub(super) fn guess(&self, batch: &Batch) -> Vec<Outcome> {
        let mut cluster = self.applier.newest().clone();
        cluster.apply(self.applier.place().position + 1, batch).outcomes
    }

    /// Answers when the servers have stored the batch in flight, before it comes back.
    pub(super) fn answer_early(&mut self) {
        let Some(proposed) = self.proposed.back_mut().filter(|_| ReplicaFault::AnswerEarly.is_made()) else {
            return;
        };
        for (waiter, outcome) in proposed.waiters.iter_mut().zip(&proposed.guessed) {
            let Outcome::Receipt(receipt) = outcome else { continue };
            match std::mem::replace(waiter, Waiter::NoCaller) {
                Waiter::Receipt(responder) => drop(responder.send(Ok(*receipt))),
                other => *waiter = other,
            }
        }
    }
}
