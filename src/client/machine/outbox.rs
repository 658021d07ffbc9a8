//! The program's own messages. They are sent one at a time, and each is sent again under the same id until it is
//! acknowledged or refused. None is ever dropped silently.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use super::Machine;
use super::check::receipts::receipt;
use super::refusal::{Failure, FailureKind};
use super::state::{CausalContext, Outgoing, Phase};
use super::step::{DriverCall, Moment, Output};
use crate::chat::{MessageText, Receipt, Sequence};
use crate::client::{PublishError, Update};
use crate::log::ClientRecord;
use crate::wire::{Reason, Rejection, pb};

/// How many messages can wait to be sent. Further ones wait in the calls that publish them.
pub(in crate::client) const PUBLISHES_WAITING: usize = 1024;
/// How long to wait before a message is sent again if the service names no time.
const RETRY_SOON: Duration = Duration::from_millis(500);
/// How many times in a row a message can fail without a reason from the service before the connection is dropped. The wait
/// doubles each time: 7.5 s in all.
const FAILURES_MAX: u32 = 4;

/// All messages that have not been answered.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The message that is in flight, or the next to be sent again.
    next: Option<Outgoing>,
    /// The messages behind it.
    queue: VecDeque<Outgoing>,
    /// A publish or the leave awaits its answer.
    in_flight: bool,
    /// The message is not to be sent again before then.
    retry_at: Option<Instant>,
    /// The leave has been sent: nothing more is sent after it.
    is_closed: bool,
}

impl Outbox {
    /// When the waiting message is due; `None` if none waits.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The stream is up again. A message that failed on the last one is sent at once.
    pub(super) fn hurry(&mut self) {
        if let Some(message) = self.next.as_mut().filter(|message| message.failures > 0) {
            message.failures = 0;
            self.retry_at = None;
        }
    }

    /// The connection broke, or was dropped, perhaps while a request was in flight.
    pub(super) fn mark_outcome_unknown(&mut self) {
        if mem::take(&mut self.in_flight)
            && let Some(message) = &mut self.next
        {
            message.outcome_unknown = true;
        }
    }
}

impl Machine {
    /// The program has submitted a text. What its writer had seen is fixed here. Waiting and retrying do not change it:
    /// the text was written before anything that arrives meanwhile.
    pub(super) fn submit(&mut self, id: String, text: String) {
        if self.leaving.is_some() || self.outbox.is_closed {
            return self.answer(id, Err(PublishError::Ended));
        }
        let about = self.about();
        if let Err(refusal) = MessageText::parse(text.as_str()) {
            let rejection = Rejection::from(refusal);
            let (reason, message) = (rejection.reason(), rejection.to_string());
            let (content, named) = (Some(text.into()), reason.as_str().into());
            self.record(ClientRecord::PublishRefused { about, message_id: None, content, reason: named });
            return self.answer(id, Err(PublishError::Refused { reason: Some(reason), message }));
        }
        let (message_id, content) = (id.clone().into(), text.clone().into());
        self.record(ClientRecord::PublishQueued { about, message_id, seen_sequence: self.position.0, content });
        let context = CausalContext { membership: self.memberships, seen: self.position };
        self.outputs.push(Output::Submitted(Outgoing { id, text, context, outcome_unknown: false, failures: 0 }));
    }

    /// There is room for a message that was submitted.
    pub(super) fn enqueue(&mut self, message: Outgoing) {
        if self.outbox.is_closed {
            return self.answer(message.id, Err(PublishError::Ended));
        }
        self.outbox.queue.push_back(message);
    }

    /// Sends the next message if nothing is in flight, and the leave after the last message.
    pub(super) fn pump(&mut self, now: Moment) {
        let Phase::Online { complete, .. } = self.phase else { return };
        self.send_list();
        if self.outbox.in_flight {
            return;
        }
        if complete {
            return self.over(None);
        }
        if self.outbox.retry_at.is_some_and(|retry_at| now.at < retry_at) {
            return;
        }
        self.outbox.retry_at = None;
        let next = self.outbox.next.take().or_else(|| self.outbox.queue.pop_front());
        match next {
            Some(message) => self.send(message),
            None if self.leaving.is_some() => self.send_leave(),
            None => {}
        }
    }

    fn send(&mut self, message: Outgoing) {
        // If its writer has joined anew meanwhile, nothing had been delivered to that new participant.
        let CausalContext { membership, seen } = message.context;
        let seen = if membership == self.memberships { seen } else { Sequence(0) };
        let sent = self.clock.tick();
        self.record(ClientRecord::PublishSent {
            about: self.about(),
            message_id: message.id.clone().into(),
            sent_logical_time: sent.0,
            seen_sequence: seen.0,
            local_time: sent.0,
            content: message.text.clone().into(),
        });
        self.save();
        self.receipts.sent(&message.id, sent);
        let request = pb::PublishRequest {
            session_token: self.token(),
            text: message.text.clone(),
            logical_time: sent.0,
            message_id: message.id.clone(),
            seen_sequence: seen.0,
            // The driver fills it in when it sends: there is no wall clock here.
            sent_at: None,
        };
        self.outbox.next = Some(message);
        self.outbox.in_flight = true;
        self.call(DriverCall::Publish { attempt: self.attempt, request });
    }

    /// Closes the outbox: nothing more is sent after the request in flight.
    pub(super) fn close_outbox(&mut self) {
        self.outbox.is_closed = true;
        for message in mem::take(&mut self.outbox.queue) {
            self.answer(message.id, Err(PublishError::Ended));
        }
    }

    /// Records that the leave is in flight.
    pub(super) fn set_in_flight(&mut self) {
        self.outbox.in_flight = true;
    }

    /// A request has been answered. Returns whether the answer was awaited.
    pub(super) fn take_in_flight(&mut self) -> bool {
        mem::take(&mut self.outbox.in_flight)
    }

    /// The answer to a publish.
    pub(super) fn published(&mut self, result: Result<pb::PublishResponse, Failure>, now: Moment) {
        if !self.take_in_flight() {
            return;
        }
        let Some(message) = self.outbox.next.take() else { return };
        let acknowledged = result.map(|response| {
            let receipt = receipt(response.sequence, response.logical_time);
            self.receipts.acknowledged(&message.id, receipt, self.cursor).map(|()| receipt)
        });
        match acknowledged {
            Ok(Ok(receipt)) => {
                let local_time = self.receive_answer(receipt);
                self.record(ClientRecord::PublishAcknowledged {
                    about: self.about(),
                    message_id: message.id.clone().into(),
                    sequence: receipt.sequence.0,
                    logical_time: receipt.logical_time.0,
                    local_time,
                });
                self.save();
                self.resolve(message, Ok(receipt), now);
            }
            Ok(Err(fault)) => {
                self.outbox.next = Some(Outgoing { outcome_unknown: true, ..message });
                self.broken(Failure::broken(fault), now);
            }
            Err(failure) => self.publish_failed(message, failure, now),
        }
    }

    /// A publish was not acknowledged: the service refused it, or its outcome is unknown.
    fn publish_failed(&mut self, mut message: Outgoing, failure: Failure, now: Moment) {
        let is_unknown = match failure.reason {
            Some(Reason::JournalUnavailable) => true,
            reason => failure.is_lost() && reason != Some(Reason::RateLimited),
        };
        message.outcome_unknown |= is_unknown;
        match failure.reason {
            Some(why @ (Reason::RateLimited | Reason::JournalUnavailable)) => {
                let delay = failure.retry_after.unwrap_or(RETRY_SOON);
                self.outbox.next = Some(message);
                self.outbox.retry_at = Some(now.at + delay);
                self.push(Update::Waiting { delay, why });
            }
            None if failure.kind == FailureKind::Unavailable && message.failures < FAILURES_MAX => {
                let delay = RETRY_SOON * 2_u32.pow(message.failures);
                message.failures += 1;
                self.outbox.next = Some(message);
                self.outbox.retry_at = Some(now.at + failure.retry_after.unwrap_or_default().max(delay));
            }
            reason if is_unknown || reason == Some(Reason::SessionUnknown) => {
                self.outbox.next = Some(message);
                self.broken(failure, now);
            }
            reason => {
                let Failure { message: why, .. } = failure;
                let named = reason.map_or_else(|| why.clone(), |reason| reason.as_str().into());
                self.record_refused(&message, named);
                self.resolve(message, Err(PublishError::Refused { reason, message: why }), now);
            }
        }
    }

    fn record_refused(&mut self, message: &Outgoing, reason: String) {
        self.record(ClientRecord::PublishRefused {
            about: self.about(),
            message_id: Some(message.id.clone().into()),
            content: Some(message.text.clone().into()),
            reason: reason.into(),
        });
    }

    /// A message has been answered: the service is responsive, so the leave behind it gets more time.
    fn resolve(&mut self, message: Outgoing, result: Result<Receipt, PublishError>, now: Moment) {
        self.answer(message.id, result);
        if let Some(leaving) = &mut self.leaving {
            leaving.deadline = leaving.deadline.max(now.at + self.settings.patience);
        }
    }

    fn answer(&mut self, id: String, result: Result<Receipt, PublishError>) {
        self.outputs.push(Output::Answer { id, result });
    }

    /// Moves the clock for an answer. Returns its new time.
    pub(super) fn receive_answer(&mut self, receipt: Receipt) -> u64 {
        self.clock.receive(receipt.logical_time).0
    }

    /// The session is over. A message that may have been published under it is not sent again under the next, where it
    /// could become a second message: its writer has to decide.
    pub(super) fn settle(&mut self) {
        self.outbox.in_flight = false;
        self.outbox.retry_at = None;
        if let Some(message) = self.outbox.next.take_if(|message| message.outcome_unknown) {
            self.record_refused(&message, "UNCONFIRMED".into());
            self.answer(message.id, Err(PublishError::Unconfirmed));
        }
    }

    /// Nothing more will be sent.
    pub(super) fn end_outbox(&mut self) {
        self.outbox.mark_outcome_unknown();
        if let Some(message) = self.outbox.next.take() {
            let error = if message.outcome_unknown { PublishError::Unconfirmed } else { PublishError::Ended };
            self.answer(message.id, Err(error));
        }
        self.close_outbox();
    }
}
