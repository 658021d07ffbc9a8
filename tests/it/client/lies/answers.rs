//! Answers that cannot be true: acknowledgements, pages of earlier events, delays.

use std::time::Duration;

use chitchat::chat::{LogicalTime, Sequence};
use chitchat::client::{self, ListError, Options, ProtocolFault as Fault, Update};
use chitchat::wire::pb::join_response::Frame;
use chitchat::wire::{Reason, Rejection, pb};
use prost::Message as _;
use tonic::Status;

use super::{MAX, event, join, joined, message, own, refused, response, truth};
use crate::support::{Impostor, put, soon};

/// The client drops the stream and sends the message again, with the same id.
#[tokio::test]
async fn an_acknowledgement_that_cannot_be_true_is_not_believed() {
    let seven = |acknowledged| Fault::Acknowledgement { acknowledged: Sequence(acknowledged) };
    let early = Fault::Time { sequence: Sequence(7), logical_time: LogicalTime(1), before: LogicalTime(15) };
    let lies = [
        (0, 17, Fault::Number(0)),
        (MAX, 17, Fault::Number(MAX)),
        (7, MAX, Fault::Number(MAX)),
        (6, 17, seven(6)),
    ];
    let lies = lies.into_iter().chain([(7, 1, early)]);
    for (sequence, logical_time, fault) in lies {
        let mut service = Impostor::start().await;
        let (chat, mut updates, mut stream) = join(&mut service).await;
        put(&mut stream, [Frame::Event(message(6, 13))]);
        assert_eq!(event(&mut updates).await, 6);
        let publishing = tokio::spawn(chat.publish("hello"));
        let mut call = service.call("Publish").await;
        let first: pb::PublishRequest = call.request().await;
        assert_eq!(first.logical_time, 15);
        call.answer(&pb::PublishResponse { sequence, logical_time });
        refused(&mut updates, &fault).await;
        let _stream = service.call("Join").await.send(&response(truth(6, 13, true)));
        let mut call = service.call("Publish").await;
        let again: pb::PublishRequest = call.request().await;
        assert_eq!((&again.message_id, again.seen_sequence), (&first.message_id, first.seen_sequence));
        call.answer(&pb::PublishResponse { sequence: 7, logical_time: 19 });
        assert_eq!(soon(publishing).await.unwrap().unwrap().sequence, Sequence(7));
    }
}

#[tokio::test]
async fn an_event_that_contradicts_an_acknowledgement_is_refused() {
    let another = |_: &str| message(6, 13);
    let at_another_time = |id: &str| own(id, 6, 14);
    let cases: [fn(&str) -> pb::Event; 2] = [another, at_another_time];
    for lie in cases {
        let mut service = Impostor::start().await;
        let (chat, mut updates, mut stream) = join(&mut service).await;
        let publishing = tokio::spawn(chat.publish("hello"));
        let mut call = service.call("Publish").await;
        let request: pb::PublishRequest = call.request().await;
        call.answer(&pb::PublishResponse { sequence: 6, logical_time: 17 });
        soon(publishing).await.unwrap().unwrap();
        put(&mut stream, [Frame::Event(lie(&request.message_id))]);
        refused(&mut updates, &Fault::Acknowledgement { acknowledged: Sequence(6) }).await;
    }
}

#[tokio::test]
async fn a_page_of_earlier_events_that_cannot_be_true_is_a_typed_error() {
    let order = |sequence, expected| Fault::Order { sequence: Sequence(sequence), expected: Sequence(expected) };
    let early = Fault::Time { sequence: Sequence(3), logical_time: LogicalTime(4), before: LogicalTime(6) };
    let lies = [
        (vec![message(1, 3), message(3, 7)], order(3, 2)),
        (vec![message(2, 3)], order(2, 1)),
        (vec![message(MAX, 3)], Fault::Number(MAX)),
        (vec![message(1, 3), message(2, 6), message(3, 4)], early),
        ((1..=5).map(|n| message(n, 2 * n)).collect(), Fault::Page),
        (vec![pb::Event { content: "a".repeat(1 << 20), ..message(1, 3) }], Fault::Content(Sequence(1))),
    ];
    let mut service = Impostor::start().await;
    let (chat, _updates, _stream) = join(&mut service).await;
    for (events, fault) in lies {
        let asking = chat.clone();
        let listing = tokio::spawn(async move { asking.list_before(Sequence(5), 10).await });
        service.call("ListEvents").await.answer(&pb::ListEventsResponse { events, has_more: true });
        assert_eq!(soon(listing).await.unwrap().unwrap_err(), ListError::Protocol(fault));
    }
    let listing = tokio::spawn(async move { chat.list_before(Sequence(5), 10).await });
    let events = (1..=4).map(|n| message(n, 2 * n)).collect();
    service.call("ListEvents").await.answer(&pb::ListEventsResponse { events, has_more: true });
    assert_eq!(soon(listing).await.unwrap().unwrap().len(), 4);
}

#[tokio::test]
async fn no_service_makes_a_client_wait_for_years() {
    let mut service = Impostor::start().await;
    let (chat, mut updates, _stream) = join(&mut service).await;
    let _publishing = tokio::spawn(chat.publish("hello"));
    let status = Status::from(Rejection::RateLimited { retry_after: Duration::from_secs(60 * 60 * 24 * 366) });
    service.call("Publish").await.fail(&status);
    match soon(updates.next()).await {
        Some(Update::Waiting { delay, why }) => {
            assert!(delay <= Duration::from_secs(60), "{delay:?}");
            assert_eq!(why, Reason::RateLimited);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_survives_any_duration_and_any_wall_clock() {
    for (seconds, nanos) in
        [(0, 0), (-1, 0), (3_000_000_000, 0), (i64::MAX, i32::MAX), (i64::MIN, i32::MIN), (i64::MIN, i32::MAX)]
    {
        let mut service = Impostor::start().await;
        let joining = tokio::spawn(client::join(Options::new(&*service.url, "alice")));
        let heartbeat_interval = Some(prost_types::Duration { seconds, nanos });
        let welcome = pb::Welcome { heartbeat_interval, ..truth(5, 10, false) };
        let mut stream = service.call("Join").await.send(&response(welcome));
        let recorded_at = Some(prost_types::Timestamp { seconds, nanos });
        put(&mut stream, [Frame::Event(pb::Event { recorded_at, ..joined(5, 10, "p5", "alice") })]);
        let (_chat, mut updates) = soon(joining).await.unwrap().unwrap();
        assert_eq!(event(&mut updates).await, 5);
    }
}

/// The delay in the status is invalid, and the message is still sent again.
#[tokio::test]
async fn a_client_survives_any_delay_in_a_refusal() {
    for (seconds, nanos) in [(i64::MIN, i32::MIN), (i64::MAX, i32::MAX), (-1, 0)] {
        let mut service = Impostor::start().await;
        let (chat, mut updates, _stream) = join(&mut service).await;
        let publishing = tokio::spawn(chat.publish("hello"));
        let honest = Status::from(Rejection::RateLimited { retry_after: Duration::ZERO });
        let mut details = tonic_types::pb::Status::decode(honest.details()).unwrap();
        let retry = tonic_types::pb::RetryInfo { retry_delay: Some(prost_types::Duration { seconds, nanos }) };
        details.details.retain(|detail| !detail.type_url.ends_with("RetryInfo"));
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".into();
        details.details.push(prost_types::Any { type_url, value: retry.encode_to_vec() });
        let status = Status::with_details(honest.code(), "wait", details.encode_to_vec().into());
        service.call("Publish").await.fail(&status);
        assert!(matches!(soon(updates.next()).await, Some(Update::Waiting { why: Reason::RateLimited, .. })));
        service.call("Publish").await.answer(&pb::PublishResponse { sequence: 6, logical_time: 20 });
        soon(publishing).await.unwrap().unwrap();
    }
}
