//! Checkpoints: starts from one, those that are not used, and what the background check finds (J15 to J17).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::super::checkpoint::{self, CheckpointFault, StateDigest};
use super::super::{Checkpoint, OpenFault, SqliteJournal, beside, size_of};
use super::support::{append_all, conversation, open};
use crate::chat::{
    Command, Conversation, Decision, Event, LogicalTime, MessageId, MessageText, Sequence, SessionKey,
};
use crate::journal::{CheckSettings, CheckState, CheckTime, Epoch, Journal, JournalError, recover};

const EVERY: u64 = 50;

fn open_with(path: &Path, when: CheckTime) -> SqliteJournal {
    let settings = CheckSettings { when, checkpoint_events: EVERY };
    SqliteJournal::open_with_log(path, settings, || Epoch::new("0123456789abcdef"), |_| Ok(None)).unwrap()
}

/// Appends events as a service does, and offers the state after each batch.
async fn extend(journal: &mut SqliteJournal, state: &mut Conversation, events: &[Arc<Event>], batch: usize) {
    for events in events.chunks(batch) {
        append_all(journal, events, batch).await;
        events.iter().for_each(|event| state.replay(event).unwrap());
        journal.offer_checkpoint(state);
    }
}

/// A closed journal of these events with a checkpoint at the last one of `first`, and events after it.
async fn journal_with_checkpoint(path: &Path, events: &[Arc<Event>], first: usize) {
    let mut state = {
        let mut journal = open_with(path, CheckTime::Background);
        let mut state = journal.recover(|_| {}).await.unwrap();
        extend(&mut journal, &mut state, &events[..first], 7).await;
        state
    };
    let kept = fs::read(beside(path, "-checkpoint")).unwrap();
    let mut journal = open_with(path, CheckTime::First);
    let recovered = journal.recover(|_| {}).await.unwrap();
    assert_eq!(recovered.head(), state.head());
    extend(&mut journal, &mut state, &events[first..], 7).await;
    drop(journal);
    fs::write(beside(path, "-checkpoint"), kept).unwrap();
    assert_eq!(checkpoint_of(path).unwrap().place.sequence, Sequence(first as u64));
}

fn checkpoint_of(path: &Path) -> Result<Checkpoint, CheckpointFault> {
    checkpoint::read(path, &Epoch::new("0123456789abcdef"))
}

/// How the background check ends; `None` if there is none.
async fn end_of_check(journal: &SqliteJournal) -> Option<CheckState> {
    let mut state = journal.later_check()?;
    let ended = state.wait_for(|state| !matches!(state, CheckState::Running { .. })).await;
    Some(*ended.unwrap())
}

fn state_of(conversation: &Conversation) -> StateDigest {
    StateDigest::of(conversation)
}

fn path_in(folder: &tempfile::TempDir) -> PathBuf {
    fs::canonicalize(folder.path()).unwrap().join("j.db")
}

/// A start from a checkpoint replays the events after it and reaches the same state as a replay of all events. The
/// events before the checkpoint are checked after the start, in the background.
#[tokio::test]
async fn a_start_from_a_checkpoint_reaches_the_same_state_j15() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let events = conversation(5_000);
    for (first, last) in [(60, 60), (2_000, 2_345), (4_800, 4_801)] {
        for ending in ["", "-head", "-checkpoint"] {
            let _ = fs::remove_file(beside(&path, ending));
        }
        journal_with_checkpoint(&path, &events[..last], first).await;
        let mut journal = open_with(&path, CheckTime::Background);
        let mut replayed = 0;
        let mut state = journal.recover(|_| replayed += 1).await.unwrap();
        assert_eq!((replayed, state.head().0 as usize), (last - first, last));
        let whole = recover(&*journal.history(), |_| {}).await.unwrap();
        assert_eq!(state_of(&state), state_of(&whole));
        extend(&mut journal, &mut state, &events[last..], 100).await;
        assert_eq!(end_of_check(&journal).await, Some(CheckState::Intact));
        drop(journal);
        assert_eq!(checkpoint_of(&path).unwrap().place.sequence, Sequence(5_000));
    }
}

/// A checkpoint is written every `checkpoint_events` events and at the end, but not for fewer events, and not if
/// nothing is new.
#[tokio::test]
async fn when_checkpoints_are_written_j15() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let (events, file) = (conversation(400), beside(&path, "-checkpoint"));
    let mut journal = open_with(&path, CheckTime::Background);
    let mut state = journal.recover(|_| {}).await.unwrap();
    extend(&mut journal, &mut state, &events[..49], 49).await;
    drop(journal);
    assert!(!file.exists());
    let mut journal = open_with(&path, CheckTime::Background);
    journal.recover(|_| {}).await.unwrap();
    extend(&mut journal, &mut state, &events[49..50], 1).await;
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    extend(&mut journal, &mut state, &events[50..60], 1).await;
    assert_eq!(checkpoint_of(&path).unwrap().place.sequence, Sequence(50));
    // Only the state after the newest event is accepted.
    journal.offer_checkpoint(&Conversation::new());
    drop(journal);
    assert_eq!(checkpoint_of(&path).unwrap().place.sequence, Sequence(60));
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    let mut journal = open_with(&path, CheckTime::Background);
    let same = journal.recover(|_| {}).await.unwrap();
    journal.offer_checkpoint(&same);
    drop(journal);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
}

/// If a checkpoint cannot be written, the journal works without it.
#[tokio::test]
async fn a_checkpoint_that_cannot_be_written_j15() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    fs::create_dir(beside(&path, "-checkpoint-new")).unwrap();
    let events = conversation(200);
    let mut journal = open_with(&path, CheckTime::Background);
    let mut state = journal.recover(|_| {}).await.unwrap();
    extend(&mut journal, &mut state, &events, 20).await;
    drop(journal);
    assert!(!beside(&path, "-checkpoint").exists());
    assert_eq!(open_with(&path, CheckTime::Background).recover(|_| {}).await.unwrap().head(), Sequence(200));
}

/// If any bit of a checkpoint changes, or it is cut anywhere, it is not used, and the start replays everything.
#[tokio::test]
async fn a_damaged_checkpoint_is_not_used_j15() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    journal_with_checkpoint(&path, &conversation(140), 100).await;
    let file = beside(&path, "-checkpoint");
    let whole = fs::read(&file).unwrap();
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for bit in (0..8 * whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &changed).unwrap();
        let fault = checkpoint_of(&path).unwrap_err();
        assert!(bit / 8 <= line || matches!(fault, CheckpointFault::Damaged), "bit {bit}: {fault}");
    }
    for end in 0..whole.len() {
        fs::write(&file, &whole[..end]).unwrap();
        assert!(matches!(checkpoint_of(&path), Err(CheckpointFault::Damaged)), "cut at {end}");
    }
    fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
    assert!(matches!(checkpoint_of(&path), Err(CheckpointFault::Damaged)));
    let mut journal = open_with(&path, CheckTime::Background);
    let mut replayed = 0;
    journal.recover(|_| replayed += 1).await.unwrap();
    assert_eq!((replayed, journal.later_check().is_none()), (140, true));
}

/// A checkpoint is not used either if it is from a later program or another journal, if the journal lacks its event or
/// has another one there, or if everything is to be checked first.
#[tokio::test]
async fn a_checkpoint_that_does_not_fit_is_not_used_j15() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (path_in(&folder), path_in(&folder).with_file_name("other.db"));
    let events = conversation(140);
    journal_with_checkpoint(&path, &events, 100).await;
    let fitting = fs::read(beside(&path, "-checkpoint")).unwrap();
    let replayed = async |path: &Path, when| {
        let (mut journal, mut replayed) = (open_with(path, when), 0);
        journal.recover(|_| replayed += 1).await.unwrap();
        assert_eq!(journal.later_check().is_none(), replayed == journal.head_at_open().0);
        replayed
    };
    assert_eq!(replayed(&path, CheckTime::First).await, 140);
    assert_eq!(replayed(&path, CheckTime::Background).await, 40);
    // An older copy of the journal, and one that has other events.
    append_all(&mut open(&other).unwrap(), &events[..99], 99).await;
    fs::write(beside(&other, "-checkpoint"), &fitting).unwrap();
    assert_eq!(replayed(&other, CheckTime::Background).await, 99);
    let mut different = (*events[99]).clone();
    different.recorded_at += std::time::Duration::from_secs(1);
    append_all(&mut open(&other).unwrap(), &[Arc::new(different)], 1).await;
    fs::write(beside(&other, "-checkpoint"), &fitting).unwrap();
    assert_eq!(replayed(&other, CheckTime::Background).await, 100);
    // Another journal, and a later format.
    let found = checkpoint::read(&path, &Epoch::new("another")).unwrap_err();
    assert!(matches!(&found, CheckpointFault::AnotherJournal(epoch) if epoch.as_str() == "0123456789abcdef"));
    let later = "chitchat-checkpoint 2 made in the future";
    let later = format!("{later} check {}\nbytes", checkpoint::check_of(later));
    fs::write(beside(&path, "-checkpoint"), later).unwrap();
    assert!(matches!(checkpoint_of(&path), Err(CheckpointFault::Newer { found: 2 })));
    assert_eq!(replayed(&path, CheckTime::Background).await, 140);
    fs::remove_file(beside(&path, "-checkpoint")).unwrap();
    assert!(matches!(checkpoint_of(&path), Err(CheckpointFault::Missing)));
    assert_eq!(replayed(&path, CheckTime::Background).await, 140);
}

/// Damage to older events is found after the start: the journal then accepts no more events, and the next start is
/// refused.
#[tokio::test]
async fn damage_that_is_found_in_the_background_j16_j17() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let events = conversation(3_000);
    for sql in [
        "UPDATE event SET text = 'no' WHERE sequence = 1229",
        "UPDATE event SET recorded_at = 'noon' WHERE sequence = 9",
        "DELETE FROM event WHERE sequence = 1500",
        "UPDATE event SET chain = '0123456789abcdef' WHERE sequence = 1",
    ] {
        for ending in ["", "-head", "-wal", "-shm", "-checkpoint"] {
            let _ = fs::remove_file(beside(&path, ending));
        }
        journal_with_checkpoint(&path, &events[..2_950], 2_900).await;
        let person = Connection::open(&path).unwrap();
        person.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        person.execute_batch(sql).unwrap();
        drop(person);
        let mut journal = open_with(&path, CheckTime::Background);
        let mut state = journal.recover(|_| {}).await.unwrap();
        assert_eq!(state.head(), Sequence(2_950));
        assert_eq!(end_of_check(&journal).await, Some(CheckState::Damaged), "{sql}");
        let error = journal.append(events[2_950..2_960].to_vec()).await.unwrap_err();
        assert!(matches!(error, JournalError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("it is damaged and accepts no more events: event "), "{error}");
        assert!(matches!(journal.append(Vec::new()).await, Err(JournalError::Unavailable(_))));
        // The events can still be read.
        assert_eq!(journal.history().read(Sequence(2_940), 99).await.unwrap().len(), 10);
        state.replay(&events[2_950]).unwrap();
        journal.offer_checkpoint(&state);
        drop(journal);
        assert!(!beside(&path, "-checkpoint").exists());
        let refused = match open(&path) {
            Err(error) => matches!(error.fault, OpenFault::Damaged(_)),
            Ok(mut journal) => journal.recover(|_| {}).await.is_err(),
        };
        assert!(refused, "{sql}");
    }
}

/// A checkpoint whose checksums are right, but whose state does not result from the events before it: if the events after
/// it contradict it, the start does not use it; otherwise the background check detects it.
#[tokio::test]
async fn a_checkpoint_that_is_wrong_j15_j16() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let events = conversation(160);
    journal_with_checkpoint(&path, &events, 100).await;
    let Checkpoint { place, conversation, .. } = checkpoint_of(&path).unwrap();
    let forge = |members: &dyn Fn(usize) -> bool, forget: bool| {
        let members = conversation.roster().enumerate().filter(|(index, _)| members(*index));
        let members = members.map(|(_, (id, member))| crate::chat::MemberState {
            id,
            display_name: member.display_name.clone(),
            session: member.session,
            publishes: if forget { Vec::new() } else { member.publishes().collect() },
        });
        let wrong = Conversation::restored(place.sequence, conversation.logical_time(), members).unwrap();
        let unfinished = checkpoint::write_unfinished(&path, &place, &wrong).unwrap();
        checkpoint::rename(&path, &unfinished).unwrap();
    };
    // Without a participant that the later events name.
    forge(&|_| false, false);
    let (mut journal, mut replayed) = (open_with(&path, CheckTime::Background), 0);
    let state = journal.recover(|event| replayed = replayed.max(event.sequence.0)).await.unwrap();
    assert_eq!((replayed, journal.later_check().is_none()), (160, true));
    journal.offer_checkpoint(&state);
    drop(journal);
    assert_eq!(checkpoint_of(&path).unwrap().place.sequence, Sequence(160), "a correct one replaces it");
    // Without the message ids by which repeats are recognized.
    forge(&|_| true, true);
    let mut journal = open_with(&path, CheckTime::Background);
    journal.recover(|_| {}).await.unwrap();
    assert_eq!(end_of_check(&journal).await, Some(CheckState::Damaged));
    let error = journal.append(Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("the checkpoint at event 100 differs from the state"), "{error}");
    drop(journal);
    // The events were intact.
    assert_eq!(open_with(&path, CheckTime::Background).recover(|_| {}).await.unwrap().head(), Sequence(160));
}

/// Closing the journal ends a running check, and the next start begins it again.
#[tokio::test]
async fn a_check_that_is_cut_short_j16() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    journal_with_checkpoint(&path, &conversation(30_000), 29_990).await;
    for _ in 0..3 {
        let mut journal = open_with(&path, CheckTime::Background);
        journal.recover(|_| {}).await.unwrap();
        let state = journal.later_check().unwrap();
        drop(journal);
        assert_ne!(*state.borrow(), CheckState::Damaged);
    }
}

/// An older copy of the journal begins a new epoch, after a check of all events, although the checkpoint fits.
#[tokio::test]
async fn a_checkpoint_of_a_journal_that_is_behind_its_log_j10_j15() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    journal_with_checkpoint(&path, &conversation(140), 100).await;
    let settings = CheckSettings { when: CheckTime::Background, checkpoint_events: EVERY };
    let start = |logged| {
        SqliteJournal::open_with_log(&path, settings, || Epoch::new("second"), move |_| Ok(Some(Sequence(logged))))
            .unwrap()
    };
    let mut journal = start(141);
    assert!(journal.fork().is_some());
    let state = journal.recover(|_| {}).await.unwrap();
    assert!(journal.later_check().is_none());
    journal.offer_checkpoint(&state);
    drop(journal);
    let next = checkpoint::read(&path, &Epoch::new("second")).unwrap();
    assert_eq!(next.place.sequence, Sequence(140));
    let mut journal = start(140);
    journal.recover(|_| {}).await.unwrap();
    assert_eq!(end_of_check(&journal).await, Some(CheckState::Intact));
}

/// The size of a checkpoint whose participant has published as many messages as are remembered.
#[tokio::test]
async fn a_checkpoint_has_32_bytes_for_each_publish_that_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let mut journal = open_with(&path, CheckTime::Background);
    let mut state = journal.recover(|_| {}).await.unwrap();
    let (mut events, session) = (Vec::new(), SessionKey([7; 32]));
    let (name, sent) = (crate::chat::DisplayName::parse("alice").unwrap(), LogicalTime(0));
    let mut commands = vec![Command::Join { display_name: name, session, sent }];
    commands.extend((0..2_000).map(|n| Command::Publish {
        session,
        text: MessageText::parse("hello").unwrap(),
        message_id: MessageId::parse(format!("m-{n}")).unwrap(),
        seen: Sequence(1),
        sent,
        sent_at: None,
    }));
    for command in commands {
        let Ok(Decision::Happened(event)) = state.apply(command, std::time::UNIX_EPOCH) else { panic!() };
        events.push(Arc::new(event));
    }
    append_all(&mut journal, &events, 2_001).await;
    journal.offer_checkpoint(&state);
    drop(journal);
    let bytes = size_of(&beside(&path, "-checkpoint")).unwrap();
    assert!((32 * 1_024..32 * 1_024 + 512).contains(&bytes), "{bytes}");
}
