//! What is on its way to the service: one message at a time, and in the end the leave.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::Receipt;
use super::connection::{Failure, Stub, words};
use super::error::{LeaveError, PublishError};
use super::session::Session;
use crate::chat::MessageText;
use crate::wire::{Reason, Rejection, pb, retry_delay};

/// How long to wait before a message is sent again where the service names no time.
const RETRY_SOON: Duration = Duration::from_millis(500);
/// How often in a row a message can fail, for a reason that the service does not name, before the connection is
/// given up. Each time the wait is twice as long: 7.5 s in all.
const FAILURES_MAX: u32 = 4;

/// A message that has not been answered.
#[derive(Debug)]
pub(super) struct Letter {
    text: String,
    id: String,
    /// Whether some try may have reached the service without its answer reaching us.
    uncertain: bool,
    /// How often in a row it failed without a reason.
    failures: u32,
    answer: oneshot::Sender<Result<Receipt, PublishError>>,
}

/// The wish to leave.
#[derive(Debug)]
pub(super) struct Farewell {
    answer: Option<oneshot::Sender<Result<Receipt, LeaveError>>>,
    /// When to give up.
    pub(super) deadline: Instant,
    /// The service has answered; what is left is to read the stream to its end.
    pub(super) acknowledged: bool,
}

/// Everything that has not been answered.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    letter: Option<Letter>,
    pub(super) farewell: Option<Farewell>,
    /// The service asked for patience until then.
    pub(super) pause: Option<Instant>,
}

/// A request on its way.
pub(super) type Flight = Pin<Box<dyn Future<Output = Landed> + Send>>;

/// The service's answer.
pub(super) enum Landed {
    Publish(Result<pb::PublishResponse, Status>),
    Leave(Result<pb::LeaveResponse, Status>),
}

/// What an answer led to.
pub(super) enum Progress {
    /// Go on with whatever is next.
    Next,
    /// The same message goes out again later.
    Wait(Duration, Reason),
    /// The same, where the service gave no reason.
    TryAgain(Duration),
    /// The connection or the session is of no more use.
    Broken(Failure),
}

impl Outgoing {
    /// Whether another wish can be taken up.
    pub(super) fn is_idle(&self) -> bool {
        self.letter.is_none() && self.farewell.is_none()
    }

    /// Takes up a message. What can never be valid is refused here and not sent.
    pub(super) fn publish(
        &mut self,
        text: String,
        session: &Session,
        answer: oneshot::Sender<Result<Receipt, PublishError>>,
    ) {
        if let Err(refusal) = MessageText::parse(text.as_str()) {
            let rejection = Rejection::from(refusal);
            session.publish_refused(None, &text, Some(rejection.reason()), "");
            let (reason, message) = (Some(rejection.reason()), rejection.to_string());
            // Whoever asked may have lost interest.
            let _ = answer.send(Err(PublishError::Refused { reason, message }));
            return;
        }
        self.letter = Some(Letter { text, id: new_message_id(), uncertain: false, failures: 0, answer });
    }

    /// Takes up the wish to leave.
    pub(super) fn leave(
        &mut self,
        answer: Option<oneshot::Sender<Result<Receipt, LeaveError>>>,
        patience: Duration,
    ) {
        let deadline = Instant::now() + patience;
        self.farewell.get_or_insert(Farewell { answer, deadline, acknowledged: false });
    }

    /// Sends what is next, if anything is.
    pub(super) fn depart(&mut self, session: &mut Session, stub: &Stub, patience: Duration) -> Option<Flight> {
        if self.pause.is_some() {
            return None;
        }
        let mut stub = stub.clone();
        if let Some(letter) = &self.letter {
            let request = session.publish_request(&letter.text, &letter.id);
            return Some(Box::pin(async move { Landed::Publish(in_time(patience, stub.publish(request)).await) }));
        }
        if self.farewell.as_ref().is_some_and(|farewell| !farewell.acknowledged) {
            let request = session.leave_request();
            return Some(Box::pin(async move { Landed::Leave(in_time(patience, stub.leave(request)).await) }));
        }
        None
    }

    /// Another connection is open. A message that failed on the last need not wait any more.
    pub(super) fn reconnected(&mut self) {
        if let Some(letter) = self.letter.as_mut().filter(|letter| letter.failures > 0) {
            letter.failures = 0;
            self.pause = None;
        }
    }

    /// A request was on its way when the connection broke.
    pub(super) fn lost_sight(&mut self) {
        if let Some(letter) = &mut self.letter {
            letter.uncertain = true;
        }
    }

    /// Takes in an answer.
    pub(super) fn land(&mut self, landed: Landed, session: &mut Session) -> Progress {
        match landed {
            Landed::Publish(Ok(response)) => {
                if let Some(letter) = self.letter.take() {
                    let receipt = session.published(&letter.id, &response);
                    let _ = letter.answer.send(Ok(receipt));
                }
                Progress::Next
            }
            Landed::Publish(Err(status)) => self.publish_failed(status, session),
            Landed::Leave(Ok(response)) => {
                let receipt = session.left(&response);
                if let Some(farewell) = &mut self.farewell {
                    farewell.acknowledged = true;
                    farewell.say(Ok(receipt));
                }
                Progress::Next
            }
            Landed::Leave(Err(status)) => Progress::Broken(Failure::of(status, true)),
        }
    }

    fn publish_failed(&mut self, status: Status, session: &Session) -> Progress {
        let reason = Reason::of(&status);
        match (reason, Failure::of(status.clone(), reason == Some(Reason::SessionUnknown))) {
            (Some(reason @ (Reason::RateLimited | Reason::JournalUnavailable)), _) => {
                if reason == Reason::JournalUnavailable {
                    self.lost_sight();
                }
                Progress::Wait(retry_delay(&status).unwrap_or(RETRY_SOON), reason)
            }
            (_, failure @ Failure::SessionOver(_)) => Progress::Broken(failure),
            (reason, failure @ Failure::Lost { .. }) => {
                self.lost_sight();
                match &mut self.letter {
                    Some(letter) if reason.is_none() && is_answer(&status) && letter.failures < FAILURES_MAX => {
                        let delay = RETRY_SOON * 2_u32.pow(letter.failures);
                        letter.failures += 1;
                        Progress::TryAgain(retry_delay(&status).unwrap_or_default().max(delay))
                    }
                    _ => Progress::Broken(failure),
                }
            }
            (reason, Failure::Fatal(_) | Failure::Mismatch(_)) => {
                if let Some(letter) = self.letter.take() {
                    session.publish_refused(Some(&letter.id), &letter.text, reason, status.message());
                    let message = words(&status);
                    let _ = letter.answer.send(Err(PublishError::Refused { reason, message }));
                }
                Progress::Next
            }
        }
    }

    /// The session is over. A message that may have been published under it is not sent again under the
    /// next: that could be a second message, and whoever wrote it is to decide.
    pub(super) fn session_over(&mut self, session: &Session) {
        if let Some(letter) = self.letter.take_if(|letter| letter.uncertain) {
            session.publish_refused(Some(&letter.id), &letter.text, None, "UNCONFIRMED");
            let _ = letter.answer.send(Err(PublishError::Unconfirmed));
        }
        self.pause = None;
    }

    /// Nothing more will be sent.
    pub(super) fn close(mut self) {
        if let Some(letter) = self.letter.take() {
            let error = if letter.uncertain { PublishError::Unconfirmed } else { PublishError::Ended };
            let _ = letter.answer.send(Err(error));
        }
        if let Some(mut farewell) = self.farewell.take() {
            farewell.say(Err(LeaveError::Unacknowledged));
        }
    }
}

impl Farewell {
    pub(super) fn say(&mut self, result: Result<Receipt, LeaveError>) {
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(result);
        }
    }
}

/// Whether a status came from the other side. The others are made here, of a broken connection or of silence.
fn is_answer(status: &Status) -> bool {
    status.source().is_none() && status.code() != Code::DeadlineExceeded
}

async fn in_time<T>(
    patience: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(patience, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the service did not answer in time")),
    }
}

fn new_message_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    format!("{:032x}", u128::from_le_bytes(bytes))
}
