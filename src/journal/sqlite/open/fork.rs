//! A journal that was replaced by an older copy of itself continues in a new epoch: events that were recorded after the
//! copy was made have been delivered, so their sequences must not be used again.

use rusqlite::{Connection, TransactionBehavior};

use crate::chat::{Conversation, Sequence};
use crate::journal::sqlite::error::OpenFault;
use crate::journal::sqlite::file::head::Head;
use crate::journal::sqlite::history;
use crate::journal::{Chain, Epoch, JournalError};

/// How many events are rewritten between two reads.
const PAGE: usize = 1024;

/// Found on opening a journal: the service's log has events that the journal lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The epoch of the log.
    pub previous: Epoch,
    /// The newest event of that epoch in the log.
    pub logged: Sequence,
    /// The event after which the journal continues in its new epoch.
    pub after: Sequence,
}

/// Gives the whole journal a new epoch: the same events, with the chain of that epoch. All of it or nothing.
///
/// `reader` is another connection to the same journal: it sees the state before the change.
pub(crate) fn begin_epoch(
    connection: &mut Connection,
    reader: &Connection,
    head: &Head,
    epoch: Epoch,
) -> Result<Head, OpenFault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut update = transaction.prepare("UPDATE event SET chain = ?2 WHERE sequence = ?1")?;
    let (mut conversation, mut chain) = (Conversation::new(), Chain::of(&epoch));
    loop {
        let events =
            history::page(reader, &head.epoch, conversation.head(), PAGE).map_err(|error| match error {
                JournalError::Fatal(why) | JournalError::Unavailable(why) => OpenFault::Damaged(why.to_string()),
            })?;
        if events.is_empty() {
            break;
        }
        for event in events {
            conversation.replay(&event).map_err(|error| OpenFault::Damaged(error.to_string()))?;
            chain = chain.with(&event);
            update.execute((event.sequence.0.cast_signed(), chain.to_string()))?;
        }
    }
    drop(update);
    transaction.execute("UPDATE meta SET epoch = ?1", [epoch.as_str()])?;
    transaction.commit()?;
    Ok(Head { epoch, sequence: conversation.head(), chain })
}
