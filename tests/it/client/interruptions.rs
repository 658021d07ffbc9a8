//! Clients that are killed, frozen or cut off, and a service that starts again (S6, V4, V9).

use std::time::{Duration, SystemTime};

use chitchat::client::{self, Options, StateFile, Update, Updates};
use chitchat::wire::{Reason, pb};
use serde_json::Value;

use crate::support::{Participant, Proxy, Record, Server, ServerProgram, Window, check_transcript, soon};

/// With these options a silent peer is noticed, and leaves, within about a second.
const IMPATIENT: [&str; 6] = ["--grace", "500ms", "--ping", "200ms", "--ping-timeout", "300ms"];

fn instant(record: &Record) -> SystemTime {
    humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap()
}

fn find<'a>(records: &'a [Record], event: &str, name: &str) -> &'a Record {
    records.iter().find(|record| record["event"] == event && record["display_name"] == name).unwrap()
}

#[test]
fn a_killed_client_leaves_when_its_grace_period_ends_s6() {
    let server = ServerProgram::start(&["--grace", "1s"]);
    let alice = server.join("alice");
    let bob = server.join("bob");
    bob.program.signal("KILL");
    let line = alice.program.until("left");
    assert!(line.contains("] Participant bob left Chit Chat at logical time "), "{line}");

    let records = server.records();
    let broke = instant(find(&records, "client_disconnected", "bob"));
    assert_eq!(find(&records, "session_expired", "bob")["participant_id"], "p2");
    let left = find(&records, "leave_broadcast", "bob");
    assert!(instant(left).duration_since(broke).unwrap() >= Duration::from_millis(990), "not before");
    assert_eq!((&left["reason"], &left["sent_logical_time"]), (&"DISCONNECTED".into(), &0.into()));
    server.join("bob").program.until("Participant bob joined");
}

#[test]
fn a_client_frozen_beyond_the_grace_period_joins_anew_s6() {
    let server = ServerProgram::start(&IMPATIENT);
    let alice = server.join("alice");
    let mut bob = server.join("bob");
    bob.program.signal("STOP");
    alice.program.until("Participant bob left");
    bob.program.signal("CONT");
    let notice = bob.program.notice("joined anew");
    assert!(notice.contains("ended the session"), "{notice}");
    alice.program.until("Participant bob joined");
    bob.program.type_line("back again");
    assert_eq!(bob.program.until("back again"), alice.program.until("back again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_broken_within_the_grace_period_loses_no_event_v4() {
    let server = ServerProgram::start(&[]);
    let proxy = Proxy::to(server.address).await;
    let mut alice = server.join("alice");
    let mut bob = server.join_by(proxy.address, "bob", "--plain");
    alice.program.type_line("before");
    let mut seen_by_bob = vec![bob.program.line(), bob.program.line()];

    proxy.cut();
    bob.program.notice("* offline");
    for n in 0..10 {
        alice.program.type_line(format!("meanwhile {n}"));
    }
    alice.program.until("meanwhile 9");
    bob.program.type_line("written offline");
    proxy.restore(server.address);
    bob.program.notice("* back");
    alice.program.until("written offline");
    seen_by_bob.extend(bob.program.lines(11));

    assert!(seen_by_bob.last().unwrap().ends_with("] bob: written offline"));
    let (alice_log, bob_log) = (alice.records(), bob.records());
    let delivered = |log: &[Record]| -> Vec<(u64, u64)> {
        let events = log.iter().filter(|record| record["event"] == "event_delivered");
        events
            .map(|event| (event["sequence"].as_u64().unwrap(), event["logical_time"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(delivered(&alice_log)[1..], delivered(&bob_log), "nothing missed, nothing twice, nobody left");
    check_transcript(&delivered(&alice_log));
    find(&bob_log, "resumed", "bob");
    find(&server.records(), "session_resumed", "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_joins_anew_if_the_service_has_another_journal() {
    let server = ServerProgram::start(&[]);
    let proxy = Proxy::to(server.address).await;
    let mut bob = server.join_by(proxy.address, "bob", "--plain");
    bob.program.line();
    server.program.signal("KILL");
    bob.program.notice("* offline");

    let next = ServerProgram::start(&[]);
    proxy.restore(next.address);
    let notice = bob.program.notice("joined anew");
    assert!(notice.contains("different conversation"), "{notice}");
    assert!(bob.program.line().contains("] Participant bob joined Chit Chat at logical time "));
    bob.program.type_line("here again");
    assert!(bob.program.line().ends_with("] bob: here again"));
    let (first, second) = (&server.records()[0]["epoch"], &next.records()[0]["epoch"]);
    assert_ne!(first, second);
    let epochs: Vec<_> =
        bob.records().iter().filter(|r| r["event"] == "connected").map(|r| r["epoch"].clone()).collect();
    assert_eq!(epochs, [first.clone(), second.clone()]);
}

/// The client's next update that is not an event.
async fn next_notice(updates: &mut Updates) -> Update {
    loop {
        match soon(updates.next()).await.expect("another update") {
            Update::Event(_) => {}
            notice => return notice,
        }
    }
}

#[tokio::test]
async fn a_client_survives_its_own_late_request_but_ends_when_another_takes_over() {
    let server = Server::start().await;
    let mut proxy = Proxy::to(server.address).await;
    let (url, folder) = (format!("http://{}", proxy.address), tempfile::tempdir().unwrap());
    let state = StateFile::open(folder.path(), &url, "alice").unwrap();
    let options =
        Options { patience: Duration::from_millis(100), state: Some(state), ..Options::new(url, "alice") };
    let (_chat, mut updates) = client::join(options).await.unwrap();
    let file = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().unwrap() == "json").unwrap();
    let session: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let text = |field: &str| session[field].as_str().unwrap().to_owned();
    let (session_token, epoch) = (text("session_token"), text("epoch"));

    // A second attempt means that the client has given up the first one.
    proxy.swallow(2).await;
    proxy.restore(server.address);
    assert!(matches!(next_notice(&mut updates).await, Update::Offline { .. }));
    assert!(matches!(next_notice(&mut updates).await, Update::Back { .. }));

    // The abandoned request arrives after all, over another connection.
    let mut resumed = 0;
    let ended = loop {
        let resume = pb::ResumePoint {
            session_token: session_token.clone(),
            epoch: epoch.clone(),
            after_sequence: 1,
            ..Default::default()
        };
        let request = pb::JoinRequest { resume: Some(resume), ..Default::default() };
        let _late = Participant::open(server.address, &request, Window::default()).await.unwrap();
        match next_notice(&mut updates).await {
            Update::Offline { .. } => assert!(matches!(next_notice(&mut updates).await, Update::Back { .. })),
            Update::Ended(error) => break error,
            other => panic!("{other:?}"),
        }
        resumed += 1;
        assert!(resumed < 50, "at most once for each request that it had given up");
    };
    assert!(resumed > 0);
    assert_eq!(ended.reason(), Some(Reason::Replaced));
}
