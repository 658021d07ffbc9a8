//! A session that survives its process: what a client needs to resume after it was killed.
//!
//! There is one file for each service and name, in a folder that only its owner can read, since it contains the
//! session's token. It is one JSON object whose header has a fixed width, so that the position can be overwritten in
//! place:
//!
//! ```json
//! {"position":                  12,"shown":                  12,"clock":                  31,
//! "chained":                  12,"chain":                 917,
//! "version":1,"server":"http://127.0.0.1:50051","display_name":"alice", …}
//! ```
//!
//! `position` is the last event that was recorded in the log; `shown` is the last event that the program has processed,
//! as it confirms by asking for the next; `chain` is the chain hash of the event `chained`, as a number. The stream
//! continues after `shown`; events up to `position` are given to the program again, but not recorded again. So a
//! `kill -9` has an effect only between two system calls:
//!
//! - after the record of an event, before the write of `position`: the log is one event ahead.
//!   [`StateFile::read_log`] detects that, so the log has each event once;
//! - after an event was shown, before the write of `shown`: that event is shown twice, but recorded once.
//!
//! Nothing is synced to the disk: the page cache survives the process. After a power cut the grace period is usually
//! over; if not, an older position makes events appear again.

mod header;

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::machine::KeptSession;
use super::transport::parse_address;
use crate::chat::{LogicalTime, Sequence};
use crate::log::{ClientRecord, LogRecord, Loss, safe_name};
use header::StateHeader;

/// The version of the file's format.
const VERSION: u32 = 1;
/// How much of a state file is read. None is longer.
const BYTES_MAX: u64 = 64 * 1024;
/// How many chain hashes can wait for their events to be shown. A program that reads its updates is never this far
/// behind.
const UNSHOWN_MAX: usize = 1024;
/// How much of the end of a log is read. The log is ahead of the state by at most one record, of at most 2 KiB.
const LOG_TAIL: u64 = 64 * 1024;

/// A state file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum StateError {
    /// Another running client is using it.
    #[error("the session in {} belongs to another running client", path.display())]
    InUse { path: PathBuf },
    /// It is damaged, has another format, or belongs to another session; [`StateFile::fresh`] overwrites it.
    #[error("the session in {} cannot be used: {why}", path.display())]
    Unusable { path: PathBuf, why: String },
    /// A file is where its folder should be.
    #[error("{} is not a folder", path.display())]
    NotAFolder { path: PathBuf },
    /// It, its lock or its folder cannot be created or opened.
    #[error("cannot keep the session in {}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The state file of one participant, locked by this process for as long as this value lives.
pub struct StateFile {
    shared: StateHandle,
}

impl std::fmt::Debug for StateFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateFile").field("path", &self.shared.lock().path).finish_non_exhaustive()
    }
}

impl StateFile {
    /// Locks the state file for this service and name in a folder, and reads the session in it, if any. The folder is
    /// created if it is missing. Several addresses of the service are separated by commas, in any order.
    pub fn open(folder: &Path, server: &str, display_name: &str) -> Result<Self, StateError> {
        let state = Self::fresh(folder, server, display_name)?;
        state.shared.lock().read()?;
        Ok(state)
    }

    /// Locks it like [`open`](Self::open), without reading it. The next session replaces its contents.
    ///
    /// # Errors
    /// [`StateError::InUse`], [`StateError::NotAFolder`], [`StateError::Io`].
    pub fn fresh(folder: &Path, server: &str, display_name: &str) -> Result<Self, StateError> {
        let server = canonical(server);
        let stem = format!("{}-{}", safe_name(display_name), digest(&[&server, display_name]));
        let path = folder.join(format!("{stem}.json"));
        let lock_path = folder.join(format!("{stem}.lock"));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Io { path, source }
        };
        let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        created.map_err(|source| match folder.exists() && !folder.is_dir() {
            true => StateError::NotAFolder { path: folder.to_owned() },
            false => failed(folder)(source),
        })?;
        // Never removed: a lock on an unlinked file excludes no other process.
        let lock = private().create(true).write(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(failed(&lock_path)(source)),
        }
        let (header, saved) = (StateHeader::default(), None);
        let display_name = display_name.into();
        let (file, unshown, joined) = (None, VecDeque::new(), 0);
        let inner = Inner { path, lock, server, display_name, file, header, saved, unshown, joined };
        Ok(Self { shared: StateHandle(Arc::new(Mutex::new(inner))) })
    }

    /// Whether there is a session to resume.
    pub fn has_session(&self) -> bool {
        self.shared.lock().saved.is_some()
    }

    /// Catches up with the log that this participant's client wrote: a client that was killed may have recorded an
    /// event that its state lacks. A missing log is ignored. If the log lacks events that the state has, for instance
    /// because the disk was full, their loss is recorded in it.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn read_log(&self, log: &Path) -> io::Result<()> {
        let mut inner = self.shared.lock();
        let Some(SavedSession { epoch, participant_id, .. }) = inner.saved.clone() else { return Ok(()) };
        let mut file = match File::open(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let start = file.metadata()?.len().saturating_sub(LOG_TAIL);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut tail)?;
        // The first line and the last may be cut off, and are then skipped.
        let lines = tail.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let records = lines.filter_map(|line| LogRecord::parse(line).ok());
        let mut logged = StateHeader::default();
        for record in records.filter(|record| record.epoch.as_deref() == Some(&*epoch)) {
            // While the session lives, no other participant can have this name in this epoch.
            if &*record.event == "event_delivered" {
                logged.position = logged.position.max(record.sequence.unwrap_or(0));
            }
            logged.clock = logged.clock.max(record.local_time.unwrap_or(0));
        }
        let lost = inner.header.lost_in(logged, &participant_id);
        inner.header.position = inner.header.position.max(logged.position);
        inner.header.clock = inner.header.clock.max(logged.clock);
        drop(inner);
        if lost > 0 {
            ClientRecord::RecordsLost(Loss { count: lost, from_start: false }).emit();
        }
        Ok(())
    }

    pub(super) fn share(&self) -> StateHandle {
        StateHandle(self.shared.0.clone())
    }
}

/// The session. It is secret, so it does not implement Debug.
#[derive(Clone, Serialize, Deserialize)]
struct SavedSession {
    version: u32,
    server: String,
    display_name: String,
    participant_id: String,
    epoch: String,
    session_token: String,
}

struct Inner {
    path: PathBuf,
    lock: File,
    server: String,
    display_name: String,
    /// `Some` while it holds a session.
    file: Option<File>,
    header: StateHeader,
    saved: Option<SavedSession>,
    /// The chain hashes of events that were received but not shown yet; at most [`UNSHOWN_MAX`].
    unshown: VecDeque<(Sequence, u64)>,
    /// How many memberships it has held in this process, including one that was read from it.
    joined: u64,
}

impl Drop for Inner {
    /// Closing the file is not enough: a child process that another thread has just forked keeps a copy until it execs.
    fn drop(&mut self) {
        drop(self.lock.unlock());
    }
}

impl Inner {
    fn read(&mut self) -> Result<(), StateError> {
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file,
        };
        let unusable = |why: String| StateError::Unusable { path: self.path.clone(), why };
        let file = file.map_err(|error| unusable(error.to_string()))?;
        let mut bytes = Vec::new();
        (&file).take(BYTES_MAX).read_to_end(&mut bytes).map_err(|error| unusable(error.to_string()))?;
        let damaged = |error: serde_json::Error| unusable(format!("it is damaged ({error})"));
        let header: StateHeader = serde_json::from_slice(&bytes).map_err(damaged)?;
        let saved: SavedSession = serde_json::from_slice(&bytes).map_err(damaged)?;
        let is_current = bytes.starts_with(header.text().as_bytes());
        let is_older = bytes.starts_with(format!("{}\n", header.text_without_chain()).as_bytes());
        if !(is_current || is_older) || header.shown > header.position {
            return Err(unusable("it is damaged".into()));
        }
        if saved.version != VERSION {
            return Err(unusable(format!("its format has version {}, not {VERSION}", saved.version)));
        }
        if (&saved.server, &saved.display_name) != (&self.server, &self.display_name) {
            return Err(unusable("it belongs to another participant".into()));
        }
        (self.file, self.header, self.joined) = (Some(file), header, 1);
        if is_current {
            self.saved = Some(saved);
            return Ok(());
        }
        let path = self.path.clone();
        self.replace(saved).map_err(|source| StateError::Io { path, source })
    }

    /// Writes to a temporary file, which then replaces the old one: no reader, even after a crash, sees half a session.
    fn replace(&mut self, saved: SavedSession) -> io::Result<()> {
        let new = self.path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private().create_new(true).write(true).open(&new)?;
        let json = serde_json::to_string(&saved)?;
        let rest = json.strip_prefix('{').unwrap_or(&json);
        file.write_all(format!("{}{rest}\n", self.header.text()).as_bytes())?;
        fs::rename(&new, &self.path)?;
        (self.file, self.saved) = (Some(file), Some(saved));
        Ok(())
    }

    fn save(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.write_all_at(self.header.text().as_bytes(), 0))
    }

    fn remove(&mut self) -> io::Result<()> {
        (self.file, self.saved) = (None, None);
        fs::remove_file(&self.path)
    }
}

/// The state, shared by the session, which writes it, and the updates, which know what has been shown. Its lock is held
/// for one short write.
#[derive(Clone)]
pub(super) struct StateHandle(Arc<Mutex<Inner>>);

impl std::fmt::Debug for StateHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateHandle")
    }
}

impl StateHandle {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }

    /// The session to resume.
    pub(super) fn kept(&self) -> Option<KeptSession> {
        let inner = self.lock();
        let SavedSession { participant_id, epoch, session_token: token, .. } = inner.saved.clone()?;
        let StateHeader { position, shown, clock, .. } = inner.header;
        let (position, shown, chain_hash) = (Sequence(position), Sequence(shown), inner.header.chain_hash());
        Some(KeptSession { token, epoch, participant_id, clock, position, shown, chain_hash })
    }

    /// Replaces the state when a new membership begins.
    pub(super) fn begin(&self, id: &str, epoch: &str, token: &str, clock: LogicalTime) -> io::Result<()> {
        let mut inner = self.lock();
        inner.joined += 1;
        inner.header = StateHeader { clock: clock.0, ..StateHeader::default() };
        inner.unshown.clear();
        let saved = SavedSession {
            version: VERSION,
            server: inner.server.clone(),
            display_name: inner.display_name.clone(),
            participant_id: id.into(),
            epoch: epoch.into(),
            session_token: token.into(),
        };
        inner.replace(saved)
    }

    /// Saves the last event that was recorded, and the clock.
    pub(super) fn save(&self, position: Sequence, clock: LogicalTime) -> io::Result<()> {
        let mut inner = self.lock();
        (inner.header.position, inner.header.clock) = (position.0, clock.0);
        inner.save()
    }

    /// Takes the chain hash of an event that was received.
    pub(super) fn received(&self, sequence: Sequence, chain_hash: &[u8]) {
        // A different implementation of the service may send none, or one of another length.
        let Ok(chain) = chain_hash.try_into().map(u64::from_be_bytes) else { return };
        let mut inner = self.lock();
        if inner.unshown.len() == UNSHOWN_MAX {
            inner.unshown.pop_front();
        }
        inner.unshown.push_back((sequence, chain));
    }

    /// Saves that the program has processed an event of its n-th membership. If this fails, the event is shown again
    /// after a restart, and the next [`save`](Self::save) returns the error.
    pub(super) fn shown(&self, joined: u64, sequence: Sequence) {
        let mut inner = self.lock();
        if inner.joined == joined && inner.saved.is_some() {
            inner.header.shown = sequence.0;
            while let Some((event, chain)) = inner.unshown.front().copied().filter(|(event, _)| *event <= sequence)
            {
                (inner.header.chained, inner.header.chain) = (event.0, chain);
                inner.unshown.pop_front();
            }
            drop(inner.save());
        }
    }

    /// Removes the file when the participant has left, or when its state can no longer be kept: an old state would be
    /// wrong.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.lock().remove()
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// One spelling for one service, whatever the order of its addresses.
fn canonical(servers: &str) -> String {
    let mut addresses: Vec<_> = servers.split(',').map(canonical_address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.join(",")
}

fn canonical_address(server: &str) -> String {
    match parse_address(server) {
        Ok(uri) => {
            let origin = format!(
                "{}://{}",
                uri.scheme_str().unwrap_or_default(),
                uri.authority().map_or("", |a| a.as_str())
            );
            format!("{}{}", origin.to_lowercase(), uri.path().trim_end_matches('/'))
        }
        Err(_) => server.to_owned(),
    }
}

fn digest(parts: &[&str]) -> String {
    HEXLOWER.encode(&Sha256::digest(parts.join("\n"))[..8])
}
