//! What the background check after a start has found, and what follows from that.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use crate::chat::{Divergence, Sequence};

/// The damage that was found, if any. The checking thread, the writer and the checkpoint thread share it.
pub(in crate::journal::sqlite) type DamageFlag = Arc<OnceLock<Arc<FoundDamage>>>;

/// Damage that a background check has found.
#[derive(Debug, thiserror::Error)]
pub(in crate::journal::sqlite) enum FoundDamage {
    /// An event is not what was recorded, or cannot be read.
    #[error("{0}")]
    Event(Box<dyn Error + Send + Sync>),
    /// An event does not follow from those before it.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// The service started from a different state.
    #[error("the checkpoint at event {0} differs from the state that the events up to it lead to")]
    Checkpoint(Sequence),
    /// SQLite finds the structure of the file damaged.
    #[error("{0}")]
    Shape(String),
}

/// The journal accepts no more events.
#[derive(Debug, thiserror::Error)]
#[error("it is damaged and accepts no more events: {0}")]
pub(in crate::journal::sqlite) struct Refused(pub(in crate::journal::sqlite) Arc<FoundDamage>);
