//! A client does not hammer a service that fails, and does not give up one that is away for a while.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use chitchat::client::{self, Chat, Options, StateFile, Update, Updates};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{DEADLINE, Proxy, Server, frame, soon};

/// A call, to be answered by the test.
struct Call {
    method: String,
    arrived: Instant,
    _body: RecvStream,
    answer: SendResponse<Bytes>,
}

impl Call {
    fn take(call: (Request<RecvStream>, SendResponse<Bytes>)) -> Self {
        let (request, answer) = call;
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        Self { method, arrived: Instant::now(), _body: request.into_body(), answer }
    }

    /// Answers with a message and leaves the response open.
    fn send(&mut self, message: &impl Message) -> h2::SendStream<Bytes> {
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut body = self.answer.send_response(head, false).unwrap();
        body.send_data(frame(&message.encode_to_vec()), false).unwrap();
        body
    }
}

/// A service whose every answer is the test's.
struct Impostor {
    url: String,
    calls: mpsc::Receiver<Call>,
    _serving: AbortOnDropHandle<()>,
}

impl Impostor {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (sender, calls) = mpsc::channel(16);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let sender = sender.clone();
                connections.spawn(async move {
                    let mut connection = h2::server::handshake(socket).await.unwrap();
                    while let Some(Ok(call)) = connection.accept().await {
                        let _ = sender.send(Call::take(call)).await;
                    }
                });
            }
        });
        Self { url: format!("http://{address}"), calls, _serving: AbortOnDropHandle::new(serving) }
    }

    async fn call(&mut self, method: &str) -> Call {
        let call = soon(self.calls.recv()).await.unwrap();
        assert_eq!(call.method, method);
        call
    }

    /// Lets a participant join. Answers with its stream, too.
    async fn joined(&mut self) -> (Chat, Updates, h2::SendStream<Bytes>) {
        let joining = tokio::spawn(client::join(Options::new(&*self.url, "alice")));
        let stream = self.call("Join").await.send(&welcome());
        let (chat, updates) = soon(joining).await.unwrap().unwrap();
        (chat, updates, stream)
    }
}

fn welcome() -> pb::JoinResponse {
    let alice = pb::Participant { participant_id: "p1".into(), display_name: "alice".into() };
    let frame = Frame::Welcome(pb::Welcome {
        session_token: "token".into(),
        participant_id: "p1".into(),
        epoch: "epoch".into(),
        participants: vec![alice],
        resumed: true,
        ..Default::default()
    });
    pb::JoinResponse { frame: Some(frame) }
}

/// The end of a response that says nothing but that it failed.
fn failed() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), "14".parse().unwrap())])
}

#[tokio::test]
async fn a_service_that_fails_right_after_each_welcome_is_asked_ever_more_rarely() {
    let mut service = Impostor::start().await;
    let (_chat, _updates, mut stream) = service.joined().await;
    let mut pause = Duration::from_millis(100);
    for _ in 0..5 {
        let broke = Instant::now();
        stream.send_trailers(failed()).unwrap();
        let mut call = service.call("Join").await;
        assert!(call.arrived.duration_since(broke) >= pause, "no sooner than {pause:?}");
        stream = call.send(&welcome());
        pause *= 2;
    }
}

#[tokio::test]
async fn a_publish_that_fails_without_a_reason_is_tried_again_and_costs_no_stream() {
    let mut service = Impostor::start().await;
    let (chat, _updates, _stream) = service.joined().await;
    let publishing = tokio::spawn(async move { chat.publish("hello").await });
    for _ in 0..2 {
        let mut call = service.call("Publish").await;
        let head = Response::builder().header("content-type", "application/grpc").header("grpc-status", "14");
        call.answer.send_response(head.body(()).unwrap(), true).unwrap();
    }
    let mut call = service.call("Publish").await;
    let mut body = call.send(&pb::PublishResponse { sequence: 2, logical_time: 9 });
    body.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])).unwrap();
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
