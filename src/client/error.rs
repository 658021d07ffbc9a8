//! The errors of a participant.

use tonic::{Code, Status};

use super::explain;
use super::machine::check::ProtocolFault;
use crate::wire::Reason;

/// A participant that could not join, or that failed later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum JoinError {
    /// This is not the URL of a service.
    #[error("{address:?} is not the address of a service: {why}")]
    Address { address: String, why: String },
    /// The service cannot be reached.
    #[error("cannot reach {address}: {why}")]
    Unreachable { address: String, why: String },
    /// No address in the list reaches the service. The text gives the reason for each.
    #[error("{0}")]
    NoneReachable(String),
    /// The peer is not a Chit Chat service, or must be reached in another way.
    #[error("{address}: {why}")]
    Mismatch { address: String, why: String },
    /// The access secret cannot be sent in a header.
    #[error("the access secret is not one line of visible ASCII characters")]
    Secret,
    /// The certificate to trust cannot be used.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    /// The service refused.
    #[error("{message}")]
    Refused { reason: Option<Reason>, code: Code, message: String },
    /// The client itself failed.
    #[error("the client failed: {0}")]
    Failed(String),
    /// The service broke the protocol.
    #[error("the service broke the protocol: {0}")]
    Protocol(ProtocolFault),
}

impl JoinError {
    /// A refusal, in the service's words.
    pub(super) fn refused(status: &Status) -> Self {
        Self::Refused { reason: Reason::of(status), code: status.code(), message: explain::of_status(status) }
    }

    /// The error for a list of addresses: the last refusal that has a reason, or otherwise all errors.
    pub(super) fn of_all(mut errors: Vec<Self>) -> Self {
        let answer = errors.iter().rposition(|error| error.reason().is_some());
        match answer.or((errors.len() == 1).then_some(0)) {
            Some(index) => errors.swap_remove(index),
            None => Self::NoneReachable(errors.iter().map(Self::to_string).collect::<Vec<_>>().join("; ")),
        }
    }

    /// The reason's name if there is one, otherwise the message.
    pub(super) fn as_record(&self) -> String {
        self.reason().map_or_else(|| self.to_string(), |reason| reason.as_str().to_owned())
    }

    /// The reason of a refusal.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => *reason,
            _ => None,
        }
    }
}

/// A message that has not been published, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the names are clear")]
pub enum PublishError {
    /// Refused by the service, or by this client before sending it. The message was not published.
    #[error("{message}")]
    Refused { reason: Option<Reason>, message: String },
    /// It was sent, but the session was lost before an answer came: it may or may not have been published.
    #[error("the session was lost before the answer came: the message may or may not have been delivered")]
    Unconfirmed,
    /// The participant has left or failed; the message was not sent.
    #[error("no longer in the conversation")]
    Ended,
}

/// A leave that the service has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaveError {
    /// The service did not answer in time; the others will see the participant leave when the grace period ends.
    #[error("could not reach the service; the others will see you leave when the grace period ends")]
    Unacknowledged,
    /// The participant has already left or failed.
    #[error("no longer in the conversation")]
    Ended,
}

/// Earlier events that could not be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the names are clear")]
pub enum ListError {
    /// The service refused, or did not answer.
    #[error("{message}")]
    Failed { reason: Option<Reason>, message: String },
    /// The answer has events that cannot be the requested ones.
    #[error("the service broke the protocol: {0}")]
    Protocol(ProtocolFault),
    /// The participant has left or failed, or a newer request replaced this one.
    #[error("no longer in the conversation")]
    Ended,
}
