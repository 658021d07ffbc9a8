//! Publish, Leave and ListEvents, byte by byte (S3, S4, S6).

use chitchat::chat::CLOCK_LEAP_MAX;
use chitchat::wire::codec::REQUEST_BYTES_BUFFERED_MAX;
use chitchat::wire::pb;
use chitchat::wire::pb::event::Kind;
use chitchat::wire::pb::join_response::Frame;
use prost::Message;
use tonic::Code;

use crate::support::{Participant, Server, frame, refused};

/// One field of a message in the wire format of protobuf: its key, its length, its bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let (low, high) = (content.len() as u8 | 0x80, (content.len() >> 7) as u8);
    [&[number << 3 | 2, low, high], content].concat()
}

/// A hand-made PublishRequest.
fn publish_bytes(token: &str, text: &[u8]) -> Vec<u8> {
    [field(1, token.as_bytes()), field(2, text)].concat()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_message_of_128_characters_of_any_script_arrives_byte_for_byte_s3_s4() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    assert!(matches!(bob.frames.next().await, Ok(Frame::CaughtUp(_))), "what follows is live");
    let texts = ["a", "å", "я", "ש", "漢", "ท", "😀", "\u{10ffff}", "\u{301}", "\u{202e}", "\0", "\r\n"]
        .map(|unit| unit.chars().cycle().take(128).collect::<String>());
    let family = "👩‍👩‍👧".repeat(25) + "abc";
    for text in texts.iter().chain([&family]) {
        assert_eq!(text.chars().count(), 128);
        let request = publish_bytes(&alice.welcome.session_token, text.as_bytes());
        let accepted: pb::PublishResponse = alice.wire.call("Publish", &request).await.unwrap();
        let message = bob.frames.message().await.unwrap();
        assert!(contains(&message, text.as_bytes()), "{text:?}");
        let response = pb::JoinResponse::decode(message).unwrap();
        let Some(Frame::Event(event)) = response.frame else { panic!("{response:?}") };
        assert_eq!((event.sequence, event.logical_time), (accepted.sequence, accepted.logical_time));
        assert_eq!((&event.content, event.participant), (text, alice.itself()));
    }
}

#[tokio::test]
async fn a_message_of_129_characters_is_refused_with_the_count_s3() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    for unit in ["a", "å", "😀"] {
        let answer = alice.wire.publish(&alice.request(&unit.repeat(129))).await;
        let refusal = refused(answer, Code::InvalidArgument, "TEXT_TOO_LONG");
        assert_eq!((refusal.figure("characters"), refusal.figure("characters_max")), ("129", "128"));
        assert_eq!(refusal.fields, ["text"]);
    }
}

#[tokio::test]
async fn an_empty_or_a_missing_text_is_refused_s3() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let token = field(1, alice.welcome.session_token.as_bytes());
    for request in [publish_bytes(&alice.welcome.session_token, b""), token] {
        let answer = alice.wire.call::<pb::PublishResponse>("Publish", &request).await;
        assert_eq!(refused(answer, Code::InvalidArgument, "TEXT_EMPTY").fields, ["text"]);
    }
}

#[tokio::test]
async fn invalid_bytes_are_refused_as_malformed() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let token = &alice.welcome.session_token;
    let everywhere = &["Join", "Publish", "Leave", "ListEvents"][..];
    let text = |bytes: &[u8]| publish_bytes(token, bytes);
    for (methods, what, request) in [
        (&["Publish"][..], "invalid UTF-8", text(b"caf\xe9")),
        (&["Publish"], "a surrogate", text(b"\xed\xa0\x80")),
        (&["Publish"], "an overlong form", text(b"\xc0\xaf")),
        (&["Publish"], "a wrong wire type", vec![0x10, 0x07]),
        (everywhere, "a cut-off field", vec![0x0a, 0x20, b'x']),
        (everywhere, "no protobuf at all", vec![0xff; 40]),
        (everywhere, "more than 4 KiB", text(&[b'a'; 4100])),
    ] {
        for method in methods {
            println!("{what} to {method}");
            let answer = alice.wire.call::<pb::PublishResponse>(method, &request).await;
            refused(answer, Code::InvalidArgument, "MALFORMED");
        }
    }
    alice.publish("still here").await;
}

#[tokio::test]
async fn a_broken_grpc_frame_is_refused_as_malformed_and_the_connection_continues() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let whole = frame(&alice.request("hello").encode_to_vec());
    let mut compressed = whole.to_vec();
    compressed[0] = 1;
    let large = frame(&vec![0; 10 * REQUEST_BYTES_BUFFERED_MAX]).to_vec();
    let short = whole[..whole.len() - 1].to_vec();
    for body in [vec![], vec![0], short, compressed, vec![0, 0xff, 0xff, 0xff, 0xff], large] {
        let answer = alice.wire.call_with::<pb::PublishResponse>("Publish", body).await;
        refused(answer, Code::InvalidArgument, "MALFORMED");
    }
    alice.publish("still here").await;
}

#[tokio::test]
async fn without_a_session_publish_leave_and_list_are_refused() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let gone = Participant::join(server.address, "gone").await;
    gone.leave().await.unwrap();
    for token in ["", "0123456789abcdef0123456789abcdef", "æ", "p1", &*gone.welcome.session_token] {
        let session_token = token.to_owned();
        let publish =
            pb::PublishRequest { session_token: session_token.clone(), text: "me".into(), ..Default::default() };
        refused(alice.wire.publish(&publish).await, Code::Unauthenticated, "SESSION_UNKNOWN");
        let leave = pb::LeaveRequest { session_token: session_token.clone(), logical_time: 0 };
        refused(alice.wire.leave(&leave).await, Code::Unauthenticated, "SESSION_UNKNOWN");
        let list = pb::ListEventsRequest { session_token, ..Default::default() };
        refused(alice.wire.list(&list).await, Code::Unauthenticated, "SESSION_UNKNOWN");
    }
}

#[tokio::test]
async fn a_time_beyond_the_clock_limit_is_refused_and_changes_no_clock_v2() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let now = alice.welcome.logical_time;
    let at = |logical_time| pb::PublishRequest { logical_time, ..alice.request("hi") };
    for future in [now + CLOCK_LEAP_MAX + 1, u64::MAX] {
        let refusal = refused(alice.wire.publish(&at(future)).await, Code::OutOfRange, "CLOCK_OUT_OF_RANGE");
        assert_eq!(refusal.figure("logical_time"), future.to_string());
        assert_eq!(refusal.figure("logical_time_max"), (now + CLOCK_LEAP_MAX).to_string());
        assert_eq!(refusal.fields, ["logical_time"]);
        let leave = pb::LeaveRequest { session_token: alice.welcome.session_token.clone(), logical_time: future };
        refused(alice.wire.leave(&leave).await, Code::OutOfRange, "CLOCK_OUT_OF_RANGE");
    }
    assert_eq!(alice.publish("the clock did not change").await.logical_time, now + 2);
    let latest = now + 2 + CLOCK_LEAP_MAX;
    assert_eq!(
        alice.wire.publish(&at(latest)).await.unwrap().logical_time,
        latest + 2,
        "the limit itself is accepted"
    );
}

#[tokio::test]
async fn a_position_beyond_the_head_is_refused() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let seen = |seen_sequence| pb::PublishRequest { seen_sequence, ..alice.request("hi") };
    for future in [2, u64::MAX] {
        let refusal = refused(alice.wire.publish(&seen(future)).await, Code::OutOfRange, "SEQUENCE_OUT_OF_RANGE");
        assert_eq!((refusal.figure("sequence"), refusal.figure("head_sequence")), (&*future.to_string(), "1"));
        refused(alice.list(future, 0).await, Code::OutOfRange, "SEQUENCE_OUT_OF_RANGE");
    }
    assert_eq!(alice.wire.publish(&seen(1)).await.unwrap().sequence, 2);
}

/// All participants get the sender's wall clock as it was stated, even from the journal, and it changes nothing else.
#[tokio::test]
async fn the_senders_wall_clock_is_passed_on_a13() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let said = |sent_at| pb::PublishRequest { sent_at, ..alice.request("hi") };
    for wrong in [at(-1, 0), at(0, -1), at(0, 1_000_000_000), at(253_402_300_800, 0)] {
        refused(alice.wire.publish(&said(wrong)).await, Code::InvalidArgument, "MALFORMED");
    }
    let first = alice.wire.publish(&said(at(5, 6))).await.unwrap();
    let second = alice.wire.publish(&said(None)).await.unwrap();
    assert_eq!((first.sequence, second.sequence), (2, 3));
    let listed = alice.list(1, 0).await.unwrap().events;
    for (event, sent_at) in listed.iter().zip([at(5, 6), None]) {
        let Some(Kind::Message(message)) = &event.kind else { panic!("{event:?}") };
        assert_eq!(message.sent_at, sent_at);
        assert_eq!(alice.hears("hi").await.kind, event.kind);
    }
}

#[tokio::test]
async fn a_repeated_message_id_gets_the_first_answer_and_is_broadcast_once_v5() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    let request = pb::PublishRequest { message_id: "m".into(), seen_sequence: 1, ..alice.request("once") };
    let first = alice.wire.publish(&request).await.unwrap();
    bob.publish("between").await;
    let again = pb::PublishRequest { text: "twice".into(), logical_time: 100, ..request.clone() };
    assert_eq!(alice.wire.publish(&again).await.unwrap(), first);
    let of_bob = pb::PublishRequest { session_token: bob.welcome.session_token.clone(), ..request.clone() };
    assert_ne!(bob.wire.publish(&of_bob).await.unwrap(), first, "each sender has its own ids");
    alice.hears("Participant bob joined Chit Chat at logical time 5").await;
    for participant in [&mut alice, &mut bob] {
        let event = participant.hears("once").await;
        let sent = pb::Message { message_id: "m".into(), sent_logical_time: 0, seen_sequence: 1, sent_at: None };
        assert_eq!(event.kind, Some(Kind::Message(sent)));
        assert_eq!((event.sequence, event.logical_time), (first.sequence, first.logical_time));
        participant.hears("between").await;
        participant.hears("once").await;
    }
}

#[tokio::test]
async fn a_message_id_has_at_most_64_bytes() {
    let server = Server::start().await;
    let alice = Participant::join(server.address, "alice").await;
    let with = |message_id: String| pb::PublishRequest { message_id, ..alice.request("hi") };
    alice.wire.publish(&with("x".repeat(64))).await.unwrap();
    for (id, bytes) in [("x".repeat(65), "65"), ("å".repeat(33), "66")] {
        let answer = alice.wire.publish(&with(id)).await;
        let refusal = refused(answer, Code::InvalidArgument, "MESSAGE_ID_TOO_LONG");
        assert_eq!((refusal.figure("bytes"), refusal.figure("bytes_max")), (bytes, "64"));
        assert_eq!(refusal.fields, ["message_id"]);
    }
}

#[tokio::test]
async fn a_leave_ends_its_stream_with_ok_and_is_announced_to_the_others_s6() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    let left = bob.leave().await.unwrap();
    let end = bob.frames.event().await.expect_err("a participant is not sent its own Left");
    assert_eq!(end.code(), Code::Ok);
    alice.event().await;
    let event = alice.hears("Participant bob left Chit Chat at logical time 7").await;
    assert_eq!(
        (event.sequence, event.logical_time, event.participant),
        (left.sequence, left.logical_time, bob.itself())
    );
    assert_eq!(event.kind, Some(Kind::Left(pb::Left { reason: pb::LeaveReason::Requested.into() })));
    Participant::join(server.address, "bob").await;
}

#[tokio::test]
async fn earlier_events_are_listed_in_order_by_page() {
    let server = Server::start().await;
    let mut alice = Participant::join(server.address, "alice").await;
    alice.publish_many(1_099).await;
    let mut events = Vec::new();
    while events.len() < 1_100 {
        events.push(alice.event().await);
    }
    for (after, asked, got, has_more) in [
        (0, 0, 100, true),
        (0, 1, 1, true),
        (3, 2, 2, true),
        (0, 1_000, 1_000, true),
        (0, u32::MAX, 1_000, true),
        (1_000, 100, 100, false),
        (1_000, 99, 99, true),
        (1_099, 5, 1, false),
        (1_100, 5, 0, false),
    ] {
        let page = alice.list(after, asked).await.unwrap();
        let expected = &events[after as usize..after as usize + got];
        assert_eq!((page.events.as_slice(), page.has_more), (expected, has_more), "{asked} after {after}");
    }
}
