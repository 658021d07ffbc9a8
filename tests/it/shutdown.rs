//! A service that stops: in good order, and in bounded time.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use chitchat::chat::Sequence;
use chitchat::server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{FaultyJournal, Participant, Server, ServerProgram, soon};

/// A peer that has said that it speaks HTTP/2, and then neither asks nor answers.
async fn mute_peer(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // The service's own SETTINGS: by now it serves the connection.
    soon(socket.read_exact(&mut [0; 9])).await.unwrap();
    socket
}

#[test]
fn an_interrupted_service_tells_its_clients_and_ends_in_good_order() {
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
async fn a_mute_peer_holds_up_the_end_for_the_drain_limit_and_no_longer() {
    let mut server = ServerProgram::start(&["--drain", "300ms", "--first-request", "1h"]);
    let _peer = mute_peer(server.address).await;
    server.stop("TERM").succeeded();
    assert_eq!(server.records().last().unwrap()["event"], "server_stopped");
}

#[tokio::test]
async fn a_grace_period_that_ends_while_the_service_stops_makes_nobody_leave() {
    let (journal, control) = FaultyJournal::new();
    let (grace, drain) = (Duration::from_millis(200), Duration::from_millis(500));
    let server = Server::on(journal, Config { grace, drain, ..Server::config() }).await;
    let _peer = mute_peer(server.address).await;
    let alice = Participant::arrive(server.address, "alice").await;
    drop(Participant::arrive(server.address, "bob").await);
    alice.publish("the engine is awake").await;
    let stopping = SystemTime::now();
    server.stop().await.unwrap();
    let events = control.history.read(Sequence(0), 100).await.unwrap();
    assert!(events.iter().all(|event| event.recorded_at <= stopping), "{events:#?}");
}
