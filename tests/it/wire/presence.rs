//! Presence: notices between the events, which advance no clock and are not logged (S6, V7).

use std::time::{Duration, Instant};

use chitchat::client::{self, Options, Update};
use chitchat::server::{Config, PRESENCE_MERGE};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use tonic::Code;

use crate::support::{DurableServer, Participant, Proxy, Server, ServerProgram, Window, refused, soon};

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(60 * 60);

fn presence(participant: &Participant, connected: bool) -> Frame {
    let participant_id = participant.welcome.participant_id.clone();
    Frame::Presence(pb::Presence { participant_id, connected })
}

fn caught_up(sequence: u64) -> Frame {
    Frame::CaughtUp(pb::CaughtUp { sequence })
}

/// Everything up to and including this frame.
async fn until(participant: &mut Participant, wanted: &Frame) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.last() != Some(wanted) {
        frames.push(participant.frames.next().await.unwrap());
    }
    frames
}

fn changes(frames: &[Frame]) -> Vec<Frame> {
    frames.iter().filter(|frame| matches!(frame, Frame::Presence(_))).cloned().collect()
}

/// All frames up to and including a message with this text.
async fn until_message(participant: &mut Participant, text: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let frame = participant.frames.next().await.unwrap();
        let last = matches!(&frame, Frame::Event(event) if event.content == text);
        frames.push(frame);
        if last {
            return frames;
        }
    }
}

// S6: the others learn of a broken stream before the grace period ends, and of its return. The participant gets no
// notice about itself, and there is no event and no tick of the clock.
#[tokio::test]
async fn a_broken_stream_and_its_return_are_announced_to_the_others_at_once() {
    let server = Server::with(Config { grace: FOR_EVER, ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    let resume = bob.resume_point(2);
    let gone = [false, true].map(|connected| presence(&bob, connected));
    drop(bob);
    assert_eq!(changes(&until(&mut alice, &gone[0]).await), gone[..1]);

    let request = pb::JoinRequest { resume: Some(resume), ..Default::default() };
    let mut bob = Participant::open(server.address, &request, Window::default()).await.unwrap();
    assert_eq!(alice.frames.next().await.unwrap(), gone[1]);
    let accepted = alice.publish("hello").await;
    assert_eq!((accepted.sequence, accepted.logical_time), (3, 7), "no clock ticked meanwhile");
    assert_eq!(changes(&until_message(&mut bob, "hello").await), [], "none about itself");
    assert_eq!(changes(&until_message(&mut alice, "hello").await), []);
}

#[tokio::test]
async fn a_newcomer_learns_who_is_disconnected_after_caught_up_but_not_of_those_who_left() {
    let server = Server::with(Config { grace: FOR_EVER, ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let [bob, carol, dave] = [
        Participant::arrive(server.address, "bob").await,
        Participant::arrive(server.address, "carol").await,
        Participant::arrive(server.address, "dave").await,
    ];
    let broken = [&bob, &carol, &dave].map(|participant| presence(participant, false));
    let (back, point) = (presence(&dave, true), dave.resume_point(4));
    let bob_token = bob.welcome.session_token.clone();
    drop(bob);
    until(&mut alice, &broken[0]).await;
    drop(carol);
    until(&mut alice, &broken[1]).await;
    drop(dave);
    until(&mut alice, &broken[2]).await;
    let request = pb::JoinRequest { resume: Some(point), ..Default::default() };
    let mut dave = Participant::open(server.address, &request, Window::default()).await.unwrap();
    until(&mut alice, &back).await;
    let resumed = until(&mut dave, &broken[1]).await;
    assert_eq!(resumed, [caught_up(4), broken[0].clone(), broken[1].clone()], "a resume, too");

    let mut eve = Participant::join(server.address, "eve").await;
    let frames = until(&mut eve, &broken[1]).await;
    assert!(matches!(&frames[0], Frame::Event(event) if event.participant == eve.itself()), "{frames:?}");
    assert_eq!(frames[1..], [caught_up(5), broken[0].clone(), broken[1].clone()]);

    let request = pb::LeaveRequest { session_token: bob_token, logical_time: 0 };
    alice.wire.leave(&request).await.unwrap();
    let mut frank = Participant::join(server.address, "frank").await;
    let frames = until(&mut frank, &broken[1]).await;
    assert_eq!(frames[1..], [caught_up(7), broken[1].clone()], "bob has left");
    alice.publish("hello").await;
    for participant in [&mut alice, &mut dave, &mut eve, &mut frank] {
        assert_eq!(changes(&until_message(participant, "hello").await), []);
    }
}

#[tokio::test]
async fn a_replaced_stream_does_not_count_as_broken() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    let mut next = bob.resume(server.address, 2).await.unwrap();
    refused::<()>(Err(bob.end().await), Code::Aborted, "REPLACED");
    drop(bob);
    next.publish("hello").await;
    assert_eq!(changes(&until_message(&mut next, "hello").await), []);
    assert_eq!(changes(&until_message(&mut alice, "hello").await), []);
}

#[tokio::test]
async fn after_a_restart_all_are_disconnected_until_they_resume() {
    let mut server = DurableServer::start(&["--grace", "1h"]);
    let [alice, bob, carol] = [
        Participant::arrive(server.address, "alice").await,
        Participant::arrive(server.address, "bob").await,
        Participant::arrive(server.address, "carol").await,
    ];
    alice.publish("hello").await;
    server.kill();
    server.start_again();
    let mut alice = alice.resume(server.address, 4).await.unwrap();
    let broken = [&bob, &carol].map(|participant| presence(participant, false));
    let frames = until(&mut alice, &broken[1]).await;
    assert_eq!(frames, [caught_up(4), broken[0].clone(), broken[1].clone()]);
    let _bob = bob.resume(server.address, 4).await.unwrap();
    assert_eq!(alice.frames.next().await.unwrap(), presence(&bob, true));
}

#[tokio::test]
async fn a_stopping_service_announces_no_disconnects() {
    let server = Server::start().await;
    let mut people = Vec::new();
    for n in 0..20 {
        people.push(Participant::arrive(server.address, &format!("p {n}")).await);
    }
    server.stop().await.unwrap();
    for participant in &mut people {
        let status = loop {
            match participant.frames.next().await {
                Ok(frame) => assert!(!matches!(frame, Frame::Presence(_)), "{frame:?}"),
                Err(status) => break status,
            }
        };
        refused::<()>(Err(status), Code::Unavailable, "SHUTTING_DOWN");
    }
}

// However often a participant comes and goes, a reader gets only few frames about it, and the last one is right.
#[tokio::test]
async fn a_participant_that_comes_and_goes_costs_a_reader_few_frames() {
    let server = Server::with(Config { grace: FOR_EVER, ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    let began = Instant::now();
    for _ in 0..60 {
        let request = pb::JoinRequest { resume: Some(bob.resume_point(2)), ..Default::default() };
        drop(bob);
        bob = Participant::open(server.address, &request, Window::default()).await.unwrap();
    }
    let last = presence(&bob, false);
    drop(bob);
    // Changes are published in order, so this one comes after all others.
    let carol = Participant::arrive(server.address, "carol").await;
    let end = presence(&carol, false);
    drop(carol);
    let told = changes(&until(&mut alice, &end).await);
    let most = began.elapsed().div_duration_f64(PRESENCE_MERGE) as usize + 3;
    assert!(told.len() <= most, "{} of up to 121 changes, but at most {most} expected", told.len());
    assert_eq!(told.iter().rfind(|frame| **frame != end), Some(&last));
}

// T1: a reader that reads nothing delays no other, and later gets only the latest state.
#[tokio::test]
async fn a_slow_reader_of_presence_delays_no_other() {
    let server = Server::with(Config { grace: FOR_EVER, stall: FOR_EVER, ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut slow = Participant::join_with(server.address, "slow", Window::Bytes(256)).await;
    let mut crowd = Vec::new();
    for n in 0..100 {
        crowd.push(Participant::join(server.address, &format!("p {n}")).await);
    }
    let broken: Vec<_> = crowd.iter().map(|participant| presence(participant, false)).collect();
    drop(crowd);
    alice.publish("hello").await;
    let mut told = Vec::new();
    while told.len() < broken.len() {
        if let frame @ Frame::Presence(_) = alice.frames.next().await.unwrap() {
            told.push(frame);
        }
    }
    assert!(broken.iter().all(|frame| told.contains(frame)));
    let frames = until_message(&mut slow, "hello").await;
    let joined = frames.iter().filter(|frame| matches!(frame, Frame::Event(_))).count();
    assert_eq!(joined, 102, "all events, despite the changes");
    let mut told = changes(&frames);
    while told.len() < broken.len() {
        told.push(slow.frames.next().await.unwrap());
    }
    assert!(broken.iter().all(|frame| told.contains(frame)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_library_reports_presence_and_no_clock_ticks_v7() {
    let server = ServerProgram::start(&["--grace", "1h"]);
    let proxy = Proxy::to(server.address).await;
    let options = Options::new(format!("http://{}", server.address), "alice");
    let (chat, mut updates) = client::join(options).await.unwrap();
    let bob = server.join_by(proxy.address, "bob", "--plain");
    let mut carol = server.join("carol");
    let mut next = async || {
        loop {
            match soon(updates.next()).await.expect("another update") {
                Update::Event(event) if event.content != "hello" => {}
                update => return update,
            }
        }
    };
    proxy.cut();
    for connected in [false, true] {
        match next().await {
            Update::Presence { participant, connected: told } => {
                assert_eq!((participant.display_name.as_str(), told), ("bob", connected));
            }
            other => panic!("{other:?}"),
        }
        if !connected {
            proxy.restore(server.address);
        }
    }
    let receipt = chat.publish("hello").await.unwrap();
    assert!(matches!(next().await, Update::Event(event) if event.sequence == receipt.sequence));
    bob.program.signal("KILL");
    assert!(matches!(next().await, Update::Presence { connected: false, .. }));
    // A client in a pipe does not report it. When the server is dropped, `verify` checks all logs.
    carol.program.until("hello");
    assert!(!carol.quit().errors.contains("bob is"));
    assert!(server.records().iter().all(|record| !record["event"].as_str().unwrap().contains("presence")));
}
