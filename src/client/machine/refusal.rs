//! How a call can fail.

use std::time::Duration;

use super::check::ProtocolFault;
use crate::client::error::JoinError;
use crate::wire::Reason;

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub(in crate::client) struct Failure {
    /// How it failed.
    pub(in crate::client) kind: FailureKind,
    /// The service's reason, as defined by the API, if it gave one.
    pub(in crate::client) reason: Option<Reason>,
    /// What happened, for people.
    pub(in crate::client) message: String,
    /// The least time to wait before trying again, if the service named one.
    pub(in crate::client) retry_after: Option<Duration>,
    /// The error for the program if this failure is final.
    pub(in crate::client) error: JoinError,
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum FailureKind {
    /// No answer came: the connection broke, or there was silence.
    Silence,
    /// The service cannot do it now.
    Unavailable,
    /// The service refuses, and would refuse again.
    Refused,
    /// The peer is not a Chit Chat service, or must be reached in another way. A participant that has joined tries
    /// again: a proxy, for instance, may answer in place of its service for a while.
    Mismatch,
    /// The service broke the protocol. A participant that has joined tries again, at growing intervals.
    Protocol,
}

impl Failure {
    /// A failure because the service broke the contract.
    pub(super) fn broken(fault: ProtocolFault) -> Self {
        let error = JoinError::Protocol(fault);
        Self { kind: FailureKind::Protocol, reason: None, message: error.to_string(), retry_after: None, error }
    }

    /// A failure because the service at this address did not answer.
    pub(super) fn silence(address: &str, message: &str) -> Self {
        let error = JoinError::Unreachable { address: address.into(), why: message.into() };
        Self { kind: FailureKind::Silence, reason: None, message: message.into(), retry_after: None, error }
    }

    /// Whether another attempt may work.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.kind, FailureKind::Silence | FailureKind::Unavailable)
    }

    /// Whether it is unknown if the service received the request.
    pub(super) fn is_unanswered(&self) -> bool {
        self.is_lost() && self.reason.is_none()
    }

    /// Why the session is over, if this failure ends it.
    pub(super) fn ends_session(&self) -> Option<Reason> {
        let ends = |reason: &Reason| {
            matches!(reason, Reason::SessionUnknown | Reason::EpochChanged | Reason::SequenceOutOfRange)
        };
        self.reason.filter(ends)
    }

    /// The reason in the log record of a stream that it ended.
    pub(super) fn as_record(&self) -> String {
        match (self.reason, self.kind) {
            (Some(reason), _) => reason.as_str().into(),
            (None, FailureKind::Refused | FailureKind::Mismatch) => "REFUSED".into(),
            (None, _) => self.message.clone(),
        }
    }
}
