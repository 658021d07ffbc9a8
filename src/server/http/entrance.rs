//! The checks of every request, in one step, since each layer of the framework clones all layers inside it for each
//! request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, header};
use tonic::Status;

use super::guard::{self, Allowed};
use super::headers;
use crate::server::budget::request_charge::Charged;
use crate::server::edge::forwarded::TrustedProxies;
use crate::server::edge::origin::{Origin, Peer, Proxied, Transport};
use crate::server::ops::context::ServerContext;

/// The state that the checks of every request need.
pub struct Entrance {
    /// The proxies that may state the origin of a request.
    pub proxies: TrustedProxies,
    /// The allowed page origins and host names.
    pub allowed: Allowed,
    /// The context that all parts of the service share.
    pub context: ServerContext,
}

/// Notes the origin of a request, charges it, checks Host and Origin, and gives its response the common headers.
pub async fn enter(State(entrance): State<Arc<Entrance>>, mut request: Request, next: Next) -> Response {
    note_origin(&entrance.proxies, &mut request);
    let mut response = match request.extensions().get::<Charged>().cloned() {
        None => check(&entrance, request, next).await,
        Some(charged) => match charged.body_of(request) {
            Ok((request, body)) => {
                let mut response = check(&entrance, request, next).await;
                drop(body);
                response.extensions_mut().insert(charged);
                response
            }
            Err(rejection) => Status::from(rejection).into_http(),
        },
    };
    headers::set_security_headers(&mut response);
    response
}

async fn check(entrance: &Entrance, request: Request, next: Next) -> Response {
    match guard::check(&entrance.allowed, &entrance.context, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => *refusal,
    }
}

/// Puts the origin of a request into its extensions. gRPC-Web is recognized by the media type alone, without regard to
/// its case and its parameters, such as a charset.
fn note_origin(proxies: &TrustedProxies, request: &mut Request) {
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    let transport = Transport::of(&essence);
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() {
        let client = proxies.client(peer, request.headers());
        request.extensions_mut().insert(Origin { peer: client, transport });
        if proxies.contains(peer.ip()) {
            request.extensions_mut().insert(Proxied);
        }
    }
    if let (Transport::GrpcWeb, Ok(essence)) = (transport, HeaderValue::try_from(essence)) {
        request.headers_mut().insert(header::CONTENT_TYPE, essence);
    }
}
