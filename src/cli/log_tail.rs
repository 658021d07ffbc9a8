//! The end of the log after a crash. An event is recorded in the journal first and in the log right after
//! it: a process that was killed in between has left durable events without the record of their broadcast.

use std::error::Error;
use std::path::PathBuf;

use tokio::task::spawn_blocking;

use crate::chat::Sequence;
use crate::journal::{Journal as _, SqliteJournal};
use crate::record::newest_broadcast;
use crate::server::record_recovered_broadcast;

/// How many events are read at a time.
const PAGE: usize = 1024;

/// Records the events up to the head of the journal that the log lacks at its end. A log that has no record
/// of this journal is another log, and stays that.
pub(super) async fn complete(log: PathBuf, journal: &SqliteJournal, head: Sequence) -> Result<(), Box<dyn Error>> {
    if head == Sequence(0) {
        return Ok(());
    }
    let (name, epoch) = (log.display().to_string(), journal.epoch());
    let searched = {
        let epoch = epoch.clone();
        spawn_blocking(move || newest_broadcast(&log, epoch.as_str())).await?
    };
    let Some(newest) = searched.map_err(|error| format!("cannot read the log {name}: {error}"))? else {
        let journal = journal.path().display();
        tracing::warn!("{name} begins after event {head}; `chitchat journal export {journal}` has all events");
        return Ok(());
    };
    if newest > head {
        tracing::warn!("{name} has event {newest}, and the journal ends with event {head}");
    }
    let (history, mut last) = (journal.history(), newest);
    while last < head {
        let page = history.read(last, PAGE).await?;
        page.iter().for_each(|event| record_recovered_broadcast(&epoch, event));
        // Recovery has read all of it just now.
        last = page.last().map_or(head, |event| event.sequence);
    }
    Ok(())
}
