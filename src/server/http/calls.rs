//! The steps around a gRPC call: the checks before it, and the headers of its response. There are few steps, which do
//! several things each, since each layer of the framework clones all layers inside it for each request.

mod deadline;

use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use http::{HeaderValue, Method, StatusCode, header};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tower_http::cors::{Cors, CorsLayer};

use super::headers;
use crate::server::core::streams::join_body;
use crate::server::edge::origin::{Origin, Transport};
use crate::server::ops::context::ServerContext;
use crate::wire::{Reason, Rejection};

/// The methods of a gRPC path: a call, and a CORS preflight.
const CALL_METHODS: &str = "POST, OPTIONS";

/// Lets only gRPC pass. The framework would accept the body of a foreign page's form, which a browser sends without a
/// preflight, as a call. A response to gRPC-Web says that it must not be buffered.
pub async fn admit(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, CALL_METHODS)]).into_response();
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(|content_type| content_type.starts_with(b"application/grpc")) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Only gRPC and gRPC-Web work here.\n").into_response();
    }
    let web = request.extensions().get::<Origin>().is_some_and(|origin| origin.transport == Transport::GrpcWeb);
    let mut response = next.run(request).await;
    if web {
        headers::forbid_buffering(&mut response);
    }
    response
}

/// Answers a call in time, with a status that clients can read.
pub async fn answer(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let mut response = deadline::keep(limit, request, next).await;
    headers::shorten_message(&mut response);
    response
}

/// Gives a response its stream or its reason. Counts refusals, and records those of requests that could not be decoded.
/// The service records all others.
pub async fn complete(State(context): State<ServerContext>, request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>().copied();
    let uri = request.uri().clone();
    let response = give_reason(join_body::replace_body(next.run(request).await));
    if let Some(reason) = Status::from_header_map(response.headers()).as_ref().and_then(Reason::of) {
        context.metrics.refusal(reason);
        if let (Some(origin), Reason::Malformed) = (origin, reason) {
            context.refusals.record(&origin, uri.path(), None, reason);
        }
    }
    response
}

/// The framework refuses broken frames, and frames that are far too large, before the codec sees them. Such a refusal
/// has no `ErrorInfo`: this adds it.
fn give_reason(response: Response) -> Response {
    match Status::from_header_map(response.headers()) {
        Some(status)
            if matches!(status.code(), Code::OutOfRange | Code::Internal | Code::ResourceExhausted)
                && Reason::of(&status).is_none() =>
        {
            Status::from(Rejection::Malformed(status.message().to_owned())).into_http()
        }
        _ => response,
    }
}

/// CORS for requests of browsers. Other clients send no origin, and do not need it.
#[derive(Clone)]
pub struct PageCorsLayer(pub CorsLayer);

/// The service of a [`PageCorsLayer`].
#[derive(Clone)]
pub struct PageCors<S>(Cors<S>);

impl<S> Layer<S> for PageCorsLayer {
    type Service = PageCors<S>;

    fn layer(&self, inner: S) -> PageCors<S> {
        PageCors(self.0.layer(inner))
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for PageCors<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<<Cors<S> as Service<Request>>::Future, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.method() == Method::OPTIONS || request.headers().contains_key(header::ORIGIN) {
            Either::Left(self.0.call(request))
        } else {
            Either::Right(self.0.get_mut().call(request))
        }
    }
}
