//! The lab's gate before a participant's publishes and its leave.

use std::sync::Arc;

use tokio::sync::Mutex as Turn;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::chat::ParticipantId;
use crate::server::lab::control::{Lab, fraction};
use crate::server::lab::faults::Admission;
use crate::server::lab::queues::{HeldRequest, Pass, Place};
use crate::wire::Rejection;

impl Lab {
    /// Waits until the lab lets a request of a participant through. A lost request waits until its deadline, or until
    /// the service stops.
    ///
    /// # Errors
    /// [`Rejection::HeldByLab`], [`Rejection::ShuttingDown`].
    pub async fn admit(
        &self,
        participant: ParticipantId,
        request: HeldRequest,
        stopping: &CancellationToken,
    ) -> Result<Option<Pass>, Rejection> {
        if self.queues().is_empty(participant) && self.subscribe().borrow().get(participant).is_none() {
            return Ok(None);
        }
        let (turn, place) = self.queues().enter(participant, request)?;
        tokio::select! {
            passed = self.wait(participant, turn, place) => match passed {
                Some(pass) => Ok(Some(pass)),
                None => {
                    stopping.cancelled().await;
                    Err(Rejection::ShuttingDown)
                }
            },
            () = stopping.cancelled() => Err(Rejection::ShuttingDown),
        }
    }

    /// `None` if the request is lost; it has then given up its place.
    async fn wait(&self, participant: ParticipantId, turn: Arc<Turn<()>>, place: Place) -> Option<Pass> {
        let (arrived, fraction) = (Instant::now(), fraction(self.random()));
        let mut table = self.subscribe();
        if table.borrow().admit(participant, arrived, fraction, arrived) == Admission::Lost {
            return None;
        }
        let turn = turn.lock_owned().await;
        loop {
            let admission = table.borrow_and_update().admit(participant, arrived, fraction, Instant::now());
            let due = match admission {
                Admission::Pass => break,
                Admission::Permit if self.use_permit(participant) => break,
                Admission::Lost => return None,
                Admission::Permit => continue,
                Admission::Wait => None,
                Admission::At(due) => Some(due),
            };
            tokio::select! {
                changed = table.changed() => if changed.is_err() { break },
                () = sleep_until(due.unwrap_or(arrived)), if due.is_some() => {}
            }
        }
        Some(Pass::new(turn, place))
    }
}
