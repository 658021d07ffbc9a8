//! Requests that wait for their place in the common log.

use std::collections::VecDeque;

use crate::chat::{ClusterCommand, DisplayName, Receipt};
use crate::replica::{BATCH_BYTES_MAX, encoded_len};
use crate::server::core::requests::{Caller, Responder};
use crate::server::core::streams::stream::Stream;
use crate::wire::Rejection;

/// The caller that waits for a command.
pub(super) enum Waiter {
    /// A new participant.
    Join { caller: Caller, display_name: DisplayName, responder: Responder<Stream> },
    /// A session that resumes.
    Resume { caller: Caller, responder: Responder<Stream> },
    /// A publish or a leave.
    Receipt(Responder<Receipt>),
    /// Callers that wait until everything before their request has been applied.
    Barrier(Responder<()>),
    /// No caller waits, or it has been answered.
    NoCaller,
}

impl Waiter {
    /// Whether its caller is gone. It then gets no stream: that would replace the stream of the caller's next request.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Join { responder, .. } | Self::Resume { responder, .. } => responder.is_closed(),
            Self::Barrier(responder) => responder.is_closed(),
            Self::Receipt(_) | Self::NoCaller => false,
        }
    }

    /// Refuses the request, which may still take effect.
    pub(super) fn give_up(&mut self) {
        let unavailable = Rejection::JournalUnavailable;
        match std::mem::replace(self, Self::NoCaller) {
            Self::Join { responder, .. } | Self::Resume { responder, .. } => {
                drop(responder.send(Err(unavailable)));
            }
            Self::Receipt(responder) => drop(responder.send(Err(unavailable))),
            Self::Barrier(responder) => drop(responder.send(Err(unavailable))),
            Self::NoCaller => {}
        }
    }
}

/// A command, and the caller that waits for it.
pub(super) struct Pending {
    pub(super) command: ClusterCommand,
    pub(super) waiter: Waiter,
}

/// The commands of one batch, as it is put together.
#[derive(Default)]
pub(super) struct Packing {
    pub(super) commands: Vec<ClusterCommand>,
    pub(super) waiters: Vec<Waiter>,
    bytes: usize,
}

impl Packing {
    /// Whether a command still fits.
    pub(super) fn fits(&self, command: &ClusterCommand) -> bool {
        self.bytes + encoded_len(command) <= BATCH_BYTES_MAX
    }

    /// Adds a command.
    pub(super) fn push(&mut self, command: ClusterCommand, waiter: Waiter) {
        self.bytes += encoded_len(&command);
        self.commands.push(command);
        self.waiters.push(waiter);
    }
}

/// The queue, in the order of arrival.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<Pending>);

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, command: ClusterCommand, waiter: Waiter) {
        self.0.push_back(Pending { command, waiter });
    }

    /// How many participants are about to join.
    pub(super) fn joins(&self) -> usize {
        self.0.iter().filter(|pending| matches!(pending.waiter, Waiter::Join { .. })).count()
    }

    /// Moves as many commands into a batch as fit.
    pub(super) fn fill(&mut self, packing: &mut Packing) {
        while let Some(pending) = self.0.pop_front() {
            if pending.waiter.is_abandoned() {
                continue;
            }
            if !packing.fits(&pending.command) {
                self.0.push_front(pending);
                return;
            }
            packing.push(pending.command, pending.waiter);
        }
    }

    /// Refuses all waiting requests.
    pub(super) fn give_up(&mut self) {
        self.0.drain(..).for_each(|mut pending| pending.waiter.give_up());
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::chat::{Command, LogicalTime, MessageText, Sequence, SessionKey};

    fn publish() -> ClusterCommand {
        ClusterCommand::Act(Command::Publish {
            session: SessionKey([1; 32]),
            text: MessageText::parse("x".repeat(128)).unwrap(),
            message_id: None,
            seen: Sequence(1),
            sent: LogicalTime(1),
            sent_at: None,
        })
    }

    #[test]
    fn a_batch_takes_what_fits_and_the_rest_waits_for_the_next_one_r2() {
        let mut waiting = Waiting::default();
        (0..1000).for_each(|_| waiting.push(publish(), Waiter::NoCaller));
        let mut sizes = Vec::new();
        while waiting.len() > 0 {
            let mut packing = Packing::default();
            waiting.fill(&mut packing);
            assert!(packing.bytes <= BATCH_BYTES_MAX);
            sizes.push(packing.commands.len());
        }
        assert!(sizes[0] > 200 && sizes.len() > 1, "{sizes:?}");
        assert_eq!(sizes.iter().sum::<usize>(), 1000);
    }

    #[test]
    fn a_request_without_its_caller_is_dropped_and_one_that_is_given_up_is_refused() {
        let mut waiting = Waiting::default();
        let (gone, _) = oneshot::channel();
        waiting.push(ClusterCommand::Beat, Waiter::Barrier(gone));
        let mut packing = Packing::default();
        waiting.fill(&mut packing);
        assert!(packing.commands.is_empty());
        let (responder, mut response) = oneshot::channel();
        waiting.push(ClusterCommand::Beat, Waiter::Barrier(responder));
        waiting.give_up();
        assert_eq!(response.try_recv().unwrap(), Err(Rejection::JournalUnavailable));
    }
}
