//! The body of a response, which counts how much of it the transport has taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::memory::{Overdrawn, Reservation};
use super::watchdog::ResponseWatch;

/// The most bytes that are handed to the transport in one piece.
const CHUNK_BYTES_MAX: usize = 16 * 1024;
/// How many bytes may still wait in the transport when the response ends. If there are more, its end waits, so that
/// the stream can still be reset.
const LEFT_BEHIND_BYTES_MAX: usize = 4 * 1024;

/// A response's body, piece by piece.
#[derive(Debug)]
pub struct WatchedBody {
    inner: Body,
    watch: Arc<ResponseWatch>,
    /// The rest of a piece that is longer than a chunk.
    rest: BodyChunk,
    end: BodyEnd,
    /// Charged until the response has ended.
    _overhead: Option<Arc<Reservation>>,
}

#[derive(Debug)]
enum BodyEnd {
    /// The inner body has more.
    Open,
    /// It has no more data, and ends with these.
    Trailers(Option<HeaderMap>),
}

impl WatchedBody {
    pub fn new(inner: Body, watch: Arc<ResponseWatch>, overhead: Option<Arc<Reservation>>) -> Self {
        let rest = BodyChunk { bytes: Bytes::new(), watch: watch.clone() };
        Self { inner, watch, rest, end: BodyEnd::Open, _overhead: overhead }
    }

    fn next_chunk(&mut self) -> BodyChunk {
        let bytes = self.rest.bytes.split_to(self.rest.bytes.len().min(CHUNK_BYTES_MAX));
        BodyChunk { bytes, watch: self.watch.clone() }
    }

    /// Whether so few bytes wait that the body may end before the transport has taken them.
    fn may_end(&self, cx: &Context<'_>) -> bool {
        if self.watch.untaken() <= LEFT_BEHIND_BYTES_MAX {
            return true;
        }
        self.watch.wake_when_taken(cx.waker());
        self.watch.untaken() <= LEFT_BEHIND_BYTES_MAX
    }
}

impl http_body::Body for WatchedBody {
    type Data = BodyChunk;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<BodyChunk>, axum::Error>>> {
        loop {
            if !self.rest.bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.next_chunk()))));
            }
            if matches!(self.end, BodyEnd::Trailers(_)) {
                if !self.may_end(cx) {
                    return Poll::Pending;
                }
                let BodyEnd::Trailers(trailers) = std::mem::replace(&mut self.end, BodyEnd::Trailers(None)) else {
                    return Poll::Ready(None);
                };
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                None => self.end = BodyEnd::Trailers(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => {
                        if let Err(Overdrawn) = self.watch.hold(bytes.len()) {
                            let why = "the address has used up its memory budget";
                            return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(why)))));
                        }
                        self.rest.bytes = bytes;
                    }
                    Err(frame) => self.end = BodyEnd::Trailers(frame.into_trailers().ok()),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let inner = matches!(self.end, BodyEnd::Trailers(None)) || self.inner.is_end_stream();
        inner && self.rest.bytes.is_empty() && self.watch.untaken() <= LEFT_BEHIND_BYTES_MAX
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.bytes.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// Bytes that the transport writes. Both written and dropped bytes count as taken.
#[derive(Debug)]
pub struct BodyChunk {
    bytes: Bytes,
    watch: Arc<ResponseWatch>,
}

impl Buf for BodyChunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.watch.release(count);
    }
}

impl Drop for BodyChunk {
    fn drop(&mut self) {
        self.watch.release(self.bytes.len());
    }
}
