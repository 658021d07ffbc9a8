//! Backfill: brings the service's log up to date with its journal at a start. An event is appended to the journal
//! first, and its broadcast record to the log right after. A process that was killed in between leaves durable events
//! without a log record. Conversely, a journal that was restored from a backup lacks events that are in the log.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::service_log;
use crate::chat::{Command, Conversation, Decision, Sequence};
use crate::journal::sqlite::Fork;
use crate::journal::{Epoch, Journal as _, JournalError, SqliteJournal};
use crate::log::{About, ServerRecord, newest_broadcast};
use crate::server::record_recovered_broadcast;

/// How many events are read at a time.
const PAGE: usize = 1024;

/// The newest event of an epoch that this service or replica has recorded in the log at a path. If there is none, it may
/// have recorded them in another log of the folder: services that share a folder can swap their logs at a start.
pub(super) fn newest_logged(log: &Path, epoch: &Epoch, replica: Option<&str>) -> io::Result<Option<Sequence>> {
    let newest = || -> io::Result<Option<Sequence>> {
        let mut newest = newest_in_segments(log, epoch.as_str(), replica)?;
        if newest.is_none() {
            for log in logs_of_services(log)? {
                newest = newest.max(newest_in_segments(&log, epoch.as_str(), replica)?);
            }
        }
        Ok(newest)
    };
    newest().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", log.display())))
}

/// The logs that services have in the folder of this log, without what a rotation has added to their names.
fn logs_of_services(log: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut logs = BTreeSet::new();
    for file in fs::read_dir(folder_of(log))? {
        let name = file?.file_name();
        logs.extend(name.to_str().and_then(service_log::name_of).map(|name| log.with_file_name(name)));
    }
    Ok(logs)
}

fn folder_of(log: &Path) -> &Path {
    log.parent().unwrap_or(Path::new("."))
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

/// The event of the last broadcast record of an epoch in the log at a path. Right after a rotation that record is in a
/// renamed segment.
fn newest_in_segments(log: &Path, epoch: &str, replica: Option<&str>) -> io::Result<Option<Sequence>> {
    // A rotation may rename or remove a file at any time.
    let newest_in = |file: &Path| match newest_broadcast(file, epoch, replica) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        newest => newest,
    };
    let newest = newest_in(log)?;
    if newest.is_some() {
        return Ok(newest);
    }
    let is_segment = |path: &PathBuf| {
        let names = [path, log].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
        names[0].starts_with(&*names[1]) && *path != log && path.is_file()
    };
    let mut newest = None;
    for segment in fs::read_dir(folder_of(log))? {
        let segment = segment?.path();
        if is_segment(&segment) {
            newest = newest.max(newest_in(&segment)?);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The last broadcast is in another segment after a rotation, or in another log if another service started first.
    /// Records of other replicas do not count.
    #[test]
    fn the_last_broadcast_may_be_in_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.jsonl");
        let write = |name: &str, sequence: u64, replica: Option<&str>| {
            let mut record = json!({"timestamp": "2026-01-01T00:00:00Z", "component": "server",
                "event": "join_broadcast", "epoch": "a", "sequence": sequence, "logical_time": 1, "kind": "joined"});
            if let Some(replica) = replica {
                record["replica"] = replica.into();
            }
            fs::write(folder.path().join(name), format!("{record}\n")).unwrap();
        };
        let newest = |replica| newest_logged(&log, &Epoch::new("a"), replica).unwrap().map(|sequence| sequence.0);
        fs::write(&log, "").unwrap();
        write("another.jsonl.1", 9, None);
        write("server-of-ann.jsonl", 9, None);
        assert_eq!(newest(None), None);
        write("server-2.jsonl", 4, None);
        write("server-3.jsonl.1", 5, None);
        write("server-4.jsonl", 6, Some("b"));
        assert_eq!([newest(None), newest(Some("b")), newest(Some("c"))], [Some(5), Some(6), None]);
        write("server.jsonl.2", 1, None);
        write("server.jsonl.1", 2, None);
        assert_eq!(newest(None), Some(2));
        write("server.jsonl", 3, None);
        assert_eq!(newest(None), Some(3));
    }
}
