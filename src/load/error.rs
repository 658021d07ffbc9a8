//! Why a run failed, and what to do about it.

use std::io;
use std::sync::Arc;

use tonic::{Code, Status};

use super::process::ProcessError;
use super::scan::Malformed;
use crate::wire::Reason;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum LoadError {
    /// No connection.
    #[error("{}", unconnected(.address, .source))]
    Connect {
        address: String,
        #[source]
        source: io::Error,
    },
    /// A call failed: the number counts the calls of its kind, from 1.
    #[error("{call} {number}: {failure}")]
    Call { call: &'static str, number: u64, failure: CallFailure },
    /// A stream ended before its Welcome.
    #[error("a stream ended before its Welcome: {0}")]
    Stream(Arc<CallFailure>),
    /// The publishers' thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The service's process cannot be watched.
    #[error("--server-pid: {0}")]
    Process(#[from] ProcessError),
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallFailure {
    /// The service refused it.
    #[error("refused: {}{}", .0.message(), advice(.0))]
    Refused(Box<Status>),
    /// The connection ended.
    #[error(
        "the service closed the connection ({0}). It accepts 500 connections from one address unless it is started with \
         --address-limits off, and 20,000 in all (--connections-max)"
    )]
    Closed(#[from] h2::Error),
    /// The answer cannot come from this service.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There was no answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(std::time::Duration),
}

impl From<Status> for CallFailure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// The option that the service's operator has to set for a load that a limit refuses.
fn advice(status: &Status) -> &'static str {
    match Reason::of(status) {
        Some(Reason::RateLimited) => {
            ". The service limits how fast one may join and publish: for a load test start it with --address-limits \
             off and --publish-rate 0"
        }
        Some(Reason::ConversationFull) => {
            ". The service limits participants: for a load test start it with --address-limits off, and with \
             --participants-max as high as needed"
        }
        Some(Reason::SessionUnknown) => {
            ". Without streams the participants leave when the grace period is over: start the service with a \
             --grace that is longer than the run"
        }
        Some(Reason::SecretRequired) => ". Name the file that has it with --secret-file",
        Some(Reason::SlowConsumer) => ". This machine does not read as fast as the service sends",
        None if status.code() == Code::Unimplemented => ". Is this a Chit Chat service?",
        _ => "",
    }
}

/// Why there is no connection, with the option that may help.
fn unconnected(address: &str, error: &io::Error) -> String {
    let failed = format!("cannot connect to {address}: ");
    match (error.raw_os_error(), error.kind()) {
        // EMFILE and ENFILE on Linux, macOS and the BSDs.
        (Some(23 | 24), _) => {
            format!("{failed}{error}. Raise the limit on open files with ulimit -n, or use fewer --participants")
        }
        (_, io::ErrorKind::AddrNotAvailable) => format!(
            "{failed}{error}. No local port is left: use fewer --participants, or widen net.ipv4.ip_local_port_range"
        ),
        (_, io::ErrorKind::ConnectionRefused) => {
            format!("--server: {failed}connection refused: no service is listening there")
        }
        _ => format!("--server: {failed}{error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::Rejection;

    /// A refusal by a limit names the option that raises it.
    #[test]
    fn a_refusal_names_what_to_set() {
        let words = |rejection: Rejection| {
            let failure = CallFailure::from(Status::from(rejection));
            LoadError::Call { call: "join", number: 201, failure }.to_string()
        };
        let limited = words(Rejection::RateLimited { retry_after: Duration::from_secs(1) });
        assert!(limited.starts_with("join 201: refused: too fast"), "{limited}");
        assert!(limited.contains("--address-limits off and --publish-rate 0"), "{limited}");
        let full = words(Rejection::ShareTaken { participants_per_address_max: 200 });
        assert!(full.contains("--address-limits off") && full.contains("--participants-max"), "{full}");
        assert!(words(Rejection::SecretRequired).contains("--secret-file"));
        let unconnected = |source| LoadError::Connect { address: "a".into(), source }.to_string();
        let files = unconnected(io::Error::from_raw_os_error(24));
        assert!(files.contains("ulimit -n") && !files.contains("--server"), "{files}");
        let refused = unconnected(io::ErrorKind::ConnectionRefused.into());
        assert!(refused.starts_with("--server: cannot connect to a: connection refused"), "{refused}");
    }
}
