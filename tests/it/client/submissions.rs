//! Every submitted message is sent or reported as unsent, and records what its writer had seen on submission (V6, S3).

mod terminal;

use std::time::Instant;

use chitchat::chat::Sequence;
use chitchat::client::{self, Kind, Options, PublishError, Update, Updates};

use crate::support::{DEADLINE, Participant, Proxy, Server, ServerProgram, soon};

/// Reads updates up to a message with this content. Returns its `seen_sequence`.
async fn until_message(updates: &mut Updates, content: &str) -> u64 {
    loop {
        match soon(updates.next()).await.expect("another update") {
            Update::Event(event) if event.content == content => match event.kind {
                Kind::Message { seen_sequence, .. } => return seen_sequence.0,
                kind => panic!("{kind:?}"),
            },
            _ => {}
        }
    }
}

/// A message that is submitted before others but sent after them records that they crossed (V6).
#[tokio::test]
async fn seen_sequence_is_set_when_a_message_is_submitted() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address).await;
    let url = format!("http://{}", proxy.address);
    let (alice, mut updates) = client::join(Options::new(url, "alice")).await.unwrap();
    let bob = Participant::arrive(server.address, "bob").await;
    bob.publish("before").await;
    until_message(&mut updates, "before").await;
    proxy.cut();
    while !matches!(soon(updates.next()).await, Some(Update::Offline { .. })) {}
    let late = alice.publish("late");
    let later = alice.publish("later");
    for text in ["meanwhile", "and more"] {
        bob.publish(text).await;
    }
    proxy.restore(server.address);
    // Bob's messages are delivered before either of alice's can be sent.
    for (publishing, text) in [(late, "late"), (later, "later")] {
        soon(publishing).await.unwrap();
        assert_eq!(until_message(&mut updates, text).await, 3, "{text}");
    }
}

/// Updates that the program has not read do not count as delivered to it (V6).
#[tokio::test]
async fn seen_sequence_covers_only_updates_that_the_program_has_read() {
    let server = Server::start().await;
    let (alice, mut updates) = client::join(Options::new(server.url(), "alice")).await.unwrap();
    let bob = Participant::arrive(server.address, "bob").await;
    bob.publish("question").await;
    until_message(&mut updates, "question").await;
    bob.publish("another").await;
    // Alice's answer is ordered after the second question, which has thus arrived but not been read.
    soon(alice.publish("answer")).await.unwrap();
    let receipt = soon(alice.publish("answer again")).await.unwrap();
    assert_eq!(receipt.sequence, Sequence(6));
    assert_eq!(until_message(&mut updates, "answer").await, 3);
    assert_eq!(until_message(&mut updates, "answer again").await, 3);
}

/// A sequence of an earlier membership means nothing in a new one (V6).
#[tokio::test(flavor = "multi_thread")]
async fn seen_sequence_of_an_earlier_membership_is_sent_as_0() {
    let server = ServerProgram::start(&[]);
    let proxy = Proxy::to(server.address).await;
    let mut alice = server.join_by(proxy.address, "alice", "--plain");
    alice.program.line();
    proxy.cut();
    alice.program.notice("* offline");
    alice.program.type_text([&b"\xff\n"[..], b"for another day\n"].concat());
    alice.program.notice("not valid UTF-8");
    let next = ServerProgram::start(&[]);
    proxy.restore(next.address);
    alice.program.until("for another day");
    let sent = next.records().into_iter().find(|record| record["event"] == "message_broadcast").unwrap();
    assert_eq!(sent["seen_sequence"], 0);
}

/// After a leave nothing more can be submitted, and what was submitted before is sent (S3).
#[tokio::test]
async fn a_leave_waits_for_what_was_submitted() {
    let server = Server::start().await;
    let (alice, mut updates) = client::join(Options::new(server.url(), "alice")).await.unwrap();
    let publishing: Vec<_> = (0..50).map(|n| alice.publish(n.to_string())).collect();
    let late = alice.clone();
    let leaving = alice.leave();
    let reading = async { while updates.next().await.is_some() {} };
    let (left, ()) = soon(async { tokio::join!(leaving, reading) }).await;
    left.unwrap();
    for publishing in publishing {
        publishing.await.unwrap();
    }
    assert_eq!(late.publish("too late").await, Err(PublishError::Ended));
}

#[tokio::test]
async fn earlier_events_are_listed() {
    let server = Server::start().await;
    let bob = Participant::arrive(server.address, "bob").await;
    for n in 0..5 {
        bob.publish(&n.to_string()).await;
    }
    let (alice, _updates) = client::join(Options::new(server.url(), "alice")).await.unwrap();
    let contents = |count| {
        let alice = alice.clone();
        async move {
            let events = soon(alice.list_before(Sequence(7), count)).await.unwrap();
            events.into_iter().map(|event| (event.sequence.0, event.content)).collect::<Vec<_>>()
        }
    };
    assert_eq!(contents(2).await, [(5, "3".into()), (6, "4".into())]);
    assert_eq!(contents(1000).await.len(), 6);
    assert_eq!(contents(0).await, []);
}

/// A pipe's lines before `/quit` are all sent, however busy the machine is (S3).
#[test]
fn twenty_pipes_lose_no_line() {
    let server = ServerProgram::start(&[]);
    let mut reader = server.join("reader");
    let names: Vec<_> = (0..20).map(|n| format!("pipe {n}")).collect();
    let mut pipes: Vec<_> =
        names.iter().map(|name| server.start_client(server.address, name, &["--plain"])).collect();
    for (name, pipe) in names.iter().zip(&mut pipes) {
        pipe.type_text(format!("{name} one\n{name} two\n{name} three\n/quit\n"));
    }
    for pipe in &mut pipes {
        let ended = pipe.end().succeeded();
        assert!(!ended.errors.contains("not sent") && !ended.errors.contains("delivered"), "{ended:?}");
    }
    reader.quit().succeeded();
    let said: Vec<_> =
        server.records().into_iter().filter(|record| record["event"] == "message_broadcast").collect();
    for name in &names {
        let lines: Vec<_> = said.iter().filter(|record| record["display_name"] == **name).collect();
        let lines: Vec<_> = lines.iter().map(|record| record["content"].as_str().unwrap()).collect();
        assert_eq!(lines, ["one", "two", "three"].map(|line| format!("{name} {line}")));
    }
}

/// A line that was written right before the signal is sent, and an unfinished one is reported as not sent (S3).
#[test]
fn a_line_right_before_a_signal_is_sent() {
    let server = ServerProgram::start(&[]);
    for round in 0..10 {
        let mut bob = server.join(&format!("bob {round}"));
        bob.program.line();
        bob.program.type_text(format!("last words {round}\nunfin"));
        bob.program.signal("INT");
        let ended = bob.program.end();
        assert!(ended.errors.contains("* not sent: unfin"), "{ended:?}");
        assert_eq!(ended.code, Some(3));
        let mut said = server.records().into_iter().filter(|record| record["event"] == "message_broadcast");
        assert_eq!(said.next_back().unwrap()["content"], format!("last words {round}"));
    }
}

/// Even lines beyond the service's rate limit are all sent before the leave (S3).
#[test]
fn a_hundred_pasted_lines_are_all_sent() {
    let server = ServerProgram::start(&["--publish-rate", "50", "--publish-burst", "10"]);
    let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
    let mut bob = server.start_client(server.address, "bob", &["--plain"]);
    bob.type_text(lines);
    let ended = bob.end_of_input().succeeded();
    let shown = ended.output.iter().filter(|line| line.contains("] bob: line "));
    assert_eq!(shown.count(), 100);
}

/// Lines after `/quit` in a pipe are not sent, which is reported in a notice and in the exit code (S3).
#[test]
fn lines_after_quit_are_not_sent() {
    let server = ServerProgram::start(&[]);
    let mut bob = server.start_client(server.address, "bob", &["--plain"]);
    bob.type_text("\u{feff}one\r\n/who\n/quit\ntwo\nthree\n");
    let ended = bob.end_of_input();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.errors.contains("* not sent: two\n* not sent: three"), "{}", ended.errors);
    let said: Vec<_> = ended.output.iter().filter_map(|line| line.split_once("] bob: ")).collect();
    assert_eq!(said.iter().map(|(_, text)| *text).collect::<Vec<_>>(), ["one", "/who"]);
}

/// Earlier events are shown if requested, marked as earlier, and not logged (S7).
#[test]
fn history_is_shown_and_not_delivered() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    alice.program.type_line("before");
    alice.program.until("before");
    let url = format!("http://{}", server.address);
    let mut bob = server.join_at(&url, "bob", &["--plain", "--history", "20"]);
    let lines = bob.program.lines(3);
    assert!(
        lines[0].starts_with("earlier [") && lines[0].ends_with("joined Chit Chat at logical time 3"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("earlier [") && lines[1].ends_with("] alice: before"), "{lines:?}");
    assert!(lines[2].contains("] Participant bob joined"), "{lines:?}");
    bob.quit().succeeded();
    let delivered = bob.records().into_iter().filter(|record| record["event"] == "event_delivered");
    assert_eq!(delivered.map(|record| record["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [3]);

    let carol = server.join_at(&url, "carol", &["--json", "--history", "1"]);
    let object: serde_json::Value = serde_json::from_str(&carol.program.line()).unwrap();
    assert_eq!((&object["earlier"], &object["event"]), (&true.into(), &"event_listed".into()));
    assert!(object["local_time"].is_null());
    let dave = server.join("dave");
    assert!(dave.program.line().contains("Participant dave joined"), "a pipe gets only live events");
}

/// A message in flight when the user stops waiting may have been delivered, and is reported so (S3).
#[test]
fn a_message_in_flight_is_not_reported_as_not_sent() {
    let server = ServerProgram::start(&[]);
    let mut bob = server.join("bob");
    bob.program.line();
    server.program.signal("STOP");
    bob.program.type_line("on its way");
    bob.program.type_line("behind it");
    let start = Instant::now();
    while !bob.records().iter().any(|record| record["event"] == "publish_sent") {
        assert!(start.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
    bob.program.signal("INT");
    bob.program.notice("2 messages are not acknowledged yet");
    bob.program.signal("INT");
    let ended = bob.program.end();
    server.program.signal("CONT");
    let expected = "* may or may not have been delivered: on its way\n* not sent: behind it";
    assert!(ended.errors.contains(expected), "{}", ended.errors);
    assert_eq!(ended.code, Some(130));
}

/// When a client joins anew in the same conversation, the events that it missed are shown as new.
#[test]
fn events_since_a_lost_session_are_marked_as_new() {
    let server = ServerProgram::start(&["--grace", "500ms", "--ping", "200ms", "--ping-timeout", "300ms"]);
    let mut alice = server.join("alice");
    let url = format!("http://{}", server.address);
    let bob = server.join_at(&url, "bob", &["--plain", "--history", "20"]);
    bob.program.until("Participant bob joined");
    bob.program.signal("STOP");
    alice.program.until("Participant bob left");
    alice.program.type_line("meanwhile");
    alice.program.until("meanwhile");
    bob.program.signal("CONT");
    bob.program.notice("* new since you left:");
    let lines = bob.program.lines(3);
    assert!(lines[0].starts_with("earlier [") && lines[0].contains("Participant bob left"), "{lines:?}");
    assert!(lines[1].starts_with("earlier [") && lines[1].ends_with("] alice: meanwhile"), "{lines:?}");
    assert!(lines[2].contains("] Participant bob joined"), "{lines:?}");
}

/// A client that was offline reports for how long, and how much it missed.
#[tokio::test(flavor = "multi_thread")]
async fn missed_messages_are_counted() {
    let server = ServerProgram::start(&[]);
    let proxy = Proxy::to(server.address).await;
    let alice = server.join_by(proxy.address, "alice", "--plain");
    let bob = Participant::arrive(server.address, "bob").await;
    alice.program.until("bob joined");
    for (texts, expected) in
        [(&["one", "two"][..], "; 2 messages while you were away"), (&[], "; nothing was missed")]
    {
        proxy.cut();
        alice.program.notice("* offline");
        for text in texts {
            bob.publish(text).await;
        }
        proxy.restore(server.address);
        let back = alice.program.notice("* back after ");
        assert!(back.ends_with(expected), "{back}");
    }
}
