//! A gRPC-Web client that sends exactly the bytes that a test gives it, as a browser would.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};
use prost::Message;
use tonic::Status;

use super::super::soon;
use super::{Http1, Wire, frame};

/// The binary framing.
pub const BINARY: &str = "application/grpc-web+proto";
/// The same in Base64, for clients that can read only text.
pub const TEXT: &str = "application/grpc-web-text+proto";

/// How to call the service over gRPC-Web. Every call opens a new connection.
pub struct Web<'a> {
    pub address: SocketAddr,
    pub version: Version,
    /// What is sent as `content-type` and as `accept`.
    pub content_type: &'a str,
    /// Headers in addition to those that every call has.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A response whose body may still be arriving.
pub struct WebAnswer {
    pub http: StatusCode,
    pub headers: HeaderMap,
    body: Body,
    text: bool,
    undecoded: BytesMut,
    buffer: BytesMut,
}

enum Body {
    Http1(Http1),
    /// With its connection, which must stay open.
    Http2(RecvStream, Wire),
}

/// A part of the body.
#[derive(Debug)]
pub enum Part {
    Message(Bytes),
    /// What native gRPC sends as trailers. Nothing follows.
    Trailers(HeaderMap),
}

impl<'a> Web<'a> {
    /// Binary framing over HTTP/1.1.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, version: Version::HTTP_11, content_type: BINARY, headers: &[] }
    }

    /// Calls a method of the service.
    pub async fn call(&self, method: &str, message: &impl Message) -> WebAnswer {
        self.send(method, &frame(&message.encode_to_vec())).await
    }

    /// Calls a method of the service with a body of any bytes.
    pub async fn send(&self, method: &str, body: &[u8]) -> WebAnswer {
        let path = format!("/chitchat.v1.ChitChatService/{method}");
        let text = self.content_type.contains("text");
        let body = if text { encode(body) } else { body.to_vec() };
        let accept = self.content_type.split(';').next().unwrap();
        let usual = [("content-type", self.content_type), ("accept", accept), ("x-grpc-web", "1")];
        let headers = [&usual[..], self.headers].concat();
        let (http, headers, body) = if self.version == Version::HTTP_2 {
            let mut request = Request::post(format!("http://localhost{path}"));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let wire = Wire::connect(self.address).await;
            let (http, headers, body) = wire.send(request.body(()).unwrap(), body).await;
            (http, headers, Body::Http2(body, wire))
        } else {
            let mut connection = Http1::connect(self.address).await;
            connection.request("POST", &path, &headers, &body).await;
            let (http, headers) = connection.head().await;
            (http, headers, Body::Http1(connection))
        };
        WebAnswer { http, headers, body, text, undecoded: BytesMut::new(), buffer: BytesMut::new() }
    }
}

impl WebAnswer {
    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The next part; `None` at the end of the body.
    pub async fn part(&mut self) -> Option<Part> {
        loop {
            if let Some(part) = self.buffered() {
                return Some(part);
            }
            let Some(data) = self.data().await else {
                assert!(self.buffer.is_empty() && self.undecoded.is_empty(), "a body ends with a whole part");
                return None;
            };
            if self.text {
                self.undecoded.extend_from_slice(&data);
                while self.undecoded.len() >= 4 {
                    self.buffer.extend(decode(&self.undecoded.split_to(4)));
                }
            } else {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// The next part, which must be a message.
    pub async fn message<R: Message + Default>(&mut self) -> R {
        match self.part().await {
            Some(Part::Message(message)) => R::decode(message).unwrap(),
            other => panic!("expected a message, not {other:?}: {:?}", self.headers),
        }
    }

    /// The status. It must be all that is left of the response.
    pub async fn end(&mut self) -> Status {
        if let Some(status) = Status::from_header_map(&self.headers) {
            assert!(self.part().await.is_none(), "nothing follows headers with a status");
            return status;
        }
        let Some(Part::Trailers(trailers)) = self.part().await else { panic!("no trailers") };
        assert!(self.part().await.is_none(), "nothing follows trailers");
        Status::from_header_map(&trailers).expect("trailers have a status")
    }

    async fn data(&mut self) -> Option<Bytes> {
        match &mut self.body {
            Body::Http1(_) if self.headers.contains_key("content-length") => {
                assert_eq!(self.headers["content-length"], "0", "only a response without a body has a length");
                None
            }
            Body::Http1(connection) => connection.chunk().await,
            Body::Http2(body, _wire) => {
                let data = soon(body.data()).await?.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                Some(data)
            }
        }
    }

    fn buffered(&mut self) -> Option<Part> {
        let length = u32::from_be_bytes(self.buffer.get(1..5)?.try_into().unwrap()) as usize;
        if self.buffer.len() < 5 + length {
            return None;
        }
        let flags = self.buffer.get_u8();
        self.buffer.advance(4);
        let part = self.buffer.split_to(length).freeze();
        match flags {
            0 => Some(Part::Message(part)),
            0x80 => Some(Part::Trailers(trailers(&part))),
            _ => panic!("neither a message nor trailers: {flags:#x}"),
        }
    }
}

fn trailers(block: &[u8]) -> HeaderMap {
    let lines = std::str::from_utf8(block).unwrap().split_terminator("\r\n");
    let pairs = lines.map(|line| line.split_once(':').expect("a name and a value"));
    pairs
        .map(|(name, value)| {
            assert_eq!(name, name.to_ascii_lowercase(), "the names of trailers are in lower case");
            (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value.trim()).unwrap())
        })
        .collect()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64, with padding.
fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let number = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = (number >> (18 - 6 * digit)) & 63;
            encoded.push(if digit <= three.len() { DIGITS[index as usize] } else { b'=' });
        }
    }
    encoded
}

/// The bytes of four digits. The service pads each piece, so padding also occurs in the middle of a body.
fn decode(four: &[u8]) -> Vec<u8> {
    let padding = four.iter().filter(|digit| **digit == b'=').count();
    let value = |digit: &u8| DIGITS.iter().position(|known| known == digit).unwrap_or_default() as u32;
    let number = four.iter().fold(0, |number, digit| number << 6 | value(digit));
    number.to_be_bytes()[1..4 - padding].to_vec()
}
