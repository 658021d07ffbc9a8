//! Where HTTP and gRPC meet: the routes of the one port.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use tonic::Status;

use super::accept::Peer;
use super::origin::{Origin, Transport};
use super::service::Service;
use crate::record::record;
use crate::wire::Reason;
use crate::wire::codec::REQUEST_BYTES_BUFFERED_MAX;
use crate::wire::service::chit_chat_service_server::{ChitChatServiceServer, SERVICE_NAME};

/// All routes.
pub fn router(service: Service) -> Router {
    let grpc = ChitChatServiceServer::new(service).max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX);
    Router::new()
        .route_service(&format!("/{SERVICE_NAME}/{{method}}"), grpc)
        .route_layer(middleware::from_fn(note_malformed))
        .fallback(nothing_here)
        .layer(middleware::from_fn(note_origin))
}

/// Says where a request comes from, in its extensions.
async fn note_origin(mut request: Request, next: Next) -> Response {
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() {
        let transport = Transport::of(content_type(&request));
        request.extensions_mut().insert(Origin { peer, transport });
    }
    next.run(request).await
}

/// Records the refusal of bytes that never became a request. The service itself records all others.
async fn note_malformed(request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>().copied();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = Status::from_header_map(response.headers());
    if let (Some(origin), Some(Reason::Malformed)) = (origin, status.as_ref().and_then(Reason::of)) {
        record!(
            INFO,
            "server",
            "request_refused",
            method = path.rsplit('/').next(),
            peer = %origin.peer,
            transport = %origin.transport,
            reason = Reason::Malformed.as_str(),
        );
    }
    response
}

/// Whoever speaks gRPC is told so in gRPC.
async fn nothing_here(request: Request) -> Response {
    if content_type(&request).starts_with(b"application/grpc") {
        return Status::unimplemented("there is no such service here").into_http::<Body>();
    }
    (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response()
}

fn content_type(request: &Request) -> &[u8] {
    request.headers().get(header::CONTENT_TYPE).map_or(b"", |value| value.as_bytes())
}
