//! A service stops in good order and in bounded time.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use chitchat::chat::Sequence;
use chitchat::server::Config;
use chitchat::wire::pb;
use http::StatusCode;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::support::{
    FaultyJournal, Frames, Http1, Participant, Server, ServerProgram, Window, Wire, frame, refused, soon,
};

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(60 * 60);

/// A peer that has begun to speak HTTP/2, and then neither sends nor answers anything.
async fn silent_peer(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // Once the service has sent its SETTINGS, it serves the connection.
    soon(socket.read_exact(&mut [0; 9])).await.unwrap();
    socket
}

#[test]
fn an_interrupted_service_notifies_its_clients_and_ends_in_good_order() {
    for signal in ["INT", "TERM"] {
        let mut server = ServerProgram::start(&[]);
        let alice = server.join("alice");
        alice.program.line();
        server.stop(signal).succeeded();
        let notice = alice.program.notice("* offline");
        assert!(notice.contains("shutting down"), "{notice}");
        let disconnected = alice.records().into_iter().find(|record| record["event"] == "disconnected").unwrap();
        assert_eq!(disconnected["reason"], "SHUTTING_DOWN");

        let records = server.records();
        let events: Vec<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
        let of_interest = |event: &&str| event.starts_with("server_") || event.contains("connected");
        let course: Vec<_> = events.iter().copied().filter(of_interest).collect();
        let expected =
            ["server_started", "client_connected", "server_stopping", "client_disconnected", "server_stopped"];
        assert_eq!(course, expected);
        assert!(!events.contains(&"leave_broadcast"), "sessions are kept");
        assert_eq!(records.last().unwrap()["sequence"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_delays_the_end_by_the_drain_limit_at_most() {
    let mut server = ServerProgram::start(&["--drain", "300ms", "--first-request", "1h"]);
    let _peer = silent_peer(server.address).await;
    server.stop("TERM").succeeded();
    assert_eq!(server.records().last().unwrap()["event"], "server_stopped");
}

#[tokio::test]
async fn a_grace_period_that_ends_while_the_service_stops_causes_no_leave() {
    let (journal, control) = FaultyJournal::new();
    let (grace, drain) = (Duration::from_millis(200), Duration::from_millis(500));
    let server = Server::on(journal, Config { grace, drain, ..Server::config() }).await;
    let _peer = silent_peer(server.address).await;
    let alice = Participant::arrive(server.address, "alice").await;
    drop(Participant::arrive(server.address, "bob").await);
    alice.publish("the engine is awake").await;
    let stopping = SystemTime::now();
    server.stop().await.unwrap();
    let events = control.history.read(Sequence(0), 100).await.unwrap();
    assert!(events.iter().all(|event| event.recorded_at <= stopping), "{events:#?}");
}

#[tokio::test]
async fn a_draining_service_refuses_new_callers_as_shutting_down() {
    let server = Server::with(Config { drain: FOR_EVER, first_request: FOR_EVER, ..Server::config() }).await;
    let address = server.address;
    let mut alice = Participant::arrive(address, "alice").await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(Http1::get(address, path).await.status, StatusCode::OK, "{path}");
    }
    let peer = silent_peer(address).await;
    let stopped = tokio::spawn(server.stop());
    refused::<()>(Err(alice.end().await), Code::Unavailable, "SHUTTING_DOWN");

    let ready = Http1::get(address, "/readyz").await;
    assert_eq!((ready.status, ready.text()), (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#));
    assert_eq!(Http1::get(address, "/healthz").await.status, StatusCode::OK, "it lives");
    assert_eq!(Http1::get(address, "/metrics").await.status, StatusCode::OK);
    let join = pb::JoinRequest { display_name: "bob".into(), ..Default::default() };
    let joined = Participant::open(address, &join, Window::default()).await;
    refused(joined, Code::Unavailable, "SHUTTING_DOWN");
    let about = HealthCheckRequest { service: "chitchat.v1.ChitChatService".into() }.encode_to_vec();
    let wire = Wire::connect(address).await;
    let health: HealthCheckResponse = wire.call("/grpc.health.v1.Health/Check", &about).await.unwrap();
    assert_eq!(health.status(), ServingStatus::NotServing);
    let wire = Wire::connect(address).await;
    let watched = wire.open("/grpc.health.v1.Health/Watch", frame(&about)).await.message().await;
    refused(watched, Code::Unavailable, "SHUTTING_DOWN");
    // The service does not wait for a connection that arrives now and sends nothing.
    let _late = silent_peer(address).await;
    assert!(!stopped.is_finished());

    drop(peer);
    soon(stopped).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the service has ended");
}

#[tokio::test]
async fn watches_and_reflection_do_not_delay_the_end() {
    let server = Server::with(Config { drain: FOR_EVER, ..Server::config() }).await;
    let wire = Wire::connect(server.address).await;
    let mut streams = Vec::new();
    for service in ["", "chitchat.v1.ChitChatService"] {
        let request = HealthCheckRequest { service: service.into() };
        let mut watch = wire.open("/grpc.health.v1.Health/Watch", frame(&request.encode_to_vec())).await;
        watch.message().await.unwrap();
        streams.push((watch, None));
    }
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let (response, mut sending) = wire.begin(wire.request(&path, "application/grpc")).await;
        let message_request = Some(MessageRequest::ListServices(String::new()));
        let request = ServerReflectionRequest { message_request, ..Default::default() };
        sending.send_data(frame(&request.encode_to_vec()), false).unwrap();
        let (parts, body) = soon(response).await.unwrap().into_parts();
        let mut reflection = Frames::new(&parts.headers, body);
        let services = reflection.message().await.unwrap();
        for name in ["chitchat.v1.ChitChatService", "grpc.health.v1.Health"] {
            assert!(String::from_utf8_lossy(&services).contains(name), "{version}: {services:?}");
        }
        streams.push((reflection, Some(sending)));
    }
    server.stop().await.unwrap();
    for (mut stream, _sending) in streams {
        let end = loop {
            if let Err(status) = stream.message().await {
                break status;
            }
        };
        refused::<()>(Err(end), Code::Unavailable, "SHUTTING_DOWN");
    }
}
