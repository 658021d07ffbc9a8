//! Log files.

use std::fs;
use std::path::Path;
use std::time::Instant;

/// One record of a log.
pub type Record = serde_json::Value;

/// All records of a log file.
pub fn records(path: &Path) -> Vec<Record> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect("a record is a JSON object on one line")).collect()
}

/// Waits until a log has a record that satisfies a condition.
#[track_caller]
pub fn wait_for_record(path: &Path, holds: impl Fn(&Record) -> bool) {
    let start = Instant::now();
    // The last line may be only half written.
    let has = |text: String| {
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).any(|record| holds(&record))
    };
    while !fs::read_to_string(path).is_ok_and(has) {
        assert!(start.elapsed() < super::DEADLINE, "no such record in {}", path.display());
        std::thread::yield_now();
    }
}
