//! Deadlines: those that callers ask for, and those that the service imposes.

use std::time::Duration;

use chitchat::server::Config;
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use prost::Message;
use tonic::{Code, Status};

use crate::support::{BINARY, Fault, FaultyJournal, Frames, Http1, Participant, Server, Web, frame, soon};

const PUBLISH: &str = "/chitchat.v1.ChitChatService/Publish";
const CHECK: &str = "/grpc.health.v1.Health/Check";

#[tokio::test]
async fn a_unary_call_ends_at_its_callers_deadline() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let request = pb::PublishRequest { message_id: "m".into(), ..alice.request("late") };
    control.set(Fault::Silent);
    for time in ["100m", "100000u", "1n"] {
        let late = alice.wire.with("grpc-timeout", time).publish(&request).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{time}");
        let headers = [("grpc-timeout", time)];
        let web = Web { headers: &headers, ..Web::new(server.address) };
        assert_eq!(web.call("Publish", &request).await.end().await.code(), Code::DeadlineExceeded, "{time}");
    }
    control.set(Fault::None);
    let published = alice.wire.with("grpc-timeout", "1H").publish(&request).await.unwrap();
    assert_eq!(published.sequence, 2, "it was recorded after all, and only once (V5)");
    alice.hears("late").await;
    assert_eq!(alice.publish("and on").await.sequence, 3);
}

#[tokio::test]
async fn a_unary_call_without_a_deadline_ends_at_the_limit() {
    let (journal, control) = FaultyJournal::new();
    let request_time = Duration::from_millis(500);
    let server = Server::on(journal, Config { request_time, ..Server::config() }).await;
    let alice = Participant::arrive(server.address, "alice").await;
    control.set(Fault::Silent);
    let late = alice.wire.publish(&alice.request("late")).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let patient = alice.wire.with("grpc-timeout", "1H").publish(&alice.request("late")).await.unwrap_err();
    assert_eq!(patient.code(), Code::DeadlineExceeded, "no caller can ask for more than the limit");
    control.set(Fault::None);
}

#[tokio::test]
async fn a_stream_outlives_the_limit_and_its_callers_deadline() {
    let (request_time, heartbeat) = (Duration::from_secs(1), Duration::from_millis(100));
    let server = Server::with(Config { request_time, heartbeat, ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let wire = alice.wire.with("grpc-timeout", "1S");
    let join = pb::JoinRequest { display_name: "bob".into(), logical_time: 1, resume: None };
    let mut bob = Participant::over(wire, &join).await.unwrap();
    for participant in [&mut alice, &mut bob] {
        // 20 heartbeats take 2 s.
        for _ in 0..20 {
            while !matches!(participant.frames.next().await.unwrap(), Frame::Heartbeat(_)) {}
        }
    }
    alice.publish("still here").await;
    alice.hears("still here").await;
    bob.hears("still here").await;
}

#[tokio::test]
async fn a_dripping_body_is_cut_off() {
    let (request_time, heartbeat) = (Duration::from_millis(300), Duration::from_millis(20));
    let server = Server::with(Config { request_time, heartbeat, ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let body = frame(&alice.request(&"x".repeat(100)).encode_to_vec());
    for path in [PUBLISH, CHECK] {
        let (response, mut sending) = alice.wire.begin(alice.wire.request(path, "application/grpc")).await;
        let mut http1 = Http1::connect(server.address).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {BINARY}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        http1.say(head).await;
        let wire = alice.wire.clone();
        let answered = tokio::spawn(async move {
            let _wire = wire;
            soon(response).await.unwrap()
        });
        // One byte per heartbeat would take far longer than allowed.
        for drop in body.chunks(1).take(body.len() - 1) {
            if answered.is_finished() {
                break;
            }
            alice.frames.next().await.unwrap();
            let _ = sending.send_data(drop.to_vec().into(), false);
            http1.say(drop).await;
        }
        let (parts, rest) = answered.await.unwrap().into_parts();
        let end = Frames::new(&parts.headers, rest).message().await.unwrap_err();
        assert_eq!(end.code(), Code::DeadlineExceeded, "{path} over HTTP/2");

        let (_, headers) = http1.head().await;
        let status = Status::from_header_map(&headers).expect("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{path} over HTTP/1.1");
        http1.closed().await;
    }
    assert_eq!(alice.publish("hello").await.sequence, 2, "nothing else has happened");
}
