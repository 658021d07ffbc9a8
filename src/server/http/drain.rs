//! Responses that would never end, such as `Health.Watch` and reflection, must not hold up a shutdown.

use std::pin::Pin;
use std::task::Poll;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::body::through;
use crate::wire::Rejection;

/// Ends a gRPC response with SHUTTING_DOWN when the shutdown begins. The request ends, too: a caller that
/// could keep sending would keep the connection open.
pub async fn end_at_shutdown(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    if shutdown.is_cancelled() {
        return Status::from(Rejection::ShuttingDown).into_http();
    }
    let request = request.map(|body| until(&shutdown, body, None));
    let response = next.run(request).await;
    if response.body().is_end_stream() {
        return response;
    }
    let mut trailers = HeaderMap::new();
    let added = Status::from(Rejection::ShuttingDown).add_header(&mut trailers);
    response.map(|body| until(&shutdown, body, added.ok().map(|()| trailers)))
}

/// The frames of a body until the shutdown begins, and then the trailers.
fn until(shutdown: &CancellationToken, body: Body, mut trailers: Option<HeaderMap>) -> Body {
    let mut shutdown = Box::pin(shutdown.clone().cancelled_owned());
    through(body, move |body, cx| {
        let Some(open) = body else { return Poll::Ready(None) };
        if shutdown.as_mut().poll(cx).is_pending() {
            return Pin::new(open).poll_frame(cx);
        }
        *body = None;
        Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    })
}
