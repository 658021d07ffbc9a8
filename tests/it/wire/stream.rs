//! A participant's stream, byte by byte: quiet, slow, and at its end (S4, T1).

use std::time::Duration;

use chitchat::server::{Config, FEED_WINDOW};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use tonic::Code;

use crate::support::{Participant, Server, Window, check_transcript, refused};

#[tokio::test]
async fn a_quiet_stream_has_heartbeats_that_are_not_events() {
    let server = Server::with(Config { heartbeat: Duration::from_millis(20), ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    assert_eq!(alice.frames.next().await.unwrap(), Frame::CaughtUp(pb::CaughtUp { sequence: 1 }));
    for _ in 0..3 {
        assert_eq!(alice.frames.next().await.unwrap(), Frame::Heartbeat(pb::Heartbeat { head_sequence: 1 }));
    }
    let accepted = alice.publish("hello").await;
    assert_eq!((accepted.sequence, accepted.logical_time), (2, 5), "no clock ticked meanwhile");
    alice.hears("hello").await;
    let heartbeat = Frame::Heartbeat(pb::Heartbeat { head_sequence: 2 });
    while alice.frames.next().await.unwrap() != heartbeat {}
}

/// More than the window of the feed, so that a reader this far behind reads from the journal first.
const MANY: u64 = FEED_WINDOW as u64 + 500;

#[tokio::test]
async fn a_stalled_reader_is_closed_resumes_without_a_gap_and_delays_no_other_t1() {
    let (stall, heartbeat) = (Duration::from_millis(200), Duration::from_millis(50));
    let server = Server::with(Config { stall, heartbeat, ..Server::config() }).await;
    let alice = Participant::arrive(server.address, "alice").await;
    // The slow reader is sent what its window holds, and not one byte more until it reads.
    let mut slow = Participant::join_with(server.address, "slow", Window::Bytes(1024)).await;
    let mut watcher = Participant::arrive(server.address, "watcher").await;
    let publishing = tokio::spawn(async move {
        alice.publish_many(MANY).await;
        alice
    });
    // The service closes the slow stream after the stall limit.
    let closed = pb::Presence { participant_id: slow.welcome.participant_id.clone(), connected: false };
    while watcher.frames.next().await.unwrap() != Frame::Presence(closed.clone()) {}

    let mut received = Vec::new();
    let end = loop {
        match slow.frames.event().await {
            Ok(event) => received.push((event.sequence, event.logical_time)),
            Err(status) => break status,
        }
    };
    let refusal = refused::<()>(Err(end), Code::ResourceExhausted, "SLOW_CONSUMER");
    assert!(refusal.retry.is_some());
    assert!(received.len() < 1_000, "it was closed long before the end, and not after {}", received.len());

    let mut alice = publishing.await.unwrap();
    let mut expected = Vec::new();
    while expected.len() < MANY as usize + 2 {
        let event = alice.event().await;
        expected.push((event.sequence, event.logical_time));
    }
    check_transcript(&expected);
    let mut resumed = slow.resume(server.address, received.last().unwrap().0).await.unwrap();
    while received.len() < expected.len() {
        let event = resumed.event().await;
        received.push((event.sequence, event.logical_time));
    }
    assert_eq!(received, expected, "nothing missed and nothing twice");
    let caught_up = Frame::CaughtUp(pb::CaughtUp { sequence: MANY + 3 });
    assert_eq!(resumed.frames.next().await.unwrap(), caught_up, "from the journal and then from the feed");
}

#[tokio::test]
async fn a_stopping_service_ends_every_stream_with_a_reason() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    server.stop().await.unwrap();
    for participant in [&mut alice, &mut bob] {
        let refusal = refused::<()>(Err(participant.end().await), Code::Unavailable, "SHUTTING_DOWN");
        assert!(refusal.retry.is_some());
    }
}
