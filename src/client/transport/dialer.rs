//! Connects by TCP, and keeps the first bytes of the service's answer, which can explain a failure.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tower::Service;

/// How many of the first bytes are kept: enough for the head of an error page.
const FIRST_BYTES_MAX: usize = 512;

/// The first bytes that the service sent, on the newest connection that received any.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstBytes(Arc<Mutex<Vec<u8>>>);

impl FirstBytes {
    pub(super) fn get(&self) -> Vec<u8> {
        self.0.lock().clone()
    }

    /// Takes bytes that were received on a connection: its first ones, or later ones.
    fn push(&self, bytes: &[u8], are_first: bool) {
        let mut first = self.0.lock();
        if are_first {
            first.clear();
        }
        let room = FIRST_BYTES_MAX - first.len();
        first.extend(&bytes[..bytes.len().min(room)]);
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::client) enum DialError {
    /// The host name cannot be resolved.
    #[error("the host name {host} cannot be resolved")]
    Name {
        host: String,
        #[source]
        source: io::Error,
    },
    /// No address of the host accepts a connection.
    #[error("{0}")]
    Connect(#[source] io::Error),
}

/// Connects to the host of a URL.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    pub(super) first: FirstBytes,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Observed>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let first = self.first.clone();
        Box::pin(async move {
            let stream = connect(&uri).await?;
            Ok(TokioIo::new(Observed { stream, first, seen: 0 }))
        })
    }
}

async fn connect(uri: &Uri) -> Result<TcpStream, DialError> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let usual_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let unresolved = |source| DialError::Name { host: host.to_owned(), source };
    let addresses = lookup_host((host, uri.port_u16().unwrap_or(usual_port))).await.map_err(unresolved)?;
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect(address).await.and_then(not_to_itself) {
            Ok(stream) => {
                // Messages are small and must not be delayed.
                stream.set_nodelay(true).map_err(DialError::Connect)?;
                return Ok(stream);
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(match failed {
        Some(error) => DialError::Connect(error),
        None => unresolved(io::ErrorKind::NotFound.into()),
    })
}

/// Refuses a connection to itself. A client that dials a port of its own machine on which nothing listens may be given
/// that port as its own, and so connect to itself. The port would then be in use, and the service could not start.
fn not_to_itself(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// A connection whose first bytes are kept.
#[derive(Debug)]
pub(super) struct Observed {
    stream: TcpStream,
    first: FirstBytes,
    /// How many bytes have been received, counted up to [`FIRST_BYTES_MAX`].
    seen: usize,
}

impl AsyncRead for Observed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let bytes = &buffer.filled()[before..];
        if self.seen < FIRST_BYTES_MAX && !bytes.is_empty() {
            self.first.push(bytes, self.seen == 0);
            self.seen = FIRST_BYTES_MAX.min(self.seen + bytes.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Observed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// If a client's own port happens to be the one that it dials, that counts as a refused connection.
    #[tokio::test]
    async fn a_connection_to_itself_is_refused() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let stream = socket.connect(address).await.unwrap();
        assert_eq!(not_to_itself(stream).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(not_to_itself(stream).is_ok());
    }
}
