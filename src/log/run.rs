//! Which process made a record, and which of its starts.

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use serde::{Serialize, Serializer};

/// A random id of one start of one process. It is in every record, so that the lines of several processes can be told
/// apart also where they are mixed in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// The id of this process.
    pub fn of_this_process() -> Self {
        static RUN: LazyLock<RunId> = LazyLock::new(|| {
            // Without randomness, process and time of the start tell most runs apart.
            let since_1970 = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
            RunId(getrandom::u64().unwrap_or_else(|_| since_1970() ^ u64::from(std::process::id()) << 40))
        });
        *RUN
    }
}

static REPLICA: OnceLock<Box<str>> = OnceLock::new();

/// Says that this process is the replica of this name. Every record that it makes from now on says so. Only the first
/// call counts.
pub fn name_replica(name: &str) {
    REPLICA.get_or_init(|| name.into());
}

/// The replica that this process is.
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
