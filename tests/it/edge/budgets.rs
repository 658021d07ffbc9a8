//! Unread responses, half requests and idle connections of one address do not use up the memory of the others.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use chitchat::server::{CONNECTION_BYTES, Config, Rate};
use chitchat::wire::pb::{self, join_response::Frame::Welcome};
use http::StatusCode;
use prost::Message;
use tokio::net::TcpSocket;
use tonic::Code;

use crate::support::{DurableServer, Figures, Http1, Participant, Server, Window, Wire, frame, refused, soon};

const LIST_EVENTS: &str = "/chitchat.v1.ChitChatService/ListEvents";

/// A service with this stall limit, and a participant that has written many messages of 512 bytes.
async fn talkative(stall: Duration) -> (Server, Participant) {
    let config = Config { stall, ..Server::config() };
    let server = Server::with(config).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let text = "\u{1F600}".repeat(128);
    for _ in 0..100 {
        alice.publish(&text).await;
    }
    (server, alice)
}

/// A page of events is reset if its client reads nothing of it for the stall limit, even if the connection answers
/// every ping. The connection and its other requests are not affected.
#[tokio::test]
async fn an_untaken_page_is_reset() {
    let (server, mut alice) = talkative(Duration::from_millis(200)).await;
    let quiet = Figures::of(server.address).await.get("held_bytes");
    let hoarder = Wire::connect_with(server.address, Window::Bytes(100)).await;
    let page = pb::ListEventsRequest {
        session_token: alice.welcome.session_token.clone(),
        after_sequence: 0,
        page_size: 1000,
    };
    let request = hoarder.request(LIST_EVENTS, "application/grpc");
    let (_, _, mut body) = hoarder.send(request, frame(&page.encode_to_vec())).await;
    // Flow control gets no credit back, so the window stays closed.
    let reset = soon(async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => panic!("the page came whole"),
            }
        }
    });
    assert_eq!(reset.await, Some(h2::Reason::CANCEL));
    let connection = CONNECTION_BYTES as f64;
    let figures = Figures::when(server.address, |figures| figures.get("held_bytes") <= quiet + connection).await;
    assert_eq!(figures.get("responses_reset_total"), 1.0);
    // The same connection still serves small responses.
    let leave = pb::LeaveRequest { session_token: alice.welcome.session_token.clone(), logical_time: 1000 };
    hoarder.leave(&leave).await.unwrap();
    soon(async { while alice.frames.next().await.is_ok() {} }).await;
}

/// A stream whose client reads nothing frees its memory after the stall limit, and clients that read are not affected.
#[tokio::test]
async fn an_untaken_stream_is_reset() {
    let (server, alice) = talkative(Duration::from_millis(200)).await;
    let quiet = Figures::of(server.address).await.get("held_bytes");
    let request = pb::JoinRequest { resume: Some(alice.resume_point(1)), ..Default::default() };
    let replacing = Wire::connect_with(server.address, Window::Bytes(0)).await;
    let mut frames = replacing.join(&request).await;
    soon(async { while frames.next().await.is_ok() {} }).await;
    drop(replacing);
    Figures::when(server.address, |figures| figures.get("held_bytes") <= quiet).await;
    let mut alice = alice.resume(server.address, 1).await.unwrap();
    assert_eq!(alice.event().await.sequence, 2);
}

/// Requests whose bodies never end are charged to their address. Beyond its budget, further requests are refused with
/// RATE_LIMITED; as soon as the unfinished ones are gone, requests are served again.
#[tokio::test]
async fn half_requests_are_charged() {
    let budget = 6 * CONNECTION_BYTES;
    let server = Server::with(Config { memory_per_address_max: budget, ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let hoarder = Wire::connect(server.address).await;
    let mut half = Vec::new();
    for _ in 0..100 {
        let request = hoarder.request("/chitchat.v1.ChitChatService/Publish", "application/grpc");
        let (_, mut sending) = hoarder.begin(request).await;
        // The length of a message of 4,000 bytes, and only a part of it. It may be refused already.
        let _ = sending.send_data(Bytes::from([&[0, 0, 0, 0x0f, 0xa0][..], &[0; 3000]].concat()), false);
        half.push(sending);
    }
    let publish = |session_token: &str, n: u64| pb::PublishRequest {
        session_token: session_token.into(),
        text: "hello".into(),
        logical_time: n,
        ..Default::default()
    };
    let token = alice.welcome.session_token.clone();
    let refusal = soon(async {
        loop {
            match alice.wire.publish(&publish(&token, 10)).await {
                Ok(_) => {}
                refusal => return refused(refusal, Code::ResourceExhausted, "RATE_LIMITED"),
            }
        }
    });
    drop(refusal.await);
    drop(half);
    drop(hoarder);
    soon(async { while alice.wire.publish(&publish(&token, 20)).await.is_err() {} }).await;
    alice.hears("hello").await;
}

/// An address whose connections use up its budget gets no further connection until one has ended.
#[tokio::test]
async fn connections_are_charged() {
    // Room for two connections, and just too little for a third.
    let memory_per_address_max = 3 * CONNECTION_BYTES - 1;
    let server = Server::with(Config { memory_per_address_max, ..Server::config() }).await;
    let mut first = Http1::connect(server.address).await;
    let mut second = Http1::connect(server.address).await;
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.ask("GET", "/healthz", &[], b"").await.status, 200);
    }
    assert_eq!(Http1::connect(server.address).await.closed().await, "");
    drop(first);
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    soon(async {
        loop {
            let mut third = Http1::connect(server.address).await;
            third.say(request).await;
            if third.closed().await.starts_with("HTTP/1.1 200 ") {
                break;
            }
        }
    })
    .await;
}

/// A page is charged before it is made, when it is not yet known how much of it the client reads: an address without
/// enough budget gets none.
#[tokio::test]
async fn answers_are_charged_before_they_are_made() {
    // Two connections, and room for less than a page of 1,000 events of 128 characters.
    let memory_per_address_max = 2 * CONNECTION_BYTES + 112 * 1024;
    let config = Config { memory_per_address_max, ..Server::config() };
    let server = Server::with(config).await;
    let alice = Participant::arrive(server.address, "alice").await;
    for _ in 0..150 {
        alice.publish("hello").await;
    }
    refused(alice.list(0, 1000).await, Code::ResourceExhausted, "RATE_LIMITED");
    assert_eq!(alice.list(0, 20).await.unwrap().events.len(), 20, "a page that fits");
}

/// Unread pages, requested by many sessions of one address, cost the service no more memory than the budget of the
/// address and what it takes to make some pages. Others are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn memory_of_untaken_pages() {
    const MIB: u64 = 1 << 20;
    let options = ["--memory-per-address-max", "8", "--publish-rate", "0", "--publish-per-address-rate", "0"];
    let server = DurableServer::start(
        &[&options[..], &["--trust-proxy", "127.0.0.1", "--grace", "10min", "--stall", "10min"]].concat(),
    );
    let alice = Participant::arrive(server.address, "alice").await;
    let text = "\u{1F600}".repeat(128);
    for _ in 0..600 {
        alice.publish(&text).await;
    }
    let before = server.resident_bytes();
    let (mut hoarders, mut refusals) = (Vec::new(), 0);
    for n in 0..10 {
        let wire = Wire::connect_with(server.address, Window::Bytes(0)).await.with("x-forwarded-for", "192.0.2.1");
        let join = pb::JoinRequest { display_name: format!("hoarder {n}"), ..Default::default() };
        hoarders.push((wire, alice.wire.join(&join).await, Vec::new()));
    }
    for (wire, frames, bodies) in &mut hoarders {
        let Ok(Welcome(welcome)) = frames.next().await else { panic!("a stream begins with its Welcome") };
        let session_token = welcome.session_token;
        let page = pb::ListEventsRequest { session_token, after_sequence: 0, page_size: 1000 };
        for _ in 0..40 {
            let request = wire.request(LIST_EVENTS, "application/grpc");
            let (_, headers, body) = wire.send(request, frame(&page.encode_to_vec())).await;
            refusals += u32::from(headers.contains_key("grpc-status"));
            bodies.push(body);
        }
    }
    assert!(refusals > 0);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < (8 + 32) * MIB, "{} MiB", grown / MIB);
    alice.publish("hello").await;
    assert!(!alice.list(0, 1000).await.unwrap().events.is_empty());
}

/// What an address sends too fast waits in TCP: nothing is refused or lost, and another address is served meanwhile.
#[tokio::test]
async fn a_flood_waits_and_others_do_not() {
    let ingress_per_address_rate = Rate { per_second: 64, burst: 64 };
    let server = Server::with(Config { ingress_per_address_rate, ..Server::config() }).await;
    let elsewhere = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        soon(socket.connect(server.address)).await.unwrap()
    };
    let mut flood = Http1::connect(server.address).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    flood.say(request.repeat(100)).await;
    for _ in 0..100 {
        let (status, headers) = flood.head().await;
        assert_eq!(status, StatusCode::OK);
        flood.bytes(headers["content-length"].to_str().unwrap().parse().unwrap()).await;
    }
    // The service has charged 200 KiB for these.
    let mut late = pin!(flood.ask("GET", "/healthz", &[], b""));
    let mut bystander = Http1::over(elsewhere().await);
    loop {
        tokio::select! {
            answer = late.as_mut() => panic!("an answer at once: {answer:?}"),
            figures = bystander.ask("GET", "/metrics", &[], b"") => {
                if figures.text().contains("\nchitchat_reads_delayed_total 1\n") {
                    break;
                }
            }
        }
    }
    let request = pb::JoinRequest { display_name: "bob".into(), logical_time: 1, resume: None };
    let bob = Participant::over(Wire::over(elsewhere().await, Window::default()).await, &request).await.unwrap();
    bob.publish("not held up").await;
    assert_eq!(late.await.status, StatusCode::OK);
}
