//! Converts a gRPC status into a failure, as the machine takes it.

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};

use crate::client::error::JoinError;
use crate::client::explain;
use crate::client::machine::{Failure, FailureKind};
use crate::wire::{Reason, retry_delay};

/// The longest wait that the client accepts from a service.
const WAIT_LONGEST: Duration = Duration::from_secs(60);

pub(super) fn failure(status: &Status, address: &str) -> Failure {
    let reason = Reason::of(status);
    let message = explain::of_status(status);
    let kind = kind(status, reason);
    let error = match (kind, reason) {
        (FailureKind::Silence | FailureKind::Unavailable, None) => {
            JoinError::Unreachable { address: address.to_owned(), why: message.clone() }
        }
        _ => JoinError::refused(status),
    };
    let retry_after = retry_delay(status).map(|delay| delay.min(WAIT_LONGEST));
    Failure { kind, reason, message, retry_after, error }
}

fn kind(status: &Status, reason: Option<Reason>) -> FailureKind {
    // A status with a source, or for a deadline, was made by this client: the connection broke, or was silent.
    let is_answer = status.source().is_none() && status.code() != Code::DeadlineExceeded;
    match (reason, status.code()) {
        (
            None,
            Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::Aborted
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            // The service always sends this with a reason; without one, a frame was too large to be read.
            | Code::OutOfRange,
        )
        | (Some(_), Code::Unavailable | Code::ResourceExhausted) => {
            if is_answer { FailureKind::Unavailable } else { FailureKind::Silence }
        }
        _ => FailureKind::Refused,
    }
}

/// A failure because the connection was lost, or could not be made.
pub(super) fn lost(why: String, address: &str) -> Failure {
    let error = JoinError::Unreachable { address: address.to_owned(), why: why.clone() };
    Failure { kind: FailureKind::Silence, reason: None, message: why, retry_after: None, error }
}
