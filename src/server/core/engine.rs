//! The one writer. It drains the requests that have arrived, decides them, appends the whole batch to the journal in
//! one commit, then publishes it to the feed, then answers. Persist, then publish.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::attachments::{Attach, Attachments};
use super::broadcast::note_broadcast;
use super::feed::Feed;
use super::requests::{
    Answered, BATCH_REQUESTS, Caller, EngineHandle, EngineRequest, REQUESTS_WAITING, Responder,
};
use super::shares::ParticipantShares;
use super::streams::stream::Stream;
use crate::chat::{
    Command, Conversation, Decision, DisplayName, Event, LogicalTime, ParticipantId, Receipt, Sequence,
};
use crate::journal::{Committed, Epoch, Journal, JournalError};
use crate::log::{About, ServerRecord};
use crate::server::ops::context::ServerContext;
use crate::wire::{Reason, Rejection};

/// How often a journal that failed is probed, so that the service recovers without waiting for a request.
const JOURNAL_PROBE: Duration = Duration::from_secs(1);

/// A request with its result, which is sent once the batch is recorded.
enum Decided {
    Stream { attach: Result<Box<Attach>, Rejection>, responder: Responder<Stream> },
    Receipt { receipt: Result<Receipt, Rejection>, responder: Responder<Receipt> },
    Expiry { participant: ParticipantId },
}

/// The owner of the conversation.
pub struct Engine {
    requests: mpsc::Receiver<EngineRequest>,
    conversation: Conversation,
    journal: Box<dyn Journal>,
    epoch: Epoch,
    feed: Feed,
    attachments: Attachments,
    participants_max: usize,
    shares: ParticipantShares,
    now: fn() -> SystemTime,
    context: ServerContext,
    /// When to probe the journal, while it cannot be written.
    probe_at: Instant,
}

/// The parts that every writer needs, whether it decides alone or belongs to a replica.
pub struct WriterParts {
    /// Where committed events are published.
    pub feed: Feed,
    /// The participants' streams and, if the service decides alone, their grace periods.
    pub attachments: Attachments,
    /// How many participants may be active at a time.
    pub participants_max: usize,
    /// How many of them each address may have here.
    pub shares: ParticipantShares,
    /// The wall clock.
    pub now: fn() -> SystemTime,
    /// The context that all parts of the service share.
    pub context: ServerContext,
}

impl Engine {
    /// An engine and a handle to it. The conversation is the one that was recovered from the journal.
    pub fn new(conversation: Conversation, journal: Box<dyn Journal>, parts: WriterParts) -> (Self, EngineHandle) {
        let WriterParts { feed, attachments, participants_max, shares, now, context } = parts;
        let (sender, requests) = mpsc::channel(REQUESTS_WAITING);
        let epoch = journal.epoch();
        context.metrics.participants.set(conversation.active() as i64);
        let engine = Self {
            requests,
            conversation,
            journal,
            epoch,
            feed,
            attachments,
            participants_max,
            shares,
            now,
            context,
            probe_at: Instant::now(),
        };
        (engine, EngineHandle { requests: sender, barriers: None })
    }

    /// Runs until every handle has been dropped and every stream has ended.
    ///
    /// # Errors
    /// A fatal [`JournalError`], after which nothing more is accepted.
    pub async fn run(mut self) -> Result<Conversation, JournalError> {
        self.journal.offer_checkpoint(&self.conversation);
        let mut batch = Vec::with_capacity(BATCH_REQUESTS);
        loop {
            tokio::select! {
                arrived = self.requests.recv_many(&mut batch, BATCH_REQUESTS) => {
                    if arrived == 0 {
                        break;
                    }
                }
                participant = self.attachments.next_expiry(), if !self.context.stopping.is_cancelled() => {
                    // The service may have begun to stop during the wait. Sessions survive a stop.
                    if self.context.stopping.is_cancelled() {
                        continue;
                    }
                    batch.push(EngineRequest::Expire { participant });
                }
                // Without this probe a load balancer never learns that the service has recovered.
                () = sleep_until(self.probe_at), if !self.context.readiness.journal_works() => {
                    self.append(Vec::new()).await?;
                    continue;
                }
            }
            self.process(&mut batch).await?;
        }
        self.attachments.finish().await;
        Ok(self.conversation)
    }

    async fn process(&mut self, batch: &mut Vec<EngineRequest>) -> Result<(), JournalError> {
        let before = self.conversation.clone();
        let mut events = Vec::new();
        let mut decided = Vec::with_capacity(batch.len());
        // A caller that no longer waits gets no stream: it would replace the stream of the caller's next request.
        for request in batch.drain(..).filter(|request| !request.is_abandoned()) {
            let known = events.len();
            let decision = self.decide(request, &mut events);
            decided.push((decision, events.get(known).cloned()));
        }
        let committed = if events.is_empty() {
            Committed::assume_committed(Vec::new())
        } else {
            let appended = self.append(events).await;
            if let Ok(Some(committed)) = appended {
                committed
            } else {
                // Roll back the whole batch, its refusals included: they may depend on events that did not happen.
                self.conversation = before;
                decided.into_iter().for_each(|(decided, _)| self.give_up(decided));
                return appended.map(drop);
            }
        };
        let mut replies = Vec::with_capacity(decided.len());
        for (decided, event) in decided {
            replies.extend(self.settle(decided));
            if let Some(event) = event {
                note_broadcast(&self.epoch, &event, &mut self.attachments, &mut self.shares, &self.context);
            }
        }
        if !committed.events().is_empty() {
            self.feed.publish(&committed, self.conversation.clone());
            self.context.metrics.participants.set(self.conversation.active() as i64);
        }
        replies.into_iter().for_each(Answered::tell);
        self.journal.offer_checkpoint(&self.conversation);
        Ok(())
    }

    /// Writes a batch to the journal. `None` if that fails for now, an error if it can never succeed again.
    async fn append(&mut self, events: Vec<Arc<Event>>) -> Result<Option<Committed>, JournalError> {
        let appended = self.context.commits.observe(self.journal.append(events)).await;
        self.record_outage(appended.as_ref().err());
        match appended {
            Ok(committed) => Ok(Some(committed)),
            Err(JournalError::Unavailable(_)) => {
                self.probe_at = Instant::now() + JOURNAL_PROBE;
                Ok(None)
            }
            Err(error @ JournalError::Fatal(_)) => Err(error),
        }
    }

    /// Records when an outage of the journal begins and when it is over, since no grace period ends meanwhile: without
    /// these records a late leave would look like a mistake. There is one record each, however many retries fail.
    fn record_outage(&self, error: Option<&JournalError>) {
        let worked = self.context.readiness.set_journal_works(error.is_none());
        let about = About::epoch(self.epoch.as_str());
        match error {
            Some(error) if worked => {
                let (reason, message) = (Reason::JournalUnavailable.as_str().into(), error.to_string().into());
                ServerRecord::JournalUnavailable { about, reason, message }.emit();
            }
            None if !worked => ServerRecord::JournalAvailable { about }.emit(),
            _ => {}
        }
    }

    fn decide(&mut self, request: EngineRequest, events: &mut Vec<Arc<Event>>) -> Decided {
        match request {
            EngineRequest::Join { caller, display_name, sent, responder } => {
                let attach = self.join(caller, display_name, sent, events).map(Box::new);
                Decided::Stream { attach, responder }
            }
            EngineRequest::Resume { caller, epoch, after, responder } => {
                Decided::Stream { attach: self.resume(caller, &epoch, after).map(Box::new), responder }
            }
            EngineRequest::Act { command, responder } => {
                Decided::Receipt { receipt: self.apply(command, events), responder }
            }
            EngineRequest::Expire { participant } => {
                // This fails for a participant that left in the same batch, which is fine.
                let _ = self.apply(Command::Expire { participant }, events);
                Decided::Expiry { participant }
            }
        }
    }

    fn apply(&mut self, command: Command, events: &mut Vec<Arc<Event>>) -> Result<Receipt, Rejection> {
        Ok(match self.conversation.apply(command, (self.now)())? {
            Decision::Repeated(receipt) => receipt,
            Decision::Happened(event) => {
                let receipt = Receipt::from(&event);
                events.push(Arc::new(event));
                receipt
            }
        })
    }

    fn join(
        &mut self,
        caller: Caller,
        display_name: DisplayName,
        sent: LogicalTime,
        events: &mut Vec<Arc<Event>>,
    ) -> Result<Attach, Rejection> {
        if self.conversation.active() >= self.participants_max {
            return Err(Rejection::ConversationFull { participants_max: self.participants_max });
        }
        let Caller { token, session, origin } = caller;
        self.shares.check(origin.address())?;
        let command = Command::Join { display_name: display_name.clone(), session, sent };
        let receipt = self.apply(command, events)?;
        let participant = self.conversation.participant(session)?;
        self.shares.assign(participant, origin.address());
        Ok(Attach {
            participant,
            display_name,
            token,
            origin,
            position: receipt.sequence.previous(),
            resumed: false,
            conversation: self.conversation.clone(),
        })
    }

    /// A resume does not change the conversation and moves no clock.
    fn resume(&mut self, caller: Caller, epoch: &str, after: Sequence) -> Result<Attach, Rejection> {
        if epoch != self.epoch.as_str() {
            return Err(Rejection::EpochChanged { epoch: self.epoch.to_string() });
        }
        let Caller { token, session, origin } = caller;
        let participant = self.conversation.participant(session)?;
        self.conversation.check_position(after)?;
        let member = self.conversation.member(participant).ok_or(crate::chat::Refusal::SessionUnknown)?;
        self.shares.assign(participant, origin.address());
        Ok(Attach {
            participant,
            display_name: member.display_name.clone(),
            token,
            origin,
            // The first event of a session is its own Joined, even if its very first stream broke early.
            position: after.max(participant.0.previous()),
            resumed: true,
            conversation: self.conversation.clone(),
        })
    }

    fn settle(&mut self, decided: Decided) -> Option<Answered> {
        match decided {
            Decided::Stream { attach, responder } => {
                Some(Answered::Stream(responder, attach.map(|attach| self.attachments.attach(*attach))))
            }
            Decided::Receipt { receipt, responder } => Some(Answered::Receipt(responder, receipt)),
            Decided::Expiry { .. } => None,
        }
    }

    fn give_up(&mut self, decided: Decided) {
        match decided {
            Decided::Stream { attach, responder } => {
                if let Ok(attach) = attach
                    && !attach.resumed
                {
                    self.shares.release(attach.participant);
                }
                drop(responder.send(Err(Rejection::JournalUnavailable)));
            }
            Decided::Receipt { responder, .. } => drop(responder.send(Err(Rejection::JournalUnavailable))),
            Decided::Expiry { participant } => self.attachments.postpone(participant),
        }
    }
}
