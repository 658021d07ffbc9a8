//! Writes checkpoints in a separate thread, so that no commit waits for one.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::damage::DamageFlag;
use super::{path_beside, rename, write_unfinished};
use crate::chat::{Conversation, Sequence};
use crate::journal::sqlite::file::head::Head;

/// A checkpoint has 32 bytes for each publish that the state machine remembers, and there may be ten million of them.
/// The next checkpoint waits for one event per this many publishes, so an event costs at most 128 bytes of checkpoints.
const PUBLISHES_PER_EVENT: u64 = 4;

/// A state, and the event after which it was taken.
#[derive(Clone)]
struct TakenState {
    place: Head,
    conversation: Conversation,
}

/// The file, with a lock against concurrent changes.
pub(in crate::journal::sqlite) struct CheckpointFile {
    journal: PathBuf,
    /// Locked while the file is renamed or removed.
    changing: Mutex<()>,
    damage: DamageFlag,
}

impl CheckpointFile {
    /// The checkpoint of a journal. Once damage has been found, there is none.
    pub(in crate::journal::sqlite) fn new(journal: PathBuf, damage: DamageFlag) -> Self {
        Self { journal, changing: Mutex::new(()), damage }
    }

    fn write(&self, state: &TakenState) -> io::Result<()> {
        let unfinished = write_unfinished(&self.journal, &state.place, &state.conversation)?;
        let _changing = self.changing.lock();
        if self.damage.get().is_some() { fs::remove_file(&unfinished) } else { rename(&self.journal, &unfinished) }
    }

    /// Removes it, so that the next start checks the whole journal. Called after the damage has been noted.
    pub(in crate::journal::sqlite) fn remove(&self) {
        let _changing = self.changing.lock();
        match fs::remove_file(path_beside(&self.journal)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, "the checkpoint of the damaged journal could not be removed");
            }
            _ => {}
        }
    }
}

/// When the next checkpoint is due. The thread decides this after each checkpoint.
#[derive(Debug, Default)]
struct Due {
    /// It is due at this event; `u64::MAX` while one is being written.
    at: AtomicU64,
    /// The event of the newest checkpoint; 0 for none.
    written: AtomicU64,
}

/// Keeps the checkpoint of a journal that is being written.
pub(in crate::journal::sqlite) struct Keeper {
    file: Arc<CheckpointFile>,
    /// After how many events a checkpoint is written.
    interval: u64,
    due: Arc<Due>,
    /// The newest state that was offered.
    newest: Option<TakenState>,
    states: SyncSender<TakenState>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread. `newest` is the event of the newest usable checkpoint; 0 for none.
    pub(in crate::journal::sqlite) fn start(
        file: Arc<CheckpointFile>,
        interval: u64,
        newest: Sequence,
    ) -> io::Result<Self> {
        let due = Arc::new(Due { at: (newest.0.saturating_add(interval)).into(), written: newest.0.into() });
        let (states, arriving) = sync_channel(1);
        let work = KeeperThread { file: file.clone(), interval, due: due.clone(), failed: false };
        let thread = thread::Builder::new().name("checkpoint".into()).spawn(move || work.run(&arriving))?;
        Ok(Self { file, interval, due, newest: None, states, thread })
    }

    /// Notes the state after the newest event, and has it written if a checkpoint is due. This only copies a few
    /// pointers.
    pub(in crate::journal::sqlite) fn offer(&mut self, place: &Head, conversation: &Conversation) {
        if conversation.head() != place.sequence {
            return;
        }
        let state = TakenState { place: place.clone(), conversation: conversation.clone() };
        if place.sequence.0 >= self.due.at.load(Ordering::Acquire) {
            // The thread decides when the next one is due. If the thread is gone, there is no next one.
            self.due.at.store(u64::MAX, Ordering::Release);
            let _ = self.states.try_send(state.clone());
        }
        self.newest = Some(state);
    }

    /// Ends the thread, after a last checkpoint if one is wanted and there are new events.
    pub(in crate::journal::sqlite) fn finish(self, with_last: bool) {
        let Self { file, interval, due, newest, states, thread } = self;
        let written = || due.written.load(Ordering::Acquire);
        let is_wanted = with_last && file.damage.get().is_none();
        if let Some(state) = newest.filter(|state| is_wanted && state.place.sequence.0 >= interval)
            && state.place.sequence.0 > written()
        {
            // The thread takes it once it has written the one before.
            let _ = states.send(state);
        }
        drop(states);
        if thread.join().is_err() {
            tracing::error!("the thread that writes checkpoints has panicked");
        }
    }
}

/// The state of the thread.
struct KeeperThread {
    file: Arc<CheckpointFile>,
    interval: u64,
    due: Arc<Due>,
    /// Whether writing the last one failed. A warning is logged only for the first of several failures.
    failed: bool,
}

impl KeeperThread {
    fn run(mut self, states: &Receiver<TakenState>) {
        while let Ok(state) = states.recv() {
            let sequence = state.place.sequence.0;
            match self.file.write(&state) {
                Ok(()) => {
                    self.due.written.store(sequence, Ordering::Release);
                    self.failed = false;
                    tracing::debug!(sequence, "a checkpoint was written");
                }
                Err(error) if !self.failed => {
                    tracing::warn!(%error, "no checkpoint could be written: the next start may take longer");
                    self.failed = true;
                }
                Err(_) => {}
            }
            let publishes: usize = state.conversation.roster().map(|(_, member)| member.publish_count()).sum();
            let interval = self.interval.max(publishes as u64 / PUBLISHES_PER_EVENT);
            self.due.at.store(sequence.saturating_add(interval), Ordering::Release);
        }
    }
}
