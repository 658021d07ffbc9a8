//! A gRPC client that sends exactly the bytes that a test gives it, and reads what comes back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::super::soon;

/// The flow-control window of a client: how many bytes may be in flight to it.
#[derive(Clone, Copy, Default)]
pub enum Window {
    /// So wide that it never matters.
    #[default]
    Wide,
    /// This many bytes per stream.
    Bytes(u32),
}

/// One HTTP/2 connection. It breaks when its last clone is dropped.
#[derive(Clone)]
pub struct Wire {
    requests: SendRequest<Bytes>,
    /// Headers of every call, in addition to the mandatory ones.
    headers: HeaderMap,
    _connection: Arc<AbortOnDropHandle<()>>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, Window::default()).await
    }

    pub async fn connect_with(address: SocketAddr, window: Window) -> Self {
        let socket = soon(TcpStream::connect(address)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket, window).await
    }

    /// Speaks HTTP/2 over a connection of any kind.
    pub async fn over(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, window: Window) -> Self {
        let bytes = match window {
            Window::Wide => 1 << 24,
            Window::Bytes(bytes) => bytes,
        };
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(bytes).initial_connection_window_size(1 << 24);
        let (requests, connection) = soon(builder.handshake(socket)).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { requests, headers: HeaderMap::new(), _connection: Arc::new(AbortOnDropHandle::new(connection)) }
    }

    /// The same connection with one more header in every call.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut wire = self.clone();
        wire.headers.insert(name, value.try_into().unwrap());
        wire
    }

    /// How many concurrent streams the service allows on this connection.
    pub fn streams_max(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// Sends any body to any path. Returns the HTTP status, the headers and the body, which is still to be read.
    pub async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> (StatusCode, HeaderMap, RecvStream) {
        self.send(self.request(path, content_type), body).await
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<()>, body: impl Into<Bytes>) -> (StatusCode, HeaderMap, RecvStream) {
        let (response, mut sending) = self.begin(request).await;
        // The service may have refused the request before its body was sent.
        let _ = sending.send_data(body.into(), true);
        let (parts, body) = soon(response).await.unwrap().into_parts();
        (parts.status, parts.headers, body)
    }

    /// Sends the head of a request, and leaves its body to the caller.
    pub async fn begin(&self, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
        let mut requests = soon(self.requests.clone().ready()).await.unwrap();
        requests.send_request(request, false).unwrap()
    }

    /// The head of a call to any path.
    pub fn request(&self, path: &str, content_type: &str) -> Request<()> {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("content-type", content_type)
            .header("te", "trailers")
            .body(())
            .unwrap();
        request.headers_mut().extend(self.headers.clone());
        request
    }

    /// Calls a method of the service, or a path, with any bytes as its body, framed or not.
    pub async fn open(&self, method: &str, body: impl Into<Bytes>) -> Frames {
        let path = match method.starts_with('/') {
            true => method.to_owned(),
            false => format!("/chitchat.v1.ChitChatService/{method}"),
        };
        let (http, headers, body) = self.post(&path, "application/grpc", body).await;
        assert_eq!(http, StatusCode::OK, "gRPC answers 200");
        Frames::new(&headers, body)
    }

    /// Calls a unary method with any bytes as its message.
    pub async fn call<R: Message + Default>(&self, method: &str, message: &[u8]) -> Result<R, Status> {
        self.call_with(method, frame(message)).await
    }

    /// Calls a unary method with any bytes as its body.
    pub async fn call_with<R: Message + Default>(
        &self,
        method: &str,
        body: impl Into<Bytes>,
    ) -> Result<R, Status> {
        let mut frames = self.open(method, body).await;
        let message = frames.message().await?;
        let end = frames.message().await.expect_err("a unary call has one answer");
        assert_eq!(end.code(), Code::Ok);
        Ok(R::decode(message).unwrap())
    }

    pub async fn join(&self, request: &pb::JoinRequest) -> Frames {
        self.open("Join", frame(&request.encode_to_vec())).await
    }

    pub async fn publish(&self, request: &pb::PublishRequest) -> Result<pb::PublishResponse, Status> {
        self.call("Publish", &request.encode_to_vec()).await
    }

    pub async fn leave(&self, request: &pb::LeaveRequest) -> Result<pb::LeaveResponse, Status> {
        self.call("Leave", &request.encode_to_vec()).await
    }

    pub async fn list(&self, request: &pb::ListEventsRequest) -> Result<pb::ListEventsResponse, Status> {
        self.call("ListEvents", &request.encode_to_vec()).await
    }
}

/// The gRPC frame around a message: not compressed, its length, the message.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// The messages of a response, as they arrive.
pub struct Frames {
    body: RecvStream,
    buffer: BytesMut,
    ended: Option<Status>,
}

impl Frames {
    pub fn new(headers: &HeaderMap, body: RecvStream) -> Self {
        Self { body, buffer: BytesMut::new(), ended: Status::from_header_map(headers) }
    }

    /// The next message as it was sent; at the end the status as an error, even OK.
    pub async fn message(&mut self) -> Result<Bytes, Status> {
        soon(async {
            loop {
                if let Some(message) = self.buffered() {
                    return Ok(message);
                }
                if let Some(status) = &self.ended {
                    return Err(status.clone());
                }
                match self.body.data().await {
                    Some(Ok(data)) => {
                        self.body.flow_control().release_capacity(data.len()).unwrap();
                        self.buffer.extend_from_slice(&data);
                    }
                    Some(Err(error)) => self.ended = Some(Status::unknown(error.to_string())),
                    None => {
                        let trailers = self.body.trailers().await.ok().flatten();
                        let status = trailers.as_ref().and_then(Status::from_header_map);
                        self.ended = Some(status.unwrap_or_else(|| Status::unknown("no trailers")));
                    }
                }
            }
        })
        .await
    }

    /// The next frame of a participant's stream.
    pub async fn next(&mut self) -> Result<Frame, Status> {
        let message = self.message().await?;
        Ok(pb::JoinResponse::decode(message).unwrap().frame.expect("one kind of frame is set"))
    }

    /// The next event of a participant's stream.
    pub async fn event(&mut self) -> Result<pb::Event, Status> {
        loop {
            if let Frame::Event(event) = self.next().await? {
                return Ok(event);
            }
        }
    }

    fn buffered(&mut self) -> Option<Bytes> {
        let length = u32::from_be_bytes(self.buffer.get(1..5)?.try_into().unwrap()) as usize;
        if self.buffer.len() < 5 + length {
            return None;
        }
        assert_eq!(self.buffer.get_u8(), 0, "not compressed");
        self.buffer.advance(4);
        Some(self.buffer.split_to(length).freeze())
    }
}

/// A refusal as any gRPC client would read it.
#[derive(Debug)]
pub struct Refused {
    pub figures: HashMap<String, String>,
    pub fields: Vec<String>,
    pub retry: Option<Duration>,
}

impl Refused {
    pub fn figure(&self, name: &str) -> &str {
        self.figures.get(name).unwrap_or_else(|| panic!("no figure {name} in {self:?}"))
    }
}

/// Checks that an answer is this refusal of the specification's table (chapter 7).
#[track_caller]
pub fn refused<T>(answer: Result<T, Status>, code: Code, reason: &str) -> Refused {
    let status = answer.err().unwrap_or_else(|| panic!("expected the refusal {reason}"));
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{reason}: no ErrorInfo in {status:?}"));
    assert_eq!((info.domain.as_str(), info.reason.as_str(), status.code()), ("chitchat", reason, code));
    assert!(!status.message().is_empty(), "{reason}: a person needs a sentence");
    Refused {
        figures: info.metadata.clone(),
        fields: details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|violation| violation.field.clone()).collect())
            .unwrap_or_default(),
        retry: details.retry_info().and_then(|info| info.retry_delay),
    }
}
