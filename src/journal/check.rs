//! When a journal's events are checked, and how far that is.

use crate::chat::Sequence;

/// After how many events a checkpoint is written, unless told otherwise. To replay as many takes a third of a second.
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
    /// Before the journal is used: the checkpoint is not.
    First,
    /// While it is used. Without a checkpoint that fits, they are checked first.
    #[default]
    Background,
}

/// How far a check in the background is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// It has not found anything yet.
    Running {
        /// The events up to this one are as they were recorded.
        checked: Sequence,
        /// The last one that it is about.
        last: Sequence,
    },
    /// The journal is whole.
    Whole,
    /// It is damaged. It takes no more events, and says so to every batch.
    Damaged,
}
