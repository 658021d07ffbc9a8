//! An HTTP/1.1 client that sends exactly the bytes that a test gives it.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::soon;

/// One connection.
pub struct Http1<S = TcpStream> {
    socket: S,
    buffer: BytesMut,
}

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Http1 {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(soon(TcpStream::connect(address)).await.unwrap())
    }

    /// Requests a path over a new connection.
    pub async fn get(address: SocketAddr, path: &str) -> Answer {
        Self::connect(address).await.ask("GET", path, &[], b"").await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub fn over(socket: S) -> Self {
        Self { socket, buffer: BytesMut::new() }
    }

    /// Sends any bytes, and ignores errors: the response shows whether the service still reads.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = soon(self.socket.write_all(bytes.as_ref())).await;
        let _ = soon(self.socket.flush()).await;
    }

    /// Sends a request, with `host: localhost` unless `headers` has another.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("host: localhost\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        self.say([head.as_bytes(), b"\r\n", body].concat()).await;
    }

    /// Sends a request and waits for the complete response.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.request(method, path, headers, body).await;
        let (status, headers) = self.head().await;
        let length = headers.get("content-length").map(|length| length.to_str().unwrap().parse().unwrap());
        let body = match length {
            _ if method == "HEAD" || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) => {
                Bytes::new()
            }
            Some(length) => self.bytes(length).await,
            None => {
                let mut body = BytesMut::new();
                while let Some(chunk) = self.chunk().await {
                    body.extend_from_slice(&chunk);
                }
                body.freeze()
            }
        };
        Answer { status, headers, body }
    }

    /// Reads the head of a response.
    pub async fn head(&mut self) -> (StatusCode, HeaderMap) {
        let line = self.line().await;
        let status =
            line.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3)).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line of HTTP/1.1: {line:?}"));
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { return (status, headers) };
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value.trim()).unwrap());
        }
    }

    /// The next chunk of a chunked body; `None` at its end.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        let size = usize::from_str_radix(&self.line().await, 16).expect("the size of a chunk");
        let chunk = self.bytes(size).await;
        assert_eq!(self.line().await, "");
        (size > 0).then_some(chunk)
    }

    /// Waits until the service has closed the connection. Returns what it sent before that.
    pub async fn closed(&mut self) -> String {
        let mut heard = self.buffer.split().to_vec();
        // A reset counts as closing.
        let _ = soon(self.socket.read_to_end(&mut heard)).await;
        String::from_utf8_lossy(&heard).into_owned()
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            self.more().await;
        }
    }

    /// The next `count` bytes.
    pub async fn bytes(&mut self, count: usize) -> Bytes {
        while self.buffer.len() < count {
            self.more().await;
        }
        self.buffer.split_to(count).freeze()
    }

    async fn more(&mut self) {
        let read = soon(self.socket.read_buf(&mut self.buffer)).await.unwrap();
        assert!(read > 0, "the connection was closed in the middle of a response: {:?}", self.buffer);
    }
}
