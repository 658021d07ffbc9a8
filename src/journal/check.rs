//! When a journal's events are checked, and the progress of the check.

use crate::chat::Sequence;

/// After how many events a checkpoint is written, unless told otherwise. Replaying this many takes a third of a second.
pub const CHECKPOINT_EVENTS: u64 = 100_000;

/// How a journal is checked at a start, and kept ready for the next one.
#[derive(Clone, Copy, Debug)]
pub struct CheckSettings {
    /// When the events before the checkpoint are checked.
    pub when: CheckTime,
    /// After how many events the next checkpoint is written. A journal with fewer has none.
    pub checkpoint_events: u64,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self { when: CheckTime::default(), checkpoint_events: CHECKPOINT_EVENTS }
    }
}

/// When the events before the checkpoint are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckTime {
    /// Before the journal is used, without the checkpoint.
    First,
    /// While the journal is used. Without a valid checkpoint, they are checked first.
    #[default]
    Background,
}

/// The progress of a background check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// It has not found anything yet.
    Running {
        /// The events up to this one are as they were recorded.
        checked: Sequence,
        /// The last event that is to be checked.
        last: Sequence,
    },
    /// The journal is intact.
    Whole,
    /// It is damaged. It accepts no more events: every batch gets this error.
    Damaged,
}
