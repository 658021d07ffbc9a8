//! Reads concurrently with the writer, over a few separate connections that are used off the async threads.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::error::{Damage, Fault, classify};
use super::file::connect;
use super::row::{RowDecoder, SELECT, SELECT_VERSION_1, chain_of, sequence_of};
use crate::chat::Sequence;
use crate::journal::{Chain, Epoch, History, JournalError, JournalEvent};

/// How many pages are read at a time. Further readers wait, since they would only compete for the same disk.
const READERS: usize = 4;

/// The reading side of a journal file.
#[derive(Debug)]
pub(super) struct SqliteHistory {
    readers: Arc<Readers>,
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct Readers {
    path: PathBuf,
    epoch: Epoch,
    /// `None` once the journal is closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

/// The journal has been closed.
#[derive(Debug, thiserror::Error)]
#[error("it is closed")]
struct HistoryClosed;

impl SqliteHistory {
    pub(super) fn new(path: PathBuf, epoch: Epoch) -> Self {
        let readers = Readers { path, epoch, idle: Mutex::new(Some(Vec::new())) };
        Self { readers: Arc::new(readers), permits: Arc::new(Semaphore::new(READERS)) }
    }

    /// Closes the connections, so that the writer's is the last and can clean up. Connections in use close later.
    pub(super) fn close(&self) {
        self.permits.close();
        self.readers.idle.lock().take();
    }
}

#[async_trait]
impl History for SqliteHistory {
    async fn read(&self, after: Sequence, limit: usize) -> Result<Vec<JournalEvent>, JournalError> {
        let closed = |_| JournalError::Unavailable(HistoryClosed.into());
        let permit = self.permits.clone().acquire_owned().await.map_err(closed)?;
        let readers = self.readers.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.read(after, limit)
        });
        reading.await.unwrap_or_else(|panic| Err(JournalError::Fatal(panic.into())))
    }
}

impl Readers {
    fn read(&self, after: Sequence, limit: usize) -> Result<Vec<JournalEvent>, JournalError> {
        let idle = match &mut *self.idle.lock() {
            Some(idle) => idle.pop(),
            None => return Err(JournalError::Unavailable(HistoryClosed.into())),
        };
        let connection = idle.map_or_else(|| connect::for_reading(&self.path), Ok).map_err(classify)?;
        // A connection that has failed is not used again.
        let events = page(&connection, &self.epoch, after, limit)?;
        if let Some(idle) = &mut *self.idle.lock() {
            idle.push(connection);
        }
        Ok(events)
    }
}

/// Up to `limit` events after a position, each checked against its chain hash.
pub(super) fn page(
    connection: &Connection,
    epoch: &Epoch,
    after: Sequence,
    limit: usize,
) -> Result<Vec<JournalEvent>, JournalError> {
    // The event before the page is read, too, for its chain.
    let before = usize::from(after > Sequence(0));
    let rows_max = i64::try_from(limit.saturating_add(before)).unwrap_or(i64::MAX);
    let from = i64::try_from(after.0).unwrap_or(i64::MAX);
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(classify)?;
    let select = if version == 1 { SELECT_VERSION_1 } else { SELECT };
    let mut statement = connection.prepare(select).map_err(classify)?;
    let mut rows = statement.query((from, rows_max)).map_err(classify)?;
    let chain = if before == 0 {
        Chain::of(epoch)
    } else {
        match rows.next().map_err(classify)? {
            None => return Ok(Vec::new()),
            Some(row) if sequence_of(row) != Some(after) => {
                return Err(Damage { sequence: after, fault: Fault::Missing }.into());
            }
            Some(row) => chain_of(row).map_err(|fault| Damage { sequence: after, fault })?,
        }
    };
    let mut decoder = RowDecoder::after(after, chain);
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(classify)? {
        events.push(decoder.decode(row)?);
    }
    Ok(events)
}
