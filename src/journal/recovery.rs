//! Rebuilding the conversation from a journal, by replaying the state machine.

use super::sqlite::error::OpenError;
use super::{History, JournalError};
use crate::chat::{Conversation, Divergence, Event};

/// How many events are read at a time.
const PAGE: usize = 4096;

/// A journal from which the conversation cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// It cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It can be read, but contradicts itself.
    #[error("the journal is damaged: {0}")]
    Diverged(#[from] Divergence),
    /// The structure of its file is damaged.
    #[error(transparent)]
    File(#[from] OpenError),
}

/// Replays the whole journal. Every recorded time is checked against the derived one, so that damage is
/// reported and never silently changes the conversation.
///
/// # Errors
/// [`RecoveryError`], with the position where the journal contradicts itself.
pub async fn recover(history: &dyn History, on_event: impl FnMut(&Event)) -> Result<Conversation, RecoveryError> {
    replay(history, Conversation::new(), on_event).await
}

/// Replays the events after a state.
pub(super) async fn replay(
    history: &dyn History,
    mut conversation: Conversation,
    mut on_event: impl FnMut(&Event),
) -> Result<Conversation, RecoveryError> {
    let mut page = history.read(conversation.head(), PAGE).await?;
    while let Some(last) = page.last() {
        let last = last.sequence;
        let replay = async {
            page.iter().try_for_each(|event| {
                conversation.replay(event)?;
                on_event(event);
                Ok::<_, RecoveryError>(())
            })
        };
        // A journal that reads on another thread reads the next page during the replay of this one.
        let (next, replayed) = tokio::join!(history.read(last, PAGE), replay);
        replayed?;
        page = next?;
    }
    Ok(conversation)
}
