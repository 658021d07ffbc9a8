//! What log records are about, in a form that is small enough to keep for millions of them.

use std::fmt;
use std::hash::BuildHasher;

pub use crate::log::{Component, CowStr, LineRef, LogRecord, LoggedKind, RecordFault};

/// Names a participant within its epoch: the number in `p7`, or a digest of an id of another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who(pub u64);

impl Who {
    /// The participant with this id.
    pub fn of(id: &str) -> Self {
        let plain = id.strip_prefix('p').filter(|digits| !digits.starts_with(['0', '+']));
        Self(plain.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| digest(id) | 1 << 63))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// Stands for a text where only its equality matters, so that texts need not be kept.
pub fn digest(text: &str) -> u64 {
    // With its fixed seed: the same in every run.
    foldhash::quality::FixedState::default().hash_one(text)
}
