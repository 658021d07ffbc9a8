//! Logs that were rotated: `client-a.jsonl.2.gz`, `client-a.jsonl.1` and `client-a.jsonl` are one log.

use std::path::Path;
use std::sync::atomic::AtomicU32;

use super::input::{EXTENSION, Input};
use super::{First, Log, LogSegment};

/// A log's folder and its name, without what a rotation has added.
fn name(path: &Path) -> Option<(&Path, &str)> {
    let file = path.file_name()?.to_str()?;
    let end = file.find(EXTENSION)? + EXTENSION.len();
    Some((path.parent()?, &file[..end]))
}

/// Whether two files are segments of one log, by their names.
pub(super) fn is_segment(a: &Path, b: &Path) -> bool {
    name(a).is_some_and(|name_of_a| Some(name_of_a) == name(b))
}

/// Joins files into logs. A file continues an earlier one if the names differ only by what the rotation added. A file
/// that begins at the same time as another is not a segment but a copy.
pub(super) fn join(files: Vec<(Input, First)>) -> Vec<Log> {
    let mut in_time: Vec<_> = files.into_iter().zip(0..).collect();
    in_time.sort_by_key(|((_, first), number)| (first.at, *number));
    // Each with the time at which its newest segment begins.
    let mut logs: Vec<(Log, i64)> = Vec::new();
    for ((input, first), number) in in_time {
        let continues = |(log, newest): &&mut (Log, i64)| {
            log.component == first.component
                && *newest < first.at
                && is_segment(log.segments[0].path(), &input.path)
        };
        let before = logs.iter_mut().filter(continues).max_by_key(|(_, newest)| *newest);
        let is_first = before.is_none();
        let lines_before = AtomicU32::new(if is_first { 0 } else { u32::MAX });
        let segment = LogSegment { input, bytes: 0, lines_before };
        match before {
            Some((log, newest)) => {
                log.segments.push(segment);
                *newest = first.at;
            }
            None => {
                let (component, begins, segments) = (first.component, first.at, vec![segment]);
                logs.push((Log { number, component, begins, segments }, first.at));
            }
        }
    }
    // Numbered in the order in which they were given.
    logs.sort_by_key(|(log, _)| log.number);
    let logs = logs.into_iter().zip(0..);
    logs.map(|((log, _), number)| Log { number, ..log }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Component;

    #[test]
    fn segments_are_joined_in_the_order_of_their_first_records() {
        let file = |path: &str, at| (Input::file(path), First { component: Component::Client, at });
        let logs = join(vec![
            file("l/client-a.jsonl", 30),
            file("l/client-a.jsonl.1", 20),
            file("l/client-a.jsonl-20261126.gz", 10),
            file("l/client-b.jsonl", 5),
            file("m/client-a.jsonl", 15),
            file("l/client-a.jsonl.bak", 10),
            file("l/notes", 40),
        ]);
        let paths: Vec<Vec<_>> = logs
            .iter()
            .map(|log| log.segments.iter().map(|segment| segment.path().to_str().unwrap()).collect())
            .collect();
        assert_eq!(
            paths,
            [
                &["l/client-a.jsonl-20261126.gz"][..],
                &["l/client-b.jsonl"],
                &["m/client-a.jsonl"],
                &["l/client-a.jsonl.bak", "l/client-a.jsonl.1", "l/client-a.jsonl"],
                &["l/notes"],
            ]
        );
        assert!(logs.iter().zip(0..).all(|(log, number)| log.number == number));
    }
}
