//! A client does not hammer a failing service, does not give up while a service is down for a while, and tries the next
//! of several addresses (D17).

use std::time::Duration;

use bytes::Bytes;
use chitchat::client::{self, Chat, Options, StateFile, Update, Updates};
use chitchat::wire::pb::join_response::Frame;
use chitchat::wire::{Reason, pb};
use tokio::time::Instant;
use tonic::Status;

use crate::support::{DEADLINE, Impostor, Program, Proxy, Server, ServerProgram, soon, trailers};

/// Lets a participant join. Returns its stream as well.
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
async fn a_client_backs_off_from_a_service_that_fails_after_each_welcome() {
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
async fn a_publish_that_fails_without_a_reason_is_retried_on_the_same_stream() {
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
async fn a_client_restarted_while_the_service_is_down_keeps_trying() {
    let server = Server::start().await;
    let mut proxy = Proxy::to(server.address).await;
    let (url, folder) = (format!("http://{}", proxy.address), tempfile::tempdir().unwrap());
    let options = || Options {
        state: Some(StateFile::open(folder.path(), &url, "alice").unwrap()),
        ..Options::new(&*url, "alice")
    };
    // Like a killed process, the first client has no time to leave.
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

/// An address on which nothing listens.
fn dead() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn the_second_address_is_used_if_the_first_is_dead_d17() {
    let server = Server::start().await;
    let (chat, mut updates) =
        soon(client::join(Options::new(format!("{},{}", dead(), server.url()), "alice"))).await.unwrap();
    soon(chat.publish("hello")).await.unwrap();
    assert!(matches!(soon(updates.next()).await, Some(Update::Event(_))));
    let (first, second) = (dead(), dead());
    let error =
        soon(client::join(Options::new(format!("{first},{second}"), "bob"))).await.unwrap_err().to_string();
    assert!(error.contains(&first) && error.contains(&second), "{error}");
    // If one of them refuses, that is final.
    let refused =
        soon(client::join(Options::new(format!("{},{first}", server.url()), "alice"))).await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::NameTaken));
}

/// The service stops, and starts at another address with the same journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_resumes_at_the_next_address_d17() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("chitchat.db");
    let options = ["--journal", journal.to_str().unwrap()];
    let mut first = ServerProgram::start(&options);
    let elsewhere = Proxy::to(first.address).await;
    elsewhere.cut();
    let servers = format!("http://{},http://{},{}", first.address, elsewhere.address, dead());
    let (chat, mut updates) = client::join(Options::new(servers, "alice")).await.unwrap();
    soon(chat.publish("before")).await.unwrap();
    first.stop("TERM");
    let waiting = chat.publish("meanwhile");
    let second = ServerProgram::start(&options);
    elsewhere.restore(second.address);
    assert_eq!(soon(waiting).await.unwrap().sequence.0, 3);
    let (mut events, mut is_back) = (Vec::new(), false);
    while events.len() < 3 {
        match soon(updates.next()).await.unwrap() {
            Update::Event(event) => events.push(event.sequence.0),
            Update::Back { .. } => is_back = true,
            Update::Offline { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(is_back);
    assert_eq!(events, [1, 2, 3], "nothing twice, nothing missed");
    let left = tokio::spawn(chat.leave());
    while soon(updates.next()).await.is_some() {}
    left.await.unwrap().unwrap();
}

/// This holds for `send`, for `join --json`, and for a kept session, even with the addresses in another order.
#[test]
fn the_programs_take_several_addresses_d16_d17() {
    let server = ServerProgram::start(&[]);
    let logs = server.log_folder().to_str().unwrap();
    let (live, dead) = (format!("http://{}", server.address), dead());
    let both = format!("{dead},{live}");
    let sent = Program::run(&["send", "--name", "ci", "--server", &both, "--log-dir", logs, "hello"], &[]);
    sent.succeeded();
    let client = server.join_at(&both, "alice", &["--json"]);
    assert!(client.program.line().contains("\"display_name\":\"alice\""));
    client.program.signal("KILL");
    drop(client);
    let again = server.join_at(&format!("{live},{dead}"), "alice", &["--json"]);
    again.program.notice("* back");
    drop(again);
    let wrong = Program::run(&["join", "bob", "--server", &format!("{live},nonsense"), "--log-dir", logs], &[]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.errors.contains("nonsense"), "{wrong:?}");
}
