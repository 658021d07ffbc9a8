//! A replica that answers too early: a mistake that a test makes on purpose.

use super::ReplicatedEngine;
use super::waiting::Waiter;
use crate::chat::{Batch, Outcome, ReplicaFault};

impl ReplicatedEngine {
    /// The outcome of a batch, if nothing comes before it.
    pub(super) fn guess(&self, batch: &Batch) -> Vec<Outcome> {
        let mut cluster = self.applier.newest().clone();
        cluster.apply(self.applier.place().position + 1, batch).outcomes
    }

    /// The servers have stored the batch that is on its way.
    pub(super) fn answer_early(&mut self) {
        let Some(proposed) = self.proposed.back_mut().filter(|_| ReplicaFault::AnswerEarly.is_made()) else {
            return;
        };
        for (waiter, outcome) in proposed.waiters.iter_mut().zip(&proposed.guessed) {
            let Outcome::Receipt(receipt) = outcome else { continue };
            match std::mem::replace(waiter, Waiter::Nobody) {
                Waiter::Receipt(responder) => drop(responder.send(Ok(*receipt))),
                other => *waiter = other,
            }
        }
    }
}
