//! Reading what was said before: a page of earlier events, which touches no clock and is not recorded.

use std::time::Duration;

use tokio::sync::oneshot;

use super::connection::Stub;
use super::error::ListError;
use super::event::Event;
use super::explain;
use super::outgoing::in_time;
use super::shared::SharedSession;
use crate::chat::Sequence;
use crate::wire::{Reason, pb};

/// A wish to read earlier events.
#[derive(Debug)]
pub(super) struct ListRequest {
    /// The event that they are before.
    pub(super) before: Sequence,
    pub(super) count: u32,
    pub(super) answer: oneshot::Sender<Result<Vec<Event>, ListError>>,
}

impl ListRequest {
    /// Asks the service, and answers.
    pub(super) fn send(
        self,
        stub: &Stub,
        session_token: String,
        shared: SharedSession,
        patience: Duration,
    ) -> impl Future<Output = ()> + use<> {
        let mut stub = stub.clone();
        let last = self.before.0.saturating_sub(1);
        let page_size = self.count.min(u32::try_from(last).unwrap_or(u32::MAX));
        let after_sequence = last - u64::from(page_size);
        async move {
            if page_size == 0 {
                let _ = self.answer.send(Ok(Vec::new()));
                return;
            }
            let request = pb::ListEventsRequest { session_token, after_sequence, page_size };
            let page = in_time(patience, stub.list_events(request)).await;
            // The caller may have lost interest.
            let _ = self.answer.send(match page {
                Ok(page) => {
                    let read = shared.lock().session.read_page(page.events, Sequence(after_sequence), page_size);
                    read.map_err(ListError::Protocol)
                }
                Err(status) => {
                    Err(ListError::Failed { reason: Reason::of(&status), message: explain::of_status(&status) })
                }
            });
        }
    }
}
