//! A client does not hammer a service that fails, and does not give up one that is away for a while.

use std::time::Duration;

use bytes::Bytes;
use chitchat::client::{self, Chat, Options, StateFile, Update, Updates};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use tokio::time::Instant;
use tonic::Status;

use crate::support::{DEADLINE, Impostor, Proxy, Server, soon, trailers};

/// Lets a participant join. Answers with its stream, too.
async fn joined(service: &mut Impostor) -> (Chat, Updates, h2::SendStream<Bytes>) {
    let joining = tokio::spawn(client::join(Options::new(&*service.url, "alice")));
    let stream = service.call("Join").await.send(&welcome(false));
    let (chat, updates) = soon(joining).await.unwrap().unwrap();
    (chat, updates, stream)
}

fn welcome(resumed: bool) -> pb::JoinResponse {
    let alice = pb::Participant { participant_id: "p1".into(), display_name: "alice".into() };
    let frame = Frame::Welcome(pb::Welcome {
        session_token: "token".into(),
        participant_id: "p1".into(),
        epoch: "epoch".into(),
        participants: vec![alice],
        resumed,
        ..Default::default()
    });
    pb::JoinResponse { frame: Some(frame) }
}

#[tokio::test]
async fn a_service_that_fails_right_after_each_welcome_is_asked_ever_more_rarely() {
    let mut service = Impostor::start().await;
    let (_chat, _updates, mut stream) = joined(&mut service).await;
    let mut pause = Duration::from_millis(100);
    for _ in 0..5 {
        let broke = Instant::now();
        stream.send_trailers(trailers(14)).unwrap();
        let mut call = service.call("Join").await;
        assert!(call.arrived.duration_since(broke) >= pause, "no sooner than {pause:?}");
        stream = call.send(&welcome(true));
        pause *= 2;
    }
}

#[tokio::test]
async fn a_publish_that_fails_without_a_reason_is_tried_again_and_costs_no_stream() {
    let mut service = Impostor::start().await;
    let (chat, _updates, _stream) = joined(&mut service).await;
    let publishing = tokio::spawn(async move { chat.publish("hello").await });
    for _ in 0..2 {
        service.call("Publish").await.fail(&Status::unavailable(""));
    }
    service.call("Publish").await.answer(&pb::PublishResponse { sequence: 2, logical_time: 9 });
    assert_eq!(soon(publishing).await.unwrap().unwrap().sequence.0, 2);
    // The last handle is gone, so the participant leaves. No stream was opened meanwhile.
    service.call("Leave").await;
}

#[tokio::test]
async fn a_client_that_is_started_again_while_the_service_is_away_tries_on() {
    let server = Server::start().await;
    let mut proxy = Proxy::to(server.address).await;
    let (url, folder) = (format!("http://{}", proxy.address), tempfile::tempdir().unwrap());
    let options = || Options {
        state: Some(StateFile::open(folder.path(), &url, "alice").unwrap()),
        ..Options::new(&*url, "alice")
    };
    // As one that is killed, the first has no time to leave.
    let killed = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let kept = killed.spawn(client::join(options())).await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || killed.shutdown_timeout(DEADLINE)).await.unwrap();
    drop(kept);
    proxy.cut();
    let patience = Duration::from_secs(1);
    let joining = tokio::spawn(client::join(Options { patience, ..options() }));
    proxy.swallow(2).await;
    proxy.restore(server.address);
    let (_chat, mut updates) = soon(joining).await.unwrap().unwrap();
    assert!(matches!(soon(updates.next()).await, Some(Update::Continued { .. })));
}
