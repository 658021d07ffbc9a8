//! The service is killed (SIGKILL) repeatedly while eight participants publish and four more read, each in its own
//! process. Each time another process continues with the journal, and all participants resume. At the end all logs show
//! that nothing acknowledged was lost, and that every participant got everything once and in order. Both
//! `chitchat verify` and the checks here find this.
//!
//! Five rounds, or KILL_LOOP_ROUNDS: see `tests/kill-loop`. KILL_LOOP_SEED determines how much happens in each round.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::journal::failing_disk;
use crate::journal::service::{chitchat, export};
use crate::support::{Client, DEADLINE, DurableServer, Program, Record, check_transcript, records};

const PUBLISHERS: usize = 8;
const READERS: usize = 4;
const ROUNDS: u64 = 5;
/// The most messages in a round.
const MESSAGES_MAX: u64 = 250;
/// With so few events between checkpoints, most starts are from one.
const OPTIONS: [&str; 8] =
    ["--publish-rate", "0", "--address-limits", "off", "--grace", "60s", "--checkpoint-events", "40"];
/// How many lines a publisher is ahead of the acknowledgements, so that it always has one to send.
const LINES_AHEAD: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_repeatedly_loses_repeats_and_reorders_nothing_v1_to_v14() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let rounds = setting("KILL_LOOP_ROUNDS").unwrap_or(ROUNDS);
    let mut random = setting("KILL_LOOP_SEED").unwrap_or(1);
    // With a slow disk, a premature acknowledgement is likely to be lost at a kill.
    let disk = [("LD_PRELOAD", failing_disk().await.to_str().unwrap()), ("SLOW_WRITE", "1")];
    let started = Instant::now();
    let mut server = DurableServer::start_with(&OPTIONS, &disk);
    let (stop, (heard, messages)) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
    let readers: Vec<_> = (0..READERS).map(|n| server.join(&format!("reader-{n}"))).collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|n| speak(server.join(&name_of(n)), name_of(n), Arc::clone(&stop), heard.clone()))
        .collect();
    let readers: Vec<_> = readers.into_iter().map(|reader| listen(reader, PUBLISHERS)).collect();
    let mut count = 0;
    for round in 1..=rounds {
        let more = messages_of_round(&mut random);
        for _ in 0..more {
            messages.recv_timeout(DEADLINE).expect("another message of a publisher");
        }
        count += more;
        server.kill();
        server.start_again();
        let time = started.elapsed();
        eprintln!("{time:.1?}: killed {round} times, after {more} and in all {count} messages");
    }
    stop.store(true, Ordering::Relaxed);
    let mut publishers: Vec<_> = publishers.into_iter().map(|speaking| speaking.join().unwrap()).collect();
    publishers.iter_mut().for_each(|(client, _)| drop(client.quit().succeeded()));
    let mut readers: Vec<_> = readers.into_iter().map(|listening| listening.join().unwrap()).collect();
    // A client that is killed may leave half a line in its log.
    readers.iter_mut().for_each(|client| drop(client.quit().succeeded()));
    server.kill();
    let written = publishers.iter().map(|(_, written)| *written).collect();
    let logs: Vec<_> = publishers.into_iter().map(|(client, _)| client).chain(readers).map(|c| c.log).collect();
    let summary = check(&server, &logs, written);
    eprintln!("{:.1?}: {rounds} kills, {summary}", started.elapsed());
}

/// Checks by the logs that V1 to V15 hold. Returns a summary.
fn check(server: &DurableServer, logs: &[PathBuf], written: Vec<usize>) -> String {
    let journal = server.journal();
    let events = export(&journal);
    let whole = chitchat(&["journal", "check", journal.to_str().unwrap()]);
    assert!(whole.status.success(), "{whole:?}");
    check_events(&events);
    let (recovered, cut) = check_log(&events, &fs::read_to_string(server.log()).unwrap());
    let (publishers, readers) = logs.split_at(PUBLISHERS);
    for (log, written) in publishers.iter().zip(&written) {
        check_publisher(&events, &records(log), *written);
    }
    let messages = events.iter().filter(|event| event["kind"] == "message").count();
    assert_eq!(messages, written.iter().sum::<usize>(), "V11");
    let mut resumed = Vec::new();
    for log in publishers.iter().chain(readers) {
        let records = records(log);
        check_deliveries(&events, &records);
        resumed.push(records.iter().filter(|record| record["event"] == "resumed").count());
    }
    assert!(resumed.iter().all(|resumed| *resumed > 0), "all have resumed: {resumed:?}");
    let proved = check_verdict(&[&[server.log()], logs].concat());
    let events = events.len();
    format!(
        "{events} events, {messages} acknowledged messages, resumed {resumed:?} times, {recovered} records recovered, \
         {cut} cut; {proved} records verified"
    )
}

/// Checks that `chitchat verify` can check every rule, and finds that all hold. Returns the number of records.
fn check_verdict(logs: &[PathBuf]) -> u64 {
    let arguments = ["verify", "--json"].into_iter().chain(logs.iter().map(|log| log.to_str().unwrap()));
    let ended = Program::run(&arguments.collect::<Vec<_>>(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Record = serde_json::from_str(&ended.output[0]).unwrap();
    let verdicts: HashSet<_> = report["rules"].as_array().unwrap().iter().map(|rule| &rule["verdict"]).collect();
    assert_eq!(verdicts, [&"held".into()].into(), "{report}");
    number(&report, "records")
}

fn name_of(publisher: usize) -> String {
    format!("publisher-{publisher}")
}

fn text_of(name: &str, n: usize) -> String {
    format!("this is message {n}. of {name}")
}

/// Publishes one message after another until `stop` is set, and reads until it has received all of them. Returns how
/// many there were.
fn speak(
    mut client: Client,
    name: String,
    stop: Arc<AtomicBool>,
    heard: Sender<()>,
) -> JoinHandle<(Client, usize)> {
    thread::spawn(move || {
        let (mut written, mut told) = (0, 0);
        while told < written || !stop.load(Ordering::Relaxed) {
            while written < told + LINES_AHEAD && !stop.load(Ordering::Relaxed) {
                client.program.type_line(text_of(&name, written));
                written += 1;
            }
            if told < written {
                client.program.until(&text_of(&name, told));
                told += 1;
                // Nothing is counted after the last round.
                let _ = heard.send(());
            }
        }
        (client, written)
    })
}

/// Reads until this many have left.
fn listen(client: Client, leaves: usize) -> JoinHandle<Client> {
    thread::spawn(move || {
        for _ in 0..leaves {
            client.program.until(" left Chit Chat at logical time ");
        }
        client
    })
}

/// A random number by splitmix64, sometimes so small that not all clients are back before the next kill.
fn messages_of_round(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    if mixed.is_multiple_of(4) { (mixed >> 32) % 4 } else { (mixed >> 32) % MESSAGES_MAX }
}

fn number(record: &Record, field: &str) -> u64 {
    record[field].as_u64().unwrap_or_else(|| panic!("no {field} in {record}"))
}

/// V1, V2, V5: there is one order, with every message once.
fn check_events(events: &[Record]) {
    let positions: Vec<_> = events.iter().map(|e| (number(e, "sequence"), number(e, "logical_time"))).collect();
    assert_eq!(positions[0].0, 1);
    check_transcript(&positions);
    let (mut time, mut ids, mut texts) = (0, HashSet::new(), HashSet::new());
    for event in events {
        time = time.max(number(event, "sent_logical_time")) + 2;
        assert_eq!(number(event, "logical_time"), time, "V2: {event}");
        assert_ne!(event["reason"], "DISCONNECTED", "all came back in time: {event}");
        if event["kind"] == "message" {
            assert!(ids.insert(event["message_id"].as_str().unwrap()), "V5: {event}");
            assert!(texts.insert(event["content"].as_str().unwrap()), "V5: {event}");
        }
    }
}

/// V6, V10, V11: all messages were acknowledged, and each is once at its acknowledged position, in the order of
/// writing.
fn check_publisher(events: &[Record], log: &[Record], written: usize) {
    let of = |what: &'static str| log.iter().filter(move |record| record["event"] == what);
    let sent: HashMap<_, _> = of("publish_sent").map(|sent| (&sent["message_id"], &sent["content"])).collect();
    let name = log[0]["display_name"].as_str().unwrap();
    let acknowledged: Vec<_> = of("publish_acknowledged").collect();
    assert_eq!((sent.len(), acknowledged.len()), (written, written), "V11: {name}");
    assert!(acknowledged.is_sorted_by_key(|acknowledged| number(acknowledged, "sequence")), "V6: {name}");
    for (n, acknowledged) in acknowledged.into_iter().enumerate() {
        let event = &events[number(acknowledged, "sequence") as usize - 1];
        for field in ["sequence", "logical_time", "message_id", "participant_id"] {
            assert_eq!(event[field], acknowledged[field], "V10: {acknowledged}");
        }
        assert_eq!(event["content"], text_of(name, n).as_str(), "V6, V10: {acknowledged}");
        assert_eq!(&event["content"], sent[&acknowledged["message_id"]], "V11: {acknowledged}");
    }
    assert_eq!(of("publish_refused").count(), 0, "{name}");
}

/// V3, V4, V9, V14: the participant got everything from its own join up to its own leave, once, in order, and as it is
/// in the journal.
fn check_deliveries(events: &[Record], log: &[Record]) {
    let me = &log.iter().find(|record| record["event"] == "connected").unwrap()["participant_id"];
    let own = |kind: &str| events.iter().position(|event| event["kind"] == kind && &event["participant_id"] == me);
    let expected = &events[own("joined").unwrap()..own("left").unwrap_or(events.len())];
    let delivered: Vec<_> = log.iter().filter(|record| record["event"] == "event_delivered").collect();
    assert_eq!(delivered.len(), expected.len(), "V4, V9, V14: {me}");
    let mut clock = 0;
    for (delivered, event) in delivered.into_iter().zip(expected) {
        for field in ["epoch", "sequence", "logical_time", "kind", "content", "participant_id", "display_name"] {
            assert_eq!(delivered[field], event[field], "V3, V4: {delivered}");
        }
        if event["kind"] == "message" {
            for field in ["message_id", "seen_sequence", "sent_logical_time"] {
                assert_eq!(delivered[field], event[field], "V3: {delivered}");
            }
        }
        let local = number(delivered, "local_time");
        assert!(local > clock.max(number(delivered, "logical_time")), "V7: {delivered}");
        clock = local;
    }
}

/// The log, which all processes wrote, has one record for each event's broadcast, in order. Returns how many of them
/// were recovered at a restart, and how many lines were cut.
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
