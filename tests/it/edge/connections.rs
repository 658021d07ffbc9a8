//! Connections that send nothing, too little, or another protocol.

use std::process::Command;
use std::time::Duration;

use chitchat::server::Config;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::support::{Http1, Participant, Program, Server, Wire, soon};

#[tokio::test]
async fn a_connection_that_makes_no_request_in_time_is_closed() {
    let server = Server::with(Config { first_request: Duration::from_millis(100), ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    for said in [&b""[..], &preface[..10], preface, &[&preface[..], settings].concat(), b"GET / HTTP/1.1\r\nHo"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(said).await.unwrap();
        let mut heard = Vec::new();
        // A reset counts as closing.
        let _ = soon(socket.read_to_end(&mut heard)).await;
    }
    alice.publish("a connection with a request stays").await;
    alice.event().await;
}

#[tokio::test]
async fn an_unknown_path_is_refused_in_the_protocol_of_the_request() {
    let server = Server::start().await;
    let wire = Wire::connect(server.address).await;
    for path in ["/chitchat.v1.ChitChatService/Nonsense", "/nonsense.v1.Service/Method", "/nonsense"] {
        let (http, headers, _) = wire.post(path, "application/grpc", vec![0; 5]).await;
        let status = Status::from_header_map(&headers).expect("a grpc-status");
        assert_eq!((http, status.code()), (StatusCode::OK, Code::Unimplemented), "{path}");
    }
    for path in ["/nonsense", "/nonsense.v1.Service/Method"] {
        let (http, headers, _) = wire.post(path, "text/plain", "hello").await;
        assert_eq!((http, headers.get("grpc-status")), (StatusCode::NOT_FOUND, None), "{path}");
    }
}

#[tokio::test]
async fn an_http_1_client_is_answered_in_http_1() {
    let server = Server::start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /nonsense HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_ends() {
    let server = Server::with(Config { connections_max: 1, ..Server::config() }).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let address = server.address;
    let waiting = tokio::spawn(async move { Participant::arrive(address, "bob").await });
    for n in 0..100 {
        alice.publish(&n.to_string()).await;
    }
    assert_eq!(alice.publish("nobody came").await.sequence, 102);
    assert!(!waiting.is_finished());
    drop(alice);
    assert_eq!(soon(waiting).await.unwrap().welcome.head_sequence, 103);
}

#[tokio::test]
async fn one_connection_carries_no_more_streams_than_allowed() {
    let server = Server::with(Config { streams_max: 2, ..Server::config() }).await;
    let alice = Participant::arrive(server.address, "alice").await;
    // One stream is open, so one request at a time has room beside it.
    let publishes = (0..20).map(|n| alice.request(&n.to_string())).collect::<Vec<_>>();
    for request in &publishes {
        alice.wire.publish(request).await.unwrap();
    }
    assert_eq!(alice.wire.streams_max(), 2);
}

#[tokio::test]
async fn an_address_with_too_many_connections_gets_no_more_until_one_ends() {
    let config = Config { connections_max: 100, connections_per_address_max: 2, ..Server::config() };
    let server = Server::with(config).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    for _ in 0..3 {
        assert_eq!(Http1::connect(server.address).await.closed().await, "");
    }
    alice.publish("we two continue").await;
    drop(bob);
    // The place is free once the service has noticed.
    let heard = async || {
        let mut operator = Http1::connect(server.address).await;
        operator.request("GET", "/healthz", &[("connection", "close")], b"").await;
        operator.closed().await
    };
    while !heard().await.starts_with("HTTP/1.1 200 ") {}
}

#[test]
fn a_service_with_few_open_files_says_how_many_connections_fit() {
    let folder = tempfile::tempdir().unwrap();
    let mut limited = Command::new("prlimit");
    limited.args(["--nofile=100:100", env!("CARGO_BIN_EXE_chitchat"), "serve", "--listen", "127.0.0.1:0"]);
    limited.args(["--journal", "memory", "--connections-max", "1000", "--log-dir"]).arg(folder.path());
    let service = Program::of(limited, &[]);
    service.notice("at most 36 connections fit into this process's limit on open files (ulimit -n)");
    service.notice("server_started");
}
