//! Connections that never finish a request, that send too much, and too many of them.

use std::net::SocketAddr;
use std::time::Duration;

use chitchat::server::{Config, HEADER_LIST_BYTES_MAX, Tls};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Figures, Http1, Participant, Server, ServerProgram, soon};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// GET / in HPACK, with the authority `localhost`.
const GET: &[u8] = b"\x82\x86\x84\x41\x09localhost";
/// One more header.
const HEADER: &[u8] = b"\0\x01a\x01b";

/// A frame of HTTP/2.
fn http2_frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, _, high, low] = (payload.len() as u32).to_be_bytes();
    [&[0, high, low, kind, flags, 0, 0, 0, stream], payload].concat()
}

fn headers(flags: u8, stream: u8) -> Vec<u8> {
    http2_frame(1, flags, stream, GET)
}

fn continuation(stream: u8) -> Vec<u8> {
    http2_frame(9, 0, stream, HEADER)
}

/// Sends a beginning and then pieces at the pace of a participant's heartbeats, until the connection is closed. Returns
/// what it received.
async fn drip(address: SocketAddr, beginning: &[u8], piece: &[u8], clock: &mut Participant) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    writer.write_all(beginning).await.unwrap();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        // A reset counts as closing.
        let _ = soon(reader.read_to_end(&mut heard)).await;
        String::from_utf8_lossy(&heard).into_owned()
    });
    while !heard.is_finished() {
        clock.frames.next().await.unwrap();
        let _ = writer.write_all(piece).await;
    }
    heard.await.unwrap()
}

/// A service with short limits, and a participant whose heartbeats set the pace.
async fn impatient() -> (Server, Participant) {
    let config = Config {
        first_request: Duration::from_millis(300),
        heartbeat: Duration::from_millis(20),
        ping: Duration::from_millis(200),
        ping_timeout: Duration::from_secs(2),
        ..Server::config()
    };
    let server = Server::with(config).await;
    let clock = Participant::arrive(server.address, "clock").await;
    (server, clock)
}

#[tokio::test]
async fn headers_that_never_end_are_cut_off() {
    let (server, mut clock) = impatient().await;
    let http1 = b"GET / HTTP/1.1\r\nhost: localhost\r\n";
    drip(server.address, http1, b"a: b\r\n", &mut clock).await;
    drip(server.address, b"GET /", b"a", &mut clock).await;
    // While the headers of the first request continue, it does not count as a request.
    let http2 = [PREFACE, &headers(1, 1)].concat();
    drip(server.address, &http2, &continuation(1), &mut clock).await;
    // After a complete request (END_STREAM and END_HEADERS). A peer in the middle of its headers cannot answer a ping.
    let http2 = [PREFACE, &headers(5, 1), &headers(1, 3)].concat();
    let heard = drip(server.address, &http2, &continuation(3), &mut clock).await;
    assert!(heard.contains("<!doctype html>"), "the first request was answered: {heard}");
    clock.publish("well-behaved clients stay").await;
}

#[tokio::test]
async fn a_second_request_that_never_ends_is_cut_off_too() {
    let (server, mut clock) = impatient().await;
    let first = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET / HT";
    let heard = drip(server.address, first, b"T", &mut clock).await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
    let mut idle = Http1::connect(server.address).await;
    assert_eq!(idle.ask("GET", "/healthz", &[], b"").await.status, StatusCode::OK);
    idle.closed().await;
    // A body that no handler reads.
    for path in ["/", "/nothing"] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n");
        let heard = drip(server.address, request.as_bytes(), b"x", &mut clock).await;
        assert!(heard.starts_with("HTTP/1.1 4"), "{heard}");
    }
}

#[tokio::test]
async fn half_a_tls_handshake_is_cut_off() {
    let (tls, _) = Tls::self_signed(vec!["localhost".into()]).unwrap();
    let first_request = Duration::from_millis(300);
    let server = Server::with(Config { tls: Some(tls), first_request, ..Server::config() }).await;
    // Nothing, and the beginning of a ClientHello that announces its length.
    for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut socket = Http1::connect(server.address).await;
        socket.say(said).await;
        assert_eq!(socket.closed().await, "");
    }
}

#[tokio::test]
async fn oversized_headers_are_refused() {
    let (server, mut clock) = impatient().await;
    let much = "a".repeat(HEADER_LIST_BYTES_MAX as usize + 1024);
    for (path, headers) in [("/healthz", &[("x", &*much)][..]), (&*format!("/{much}"), &[])] {
        let mut socket = Http1::connect(server.address).await;
        socket.request("GET", path, headers, b"").await;
        let heard = socket.closed().await;
        // The answer may be lost when the connection is closed with unread data.
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{heard}");
    }
    let mut request = clock.wire.request("/chitchat.v1.ChitChatService/Publish", "application/grpc");
    request.headers_mut().insert("x", much.try_into().unwrap());
    let (response, _sending) = clock.wire.begin(request).await;
    if let Ok(response) = soon(response).await {
        assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    // More headers than any request could need.
    let flood = [PREFACE, &headers(1, 1), &continuation(1).repeat(10_000)].concat();
    let mut socket = Http1::connect(server.address).await;
    socket.say(flood).await;
    socket.closed().await;
    assert_eq!(clock.publish("hello").await.sequence, 2, "even on the connection that sent too much");
    clock.hears("hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_stalled_connections_leave_the_service_usable_and_are_closed() {
    const MANY: usize = 1_000;
    let server =
        ServerProgram::start(&["--first-request", "15s", "--request-time", "15s", "--address-limits", "off"]);
    let body_to_come = b"POST /chitchat.v1.ChitChatService/Publish HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/grpc-web+proto\r\ncontent-length: 100\r\n\r\n\0";
    let saying = [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: loc", &PREFACE[..10], PREFACE, body_to_come];
    let mut sockets = Vec::with_capacity(MANY);
    for said in saying.into_iter().cycle().take(MANY) {
        let mut socket = Http1::connect(server.address).await;
        socket.say(said).await;
        sockets.push(socket);
    }
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    alice.event().await;
    for n in 0..20 {
        alice.publish(&n.to_string()).await;
        alice.hears(&n.to_string()).await;
        bob.hears(&n.to_string()).await;
    }
    let open = Figures::of(server.address).await.get("connections");
    assert!(open > MANY as f64, "{open} connections were open meanwhile");
    for mut socket in sockets {
        socket.closed().await;
    }
    Figures::when(server.address, |figures| figures.get("connections") == 3.0).await;
    alice.publish("and on").await;
    bob.hears("and on").await;
}
