//! The body of a Join's response: a participant's stream, whose frames are encoded once and shared by all streams.
//!
//! The framework's own body would copy each frame into a buffer of the stream, which keeps the size of the largest
//! frame it ever had: that of the Welcome, which grows with the number of participants. So the service answers with an
//! empty stream, passes the real one on in the response's extensions, and [`replace_body`] puts it in place.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use parking_lot::Mutex;
use tonic::Status;

use super::stream::Stream;
use crate::server::budget::memory::Reservation;

/// Passes a stream from the service to the response, in the response's extensions, which hold only values that can be
/// cloned.
#[derive(Clone, Debug)]
pub struct Handover(Arc<Mutex<Option<JoinBody>>>);

impl Handover {
    /// A handover that can be taken once.
    pub fn new(body: JoinBody) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn take(&self) -> Option<JoinBody> {
        self.0.lock().take()
    }
}

/// Replaces the body of a response with the stream that was handed over in its extensions.
pub fn replace_body(mut response: Response) -> Response {
    let handover = response.extensions_mut().remove::<Handover>();
    match handover.as_ref().and_then(Handover::take) {
        Some(body) => response.map(|_| Body::new(body)),
        None => response,
    }
}

/// The frames, and then the status.
#[derive(Debug)]
pub struct JoinBody {
    /// None once it has ended.
    stream: Option<Stream>,
    /// Reserved for the Welcome, until the transport takes it and it is charged by its size.
    charge: Option<Reservation>,
}

impl JoinBody {
    /// A body for a stream whose Welcome has been charged.
    pub fn new(stream: Stream, charge: Reservation) -> Self {
        Self { stream: Some(stream), charge: Some(charge) }
    }
}

impl http_body::Body for JoinBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let chunk = ready!(stream.poll_chunk(cx));
        self.charge = None;
        let frame = match chunk {
            Ok(chunk) => Frame::data(chunk),
            Err(end) => {
                self.stream = None;
                Frame::trailers(trailers(end.map_or_else(Status::from, |()| Status::ok(""))))
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none()
    }
}

fn trailers(status: Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unprintable) = status.add_header(&mut trailers) {
        trailers.clear();
        trailers.insert(Status::GRPC_STATUS, (unprintable.code() as i32).into());
    }
    trailers
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Body as _;
    use prometheus_client::metrics::gauge::Gauge;

    use super::super::stream::tests::Rig;
    use super::*;
    use crate::server::budget::memory::MemoryBudgets;
    use crate::wire::Rejection;

    fn poll(body: &mut JoinBody) -> Poll<Option<Frame<Bytes>>> {
        let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| frame.map(|Ok(frame)| frame))
    }

    /// The Welcome stays charged until it is taken or its stream is dropped; then come the other frames and the status.
    #[test]
    fn charge_frames_and_status() {
        let held = Gauge::default();
        let budget = MemoryBudgets::new(100, held.clone()).of("192.0.2.1".parse().unwrap());
        let rig = Rig::new();
        let (stream, welcome) = rig.stream();
        let mut body = JoinBody::new(stream, budget.reserve(100).unwrap());
        assert_eq!((held.get(), body.is_end_stream()), (100, false));

        let Poll::Ready(Some(data)) = poll(&mut body) else { panic!("a frame is there") };
        assert_eq!(data.into_data().unwrap(), Bytes::from(welcome));
        assert_eq!((held.get(), body.is_end_stream()), (0, false));
        assert!(poll(&mut body).is_ready() && poll(&mut body).is_pending());

        rig.context.streams.end_all(&Rejection::ShuttingDown);
        let Poll::Ready(Some(status)) = poll(&mut body) else { panic!("the status is there") };
        assert_eq!(status.into_trailers().unwrap()[Status::GRPC_STATUS], "14");
        assert!(body.is_end_stream() && matches!(poll(&mut body), Poll::Ready(None)));

        drop(Handover::new(JoinBody::new(rig.stream().0, budget.reserve(100).unwrap())));
        assert_eq!(held.get(), 0, "it was never taken");
    }
}
