//! Earlier events, on demand. Listing them is not a delivery: no clock ticks, and nothing is recorded.

use super::Machine;
use super::check::{self, ProtocolFault};
use super::refusal::Failure;
use super::state::ListRequest;
use super::step::{DriverCall, Output};
use crate::chat::{LogicalTime, Sequence};
use crate::client::ListError;
use crate::client::event::Event;
use crate::wire::pb;

/// The request that waits for a connection.
#[derive(Debug, Default)]
pub(super) struct PendingList(Option<ListRequest>);

impl Machine {
    /// The program asks for a list. A newer request replaces a waiting one, which fails.
    pub(super) fn list(&mut self, request: ListRequest) {
        if self.is_over() {
            return self.answer_list(request.ticket, Err(ListError::Ended));
        }
        if let Some(older) = self.history.0.replace(request) {
            self.answer_list(older.ticket, Err(ListError::Ended));
        }
    }

    /// Sends the waiting request, if there is one.
    pub(super) fn send_list(&mut self) {
        let Some(ListRequest { ticket, before, count }) = self.history.0.take() else { return };
        let last = before.0.saturating_sub(1);
        let page_size = count.min(u32::try_from(last).unwrap_or(u32::MAX));
        if page_size == 0 {
            return self.answer_list(ticket, Ok(Vec::new()));
        }
        let after_sequence = last - u64::from(page_size);
        let request = pb::ListEventsRequest { session_token: self.token(), after_sequence, page_size };
        self.call(DriverCall::List { ticket, request });
    }

    /// A page of earlier events has arrived, or the request failed.
    pub(super) fn listed(
        &mut self,
        ticket: u64,
        request: &pb::ListEventsRequest,
        result: Result<pb::ListEventsResponse, Failure>,
    ) {
        let result = match result {
            Ok(page) => self.read_page(page.events, request).map_err(ListError::Protocol),
            Err(Failure { reason, message, .. }) => Err(ListError::Failed { reason, message }),
        };
        self.answer_list(ticket, result);
    }

    /// Reads a page: the events after a position, up to a limit.
    fn read_page(
        &self,
        events: Vec<pb::Event>,
        request: &pb::ListEventsRequest,
    ) -> Result<Vec<Event>, ProtocolFault> {
        if events.len() > request.page_size as usize {
            return Err(ProtocolFault::Page);
        }
        let (mut expected, mut before) = (Sequence(request.after_sequence).next(), LogicalTime(0));
        let epoch = self.epoch().unwrap_or_default();
        let read = events.into_iter().map(|event| {
            let event = check::event(event, Some(expected), before, epoch)?;
            (expected, before) = (expected.next(), event.logical_time);
            Ok(event)
        });
        read.collect()
    }

    fn answer_list(&mut self, ticket: u64, result: Result<Vec<Event>, ListError>) {
        self.outputs.push(Output::Listed { ticket, result });
    }

    /// Fails the waiting request: it will no longer be sent.
    pub(super) fn end_history(&mut self) {
        if let Some(request) = self.history.0.take() {
            self.answer_list(request.ticket, Err(ListError::Ended));
        }
    }
}
