//! Opens a journal for a service, and rebuilds the conversation from it.

use std::error::Error;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::chat::Conversation;
use crate::cli::common::progress::Progress;
use crate::journal::sqlite::{OpenError, OpenFault};
use crate::journal::{self, Journal as _, SqliteJournal};

/// How long to wait for a journal that another process holds, and how long between two tries.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(1);
const JOURNAL_PAUSE: Duration = Duration::from_millis(50);

/// Opens the journal. One that another process holds may be that of a service that is just ending.
pub(super) async fn open_journal(
    open: impl FnOnce() -> Result<SqliteJournal, OpenError> + Clone + Send + 'static,
) -> Result<SqliteJournal, Box<dyn Error>> {
    let deadline = Instant::now() + JOURNAL_PATIENCE;
    loop {
        match spawn_blocking(open.clone()).await? {
            Err(OpenError { fault: OpenFault::InUse, .. }) if Instant::now() < deadline => {
                sleep(JOURNAL_PAUSE).await;
            }
            opened => return Ok(opened.map_err(|error| format!("--journal: {error}"))?),
        }
    }
}

/// Rebuilds the conversation, and says how far it is where that takes long.
pub(super) async fn recover(journal: &SqliteJournal) -> Result<Conversation, String> {
    let mut progress = Progress::new("recovering", journal.head_at_open().0);
    journal::recover(&*journal.history(), |event| progress.at(event.sequence.0))
        .await
        .map_err(|error| format!("--journal: cannot recover {}: {error}", journal.path().display()))
}
