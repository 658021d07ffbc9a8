//! What is on its way to the service: one message at a time, and in the end the leave.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::Receipt;
use super::connection::{Failure, Stub};
use super::error::{LeaveError, PublishError};
use super::explain;
use super::session::Session;
use super::shared::{PendingPublish, SessionState};
use crate::wire::{Reason, pb, retry_delay};

/// How long to wait before a message is sent again where the service names no time.
const RETRY_SOON: Duration = Duration::from_millis(500);
/// How often in a row a message can fail, for a reason that the service does not name, before the connection is
/// given up. Each time the wait is twice as long: 7.5 s in all.
const FAILURES_MAX: u32 = 4;

/// The wish to leave.
#[derive(Debug)]
pub(super) struct PendingLeave {
    answer: Option<oneshot::Sender<Result<Receipt, LeaveError>>>,
    /// When to give up. Each message that is answered before the leave moves it.
    pub(super) deadline: Instant,
    /// The service has answered; what is left is to read the stream to its end.
    acknowledged: bool,
}

/// Everything that has not been answered, but for the messages that wait for their turn.
#[derive(Debug)]
pub(super) struct Outgoing {
    publish: Option<PendingPublish>,
    pub(super) leave: Option<PendingLeave>,
    /// The service asked for patience until then.
    pub(super) pause: Option<Instant>,
    /// How long an answer may take.
    patience: Duration,
}

/// A request on its way, resolving to its reply.
pub(super) type InFlightRequest = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The service's answer.
pub(super) enum Reply {
    Publish(Result<pb::PublishResponse, Status>),
    Leave(Result<pb::LeaveResponse, Status>),
}

/// What to do after a reply.
pub(super) enum ReplyOutcome {
    /// Continue with the next request.
    Next,
    /// The same message goes out again later.
    Wait(Duration, Reason),
    /// The same, where the service gave no reason.
    TryAgain(Duration),
    /// The connection or the session is of no more use.
    Broken(Failure),
}

impl Outgoing {
    pub(super) fn new(patience: Duration) -> Self {
        Self { publish: None, leave: None, pause: None, patience }
    }

    /// Takes up the wish to leave.
    pub(super) fn leave(&mut self, answer: Option<oneshot::Sender<Result<Receipt, LeaveError>>>) {
        let deadline = Instant::now() + self.patience;
        self.leave.get_or_insert(PendingLeave { answer, deadline, acknowledged: false });
    }

    /// Waits no longer for any answer.
    pub(super) fn give_up(&mut self) {
        self.leave(None);
        if let Some(leave) = &mut self.leave {
            leave.deadline = Instant::now();
        }
    }

    /// Sends what is next, if anything is.
    pub(super) fn send_next(&mut self, state: &mut SessionState, stub: &Stub) -> Option<InFlightRequest> {
        if self.pause.is_some() {
            return None;
        }
        let (mut stub, patience) = (stub.clone(), self.patience);
        if self.publish.is_none() {
            self.publish = state.next_publish();
        }
        if let Some(publish) = &self.publish {
            let request = state.session.publish_request(&publish.text, &publish.id, publish.context);
            return Some(Box::pin(async move { Reply::Publish(in_time(patience, stub.publish(request)).await) }));
        }
        if self.leave.as_ref().is_some_and(|leave| !leave.acknowledged) {
            state.close();
            let request = state.session.leave_request();
            return Some(Box::pin(async move { Reply::Leave(in_time(patience, stub.leave(request)).await) }));
        }
        None
    }

    /// Another connection is open. A message that failed on the last one is sent at once.
    pub(super) fn reconnected(&mut self) {
        if let Some(publish) = self.publish.as_mut().filter(|publish| publish.failures > 0) {
            publish.failures = 0;
            self.pause = None;
        }
    }

    /// The connection broke, or was given up, while a request was on its way.
    pub(super) fn mark_outcome_unknown(&mut self) {
        if let Some(publish) = &mut self.publish {
            publish.outcome_unknown = true;
        }
    }

    /// Takes in an answer.
    pub(super) fn on_reply(&mut self, reply: Reply, session: &mut Session) -> ReplyOutcome {
        match reply {
            Reply::Publish(Ok(response)) => {
                if let Some(publish) = self.publish.take() {
                    match session.published(&publish.id, &response) {
                        Ok(receipt) => self.resolve(publish, Ok(receipt)),
                        Err(fault) => {
                            self.publish = Some(publish);
                            self.mark_outcome_unknown();
                            return ReplyOutcome::Broken(Failure::Protocol(fault));
                        }
                    }
                }
                ReplyOutcome::Next
            }
            Reply::Publish(Err(status)) => self.publish_failed(status, session),
            Reply::Leave(Ok(response)) => match session.left(&response) {
                Ok(receipt) => {
                    if let Some(leave) = &mut self.leave {
                        leave.acknowledged = true;
                        leave.resolve(Ok(receipt));
                    }
                    ReplyOutcome::Next
                }
                Err(fault) => ReplyOutcome::Broken(Failure::Protocol(fault)),
            },
            Reply::Leave(Err(status)) => ReplyOutcome::Broken(Failure::of(status, true)),
        }
    }

    /// A message has its answer: the service listens, so the leave behind it may wait for the next one.
    fn resolve(&mut self, publish: PendingPublish, result: Result<Receipt, PublishError>) {
        publish.resolve(result);
        if let Some(leave) = &mut self.leave {
            leave.deadline = leave.deadline.max(Instant::now() + self.patience);
        }
    }

    fn publish_failed(&mut self, status: Status, session: &Session) -> ReplyOutcome {
        let reason = Reason::of(&status);
        match (reason, Failure::of(status.clone(), reason == Some(Reason::SessionUnknown))) {
            (Some(reason @ (Reason::RateLimited | Reason::JournalUnavailable)), _) => {
                if reason == Reason::JournalUnavailable {
                    self.mark_outcome_unknown();
                }
                ReplyOutcome::Wait(retry_delay(&status).unwrap_or(RETRY_SOON), reason)
            }
            (_, failure @ Failure::SessionOver(_)) => ReplyOutcome::Broken(failure),
            (reason, failure @ Failure::Lost { .. }) => {
                self.mark_outcome_unknown();
                match &mut self.publish {
                    Some(publish) if reason.is_none() && is_answer(&status) && publish.failures < FAILURES_MAX => {
                        let delay = RETRY_SOON * 2_u32.pow(publish.failures);
                        publish.failures += 1;
                        ReplyOutcome::TryAgain(retry_delay(&status).unwrap_or_default().max(delay))
                    }
                    _ => ReplyOutcome::Broken(failure),
                }
            }
            (reason, Failure::Fatal(_) | Failure::Mismatch(_) | Failure::Protocol(_)) => {
                if let Some(publish) = self.publish.take() {
                    let message = explain::of_status(&status);
                    session.publish_refused(Some(&publish.id), &publish.text, reason, &message);
                    self.resolve(publish, Err(PublishError::Refused { reason, message }));
                }
                ReplyOutcome::Next
            }
        }
    }

    /// The session is over. A message that may have been published under it is not sent again under the
    /// next: that could be a second message, so its writer has to decide.
    pub(super) fn session_over(&mut self, session: &Session) {
        if let Some(publish) = self.publish.take_if(|publish| publish.outcome_unknown) {
            session.publish_refused(Some(&publish.id), &publish.text, None, "UNCONFIRMED");
            self.resolve(publish, Err(PublishError::Unconfirmed));
        }
        self.pause = None;
    }

    /// Nothing more will be sent.
    pub(super) fn close(mut self) {
        if let Some(publish) = self.publish.take() {
            let error = if publish.outcome_unknown { PublishError::Unconfirmed } else { PublishError::Ended };
            publish.resolve(Err(error));
        }
        if let Some(mut leave) = self.leave.take() {
            leave.resolve(Err(LeaveError::Unacknowledged));
        }
    }
}

impl PendingLeave {
    pub(super) fn resolve(&mut self, result: Result<Receipt, LeaveError>) {
        if let Some(answer) = self.answer.take() {
            // The caller may have lost interest.
            let _ = answer.send(result);
        }
    }
}

/// Whether a status came from the other side. The others are made here, of a broken connection or of silence.
fn is_answer(status: &Status) -> bool {
    status.source().is_none() && status.code() != Code::DeadlineExceeded
}

pub(super) async fn in_time<T>(
    patience: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(patience, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the service did not answer in time")),
    }
}
