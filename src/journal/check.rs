//! When a journal's events are checked, and the progress of the check.

use crate::chat::Sequence;

/// The default number of events between two checkpoints. Replaying this many takes a third of a second.
pub const CHECKPOINT_EVENTS: u64 = 100_000;

/// When a journal is checked, and how often a checkpoint is written for the next start.
#[derive(Clone, Copy, Debug)]
pub struct CheckSettings {
    /// When the events before the checkpoint are checked.
    pub when: CheckTime,
    /// The number of events between two checkpoints. A journal with fewer events has no checkpoint.
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
    /// It has found no damage so far.
    Running {
        /// The events up to this one are as they were recorded.
        checked: Sequence,
        /// The last event that is to be checked.
        last: Sequence,
    },
    /// The journal is intact.
    Intact,
    /// The journal is damaged, and rejects every further batch.
    Damaged,
}
