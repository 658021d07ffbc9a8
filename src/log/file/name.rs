//! The name of a log. After a rotation, another file may have this name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often the process checks whether the file still has its name, in milliseconds. Until then, records go to
/// the renamed file.
const LOOK_INTERVAL_MILLIS: u64 = 100;
/// How long a file can be missing before a new one is created: the program that renamed it may be about to do that.
const MISSING_TIME: Duration = Duration::from_secs(1);

/// The file of the nth process with the same name: `client-alice-2.jsonl` for the second.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let [stem, extension] = [path.file_stem(), path.extension()].map(Option::unwrap_or_default);
    let mut name = stem.to_owned();
    name.push(format!("-{number}."));
    name.push(extension);
    path.with_file_name(name)
}

/// The file's name, and when the process last checked it.
pub(super) struct Name {
    pub(super) path: PathBuf,
    since: Instant,
    looked_at_millis: AtomicU64,
    /// Since when no file has the name.
    missing: Mutex<Option<Instant>>,
}

impl Name {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, since: Instant::now(), looked_at_millis: AtomicU64::new(0), missing: Mutex::default() }
    }

    /// Whether it is time to look again. If several threads ask at once, only one of them gets `true`.
    pub(super) fn is_due(&self) -> bool {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let before = self.looked_at_millis.load(Ordering::Relaxed);
        let due = now.saturating_sub(before) >= LOOK_INTERVAL_MILLIS;
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        due && self.looked_at_millis.compare_exchange(before, now, set, fetch).is_ok()
    }

    /// Whether this file has the name.
    pub(super) fn is_of(&self, file: &File) -> bool {
        fs::metadata(&self.path).is_ok_and(|now| is_same(file, &now))
    }

    /// Whether another file has the name, or no file has had it for some time.
    pub(super) fn is_of_another(&self, file: &File) -> bool {
        let mut missing = self.missing.lock();
        match fs::metadata(&self.path) {
            Ok(now) => {
                *missing = None;
                !is_same(file, &now)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.get_or_insert_with(Instant::now).elapsed() >= MISSING_TIME
            }
            Err(_) => false,
        }
    }
}

fn is_same(file: &File, now: &fs::Metadata) -> bool {
    file.metadata().map_or(true, |mine| (mine.dev(), mine.ino()) == (now.dev(), now.ino()))
}
