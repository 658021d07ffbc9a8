//! Responses that would never end, such as `Health.Watch` and reflection, must not hold up a shutdown.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use crate::wire::Rejection;

/// Ends a gRPC response with SHUTTING_DOWN when the shutdown begins. The request ends, too: a caller that
/// could keep sending would keep the connection open.
pub async fn end_at_shutdown(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    if shutdown.is_cancelled() {
        return Status::from(Rejection::ShuttingDown).into_http();
    }
    let request = request.map(|body| UntilShutdown::wrap(body, &shutdown, None));
    let response = next.run(request).await;
    if response.body().is_end_stream() {
        return response;
    }
    let mut farewell = HeaderMap::new();
    let told = Status::from(Rejection::ShuttingDown).add_header(&mut farewell);
    response.map(|body| UntilShutdown::wrap(body, &shutdown, told.ok().map(|()| farewell)))
}

struct UntilShutdown {
    /// None once it has ended.
    body: Option<Body>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The trailers with which the shutdown ends it.
    farewell: Option<HeaderMap>,
}

impl UntilShutdown {
    fn wrap(body: Body, shutdown: &CancellationToken, farewell: Option<HeaderMap>) -> Body {
        let shutdown = Box::pin(shutdown.clone().cancelled_owned());
        Body::new(Self { body: Some(body), shutdown, farewell })
    }
}

impl http_body::Body for UntilShutdown {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.shutdown.as_mut().poll(cx).is_pending() {
            return Pin::new(body).poll_frame(cx);
        }
        this.body = None;
        Poll::Ready(this.farewell.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
