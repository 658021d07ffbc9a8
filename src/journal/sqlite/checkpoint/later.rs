//! After a start from a checkpoint, checks all events before it, in a separate thread while the service serves.
//! A start without a checkpoint does the same before it serves: it replays all events and compares them with their
//! chain; the final state must equal the checkpoint's; then SQLite checks the structure of the file.
//!
//! The thread rests for as long as it has worked, so it uses at most half a core, and it reads a page at a time.
//! When it finds damage, it removes the checkpoint, so that the next start checks everything first, and the writer
//! accepts no more events: see [`DamageFlag`].

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::watch;

use super::StateDigest;
use super::damage::{DamageFlag, FoundDamage};
use super::keeper::CheckpointFile;
use crate::chat::{Conversation, Sequence};
use crate::journal::check::CheckState;
use crate::journal::sqlite::error::OpenFault;
use crate::journal::sqlite::file::connect;
use crate::journal::sqlite::{history, open};
use crate::journal::{Epoch, JournalError};

/// How many events are checked between two rests.
const PAGE: usize = 1024;
/// How many times an unreadable event is tried, and how long the thread waits between two attempts.
const ATTEMPTS: u32 = 10;
const ATTEMPT_REST: Duration = Duration::from_secs(1);
/// How often it reports its progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// While a check is being ended, SQLite is interrupted this often: an interrupt before a statement begins has no effect.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(10);

/// What is checked.
pub(in crate::journal::sqlite) struct Plan {
    pub(in crate::journal::sqlite) path: PathBuf,
    pub(in crate::journal::sqlite) epoch: Epoch,
    /// The event of the checkpoint.
    pub(in crate::journal::sqlite) last: Sequence,
    /// Its state.
    pub(in crate::journal::sqlite) digest: StateDigest,
    pub(in crate::journal::sqlite) file: Arc<CheckpointFile>,
    pub(in crate::journal::sqlite) damage: DamageFlag,
    /// What to do about damage.
    pub(in crate::journal::sqlite) remedy: &'static str,
}

/// A check that is under way, or has ended.
pub(in crate::journal::sqlite) struct LaterCheck {
    /// Dropped to end it.
    stop: SyncSender<()>,
    /// Closed when it has ended.
    ended: Receiver<()>,
    interrupt: InterruptHandle,
    thread: JoinHandle<()>,
    state: watch::Receiver<CheckState>,
}

impl fmt::Debug for LaterCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaterCheck").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl LaterCheck {
    /// Starts the check.
    pub(in crate::journal::sqlite) fn start(plan: Plan) -> Result<Self, OpenFault> {
        let connection = connect::for_reading(&plan.path)?;
        let interrupt = connection.get_interrupt_handle();
        let (stop, stopped) = sync_channel(0);
        let (ending, ended) = sync_channel(0);
        let last = plan.last;
        let (progress, state) = watch::channel(CheckState::Running { checked: Sequence(0), last });
        let check = RunningCheck { plan, connection, stopped, progress };
        let thread = thread::Builder::new().name("check".into()).spawn(move || {
            let _ending: SyncSender<()> = ending;
            check.run();
        })?;
        Ok(Self { stop, ended, interrupt, thread, state })
    }

    /// Its progress.
    pub(in crate::journal::sqlite) fn state(&self) -> watch::Receiver<CheckState> {
        self.state.clone()
    }

    /// Ends the check, whether it is done or not.
    pub(in crate::journal::sqlite) fn end(self) {
        let Self { stop, ended, interrupt, thread, .. } = self;
        drop(stop);
        // This interrupts only a statement that SQLite has begun.
        interrupt.interrupt();
        while ended.recv_timeout(INTERRUPT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
        if thread.join().is_err() {
            tracing::error!("the check of the journal has panicked");
        }
    }
}

/// Why a step of the check did not succeed.
enum CheckFailure {
    /// The check has to end.
    Stopped,
    Found(FoundDamage),
    /// It may become readable later.
    Unreadable(Box<dyn Error + Send + Sync>),
}

impl From<FoundDamage> for CheckFailure {
    fn from(found: FoundDamage) -> Self {
        Self::Found(found)
    }
}

struct RunningCheck {
    plan: Plan,
    connection: Connection,
    stopped: Receiver<()>,
    progress: watch::Sender<CheckState>,
}

impl RunningCheck {
    fn run(self) {
        let last = self.plan.last;
        tracing::info!("the events up to {last} are being checked in the background");
        match self.replay().and_then(|()| self.repeated(|| self.shape())) {
            Ok(()) => {
                tracing::info!("the events up to {last} have been checked: the journal is intact");
                self.progress.send_replace(CheckState::Intact);
            }
            Err(CheckFailure::Stopped) => {}
            Err(CheckFailure::Unreadable(why)) => self.report(FoundDamage::Event(why)),
            Err(CheckFailure::Found(found)) => self.report(found),
        }
    }

    /// First stops the writer, then reports the damage.
    fn report(&self, found: FoundDamage) {
        let found = Arc::new(found);
        let _ = self.plan.damage.set(found.clone());
        self.plan.file.remove();
        tracing::error!(
            "the journal {} is damaged, and takes no more events: {found}. Stop the service, then {}",
            self.plan.path.display(),
            self.plan.remedy
        );
        self.progress.send_replace(CheckState::Damaged);
    }

    fn replay(&self) -> Result<(), CheckFailure> {
        let Plan { last, digest, .. } = self.plan;
        let mut conversation = Conversation::new();
        let mut reported = Instant::now();
        while conversation.head() < last {
            let began = Instant::now();
            self.page(&mut conversation)?;
            let checked = conversation.head();
            self.progress.send_replace(CheckState::Running { checked, last });
            if reported.elapsed() >= REPORT_INTERVAL {
                reported = Instant::now();
                tracing::info!("{checked} of {last} events have been checked");
            }
            self.rest(began.elapsed())?;
        }
        if StateDigest::of(&conversation) == digest { Ok(()) } else { Err(FoundDamage::Checkpoint(last).into()) }
    }

    fn page(&self, conversation: &mut Conversation) -> Result<(), CheckFailure> {
        let Plan { epoch, last, .. } = &self.plan;
        let after = conversation.head();
        let limit = PAGE.min(usize::try_from(last.0 - after.0).unwrap_or(usize::MAX));
        let events = self.repeated(|| {
            history::page(&self.connection, epoch, after, limit).map_err(|error| match error {
                JournalError::Unavailable(why) => CheckFailure::Unreadable(why),
                JournalError::Fatal(why) => FoundDamage::Event(why).into(),
            })
        })?;
        for event in &events {
            conversation.replay(event).map_err(FoundDamage::from)?;
        }
        if conversation.head() == after {
            let why = format!("event {} is missing", after.next());
            return Err(FoundDamage::Event(why.into()).into());
        }
        Ok(())
    }

    fn shape(&self) -> Result<(), CheckFailure> {
        open::check_shape(&self.connection, &self.plan.epoch).map_err(|fault| match fault {
            OpenFault::Damaged(why) => FoundDamage::Shape(why).into(),
            other => CheckFailure::Unreadable(Box::new(other)),
        })
    }

    /// Repeats a step a few times if something cannot be read. While the check is being ended, any error may come from
    /// that.
    fn repeated<T>(&self, step: impl Fn() -> Result<T, CheckFailure>) -> Result<T, CheckFailure> {
        let mut attempts = 0;
        loop {
            let done = step();
            if done.is_err() && self.stopped.try_recv() == Err(TryRecvError::Disconnected) {
                return Err(CheckFailure::Stopped);
            }
            attempts += 1;
            match done {
                Err(CheckFailure::Unreadable(why)) if attempts < ATTEMPTS => {
                    if attempts == 1 {
                        tracing::warn!("the check of the journal cannot read it; trying again: {why}");
                    }
                    self.rest(ATTEMPT_REST)?;
                }
                done => return done,
            }
        }
    }

    fn rest(&self, time: Duration) -> Result<(), CheckFailure> {
        match self.stopped.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(CheckFailure::Stopped),
        }
    }
}
