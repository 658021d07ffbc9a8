//! gRPC over one HTTP/2 connection, with as little as possible between the socket and a reader.
//!
//! Speaks HTTP/2 with the library that the whole program uses (h2), without the layers of tonic above it:
//! per connection those are a task, a queue and buffers, and per message a decoder, which together cost more than the
//! service itself spends on a delivery. Such a run would mostly measure the load generator.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, client};
use http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use prost::Message;
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::error::{CallFailure, LoadError};
use super::scan::Messages;

/// How much the service may send ahead of the reader. Large, so that the service never waits for the window.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// How much memory h2 may use for small frames that the reader has not taken yet: as much as the window can hold. They
/// are read in the same step.
const SMALL_FRAMES_BUDGET: usize = 64 * 1024 * 1024;
const SEND_BUFFER_BYTES: usize = 16 * 1024;

/// Drives a connection: it must be polled for anything to happen on it.
pub type Driver = client::Connection<TcpStream, Bytes>;

/// A method of the service.
#[derive(Clone, Copy, Debug)]
pub enum Rpc {
    Join,
    Publish,
    Leave,
}

/// The service that is called.
#[derive(Clone, Debug)]
pub struct Service {
    address: SocketAddr,
    uris: [Uri; 3],
    authorization: Option<HeaderValue>,
}

impl Service {
    /// The service at this socket, addressed by this name (host and port), with its access secret if it has one.
    ///
    /// # Errors
    /// If the name or the secret cannot be put into a request.
    pub fn new(address: SocketAddr, authority: &str, secret: Option<&str>) -> Result<Self, http::Error> {
        let uri = |method: &str| format!("http://{authority}/chitchat.v1.ChitChatService/{method}").parse();
        let mut authorization =
            secret.map(|secret| HeaderValue::try_from(format!("Bearer {secret}"))).transpose()?;
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(Self { address, uris: [uri("Join")?, uri("Publish")?, uri("Leave")?], authorization })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`LoadError::Connect`].
    pub async fn connect(&self) -> Result<(SendRequest<Bytes>, Driver), LoadError> {
        let failed = |source| LoadError::Connect { address: self.address.to_string(), source };
        let stream = TcpStream::connect(self.address).await.map_err(failed)?;
        // Messages are small, and their time is measured.
        stream.set_nodelay(true).map_err(failed)?;
        let mut builder = Builder::new();
        builder
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .data_frame_budget(SMALL_FRAMES_BUDGET)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .enable_push(false);
        builder.handshake(stream).await.map_err(|error| failed(std::io::Error::other(error)))
    }

    /// Sends a request and waits until its answer begins.
    pub async fn open(
        &self,
        requests: &SendRequest<Bytes>,
        rpc: Rpc,
        message: &impl Message,
    ) -> Result<RecvStream, CallFailure> {
        let response = self.send(requests, rpc, message).await?.await?;
        if response.status() != StatusCode::OK {
            return Err(Status::unknown(format!("the service answered HTTP {}", response.status())).into());
        }
        // An answer without a body has its status in the headers.
        refused(response.headers())?;
        Ok(response.into_body())
    }

    /// Sends a request and waits for its whole answer.
    pub async fn call<T: Message + Default>(
        &self,
        requests: &SendRequest<Bytes>,
        rpc: Rpc,
        message: &impl Message,
    ) -> Result<T, CallFailure> {
        let mut body = self.open(requests, rpc, message).await?;
        let (mut messages, mut answer) = (Messages::default(), None);
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            messages.push(chunk);
            while let Some(message) = messages.next_message()? {
                answer = Some(message);
            }
        }
        if let Some(trailers) = body.trailers().await? {
            refused(&trailers)?;
        }
        answer.and_then(|message| T::decode(message).ok()).ok_or(CallFailure::Malformed(super::scan::Malformed))
    }

    async fn send(
        &self,
        requests: &SendRequest<Bytes>,
        rpc: Rpc,
        message: &impl Message,
    ) -> Result<ResponseFuture, CallFailure> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uris[rpc as usize].clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let (response, mut body) = requests.clone().ready().await?.send_request(request, false)?;
        body.send_data(framed(message), true)?;
        Ok(response)
    }
}

/// A message after gRPC's prefix.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    // Not compressed.
    bytes.put_u8(0);
    bytes.put_u32(length.try_into().expect("a request is smaller than 4 GiB"));
    message.encode(&mut bytes).expect("a growing buffer has room");
    bytes.freeze()
}

/// The status in headers or trailers, if it is not OK.
pub fn refused(headers: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb;

    #[test]
    fn a_request_is_the_message_after_its_length() {
        let request = pb::LeaveRequest { session_token: "t".into(), logical_time: 300 };
        let mut messages = Messages::default();
        messages.push(framed(&request));
        let message = messages.next_message().unwrap().unwrap();
        assert_eq!(pb::LeaveRequest::decode(message), Ok(request));
        assert_eq!(messages.next_message(), Ok(None));
    }

    #[test]
    fn a_status_that_is_not_ok_is_a_refusal() {
        let headers = |code: &'static str| HeaderMap::from_iter([(Status::GRPC_STATUS, code.parse().unwrap())]);
        assert!(refused(&HeaderMap::new()).is_ok() && refused(&headers("0")).is_ok());
        assert_eq!(refused(&headers("8")).unwrap_err().code(), Code::ResourceExhausted);
    }
}
