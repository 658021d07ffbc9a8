//! Backfill: brings the service's log up to date with its journal at a start. An event is appended to the journal
//! first, and its broadcast record to the log right after. A process that was killed in between leaves durable events
//! without a log record. Conversely, a journal that was restored from a backup lacks events that are in the log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::chat::{Command, Conversation, Decision, Sequence};
use crate::journal::sqlite::Fork;
use crate::journal::{Epoch, Journal as _, JournalError, SqliteJournal};
use crate::log::{About, ServerRecord, newest_broadcast};
use crate::server::record_recovered_broadcast;

/// How many events are read at a time.
const PAGE: usize = 1024;

/// The newest event of an epoch that this replica, or a service without replicas, has in the log at a path.
pub(super) fn newest_logged(log: &Path, epoch: &Epoch, replica: Option<&str>) -> io::Result<Option<Sequence>> {
    newest_in_segments(log, epoch.as_str(), replica)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", log.display())))
}

/// Makes log and journal agree before the service starts: writes the log records that are missing at the end or, if the
/// log is ahead of the journal, the record that a new epoch has begun. A log without a record of this journal belongs to
/// another one, and is left alone.
pub(super) async fn record_missing_events(
    log: &Path,
    journal: &mut SqliteJournal,
    conversation: &mut Conversation,
    now: SystemTime,
) -> Result<(), JournalError> {
    let (name, epoch, head) = (log.display(), journal.epoch(), conversation.head());
    if let Some(fork) = journal.fork().cloned() {
        return begin_epoch(log, &fork, journal, conversation, now).await;
    }
    if head == Sequence(0) {
        return Ok(());
    }
    let Some(mut last) = journal.logged_at_open() else {
        let journal = journal.path().display();
        tracing::warn!("{name} begins after event {head}; `chitchat journal export {journal}` has all events");
        return Ok(());
    };
    let history = journal.history();
    while last < head {
        let page = history.read(last, PAGE).await?;
        page.iter().for_each(|event| record_recovered_broadcast(&epoch, event));
        // The page is not empty: recovery has just read all events.
        last = page.last().map_or(head, |event| event.sequence);
    }
    Ok(())
}

/// Reports the lost events, and ends all sessions: they belong to the previous epoch, so none can be resumed.
async fn begin_epoch(
    log: &Path,
    fork: &Fork,
    journal: &mut SqliteJournal,
    conversation: &mut Conversation,
    now: SystemTime,
) -> Result<(), JournalError> {
    let (epoch, Fork { previous, logged, after }) = (journal.epoch(), fork);
    let message = format!(
        "the journal ends with event {after}, but the log {} has event {logged} of its epoch {previous}: the journal is an \
         older copy. The conversation continues as epoch {epoch} without the events after {after}, and all participants \
         must join anew",
        log.display()
    );
    ServerRecord::EpochChanged {
        about: About::epoch(epoch.as_str()),
        previous_epoch: previous.to_string().into(),
        sequence: after.0,
        logical_time: conversation.logical_time().0,
        last_sequence: logged.0,
        message: message.into(),
    }
    .emit();
    let participants: Vec<_> = conversation.roster().map(|(participant, _)| participant).collect();
    let left = participants.into_iter().filter_map(|participant| {
        match conversation.apply(Command::Expire { participant }, now) {
            Ok(Decision::Happened(event)) => Some(Arc::new(event)),
            // Every participant on the roster can leave.
            Ok(Decision::Repeated(_)) | Err(_) => None,
        }
    });
    let committed = journal.append(left.collect()).await?;
    committed.events().iter().for_each(|event| record_recovered_broadcast(&epoch, event));
    Ok(())
}

/// The event of the last broadcast record of an epoch and a replica in the log at a path. Right after a rotation that
/// record is in a renamed segment.
fn newest_in_segments(log: &Path, epoch: &str, replica: Option<&str>) -> io::Result<Option<Sequence>> {
    let newest = newest_broadcast(log, epoch, replica)?;
    if newest.is_some() {
        return Ok(newest);
    }
    let is_segment = |path: &PathBuf| {
        let names = [path, log].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
        names[0].starts_with(&*names[1]) && *path != log && path.is_file()
    };
    let mut newest = None;
    for segment in fs::read_dir(log.parent().unwrap_or(Path::new(".")))? {
        let segment = segment?.path();
        if is_segment(&segment) {
            newest = newest.max(newest_broadcast(&segment, epoch, replica)?);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rotation_the_last_broadcast_is_in_another_segment() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.jsonl");
        let write = |name: &str, sequence: u64| {
            let text = format!(
                "{{\"timestamp\":\"2026-01-01T00:00:00Z\",\"component\":\"server\",\"event\":\"join_broadcast\",\"epoch\":\"a\",\
                 \"sequence\":{sequence},\"logical_time\":1,\"kind\":\"joined\"}}\n"
            );
            fs::write(folder.path().join(name), text).unwrap();
        };
        fs::write(&log, "").unwrap();
        assert_eq!(newest_in_segments(&log, "a", None).unwrap(), None);
        write("server.jsonl.2", 3);
        write("server.jsonl.1", 7);
        write("another.jsonl.1", 9);
        assert_eq!(newest_in_segments(&log, "a", None).unwrap(), Some(Sequence(7)));
        write("server.jsonl", 8);
        assert_eq!(newest_in_segments(&log, "a", None).unwrap(), Some(Sequence(8)));
    }
}
