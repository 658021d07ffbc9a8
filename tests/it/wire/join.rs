//! Join and resume, byte by byte (S5, V4, V8, V9).

use std::time::Duration;

use chitchat::chat::CLOCK_LEAP_MAX;
use chitchat::server::Config;
use chitchat::wire::pb;
use chitchat::wire::pb::event::Kind;
use chitchat::wire::pb::join_response::Frame;
use tonic::{Code, Status};

use crate::support::{Participant, Server, Window, refused};

async fn try_join(server: &Server, name: &str, logical_time: u64) -> Result<Participant, Status> {
    let request = pb::JoinRequest { display_name: name.into(), logical_time, resume: None };
    Participant::open(server.address, &request, Window::default()).await
}

async fn try_resume(server: &Server, resume: pb::ResumePoint) -> Result<Participant, Status> {
    let request = pb::JoinRequest { resume: Some(resume), ..Default::default() };
    Participant::open(server.address, &request, Window::default()).await
}

#[tokio::test]
async fn a_complete_welcome_is_followed_by_the_participants_own_joined_s5_v9() {
    let server = Server::with(Config { heartbeat: Duration::from_millis(12_345), ..Server::config() }).await;
    let alice = Participant::join(server.address, "  alice  ").await;
    let mut bob = try_join(&server, "bob", 40).await.unwrap();
    let Participant { welcome, .. } = &bob;
    assert_eq!((welcome.head_sequence, welcome.logical_time, welcome.resumed), (2, 42, false));
    let names: Vec<_> = welcome.participants.iter().map(|participant| &*participant.display_name).collect();
    assert_eq!(names, ["alice", "bob"], "in order of joining, the caller included");
    assert_eq!(bob.itself().unwrap().display_name, "bob");
    assert_ne!(welcome.participant_id, alice.welcome.participant_id);
    assert_eq!(welcome.epoch, alice.welcome.epoch);
    assert!(welcome.session_token.len() >= 32 && welcome.session_token != alice.welcome.session_token);
    let heartbeat = welcome.heartbeat_interval.unwrap();
    assert_eq!((heartbeat.seconds, heartbeat.nanos), (12, 345_000_000));
    assert_eq!(welcome.limits, Some(pb::Limits { text_characters_max: 128, name_characters_max: 32 }));

    let itself = bob.itself();
    let Ok(Frame::Event(event)) = bob.frames.next().await else { panic!("its own Joined is the next frame") };
    assert_eq!(event.content, "Participant bob joined Chit Chat at logical time 42");
    assert_eq!((event.sequence, event.logical_time, event.participant), (2, 42, itself));
    assert_eq!(event.kind, Some(Kind::Joined(pb::Joined {})));
    assert!(event.recorded_at.is_some());
    let caught_up = Frame::CaughtUp(pb::CaughtUp { sequence: 2 });
    assert_eq!(bob.frames.next().await.unwrap(), caught_up);
}

#[tokio::test]
async fn the_name_of_an_active_participant_and_its_lookalikes_are_taken_v8() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    for name in ["alice", "ALICE", " Alice ", "аlісе", "ａｌｉｃｅ", "a\u{4cf}ice"] {
        let refusal = refused(try_join(&server, name, 0).await, Code::AlreadyExists, "NAME_TAKEN");
        assert_eq!(refusal.fields, ["display_name"], "{name}");
    }
    let bob = try_join(&server, "bob", 0).await.unwrap();
    assert_eq!(bob.welcome.head_sequence, 2, "a refused join makes no event");
    alice.leave().await.unwrap();
    try_join(&server, "ALICE", 0).await.unwrap();
}

#[tokio::test]
async fn an_invalid_name_is_refused() {
    let server = Server::start().await;
    let stacked = "z\u{35c}\u{35d}\u{35e}";
    let long = "å".repeat(33);
    for name in ["", " ", "\u{2800}", "\u{301}", stacked, &long, "a\nb", "a\u{202e}b", "a\u{200b}b", "\u{1b}[2J"] {
        let refusal = refused(try_join(&server, name, 0).await, Code::InvalidArgument, "NAME_INVALID");
        assert_eq!((&*refusal.fields, refusal.figure("characters_max")), (&["display_name".to_owned()][..], "32"));
    }
    for name in ["å".repeat(32).as_str(), "李小龍", "😀", "../../etc/passwd", "<b>&amp;\"'"] {
        assert_eq!(try_join(&server, name, 0).await.unwrap().itself().unwrap().display_name, name);
    }
}

#[tokio::test]
async fn a_join_beyond_the_clock_limit_is_refused_and_one_at_the_limit_is_not_v2() {
    let server = Server::start().await;
    refused(try_join(&server, "eve", CLOCK_LEAP_MAX + 1).await, Code::OutOfRange, "CLOCK_OUT_OF_RANGE");
    refused(try_join(&server, "eve", u64::MAX).await, Code::OutOfRange, "CLOCK_OUT_OF_RANGE");
    let alice = try_join(&server, "alice", CLOCK_LEAP_MAX).await.unwrap();
    assert_eq!((alice.welcome.head_sequence, alice.welcome.logical_time), (1, CLOCK_LEAP_MAX + 2));
}

#[tokio::test]
async fn a_full_conversation_refuses_joins_until_a_participant_leaves() {
    let server = Server::with(Config { participants_max: 2, ..Server::config() }).await;
    let alice = Participant::join(server.address, "alice").await;
    let bob = Participant::join(server.address, "bob").await;
    let refusal = refused(try_join(&server, "carol", 0).await, Code::ResourceExhausted, "CONVERSATION_FULL");
    assert_eq!(refusal.figure("participants_max"), "2");
    assert!(refusal.retry.is_some());
    bob.resume(server.address, 2).await.unwrap();
    alice.leave().await.unwrap();
    try_join(&server, "carol", 0).await.unwrap();
}

#[tokio::test]
async fn a_resume_within_the_grace_period_misses_nothing_and_is_invisible_to_others_v4() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    let last = bob.welcome.head_sequence;
    let Participant { wire, frames, welcome } = bob;
    drop((wire, frames));
    for n in 0..5 {
        alice.publish(&format!("meanwhile {n}")).await;
    }
    let resume = pb::ResumePoint {
        session_token: welcome.session_token.clone(),
        epoch: welcome.epoch.clone(),
        after_sequence: last,
        ..Default::default()
    };
    let mut bob = try_resume(&server, resume).await.unwrap();
    assert_eq!((bob.welcome.resumed, bob.welcome.head_sequence, bob.welcome.logical_time), (true, 7, 15));
    assert_eq!(bob.welcome.participant_id, welcome.participant_id);
    assert_eq!(bob.welcome.session_token, welcome.session_token);
    for n in 0..5 {
        bob.hears(&format!("meanwhile {n}")).await;
    }
    assert_eq!(bob.frames.next().await.unwrap(), Frame::CaughtUp(pb::CaughtUp { sequence: 7 }));
    bob.publish("here").await;
    bob.hears("here").await;
    alice.event().await;
    for n in 0..5 {
        alice.hears(&format!("meanwhile {n}")).await;
    }
    let here = alice.hears("here").await;
    assert_eq!((here.sequence, here.logical_time), (8, 17), "the resume took no sequence and no time");
}

#[tokio::test]
async fn a_session_resumes_from_any_position_since_its_own_joined_v9() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let bob = Participant::join(server.address, "bob").await;
    for n in 3..6 {
        assert_eq!(alice.publish("more").await.sequence, n);
    }
    for (after, first) in [(0, 2), (1, 2), (2, 3), (4, 5)] {
        let mut resumed = bob.resume(server.address, after).await.unwrap();
        assert_eq!(resumed.event().await.sequence, first, "after {after}");
    }
    let mut resumed = bob.resume(server.address, 5).await.unwrap();
    assert_eq!(resumed.frames.next().await.unwrap(), Frame::CaughtUp(pb::CaughtUp { sequence: 5 }));
}

#[tokio::test]
async fn a_resume_with_the_wrong_epoch_session_or_position_is_refused() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let right = alice.resume_point(1);

    let other = pb::ResumePoint { epoch: "another".into(), ..right.clone() };
    let refusal = refused(try_resume(&server, other).await, Code::FailedPrecondition, "EPOCH_CHANGED");
    assert_eq!(refusal.figure("epoch"), alice.welcome.epoch);

    let unknown = pb::ResumePoint { session_token: "0".repeat(32), ..right.clone() };
    refused(try_resume(&server, unknown).await, Code::Unauthenticated, "SESSION_UNKNOWN");
    refused(try_resume(&server, pb::ResumePoint::default()).await, Code::FailedPrecondition, "EPOCH_CHANGED");

    let future = pb::ResumePoint { after_sequence: 2, ..right.clone() };
    let refusal = refused(try_resume(&server, future).await, Code::OutOfRange, "SEQUENCE_OUT_OF_RANGE");
    assert_eq!((refusal.figure("sequence"), refusal.figure("head_sequence")), ("2", "1"));

    alice.leave().await.unwrap();
    refused(try_resume(&server, right).await, Code::Unauthenticated, "SESSION_UNKNOWN");
}

#[tokio::test]
async fn a_second_resume_replaces_the_first_stream() {
    let server = Server::with(Config { grace: Duration::from_millis(50), ..Server::config() }).await;
    let mut first = Participant::arrive(server.address, "alice").await;
    let mut second = first.resume(server.address, 1).await.unwrap();
    refused::<()>(Err(first.end().await), Code::Aborted, "REPLACED");
    // The end of the first stream starts no grace period: Bob's, which starts later, ends, and alice is still there.
    let mut carol = Participant::arrive(server.address, "carol").await;
    drop(Participant::arrive(server.address, "bob").await);
    carol.hears("Participant bob joined Chit Chat at logical time 7").await;
    carol.hears("Participant bob left Chit Chat at logical time 9").await;
    second.publish("still here").await;
    assert_eq!(second.event().await.sequence, 2);
}

#[tokio::test]
async fn a_participant_without_a_stream_leaves_after_its_grace_period_s6() {
    let server = Server::with(Config { grace: Duration::from_millis(50), ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    let (point, itself) = (bob.resume_point(2), bob.itself());
    drop(bob);
    alice.event().await;
    let event = alice.hears("Participant bob left Chit Chat at logical time 7").await;
    assert_eq!(event.participant, itself);
    assert_eq!(event.kind, Some(Kind::Left(pb::Left { reason: pb::LeaveReason::Disconnected.into() })));
    refused(try_resume(&server, point).await, Code::Unauthenticated, "SESSION_UNKNOWN");
}
