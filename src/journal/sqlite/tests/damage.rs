//! Files that were cut, and files with changed bits: either all acknowledged events come back, or the start is refused.
//! A start never panics, and never loses events silently.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::copy::Owner;
use super::super::{ReadOnlyJournal, beside, history, open as opening};
use super::support::{append_all, conversation, open};
use crate::chat::{Conversation, Event, Sequence};
use crate::journal::{CheckSettings, Epoch};

/// The files of a journal, by the endings of their names.
type FileContents = BTreeMap<&'static str, Vec<u8>>;

const ALL: [&str; 3] = ["", "-wal", "-head"];

fn files_of(path: &Path) -> FileContents {
    ALL.into_iter().filter_map(|ending| Some((ending, fs::read(beside(path, ending)).ok()?))).collect()
}

/// Starts from these files. Returns all events, or why the start is refused.
fn start(path: &Path, files: &FileContents) -> Result<Vec<Arc<Event>>, String> {
    let _ = fs::remove_file(beside(path, "-shm"));
    for ending in ALL {
        match files.get(ending) {
            Some(bytes) => fs::write(beside(path, ending), bytes).unwrap(),
            None => drop(fs::remove_file(beside(path, ending))),
        }
    }
    let opened =
        opening::for_writing(path, Owner::Service, CheckSettings::default(), || Epoch::new("new"), |_| Ok(None))
            .map_err(|error| error.to_string())?;
    let events = history::page(&opened.connection, &opened.head.epoch, Sequence(0), usize::MAX)
        .map_err(|error| error.to_string())?;
    let mut conversation = Conversation::new();
    events.iter().try_for_each(|event| conversation.replay(event)).map_err(|error| error.to_string())?;
    Ok(events.into_iter().map(|recorded| recorded.event).collect())
}

/// The files of a journal that was closed, and those of one whose process was killed: some events in the
/// main file, the last ones in the log.
async fn journals(folder: &Path, events: &[Arc<Event>]) -> (FileContents, FileContents) {
    let (path, half) = (folder.join("j.db"), events.len() / 2);
    append_all(&mut open(&path).unwrap(), &events[..half], half).await;
    let mut journal = open(&path).unwrap();
    append_all(&mut journal, &events[half..], 2).await;
    let killed = files_of(&path);
    drop(journal);
    let closed = files_of(&path);
    assert_eq!(killed.keys().copied().collect::<Vec<_>>(), ["", "-head", "-wal"]);
    assert_eq!(closed.keys().copied().collect::<Vec<_>>(), ["", "-head"]);
    (closed, killed)
}

/// The outcomes of a number of starts.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    refused: BTreeMap<String, usize>,
}

/// Starts from each variant of the files, and checks that all events come back or the start is refused.
fn check(path: &Path, expected: &[Arc<Event>], variants: impl Iterator<Item = (String, FileContents)>) -> Tally {
    let mut tally = Tally::default();
    for (what, files) in variants {
        match start(path, &files) {
            Ok(events) => {
                assert!(events == expected, "{what}: {} events of {} come back", events.len(), expected.len());
                tally.whole += 1;
            }
            Err(why) => {
                let why = why.replace(&path.display().to_string(), "").replace(|c: char| c.is_ascii_digit(), "");
                *tally.refused.entry(why).or_default() += 1;
            }
        }
    }
    println!("{tally:#?}");
    tally
}

fn cuts<'a>(
    files: &'a FileContents,
    ending: &'static str,
    step: usize,
) -> impl Iterator<Item = (String, FileContents)> + 'a {
    (0..files[ending].len()).step_by(step).map(move |end| {
        let mut cut = files.clone();
        cut.insert(ending, files[ending][..end].to_vec());
        (format!("{ending:?} cut at {end}"), cut)
    })
}

fn flips<'a>(
    files: &'a FileContents,
    ending: &'static str,
    step: usize,
) -> impl Iterator<Item = (String, FileContents)> + 'a {
    (0..files[ending].len() * 8).step_by(step).map(move |bit| {
        let mut flipped = files.clone();
        flipped.entry(ending).and_modify(|bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        (format!("{ending:?} with bit {} of byte {} changed", bit % 8, bit / 8), flipped)
    })
}

fn path_in(folder: &tempfile::TempDir) -> PathBuf {
    fs::canonicalize(folder.path()).unwrap().join("damaged.db")
}

/// Every place where a file can be cut and every bit that can change, in steps.
async fn every(step_of_cuts: usize, step_of_bits: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let events = conversation(16);
    let (closed, killed) = journals(folder.path(), &events).await;
    start(&path, &closed).unwrap();
    let copy = folder.path().join("copy.db");
    ReadOnlyJournal::open(&path).unwrap().backup(&copy, |_| {}).unwrap();
    let backup = FileContents::from([("", fs::read(&copy).unwrap())]);
    start(&path, &backup).unwrap();

    for files in [&closed, &backup] {
        let tally = check(&path, &events, cuts(files, "", step_of_cuts));
        assert_eq!(tally.whole, 0, "a main file that lost its end is always refused");
    }
    // If the log has all pages of the main file, the main file can even be rebuilt from it.
    check(&path, &events, cuts(&killed, "", step_of_cuts));
    let tally = check(&path, &events, cuts(&killed, "-wal", step_of_cuts));
    assert_eq!(tally.whole, 0, "the head file shows that a log lost its end");
    let tally = check(&path, &events, cuts(&killed, "-head", 1));
    assert_eq!(tally.refused.len(), 0, "a head file that is cut short is no reason to refuse an intact journal");

    for (files, ending) in [(&closed, ""), (&backup, ""), (&killed, ""), (&killed, "-wal"), (&killed, "-head")] {
        check(&path, &events, flips(files, ending, step_of_bits));
    }
}

/// A sample of all places; with DAMAGE_SWEEP set, all of them: 53,000 cuts and 428,000 changed bits. See
/// `tests/damage-sweep`.
#[tokio::test]
async fn no_cut_and_no_changed_bit_silently_loses_an_acknowledged_event() {
    match std::env::var_os("DAMAGE_SWEEP") {
        Some(_) => every(1, 1).await,
        None => every(191, 1_499).await,
    }
}

/// What cannot be detected: if the log lost its end and the head file is gone, too, only the events before the cut come
/// back. They are always the first ones, intact and in order.
#[tokio::test]
async fn a_cut_log_without_its_head_file_gives_the_first_events_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let events = conversation(16);
    let (_, mut killed) = journals(folder.path(), &events).await;
    killed.remove("-head");
    let mut fewest = events.len();
    for (what, files) in cuts(&killed, "-wal", 191).skip(1) {
        let found = start(&path_in(&folder), &files).unwrap_or_else(|why| panic!("{what}: {why}"));
        assert!(events.starts_with(&found), "{what}");
        fewest = fewest.min(found.len());
    }
    assert_eq!(fewest, events.len() / 2, "what the main file has is always there");
}

#[tokio::test]
async fn a_refused_start_leaves_all_files_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let (_, mut killed) = journals(folder.path(), &conversation(16)).await;
    killed.entry("-wal").and_modify(|log| log[5_000] ^= 1);
    start(&path, &killed).unwrap_err();
    assert!(files_of(&path) == killed);
    killed.entry("").and_modify(|file| file[100] ^= 1);
    start(&path, &killed).unwrap_err();
    assert!(files_of(&path) == killed);
}
