//! A reader that skips a message after it has restarted: a mistake that tests make on purpose.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::chat::ReplicaFault;

/// A beat has 53 bytes, a publish at least 140.
const BEAT_BYTES_MAX: usize = 100;

static HAS_RESTARTED: AtomicBool = AtomicBool::new(false);
static HAS_SKIPPED: AtomicBool = AtomicBool::new(false);

/// Whether this process makes the mistake.
pub(super) fn skips() -> bool {
    ReplicaFault::Skip.is_made() || ReplicaFault::SkipUnnoticed.is_made()
}

/// Notes that the reader has restarted.
pub(super) fn note_restart() {
    HAS_RESTARTED.store(true, Ordering::Relaxed);
}

/// Whether this is the message to skip: the first with a request in it.
pub(super) fn is_skipped(message: &[u8]) -> bool {
    skips()
        && HAS_RESTARTED.load(Ordering::Relaxed)
        && message.len() > BEAT_BYTES_MAX
        && !HAS_SKIPPED.swap(true, Ordering::Relaxed)
}
