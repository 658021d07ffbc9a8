//! The lab, byte by byte: each fault, set and ended, by hand and by time; what its service refuses.

mod calls;

use std::time::Duration;

use chitchat::server::{Config, LabConfig, PUBLISHES_HELD_MAX, Secret};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use tonic::Code;

use crate::support::{Participant, Server, refused, soon};
use calls::{
    KEY, LONG, beats, call, clear, cut, delayed, deliveries, hold, holds, lab, list, listed, next_notice,
    publishes, release, set, wire_time,
};

/// K1, K2: held deliveries are a range of the feed. They are counted, announced to their participant, and released one
/// by one or all at once. They arrive once and in order, even over a stream that was resumed meanwhile.
#[tokio::test]
async fn held_deliveries() {
    let server = lab().await;
    let (mut alice, mut bob) =
        (Participant::arrive(server.address, "alice").await, Participant::arrive(server.address, "bob").await);
    assert_eq!(alice.event().await.participant, bob.itself());
    let set = set(&bob.wire, "alice", deliveries(hold()), LONG).await;
    assert_eq!((set.from_sequence, set.deliveries_held, set.fault), (3, 0, Some(deliveries(hold()))));
    assert_eq!(next_notice(&mut alice).await, "deliveries held");
    for text in ["a", "b", "c", "d"] {
        bob.publish(text).await;
        bob.hears(text).await;
    }
    let held = listed(&bob.wire, "alice").await;
    assert_eq!(held.deliveries_held, 4);
    let next: Vec<_> = held.next_deliveries.iter().map(|event| (event.sequence, &*event.content)).collect();
    assert_eq!(next, [(3, "a"), (4, "b"), (5, "c"), (6, "d")]);
    beats(&mut alice, 3).await;
    assert_eq!(release(&bob.wire, "alice", 1).await.deliveries_held, 3);
    alice.hears("a").await;
    beats(&mut alice, 3).await;
    drop(alice.frames);
    let point = Some(pb::ResumePoint { after_sequence: 3, ..alice_point(&alice.welcome) });
    let request = pb::JoinRequest { resume: point, ..Default::default() };
    let mut alice = Participant::over(alice.wire, &request).await.unwrap();
    assert_eq!(next_notice(&mut alice).await, "deliveries held");
    beats(&mut alice, 2).await;
    assert_eq!(release(&bob.wire, "alice", 2).await.deliveries_held, 1);
    alice.hears("b").await;
    alice.hears("c").await;
    assert_eq!(release(&bob.wire, "alice", 0).await.deliveries_held, 0);
    alice.hears("d").await;
    bob.publish("e").await;
    assert_eq!(listed(&bob.wire, "alice").await.deliveries_held, 1, "the hold stays");
    clear(&bob.wire).await;
    assert_eq!(next_notice(&mut alice).await, "");
    assert_eq!(alice.hears("e").await.sequence, 7);
    assert_eq!(listed(&bob.wire, "alice").await.fault, None);
}

fn alice_point(welcome: &pb::Welcome) -> pb::ResumePoint {
    let (session_token, epoch) = (welcome.session_token.clone(), welcome.epoch.clone());
    pb::ResumePoint { session_token, epoch, ..Default::default() }
}

/// K4: every fault ends by itself.
#[tokio::test]
async fn a_fault_ends_when_its_time_is_over() {
    let server = lab().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let short = Duration::from_millis(100);
    let second = Duration::from_secs(30);
    let pause = pb::Fault { pause: true, ..Default::default() };
    for (n, fault) in
        [deliveries(hold()), deliveries(cut()), deliveries(delayed(second, second)), pause].into_iter().enumerate()
    {
        set(&alice.wire, "alice", fault, short).await;
        let request = alice.request(&n.to_string());
        soon(alice.wire.publish(&request)).await.unwrap();
        alice.hears(&n.to_string()).await;
    }
    for (n, fault) in [publishes(hold()), publishes(delayed(second, second))].into_iter().enumerate() {
        set(&alice.wire, "alice", fault, short).await;
        alice.publish(&format!("held {n}")).await;
        alice.hears(&format!("held {n}")).await;
    }
}

/// K1: a cut stream is silent, without heartbeats and without a notice, and is not closed for that, however short the
/// stall limit is. The missed events follow when the cut ends.
#[tokio::test]
async fn cut_deliveries() {
    let (heartbeat, stall) = (Duration::from_millis(20), Duration::from_millis(50));
    let config = Config { lab: Some(LabConfig::default()), heartbeat, stall, ..Server::config() };
    let server = Server::with(config).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    assert_eq!(alice.event().await.participant, bob.itself());
    // From here on, only what is already in flight may arrive.
    set(&bob.wire, "alice", deliveries(cut()), LONG).await;
    bob.publish("lost?").await;
    bob.hears("lost?").await;
    // Ten heartbeats take longer than the stall limit.
    beats(&mut bob, 10).await;
    clear(&bob.wire).await;
    let mut heartbeats = 0;
    loop {
        match alice.frames.next().await.unwrap() {
            Frame::Event(event) => break assert_eq!(event.content, "lost?"),
            Frame::Heartbeat(_) => heartbeats += 1,
            Frame::CaughtUp(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(heartbeats <= 5, "a cut stream has no heartbeats: {heartbeats}");
}

/// K1: a cut publish gets no answer before its deadline and causes no event; sent again later, it becomes one message.
#[tokio::test]
async fn cut_publishes() {
    let server = lab().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    set(&alice.wire, "alice", publishes(cut()), LONG).await;
    assert_eq!(next_notice(&mut alice).await, "publishes cut");
    let request = pb::PublishRequest { message_id: "m".into(), ..alice.request("hello") };
    let hasty = alice.wire.with("grpc-timeout", "100m");
    let status = hasty.publish(&request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    clear(&alice.wire).await;
    assert_eq!(next_notice(&mut alice).await, "");
    alice.wire.publish(&request).await.unwrap();
    assert_eq!(alice.hears("hello").await.sequence, 2);
}

/// K1, K3: held publishes are released in the order of their arrival, one by one or all; beyond the limit, publishes
/// are refused.
#[tokio::test]
async fn held_publishes() {
    let server = lab().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    set(&alice.wire, "alice", publishes(hold()), LONG).await;
    let mut publishing = Vec::new();
    for n in 0..PUBLISHES_HELD_MAX {
        let (wire, request) = (alice.wire.clone(), alice.request(&n.to_string()));
        publishing.push(tokio::spawn(async move { wire.publish(&request).await }));
        holds(&alice.wire, "alice", n as u32 + 1).await;
    }
    let refusal =
        refused(alice.wire.publish(&alice.request("one too many")).await, Code::ResourceExhausted, "RATE_LIMITED");
    assert_eq!(refusal.figure("publishes_held_max"), PUBLISHES_HELD_MAX.to_string());
    assert_eq!(next_notice(&mut alice).await, "publishes held");
    let texts =
        |held: pb::LabParticipant| held.held_requests.into_iter().map(|held| held.text).collect::<Vec<_>>();
    let sent: Vec<_> = (0..PUBLISHES_HELD_MAX).map(|n| n.to_string()).collect();
    assert_eq!(texts(listed(&alice.wire, "alice").await), sent, "the teacher sees what is held");
    release(&alice.wire, "alice", 1).await;
    alice.hears("0").await;
    holds(&alice.wire, "alice", PUBLISHES_HELD_MAX as u32 - 1).await;
    assert_eq!(texts(listed(&alice.wire, "alice").await), sent[1..]);
    // A cancelled request frees its place.
    publishing.pop().unwrap().abort();
    holds(&alice.wire, "alice", PUBLISHES_HELD_MAX as u32 - 2).await;
    release(&alice.wire, "alice", 0).await;
    for n in 1..PUBLISHES_HELD_MAX - 1 {
        alice.hears(&n.to_string()).await;
    }
    for published in publishing {
        soon(published).await.unwrap().unwrap();
    }
    clear(&alice.wire).await;
    alice.publish("free").await;
    alice.hears("free").await;
}

/// K1: delayed events and publishes keep their order, whatever the jitter.
#[tokio::test]
async fn delays() {
    let server = lab().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let short = Duration::from_millis(5);
    let jittery = delayed(short, short);
    let both = pb::Fault { deliveries: Some(jittery), publishes: Some(jittery), pause: false };
    set(&alice.wire, "alice", both, LONG).await;
    assert_eq!(next_notice(&mut alice).await, "deliveries delayed, publishes delayed");
    for n in 0..20 {
        alice.publish(&n.to_string()).await;
    }
    for n in 0..20 {
        alice.hears(&n.to_string()).await;
    }
    // A long delay ends with the fault.
    set(&alice.wire, "alice", deliveries(delayed(Duration::from_secs(30), Duration::ZERO)), LONG).await;
    assert_eq!(next_notice(&mut alice).await, "deliveries delayed");
    alice.publish("late").await;
    beats(&mut alice, 3).await;
    clear(&alice.wire).await;
    assert_eq!(next_notice(&mut alice).await, "");
    alice.hears("late").await;
}

/// K1: the lab breaks a stream once; the session resumes without a gap.
#[tokio::test]
async fn disconnect() {
    let server = lab().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    let request = pb::SetFaultRequest { display_name: "alice".into(), disconnect: true, ..Default::default() };
    for round in 0..2_u64 {
        call::<pb::SetFaultResponse>(&bob.wire, "SetFault", &request).await.unwrap();
        let end = refused::<()>(Err(alice.end().await), Code::Unavailable, "LAB_DISCONNECTED");
        assert_eq!(end.retry, Some(Duration::ZERO));
        bob.publish("missed").await;
        alice = alice.resume(server.address, 2 + round).await.unwrap();
        assert_eq!(alice.hears("missed").await.sequence, 3 + round);
    }
}

/// K1, K5: while the writer is stopped nothing is recorded; requests are answered when it runs again.
#[tokio::test]
async fn stopped_writer() {
    let server = lab().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let request = pb::StopWriterRequest { duration: wire_time(Duration::from_secs(60)) };
    call::<pb::StopWriterResponse>(&alice.wire, "StopWriter", &request).await.unwrap();
    assert!(list(&alice.wire).await.writer_stopped_for.is_some());
    let (wire, publish) = (alice.wire.clone(), alice.request("waits"));
    let publishing = tokio::spawn(async move { wire.publish(&publish).await });
    beats(&mut alice, 3).await;
    assert!(!publishing.is_finished());
    clear(&alice.wire).await;
    soon(publishing).await.unwrap().unwrap();
    alice.hears("waits").await;
    assert_eq!(list(&alice.wire).await.writer_stopped_for, None);
    // A stopping service does not wait for the writer.
    call::<pb::StopWriterResponse>(&alice.wire, "StopWriter", &request).await.unwrap();
    server.stop().await.unwrap();
}

/// K6: a participant that leaves gets everything up to its leave, whatever the lab does to its deliveries.
#[tokio::test]
async fn a_participant_that_leaves_gets_the_rest() {
    let server = lab().await;
    for fault in [deliveries(hold()), deliveries(cut()), pb::Fault { pause: false, ..deliveries(hold()) }] {
        let mut alice = Participant::arrive(server.address, "alice").await;
        set(&alice.wire, "alice", fault, LONG).await;
        alice.publish("last words").await;
        alice.leave().await.unwrap();
        alice.hears("last words").await;
        assert_eq!(alice.end().await.code(), Code::Ok);
    }
}

/// K7: only the key opens the lab; unknown names and invalid values are refused, each with its reason.
#[tokio::test]
async fn refusals() {
    let key = Some(Secret::parse(KEY).unwrap());
    let server = Server::with(Config { lab: Some(LabConfig { key, stage: None }), ..Server::config() }).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let (none, wrong) = (alice.wire.clone(), alice.wire.with("lab-key", "another-key-of-a-lab"));
    for wire in [none, wrong] {
        for method in ["ListFaults", "SetFault", "ReleaseHeld", "ClearFaults", "StopWriter"] {
            let answer = call::<pb::ListFaultsResponse>(&wire, method, &pb::ListFaultsRequest {}).await;
            refused(answer, Code::PermissionDenied, "LAB_KEY_REQUIRED");
        }
    }
    let teacher = alice.wire.with("lab-key", KEY);
    assert_eq!(list(&teacher).await.participants.len(), 1);
    let right = pb::SetFaultRequest {
        display_name: "alice".into(),
        fault: Some(deliveries(hold())),
        ..Default::default()
    };
    let unknown = pb::SetFaultRequest { display_name: "nobody".into(), ..right.clone() };
    let answer = call::<pb::SetFaultResponse>(&teacher, "SetFault", &unknown).await;
    assert_eq!(refused(answer, Code::NotFound, "NAME_UNKNOWN").fields, ["display_name"]);
    let release = pb::ReleaseHeldRequest { display_name: "nobody".into(), count: 1, ..Default::default() };
    let answer = call::<pb::ReleaseHeldResponse>(&teacher, "ReleaseHeld", &release).await;
    refused(answer, Code::NotFound, "NAME_UNKNOWN");
    let minute = Duration::from_secs(60);
    let too_long = |field: &'static str| {
        let (long, none) = (wire_time(minute), None);
        let impairment = match field.rsplit('.').next() {
            Some("delay") => pb::Impairment { delay: long, jitter: none, ..Default::default() },
            _ => pb::Impairment { delay: none, jitter: long, ..Default::default() },
        };
        let is_of_deliveries = field.starts_with("fault.deliveries.");
        let fault = if is_of_deliveries { deliveries(impairment) } else { publishes(impairment) };
        (field, pb::SetFaultRequest { fault: Some(fault), ..right.clone() })
    };
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    for (field, request) in [
        too_long("fault.deliveries.delay"),
        too_long("fault.deliveries.jitter"),
        too_long("fault.publishes.delay"),
        too_long("fault.publishes.jitter"),
        ("duration", pb::SetFaultRequest { duration: wire_time(minute * 11), ..right.clone() }),
        ("duration", pb::SetFaultRequest { duration: negative, ..right.clone() }),
        ("duration", pb::SetFaultRequest { duration: wire_time(Duration::ZERO), ..right.clone() }),
        ("fault", pb::SetFaultRequest { fault: None, ..right.clone() }),
        ("fault", pb::SetFaultRequest { fault: Some(pb::Fault::default()), ..right.clone() }),
    ] {
        let answer = call::<pb::SetFaultResponse>(&teacher, "SetFault", &request).await;
        assert_eq!(refused(answer, Code::InvalidArgument, "FAULT_INVALID").fields, [field]);
    }
    for duration in [wire_time(minute * 2), negative, wire_time(Duration::ZERO)] {
        let request = pb::StopWriterRequest { duration };
        let answer = call::<pb::StopWriterResponse>(&teacher, "StopWriter", &request).await;
        refused(answer, Code::InvalidArgument, "FAULT_INVALID");
    }
    assert_eq!(listed(&teacher, "alice").await.fault, None, "no refused call has changed anything");
}

/// K7: a service without a lab does not implement these calls, and does not list them in its reflection.
#[tokio::test]
async fn no_lab_in_serve() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    for method in ["ListFaults", "SetFault", "ReleaseHeld", "ClearFaults", "StopWriter"] {
        let answer = call::<pb::ListFaultsResponse>(&alice.wire, method, &pb::ListFaultsRequest {}).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
    }
    let contains = |set: &[u8]| set.windows(10).any(|window| window == b"LabService");
    assert!(!contains(chitchat::wire::service::FILE_DESCRIPTOR_SET));
    assert!(contains(chitchat::wire::service::LAB_FILE_DESCRIPTOR_SET));
}
