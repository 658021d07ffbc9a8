//! A body that another one's frames go through.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

/// What polling a body for its next frame leads to.
pub type FramePoll = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

/// A body whose next frame is what `poll` makes of the inner one's. Once `poll` has taken the inner one away, it is over.
pub fn through(
    inner: Body,
    poll: impl FnMut(&mut Option<Body>, &mut Context<'_>) -> FramePoll + Send + Unpin + 'static,
) -> Body {
    Body::new(Through { inner: Some(inner), poll })
}

struct Through<P> {
    /// None once it has ended.
    inner: Option<Body>,
    poll: P,
}

impl<P: FnMut(&mut Option<Body>, &mut Context<'_>) -> FramePoll + Unpin> http_body::Body for Through<P> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> FramePoll {
        let this = &mut *self;
        (this.poll)(&mut this.inner, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
