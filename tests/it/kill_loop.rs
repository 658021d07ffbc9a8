//! The service is killed (SIGKILL) again and again while eight participants publish and four more read. Each
//! time another process goes on with the journal, and everybody resumes. In the end nothing that was
//! acknowledged is lost, and everybody has had everything once and in order.
//!
//! Five rounds, or as many as KILL_LOOP_ROUNDS says: see `tests/kill-loop`. KILL_LOOP_SEED chooses how much
//! happens in each round.

use std::collections::HashSet;
use std::fs;
use std::time::Instant;

use chitchat::chat::Sequence;
use chitchat::client::{self, Chat, Event, Kind, Options, Receipt, Update, Updates};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::journal::failing_disk;
use crate::journal_support::{chitchat, export};
use crate::support::{DurableServer, Record, check_transcript, soon};

const PUBLISHERS: usize = 8;
const READERS: usize = 4;
const ROUNDS: u64 = 5;
/// How much happens in a round, at most.
const ACKNOWLEDGEMENTS_MAX: u64 = 250;

/// What a participant has been told.
struct Heard {
    participant_id: String,
    events: Vec<Event>,
    resumed: usize,
}

/// The messages of a publisher that were acknowledged.
type Acknowledged = Vec<(String, Receipt)>;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_again_and_again_loses_repeats_and_reorders_nothing_v1_to_v10() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let rounds = setting("KILL_LOOP_ROUNDS").unwrap_or(ROUNDS);
    let mut random = setting("KILL_LOOP_SEED").unwrap_or(1);
    // A slow disk, so that a promise that came before its record would have the time to be broken.
    let disk = [("LD_PRELOAD", failing_disk().await.to_str().unwrap()), ("SLOW_WRITE", "1")];
    let started = Instant::now();
    let mut server = DurableServer::start_with(&["--publish-rate", "0", "--grace", "60s"], &disk);
    let (stop, end) = (CancellationToken::new(), watch::Sender::new(Sequence(u64::MAX)));
    let acknowledgements = watch::Sender::new(0_u64);
    let (mut chats, mut listening, mut speaking) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..PUBLISHERS + READERS {
        let name = if n < PUBLISHERS { format!("publisher {n}") } else { format!("reader {n}") };
        let (chat, updates) = client::join(Options::new(server.url(), name)).await.unwrap();
        listening.push(tokio::spawn(listen(chat.me().participant_id.clone(), updates, end.subscribe())));
        if n < PUBLISHERS {
            speaking.push(tokio::spawn(speak(chat.clone(), stop.clone(), acknowledgements.clone())));
        }
        chats.push(chat);
    }
    let mut counted = acknowledgements.subscribe();
    for round in 1..=rounds {
        let more = acknowledgements_of_round(&mut random);
        let until = *counted.borrow() + more;
        soon(counted.wait_for(|count| *count >= until)).await.unwrap();
        server.kill();
        server.start_again();
        let (count, time) = (*counted.borrow(), started.elapsed());
        eprintln!("{time:.1?}: killed {round} times, after {more} and in all {count} acknowledgements");
    }
    stop.cancel();
    let acknowledged: Vec<Acknowledged> = all(speaking).await;
    let newest = acknowledged.iter().flatten().map(|(_, receipt)| receipt.sequence).max().unwrap();
    end.send_replace(newest);
    let heard: Vec<Heard> = all(listening).await;
    server.kill();
    drop(chats);

    let events = export(&server.journal());
    let check = chitchat(&["journal", "check", server.journal().to_str().unwrap()]);
    assert!(check.status.success(), "{check:?}");
    assert_eq!(events.len() as u64, newest.0, "nothing came after the last acknowledgement");
    check_events(&events);
    check_acknowledged(&events, &acknowledged);
    heard.iter().for_each(|heard| check_heard(&events, heard));
    let (recovered, cut) = check_log(&events, &fs::read_to_string(server.log()).unwrap());
    let resumed: Vec<_> = heard.iter().map(|heard| heard.resumed).collect();
    assert!(resumed.iter().all(|resumed| *resumed > 0), "everybody has resumed: {resumed:?}");
    let time = started.elapsed();
    let messages = acknowledged.iter().flatten().count();
    eprintln!(
        "{time:.1?}: {rounds} kills, {newest} events, {messages} acknowledged messages, resumed {resumed:?} \
         times, {recovered} records recovered, {cut} cut"
    );
}

/// Mostly any number, and sometimes so few that not everybody is back. The numbers are splitmix64's.
fn acknowledgements_of_round(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    if mixed.is_multiple_of(4) { (mixed >> 32) % 4 } else { (mixed >> 32) % ACKNOWLEDGEMENTS_MAX }
}

async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(soon(task).await.unwrap());
    }
    results
}

/// Publishes one message after the other. Each is acknowledged sooner or later.
async fn speak(chat: Chat, stop: CancellationToken, count: watch::Sender<u64>) -> Acknowledged {
    let mut acknowledged = Vec::new();
    while !stop.is_cancelled() {
        let text = text_of(&chat.me().display_name, acknowledged.len());
        let receipt = chat.publish(text.clone()).await.unwrap();
        acknowledged.push((text, receipt));
        count.send_modify(|count| *count += 1);
    }
    acknowledged
}

fn text_of(name: &str, n: usize) -> String {
    format!("{name}: message {n}")
}

/// Reads up to the last event. Whoever cannot resume fails.
async fn listen(participant_id: String, mut updates: Updates, mut end: watch::Receiver<Sequence>) -> Heard {
    let mut heard = Heard { participant_id, events: Vec::new(), resumed: 0 };
    while heard.events.last().is_none_or(|event| event.sequence < *end.borrow_and_update()) {
        tokio::select! {
            update = updates.next() => match update {
                Some(Update::Event(event)) => heard.events.push(event),
                Some(Update::Back) => heard.resumed += 1,
                Some(Update::Offline { .. } | Update::Waiting { .. }) => {}
                other => panic!("{}: {other:?}", heard.participant_id),
            },
            changed = end.changed() => changed.unwrap(),
        }
    }
    heard
}

fn number(record: &Record, field: &str) -> u64 {
    record[field].as_u64().unwrap_or_else(|| panic!("no {field} in {record}"))
}

/// V1, V2, V5: one order, and in it every message once.
fn check_events(events: &[Record]) {
    let positions: Vec<_> = events.iter().map(|e| (number(e, "sequence"), number(e, "logical_time"))).collect();
    assert_eq!(positions[0].0, 1);
    check_transcript(&positions);
    let (mut time, mut ids, mut texts) = (0, HashSet::new(), HashSet::new());
    for event in events {
        time = time.max(number(event, "sent_logical_time")) + 2;
        assert_eq!(number(event, "logical_time"), time, "V2: {event}");
        assert_ne!(event["kind"], "left", "nobody has left: {event}");
        if event["kind"] == "message" {
            assert!(ids.insert(event["message_id"].as_str().unwrap()), "V5: {event}");
            assert!(texts.insert(event["content"].as_str().unwrap()), "V5: {event}");
        }
    }
}

/// V6, V10, V11: what was acknowledged is where it was said to be, in the order in which it was written, and
/// there is nothing else.
fn check_acknowledged(events: &[Record], acknowledged: &[Acknowledged]) {
    for messages in acknowledged {
        assert!(messages.is_sorted_by(|(_, a), (_, b)| a.sequence < b.sequence), "V6");
        for (text, receipt) in messages {
            let event = &events[receipt.sequence.0 as usize - 1];
            assert_eq!(event["content"], text.as_str(), "V10");
            assert_eq!(number(event, "logical_time"), receipt.logical_time.0, "V10");
        }
    }
    let written = events.iter().filter(|event| event["kind"] == "message").count();
    assert_eq!(written, acknowledged.iter().flatten().count(), "V11");
}

/// V3, V4, V9, V14: everything from the participant's own Joined on, once, in order, and as it is in the
/// journal.
fn check_heard(events: &[Record], heard: &Heard) {
    let joined = heard.events.first().unwrap();
    assert_eq!((&joined.participant.participant_id, &joined.kind), (&heard.participant_id, &Kind::Joined), "V9");
    let expected = &events[joined.sequence.0 as usize - 1..];
    assert_eq!(heard.events.len(), expected.len(), "V4, V14");
    let mut clock = 0;
    for (event, record) in heard.events.iter().zip(expected) {
        let position = (event.sequence.0, event.logical_time.0);
        assert_eq!(position, (number(record, "sequence"), number(record, "logical_time")), "V3, V4");
        assert_eq!(
            (record["content"].as_str(), record["epoch"].as_str()),
            (Some(&*event.content), Some(&*event.epoch))
        );
        assert_eq!(record["participant_id"], event.participant.participant_id.as_str(), "V3");
        assert_eq!(record["kind"], event.kind.as_str(), "V3");
        if let Kind::Message { message_id, seen_sequence, .. } = &event.kind {
            assert_eq!(record["message_id"], message_id.as_str(), "V3");
            assert_eq!(number(record, "seen_sequence"), seen_sequence.0, "V3");
        }
        assert!(event.local_time.0 > clock.max(event.logical_time.0), "V7");
        clock = event.local_time.0;
    }
}

/// The log of all processes has one record of every event's broadcast, in order. Says how many of them were
/// recovered at a restart, and how many lines were cut.
fn check_log(events: &[Record], log: &str) -> (usize, usize) {
    let lines: Vec<_> = log.lines().map(serde_json::from_str::<Record>).collect();
    let cut = lines.iter().filter(|line| line.is_err()).count();
    let records = lines.into_iter().filter_map(Result::ok);
    let broadcasts: Vec<_> =
        records.filter(|record| record["event"].as_str().unwrap().ends_with("_broadcast")).collect();
    assert_eq!(broadcasts.len(), events.len(), "one record of every broadcast");
    for (broadcast, event) in broadcasts.iter().zip(events) {
        for (field, value) in event.as_object().unwrap().iter().filter(|(field, _)| *field != "timestamp") {
            assert_eq!(&broadcast[field], value, "{field} of {event}");
        }
    }
    (broadcasts.iter().filter(|record| record["recovered"] == true).count(), cut)
}
