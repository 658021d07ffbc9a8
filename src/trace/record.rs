//! What log records refer to, in a form small enough to keep for millions of them.

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

/// A number that stands for a text, so that texts can be compared without being kept.
pub fn digest(text: &str) -> u64 {
    // The seed is fixed, so that the number is the same in every run.
    foldhash::quality::FixedState::default().hash_one(text)
}
