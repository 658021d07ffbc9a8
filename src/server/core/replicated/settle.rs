//! Acts on batches that have been applied: streams, records of broadcasts, the feed, answers.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::timers::turn;
use super::waiting::Waiter;
use super::{NAME_LOSSES_MAX, Proposed, ReplicatedEngine};
use crate::chat::{Attached, Attachment, Event, EventKind, Fate, Incarnation, Outcome, ParticipantId};
use crate::journal::Committed;
use crate::replica::{AppliedBatch, ReplicaError};
use crate::server::core::attachments::Attach;
use crate::server::core::broadcast::note_broadcast;
use crate::server::core::requests::{Answered, Caller, Responder};

/// Answers to send once the events are in the feed.
#[derive(Default)]
struct Replies {
    answers: Vec<Answered>,
    barriers: Vec<Responder<()>>,
}

impl ReplicatedEngine {
    /// Acts on batches that were applied, in their order.
    pub(super) fn settle(
        &mut self,
        batches: Vec<AppliedBatch>,
        committed: &Committed,
    ) -> Result<(), ReplicaError> {
        let now = Instant::now();
        self.last_writes.note_progress(now);
        let (mut replies, mut changed) = (Replies::default(), BTreeSet::new());
        for batch in batches {
            self.last_writes.note_write(batch.from, now);
            self.check_start(&batch)?;
            self.note_members(&batch);
            let own = self.own(&batch);
            changed.extend(&batch.applied.participants);
            let mut waiters = own.map(|own| own.waiters.into_iter());
            for outcome in batch.applied.outcomes {
                match waiters.as_mut().map(|waiters| waiters.next().unwrap_or(Waiter::NoCaller)) {
                    Some(waiter) => self.answer(waiter, outcome, &mut replies),
                    None => self.elsewhere(outcome),
                }
            }
            // Only a batch that was not applied leaves waiters over.
            waiters.into_iter().flatten().for_each(|mut waiter| waiter.give_up());
            batch.applied.events.iter().for_each(|event| self.note_broadcast(event));
        }
        if !committed.events().is_empty() {
            self.feed.publish(committed, self.applier.conversation().clone());
            self.context.metrics.participants.set(self.applier.conversation().active() as i64);
        }
        let cluster = self.applier.cluster();
        let attachments: Vec<_> = changed.into_iter().map(|who| (who, cluster.attachment(who))).collect();
        self.note_attachments(attachments);
        replies.answers.into_iter().for_each(Answered::tell);
        replies.barriers.into_iter().for_each(|responder| drop(responder.send(Ok(()))));
        let is_started = self.identity.incarnation != Incarnation::NONE;
        if is_started && self.applier.cluster().replica(self.identity.incarnation).is_none() {
            if !self.context.stopping.is_cancelled() {
                tracing::warn!("the other replicas declared this one gone; it is starting again");
            }
            self.start_anew();
        }
        Ok(())
    }

    /// Updates the timers and the presence of participants with the current attachments.
    pub(super) fn note_attachments(
        &mut self,
        attachments: impl IntoIterator<Item = (ParticipantId, Option<Attachment>)>,
    ) {
        let until = Instant::now() + self.grace + turn(self.applier.cluster(), self.identity.incarnation);
        for (participant, attachment) in attachments {
            self.graces.set(participant, attachment, until);
            if let Some(attachment) = attachment {
                self.attachments.note(participant, attachment.replica.is_some());
            }
        }
    }

    /// Takes this replica's oldest proposal, if this is its batch.
    fn own(&mut self, batch: &AppliedBatch) -> Option<Proposed> {
        let nonce = self.identity.nonce;
        if !self.proposed.front().is_some_and(|proposed| proposed.is(batch, nonce)) {
            return None;
        }
        let proposed = self.proposed.pop_front()?;
        self.context.metrics.proposal_seconds.observe(proposed.since.elapsed().as_secs_f64());
        if batch.applied.fate == Fate::Applied {
            self.is_cut_off = false;
            if self.set_available() {
                tracing::warn!("the log accepts this replica's proposals again");
            }
        }
        Some(proposed)
    }

    /// This replica's own start gives it its number; the start of another process under its name takes the name away.
    fn check_start(&mut self, batch: &AppliedBatch) -> Result<(), ReplicaError> {
        let Some((name, nonce)) = batch.start.as_ref().filter(|_| batch.applied.fate == Fate::Applied) else {
            return Ok(());
        };
        if *nonce == self.identity.nonce {
            self.identity.incarnation = Incarnation(batch.position);
        } else if *name == self.identity.name {
            self.name_losses += 1;
            tracing::warn!(%name, "another process has started under the name of this replica");
            if self.name_losses >= NAME_LOSSES_MAX {
                return Err(ReplicaError::NameInUse { name: name.to_string() });
            }
        }
        Ok(())
    }

    fn answer(&mut self, waiter: Waiter, outcome: Outcome, replies: &mut Replies) {
        match (waiter, outcome) {
            (Waiter::Join { caller, display_name, responder }, Outcome::Attached(attached)) => {
                let delivery = self.attach(caller, display_name, *attached);
                replies.answers.push(Answered::Stream(responder, Ok(delivery)));
            }
            (Waiter::Resume { caller, responder }, Outcome::Attached(attached)) => {
                let name = attached.conversation.member(attached.participant).map(|it| it.display_name.clone());
                let delivery = match name {
                    Some(name) => Ok(self.attach(caller, name, *attached)),
                    None => Err(crate::chat::Refusal::SessionUnknown.into()),
                };
                replies.answers.push(Answered::Stream(responder, delivery));
            }
            (Waiter::Join { responder, .. } | Waiter::Resume { responder, .. }, Outcome::Refused(refusal)) => {
                replies.answers.push(Answered::Stream(responder, Err(refusal.into())));
            }
            (Waiter::Receipt(responder), Outcome::Receipt(receipt)) => {
                replies.answers.push(Answered::Receipt(responder, Ok(receipt)));
            }
            (Waiter::Receipt(responder), Outcome::Refused(refusal)) => {
                replies.answers.push(Answered::Receipt(responder, Err(refusal.into())));
            }
            (Waiter::Barrier(responder), _) => replies.barriers.push(responder),
            // Its caller was refused meanwhile, so the stream has no reader.
            (Waiter::NoCaller, Outcome::Attached(attached)) => {
                self.local.remove(&attached.participant);
                self.attachments.replaced(attached.participant);
                self.ended.insert(attached.participant, attached.generation);
            }
            (mut waiter, _) => waiter.give_up(),
        }
    }

    fn attach(
        &mut self,
        caller: Caller,
        display_name: crate::chat::DisplayName,
        attached: Attached,
    ) -> crate::server::core::streams::stream::Stream {
        let Attached { participant, generation, position, resumed, conversation } = attached;
        let Caller { token, origin, .. } = caller;
        self.shares.assign(participant, origin.address());
        self.local.insert(participant, generation);
        self.ended.remove(&participant);
        self.attachments.attach(Attach {
            participant,
            display_name,
            token,
            origin,
            position,
            resumed,
            conversation,
        })
    }

    /// A session is attached to another replica: its stream here is replaced.
    fn elsewhere(&mut self, outcome: Outcome) {
        let Outcome::Attached(attached) = outcome else { return };
        self.ended.remove(&attached.participant);
        if self.local.remove(&attached.participant).is_some() {
            self.attachments.replaced(attached.participant);
            self.shares.release(attached.participant);
        }
    }

    /// Called before the event is published, so that every event that is ever received has been recorded.
    fn note_broadcast(&mut self, event: &Event) {
        if let EventKind::Left { .. } = event.kind {
            self.local.remove(&event.participant.id);
            self.ended.remove(&event.participant.id);
        }
        note_broadcast(&self.epoch, event, &mut self.attachments, &mut self.shares, &self.context);
    }
}
