//! Why there is no proof, and the limits that may be the reason.

use std::time::Duration;

/// The largest log of a page, in bytes: about twice what a page keeps at most.
pub const PAGE_LOG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a proof may take, including the upload of the page's log.
pub const PROOF_TIME_MAX: Duration = Duration::from_secs(25);

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum ProofFault {
    /// The lab's key is missing or wrong.
    #[error("the lab's key is missing or wrong: `chitchat lab` prints it when it starts")]
    KeyRequired,
    /// The page's log is too large.
    #[error("the page's log has more than {PAGE_LOG_BYTES_MAX} bytes")]
    PageLogTooLarge,
    /// The logs in the folder are too large.
    #[error(
        "the logs have {bytes} bytes, and this lab reads at most {bytes_max}; raise --proof-logs-max, or run \
         `chitchat verify`"
    )]
    LogsTooLarge { bytes: u64, bytes_max: u64 },
    /// Another proof is running.
    #[error("another proof is running; try again in a moment")]
    Busy,
    /// The service's log is behind.
    #[error("the service's writer is stopped, so its log is not up to date; try again when it writes")]
    WriterStopped,
    /// It took too long.
    #[error("the proof took longer than {} s; `chitchat verify` has no time limit", PROOF_TIME_MAX.as_secs())]
    TooLong,
    /// A log that cannot be used.
    #[error("{0}")]
    Unusable(String),
}
