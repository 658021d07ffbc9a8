//! Which process made a record, and which of its starts.

use std::cell::Cell;
use std::fmt;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

/// A random id of one start of one process. It is in every record, so that the lines of several processes can be told
/// apart even if they are mixed in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// The id of this process.
    pub fn of_this_process() -> Self {
        static RUN: LazyLock<RunId> = LazyLock::new(RunId::random);
        *RUN
    }

    fn random() -> Self {
        // Without randomness, the process id and the start time tell most runs apart.
        let since_1970 = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
        Self(getrandom::u64().unwrap_or_else(|_| since_1970() ^ u64::from(std::process::id()) << 40))
    }
}

/// The run that this thread records as, if it plays its own participant.
#[derive(Clone, Copy)]
struct ThreadRun {
    run: RunId,
    offset_seconds: i64,
}

thread_local! {
    static THREAD_RUN: Cell<Option<ThreadRun>> = const { Cell::new(None) };
}

/// Makes this thread record as another run, with a wall clock that is this many seconds off.
pub(super) fn begin(offset_seconds: i64) {
    THREAD_RUN.set(Some(ThreadRun { run: RunId::random(), offset_seconds }));
}

/// Makes this thread record as its process again.
pub(super) fn end() {
    THREAD_RUN.set(None);
}

/// The run of the records that this thread makes.
pub(super) fn current() -> RunId {
    THREAD_RUN.get().map_or_else(RunId::of_this_process, |of_thread| of_thread.run)
}

/// The wall clock of the records that this thread makes.
pub(super) fn now() -> SystemTime {
    let (now, seconds) = (SystemTime::now(), THREAD_RUN.get().map_or(0, |of_thread| of_thread.offset_seconds));
    let offset = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { now.checked_sub(offset) } else { now.checked_add(offset) };
    shifted.unwrap_or(now)
}

static REPLICA: OnceLock<Box<str>> = OnceLock::new();

/// Names the replica that this process is. All its later records state the name. Only the first call counts.
pub fn name_replica(name: &str) {
    REPLICA.get_or_init(|| name.into());
}

/// The name of the replica that this process is.
pub(super) fn replica_of_this_process() -> Option<&'static str> {
    REPLICA.get().map(|name| &**name)
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
