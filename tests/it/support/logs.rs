//! Log files.

use std::fs;
use std::path::Path;

/// One record of a log.
pub type Record = serde_json::Value;

/// All records of a log file.
pub fn records(path: &Path) -> Vec<Record> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect("a record is a JSON object on one line")).collect()
}
