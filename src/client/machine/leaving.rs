//! Leaving on purpose: once earlier messages are acknowledged, but without waiting forever. The stream is read to its
//! end, just before the participant's own Left, because every event up to there is delivered to it.

use super::Machine;
use super::check::receipts::{check_receipt, receipt};
use super::refusal::Failure;
use super::state::{Leaving, Phase};
use super::step::{DriverCall, Keep, Moment, Output};
use super::updates::Ending;
use crate::chat::Receipt;
use crate::client::{JoinError, LeaveError, Update};
use crate::log::ClientRecord;
use crate::wire::pb;

impl Machine {
    /// Whether the program wants to leave, or has left.
    pub(in crate::client) fn is_leaving(&self) -> bool {
        self.leaving.is_some() || self.is_over()
    }

    /// The program wants to leave. No more messages can be submitted; those that were are still sent.
    pub(super) fn leave(&mut self, now: Moment) {
        if self.is_over() {
            return self.answer_leave(Err(LeaveError::Ended));
        }
        let deadline = now.at + self.settings.patience;
        self.leaving.get_or_insert(Leaving { deadline, answered: false });
    }

    /// The program no longer waits for any answer.
    pub(super) fn give_up(&mut self, now: Moment) {
        if !self.is_over() {
            self.leave(now);
            self.over(None);
        }
    }

    /// Sends the leave. Nothing else is in flight.
    pub(super) fn send_leave(&mut self) {
        if self.leaving.as_ref().is_none_or(|leaving| leaving.answered) {
            return;
        }
        self.close_outbox();
        let sent = self.clock.tick();
        self.record(ClientRecord::LeaveSent {
            about: self.about(),
            sent_logical_time: sent.0,
            local_time: sent.0,
        });
        self.save();
        self.asked = sent;
        self.set_in_flight();
        let request = pb::LeaveRequest { session_token: self.token(), logical_time: sent.0 };
        self.call(DriverCall::Leave { attempt: self.attempt, request });
    }

    /// The answer to a leave. Events that are still in the stream belong to the membership.
    pub(super) fn left(&mut self, result: Result<pb::LeaveResponse, Failure>, now: Moment) {
        if !self.take_in_flight() {
            return;
        }
        let checked = result.and_then(|response| {
            let receipt = receipt(response.sequence, response.logical_time);
            check_receipt(receipt, self.asked).map(|()| receipt).map_err(Failure::broken)
        });
        match checked {
            Ok(receipt) => {
                let local_time = self.receive_answer(receipt);
                self.record(ClientRecord::LeaveAcknowledged {
                    about: self.about(),
                    sequence: receipt.sequence.0,
                    logical_time: receipt.logical_time.0,
                    local_time,
                });
                self.save();
                self.outputs.push(Output::Keep(Keep::Remove));
                self.answer_leave(Ok(receipt));
            }
            Err(failure) => self.broken(failure, now),
        }
    }

    /// The session of a participant that was leaving is over: it has left.
    pub(super) fn left_without_answer(&mut self) {
        self.answer_leave(Err(LeaveError::Ended));
        self.outputs.push(Output::Keep(Keep::Remove));
        self.over(None);
    }

    /// Gives the program the outcome of its leave, once.
    fn answer_leave(&mut self, result: Result<Receipt, LeaveError>) {
        if !self.leaving.as_mut().is_some_and(|leaving| std::mem::replace(&mut leaving.answered, true)) {
            self.outputs.push(Output::LeaveAnswer(result));
        }
    }

    /// Time has passed: gives up when the acknowledgement of a leave, or then the end of the stream, takes too long.
    pub(super) fn leaving_tick(&mut self, now: Moment) {
        if self.leaving.as_ref().is_some_and(|leaving| now.at >= leaving.deadline) {
            self.over(None);
        }
    }

    /// The client has stopped. The program can still take the remaining updates.
    pub(super) fn over(&mut self, error: Option<JoinError>) {
        if self.is_over() {
            return;
        }
        let is_cut = matches!(self.phase, Phase::Online { complete: false, .. });
        self.close();
        self.end_outbox();
        self.end_history();
        if self.leaving.is_some() {
            self.answer_leave(Err(LeaveError::Unacknowledged));
            self.leaving = None;
        }
        let reason = error.as_ref().map(JoinError::as_record);
        self.end_updates(error.map(Update::Ended), Ending { is_cut, reason });
    }
}
