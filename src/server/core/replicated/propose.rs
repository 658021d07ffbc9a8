//! Admits requests, and packs them into the next batch for the log.

use tokio::time::Instant;

use super::timers::BEAT;
use super::waiting::{Packing, Waiter};
use super::{Proposed, ReplicatedEngine};
use crate::chat::{Batch, ClusterCommand, Incarnation};
use crate::replica::Identity;
use crate::server::core::requests::{EngineRequest, REQUESTS_WAITING};
use crate::wire::Rejection;

impl ReplicatedEngine {
    /// Accepts a request, or refuses it at once.
    pub(super) fn admit(&mut self, request: EngineRequest) {
        if request.is_abandoned() {
            return;
        }
        match request {
            EngineRequest::Join { caller, display_name, sent, responder } => {
                let in_flight = self.proposed.iter().flat_map(|proposed| &proposed.waiters);
                let joins = self.waiting.joins()
                    + in_flight.filter(|waiter| matches!(waiter, Waiter::Join { .. })).count();
                let participants_max = self.participants_max;
                if self.applier.conversation().active() + joins >= participants_max {
                    drop(responder.send(Err(Rejection::ConversationFull { participants_max })));
                } else if let Err(taken) = self.shares.check(caller.origin.address()) {
                    drop(responder.send(Err(taken)));
                } else {
                    let session = caller.session;
                    let command = ClusterCommand::Join { display_name: display_name.clone(), session, sent };
                    self.wait(command, Waiter::Join { caller, display_name, responder });
                }
            }
            EngineRequest::Resume { caller, epoch, after, responder } => {
                if epoch != self.epoch.as_str() {
                    let epoch = self.epoch.to_string();
                    return drop(responder.send(Err(Rejection::EpochChanged { epoch })));
                }
                let command = ClusterCommand::Attach { session: caller.session, after };
                self.wait(command, Waiter::Resume { caller, responder });
            }
            EngineRequest::Act { command, responder } => {
                self.wait(ClusterCommand::Act(command), Waiter::Receipt(responder));
            }
            // In a replica the timers propose the end of grace periods.
            EngineRequest::Expire { .. } => {}
        }
    }

    pub(super) fn wait(&mut self, command: ClusterCommand, mut waiter: Waiter) {
        if self.context.readiness.journal_works() {
            self.waiting.push(command, waiter);
        } else {
            waiter.give_up();
        }
    }

    /// Notes that the batch in flight has come back, if it is among the drafted ones.
    pub(super) fn note_come_back(&mut self) {
        let (Some(proposed), Some(drafted)) = (self.proposed.back_mut(), self.applier.drafted()) else { return };
        let nonce = self.identity.nonce;
        if !proposed.has_come_back && drafted.iter().any(|batch| proposed.is(batch, nonce)) {
            proposed.has_come_back = true;
            self.publisher.settled();
        }
    }

    /// Sends the next batch while the drafted ones are being recorded. It follows them in the log even if this replica
    /// stops before it has recorded them. No request is answered before its batch is recorded.
    pub(super) fn propose_meanwhile(&mut self) {
        let takes_part = self.applier.newest().replica(self.identity.incarnation).is_some();
        if !takes_part || self.is_leaving {
            return;
        }
        while self.waiting.len() < REQUESTS_WAITING
            && let Ok(request) = self.requests.try_recv()
        {
            self.admit(request);
        }
        if self.proposed.iter().all(|proposed| proposed.has_come_back) {
            self.propose_next();
        }
    }

    /// Publishes the next batch, if none is in flight and there are commands. A batch that has come back but could not
    /// be recorded holds up all that follow.
    pub(super) fn propose(&mut self) {
        if self.proposed.is_empty() {
            self.propose_next();
        }
    }

    fn propose_next(&mut self) {
        let (now, own) = (Instant::now(), self.identity.incarnation);
        let mut packing = Packing::default();
        let number = match self.applier.newest().replica(own) {
            Some(replica) => replica.batch + 1,
            None => {
                let Identity { name, nonce, .. } = &self.identity;
                let start = ClusterCommand::Start { name: name.clone(), nonce: *nonce };
                packing.push(start, Waiter::NoCaller);
                return self.send(Incarnation::NONE, 0, packing);
            }
        };
        while let Some((participant, generation)) = self.ended.pop_first() {
            let detach = ClusterCommand::Detach { participant, generation };
            if !packing.fits(&detach) {
                self.ended.insert(participant, generation);
                break;
            }
            packing.push(detach, Waiter::NoCaller);
        }
        let mut due = self.last_writes.silent(self.applier.newest(), own, now);
        if self.graces.is_due(now) {
            due.extend(self.graces.due(now));
        }
        // Commands that do not fit are due again a little later.
        for command in due {
            if packing.fits(&command) {
                packing.push(command, Waiter::NoCaller);
            }
        }
        self.waiting.fill(&mut packing);
        if packing.commands.is_empty() {
            if now < self.beat_at {
                return;
            }
            packing.push(ClusterCommand::Beat, Waiter::NoCaller);
        }
        self.send(own, number, packing);
    }

    pub(super) fn send(&mut self, from: Incarnation, number: u64, packing: Packing) {
        let Packing { commands, waiters, .. } = packing;
        self.context.metrics.batch_commands.observe(commands.len() as f64);
        let batch = Batch { from, number, at: (self.now)(), commands };
        #[cfg(test)]
        let guessed = self.guess(&batch);
        let message = self.applier.message(batch);
        self.publisher.propose(message, self.applier.place().position);
        let since = Instant::now();
        self.proposed.push_back(Proposed {
            from,
            number,
            since,
            has_come_back: false,
            waiters,
            #[cfg(test)]
            guessed,
        });
        self.beat_at = since + BEAT;
    }
}
