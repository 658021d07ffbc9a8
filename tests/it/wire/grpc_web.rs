//! gRPC-Web over HTTP/1.1 and HTTP/2, binary and as text, byte by byte (S1).

use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use http::{StatusCode, Version};
use tonic::Code;

use crate::support::{BINARY, Http1, Participant, Server, TEXT, Web, WebAnswer, Wire, frame, refused};

const PUBLISH: &str = "/chitchat.v1.ChitChatService/Publish";

/// Every way to speak gRPC-Web.
fn ways(server: &Server) -> impl Iterator<Item = Web<'static>> {
    let address = server.address;
    [Version::HTTP_11, Version::HTTP_2].into_iter().flat_map(move |version| {
        [BINARY, TEXT, "application/grpc-web", "application/grpc-web+proto; charset=utf-8"]
            .map(|content_type| Web { version, content_type, ..Web::new(address) })
    })
}

/// The next event of a participant's stream.
async fn event(stream: &mut WebAnswer) -> pb::Event {
    loop {
        if let Some(Frame::Event(event)) = stream.message::<pb::JoinResponse>().await.frame {
            return event;
        }
    }
}

async fn welcome(stream: &mut WebAnswer) -> pb::Welcome {
    match stream.message::<pb::JoinResponse>().await.frame {
        Some(Frame::Welcome(welcome)) => welcome,
        other => panic!("a stream begins with a Welcome, not with {other:?}"),
    }
}

#[tokio::test]
async fn a_browser_is_a_full_participant_over_every_protocol_s1_s4_s5_s6() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    for web in ways(&server) {
        let way = format!("{:?} {}", web.version, web.content_type);
        let join = pb::JoinRequest { display_name: "bob".into(), logical_time: 1, resume: None };
        let mut stream = web.call("Join", &join).await;
        let framing = if web.content_type == TEXT { TEXT } else { BINARY };
        assert_eq!((stream.http, stream.header("content-type")), (StatusCode::OK, framing), "{way}");
        // Proxies that buffer responses would never forward this one.
        assert_eq!(stream.header("x-accel-buffering"), "no", "{way}");
        assert_eq!(stream.header("cache-control"), "no-cache, no-transform", "{way}");
        let session_token = welcome(&mut stream).await.session_token;
        assert_eq!(event(&mut stream).await, alice.event().await, "{way}: the same joined event for both");

        let text = format!("hello by {way}: æøå 漢字 😀");
        let publish =
            pb::PublishRequest { session_token: session_token.clone(), text: text.clone(), ..Default::default() };
        let mut answer = web.call("Publish", &publish).await;
        let published: pb::PublishResponse = answer.message().await;
        assert_eq!(answer.end().await.code(), Code::Ok, "{way}");
        let heard = alice.hears(&text).await;
        assert_eq!((heard.sequence, heard.logical_time), (published.sequence, published.logical_time), "{way}");
        assert_eq!(event(&mut stream).await, heard, "{way}");

        let mut answer = web.call("Leave", &pb::LeaveRequest { session_token, logical_time: 0 }).await;
        let left: pb::LeaveResponse = answer.message().await;
        assert_eq!(answer.end().await.code(), Code::Ok, "{way}");
        assert_eq!(stream.end().await.code(), Code::Ok, "{way}: after a leave the stream ends with OK");
        assert_eq!(alice.event().await.sequence, left.sequence, "{way}");
    }
}

#[tokio::test]
async fn a_browser_can_read_why_it_is_refused() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    for web in ways(&server) {
        let refusal = refused::<()>(
            Err(web.call("Publish", &alice.request(&"x".repeat(129))).await.end().await),
            Code::InvalidArgument,
            "TEXT_TOO_LONG",
        );
        assert_eq!(refusal.figure("characters"), "129");
        let join = pb::JoinRequest { display_name: "Alice".into(), ..Default::default() };
        refused::<()>(Err(web.call("Join", &join).await.end().await), Code::AlreadyExists, "NAME_TAKEN");
        let malformed = web.send("Publish", &frame(b"\xff\xff\xff")).await.end().await;
        refused::<()>(Err(malformed), Code::InvalidArgument, "MALFORMED");
        let unknown = web.send("Nonsense", &frame(b"")).await.end().await;
        assert_eq!(unknown.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn a_browser_whose_connection_breaks_resumes_without_a_gap_v4() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let web = Web::new(server.address);
    let join = pb::JoinRequest { display_name: "bob".into(), logical_time: 1, resume: None };
    let mut stream = web.call("Join", &join).await;
    let welcomed = welcome(&mut stream).await;
    let joined = event(&mut stream).await;
    drop(stream);
    alice.publish("missed").await;
    let resume = pb::ResumePoint {
        session_token: welcomed.session_token,
        epoch: welcomed.epoch,
        after_sequence: joined.sequence,
        chain_hash: joined.chain_hash,
    };
    let mut stream = web.call("Join", &pb::JoinRequest { resume: Some(resume), ..Default::default() }).await;
    assert!(welcome(&mut stream).await.resumed);
    alice.event().await;
    assert_eq!(event(&mut stream).await, alice.hears("missed").await);
}

#[tokio::test]
async fn a_browsers_stream_ends_with_a_reason_when_the_service_stops() {
    let server = Server::start().await;
    let join = pb::JoinRequest { display_name: "bob".into(), logical_time: 1, resume: None };
    let mut streams = Vec::new();
    for (n, web) in ways(&server).enumerate() {
        let display_name = format!("bob {n}");
        let mut stream = web.call("Join", &pb::JoinRequest { display_name, ..join.clone() }).await;
        welcome(&mut stream).await;
        streams.push(stream);
    }
    server.stop().await.unwrap();
    for mut stream in streams {
        let end = loop {
            match stream.part().await.expect("trailers") {
                crate::support::Part::Message(_) => {}
                crate::support::Part::Trailers(trailers) => break tonic::Status::from_header_map(&trailers),
            }
        };
        refused::<()>(Err(end.unwrap()), Code::Unavailable, "SHUTTING_DOWN");
    }
}

/// A form on a foreign page, for instance, can send such requests without a preflight.
#[tokio::test]
async fn requests_other_than_grpc_are_not_executed_on_a_grpc_route() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let body = frame(&prost::Message::encode_to_vec(&alice.request("never")));
    let (mut http1, http2) = (Http1::connect(server.address).await, Wire::connect(server.address).await);
    for content_type in ["text/plain", "application/json", "application/x-www-form-urlencoded", ""] {
        let answer = http1.ask("POST", PUBLISH, &[("content-type", content_type)], &body).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type:?} over HTTP/1.1");
        let (status, ..) = http2.post(PUBLISH, content_type, body.clone()).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type:?} over HTTP/2");
    }
    for method in ["GET", "PUT", "DELETE"] {
        let answer = http1.ask(method, PUBLISH, &[("content-type", BINARY)], b"").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    assert_eq!(alice.publish("hello").await.sequence, 2, "nothing else has happened");
    alice.hears("hello").await;
}
