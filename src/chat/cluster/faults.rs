//! Mistakes that a replica could make, made on purpose: tests show that `verify` finds them in the logs. They exist only
//! in the library's own test build, and a process makes one only after a call of [`ReplicaFault::make`].

use std::sync::OnceLock;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaFault {
    /// A request is answered when the servers have acknowledged its batch, with the outcome that this replica expects.
    AnswerEarly,
    /// A batch that is stored twice is applied twice.
    ApplyTwice,
    /// The end of a grace period ends a session even if it has been attached again since.
    ExpireAnyway,
    /// A message with requests is skipped after the reader has restarted.
    Skip,
    /// The same, and the replicas do not compare their states.
    SkipUnnoticed,
}

static MADE: OnceLock<ReplicaFault> = OnceLock::new();

impl ReplicaFault {
    /// Makes this process make the mistake from now on.
    pub fn make(self) {
        MADE.get_or_init(|| self);
    }

    /// Whether this process makes it.
    pub fn is_made(self) -> bool {
        MADE.get() == Some(&self)
    }
}
