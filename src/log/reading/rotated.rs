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

/// A rotation that counts its files keeps fewer. A greater number is a date or a time.
const NUMBER_MAX: u64 = 999;

/// The number that a rotation has added to a name, such as 2 in `server.jsonl.2.gz`.
fn number(path: &Path) -> Option<u64> {
    let file = path.file_name()?.to_str()?;
    let added = &file[file.find(EXTENSION)? + EXTENSION.len()..];
    added.strip_prefix('.')?.split('.').next()?.parse().ok().filter(|number| *number <= NUMBER_MAX)
}

/// Whether one file may follow another directly, by the numbers in their names, which rise or fall from one to the next.
/// Nothing is missing where `empty` files are in between.
fn may_follow(older: &Path, newer: &Path, empty: &[Input]) -> bool {
    let Some((one, other)) = number(older).zip(number(newer)) else { return true };
    let is_empty =
        |between| empty.iter().any(|input| is_segment(&input.path, newer) && number(&input.path) == Some(between));
    (one.min(other) + 1..one.max(other)).all(is_empty)
}

/// Joins files into logs. A file continues an earlier one if the names differ only by what the rotation added, and no
/// file in between is missing as far as names and records show. A file that begins at the same time as another is not a
/// segment but a copy. `continues` compares the records, and `empty` files have none.
pub(super) fn join(
    files: Vec<(Input, First)>,
    empty: &[Input],
    continues: impl Fn(&Input, &Input) -> bool,
) -> Vec<Log> {
    let mut in_time: Vec<_> = files.into_iter().zip(0..).collect();
    in_time.sort_by_key(|((_, first), number)| (first.at, *number));
    // Each with the time at which its newest segment begins.
    let mut logs: Vec<(Log, i64)> = Vec::new();
    for ((input, first), number) in in_time {
        let is_of = |(log, newest): &&mut (Log, i64)| {
            log.component == first.component
                && *newest < first.at
                && is_segment(log.segments[0].path(), &input.path)
        };
        let before = logs.iter_mut().filter(is_of).max_by_key(|(_, newest)| *newest).filter(|(log, _)| {
            let last = log.segments.last().map(|segment| &segment.input);
            last.is_some_and(|last| may_follow(&last.path, &input.path, empty) && continues(last, &input))
        });
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
        let files = vec![
            file("l/client-a.jsonl", 30),
            file("l/client-a.jsonl.1", 20),
            file("l/client-a.jsonl-20261126.gz", 10),
            file("l/client-b.jsonl", 5),
            file("m/client-a.jsonl", 15),
            file("l/client-a.jsonl.bak", 10),
            file("l/notes", 40),
        ];
        let logs = join(files, &[], |_, _| true);
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

    #[test]
    fn segments_are_not_joined_over_one_that_is_missing() {
        let joined = |names: &[&str], continues: bool| {
            let file = |(name, at): (&&str, i64)| {
                (Input::file(format!("server.jsonl{name}")), First { component: Component::Server, at })
            };
            let empty = [Input::file("server.jsonl.7.gz")];
            join(names.iter().zip(0..).map(file).collect(), &empty, |_, _| continues).len()
        };
        assert_eq!(joined(&[".3.gz", ".2.gz", ".1", ""], true), 1);
        assert_eq!(joined(&[".1", ".2", ".3", ""], true), 1, "numbered upwards");
        assert_eq!(joined(&[".4", ".2", ".1", ""], true), 2);
        assert_eq!(joined(&[".8.gz", ".6.gz"], true), 1, "the one in between is empty");
        assert_eq!(joined(&[".20261130", ".20261201", ".2026.12.02", ""], true), 1, "dates");
        assert_eq!(joined(&["-20261126", "-20261128.gz", ""], true), 1);
        assert_eq!(joined(&["-20261126", "-20261128.gz", ""], false), 3);
    }
}
