//! Opens a journal for a service, and rebuilds the conversation from it.

use std::error::Error;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::chat::Conversation;
use crate::cli::common::progress::Progress;
use crate::cli::number;
use crate::journal::sqlite::{OpenError, OpenFault};
use crate::journal::{CHECKPOINT_EVENTS, CheckSettings, CheckTime, JournalError, RecoveryError, SqliteJournal};

/// How long to wait for a journal that another process holds, and how long between two attempts.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(1);
const JOURNAL_PAUSE: Duration = Duration::from_millis(50);

/// How a journal is checked.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// When to check the journal's events from before its newest checkpoint: in the `background` while the service runs,
    /// or `first`, before it is ready. Newer events are always checked first.
    #[arg(long, value_name = "WHEN", env = "CHITCHAT_JOURNAL_CHECK", default_value = "background")]
    journal_check: When,

    /// Write a checkpoint next to the journal every N events. A journal with fewer events has none.
    #[arg(long, value_name = "N", env = "CHITCHAT_CHECKPOINT_EVENTS", default_value_t = CHECKPOINT_EVENTS as u32,
        value_parser = number(1..=u32::MAX))]
    checkpoint_events: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Background,
    First,
}

impl CheckArgs {
    /// Refuses these options for a journal in memory, where they have no effect. A variable may set them for other
    /// services.
    pub(super) fn refuse(is_given: impl Fn(&str) -> bool) -> Result<(), clap::Error> {
        let options = [("journal_check", "--journal-check"), ("checkpoint_events", "--checkpoint-events")];
        match options.into_iter().find(|option| is_given(option.0)) {
            Some((_, option)) => {
                let text = format!("{option} has no effect on a journal in memory: name a file with --journal\n");
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, text))
            }
            None => Ok(()),
        }
    }

    pub(super) fn settings(&self) -> CheckSettings {
        let when = match self.journal_check {
            When::Background => CheckTime::Background,
            When::First => CheckTime::First,
        };
        CheckSettings { when, checkpoint_events: self.checkpoint_events.into() }
    }
}

/// Opens the journal. If another process holds it, waits a moment: that may be a service that is just ending.
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

/// Rebuilds the conversation, and shows its progress if that takes long.
pub(super) async fn recover(journal: &mut SqliteJournal) -> Result<Conversation, String> {
    let mut progress = Progress::new("recovering", journal.head_at_open().0);
    let recovered = journal.recover(|event| progress.at(event.sequence.0)).await;
    recovered.map_err(|error| {
        let what = format!("--journal: cannot recover {}: {error}", journal.path().display());
        match error {
            RecoveryError::Journal(JournalError::Fatal(_)) | RecoveryError::Diverged(_) => {
                format!("{what}; {}", journal.remedy())
            }
            RecoveryError::Journal(JournalError::Unavailable(_)) | RecoveryError::File(_) => what,
        }
    })
}
