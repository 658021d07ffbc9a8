//! A body that passes on, or changes, the frames of another one.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

/// The result of polling a body for its next frame.
pub type FramePoll = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

/// A body whose frames are what `poll` makes of the inner body's. It ends once `poll` has taken the inner body away.
pub fn through(
    inner: Body,
    poll: impl FnMut(&mut Option<Body>, &mut Context<'_>) -> FramePoll + Send + Unpin + 'static,
) -> Body {
    Body::new(Through { inner: Some(inner), poll })
}

struct Through<P> {
    /// `None` once the body has ended.
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
