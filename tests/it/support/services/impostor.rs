//! A service that leaves every answer to the test.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::super::{frame, soon};

/// A call that the test answers.
pub struct Call {
    pub method: String,
    pub arrived: Instant,
    body: RecvStream,
    answer: SendResponse<Bytes>,
}

impl Call {
    fn take(call: (Request<RecvStream>, SendResponse<Bytes>)) -> Self {
        let (request, answer) = call;
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        Self { method, arrived: Instant::now(), body: request.into_body(), answer }
    }

    /// The request message.
    pub async fn request<M: Message + Default>(&mut self) -> M {
        let mut bytes = BytesMut::new();
        while let Some(data) = soon(self.body.data()).await {
            bytes.extend_from_slice(&data.unwrap());
        }
        M::decode(&bytes[5..]).unwrap()
    }

    /// Answers with a message and leaves the response open.
    pub fn send(&mut self, message: &impl Message) -> SendStream<Bytes> {
        let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut body = self.answer.send_response(head, false).unwrap();
        body.send_data(frame(&message.encode_to_vec()), false).unwrap();
        body
    }

    /// Answers with one message and the status OK.
    pub fn answer(&mut self, message: &impl Message) {
        self.send(message).send_trailers(trailers(0)).unwrap();
    }

    /// Answers with a status alone.
    pub fn fail(&mut self, status: &Status) {
        let mut head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        status.add_header(head.headers_mut()).unwrap();
        self.answer.send_response(head, true).unwrap();
    }
}

/// Trailers with only a status code.
pub fn trailers(code: u32) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.into())])
}

/// Sends frames on an open stream.
pub fn put(stream: &mut SendStream<Bytes>, frames: impl IntoIterator<Item = Frame>) {
    for one in frames {
        let response = pb::JoinResponse { frame: Some(one) };
        stream.send_data(frame(&response.encode_to_vec()), false).unwrap();
    }
}

/// The service. It passes every call to the test.
pub struct Impostor {
    pub url: String,
    calls: mpsc::Receiver<Call>,
    _serving: AbortOnDropHandle<()>,
}

impl Impostor {
    pub async fn start() -> Self {
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

    pub async fn call(&mut self, method: &str) -> Call {
        let call = soon(self.calls.recv()).await.unwrap();
        assert_eq!(call.method, method);
        call
    }
}
