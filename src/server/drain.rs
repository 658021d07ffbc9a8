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

/// Ends a gRPC response with SHUTTING_DOWN when the shutdown begins.
pub async fn end_at_shutdown(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.body().is_end_stream() {
        return response;
    }
    response.map(|body| Body::new(UntilShutdown { body, shutdown: Some(Box::pin(shutdown.cancelled_owned())) }))
}

struct UntilShutdown {
    body: Body,
    /// None once the response has ended.
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl http_body::Body for UntilShutdown {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(shutdown) = self.shutdown.as_mut() else { return Poll::Ready(None) };
        if shutdown.as_mut().poll(cx).is_pending() {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        self.shutdown = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(match Status::from(Rejection::ShuttingDown).add_header(&mut trailers) {
            Ok(()) => Some(Ok(Frame::trailers(trailers))),
            Err(_) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.shutdown.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
