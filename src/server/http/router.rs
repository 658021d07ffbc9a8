//! The routes of the one port, for HTTP and gRPC.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

use super::guard::Guard;
use super::page::LabPage;
use super::secret::{self, SecretAuth};
use super::{deadline, drain, guard, headers, mistakes, page, proof};
use crate::server::budget::request_charge;
use crate::server::config::Config;
use crate::server::core::streams::join_body;
use crate::server::edge::forwarded::TrustedProxies;
use crate::server::edge::origin::{Origin, Peer, Proxied, Transport};
use crate::server::lab::service::LabApi;
use crate::server::ops::context::ServerContext;
use crate::server::ops::metrics::{ExpositionFormat, Metrics};
use crate::server::ops::readiness::Readiness;
use crate::server::ops::refusals;
use crate::server::service::Service;
use crate::wire::codec::REQUEST_BYTES_BUFFERED_MAX;
use crate::wire::service::chit_chat_service_server::{ChitChatServiceServer, SERVICE_NAME};
use crate::wire::service::lab_service_server::{LabServiceServer, SERVICE_NAME as LAB_SERVICE_NAME};
use crate::wire::service::{FILE_DESCRIPTOR_SET, LAB_FILE_DESCRIPTOR_SET};
use crate::wire::{Reason, Rejection};

/// The methods of the page and of the operators' paths.
const READ_METHODS: &str = "GET, HEAD, OPTIONS";
/// The methods of a gRPC path: a call, and a CORS preflight.
const CALL_METHODS: &str = "POST, OPTIONS";

/// All routes, and the reporter of grpc.health.v1. Checks that apply to every request are the outermost layers.
pub fn router(
    service: Service,
    lab: Option<LabApi>,
    config: &Config,
    context: &ServerContext,
) -> (Router, HealthReporter) {
    let auth = config.secret.clone().map(|secret| SecretAuth::new(secret, context.clone()));
    let (endless, reporter) = health_and_reflection(context, auth.as_ref(), lab.is_some());
    let lab_page = match &lab {
        None => LabPage::None,
        Some(lab) if lab.has_key() => LabPage::Key,
        Some(_) => LabPage::Open,
    };
    let proofs = proof::routes(lab.as_ref().and_then(|lab| lab.proofs(context.stopping.clone())));
    let metrics = Router::new().route("/metrics", get(measure).with_state(context.metrics.clone()));
    let readable = Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready).with_state(context.readiness.clone()))
        .merge(ask_for_secret(metrics, auth.as_ref()))
        .merge(page::routes(lab_page))
        .merge(mistakes::routes(config.gallery))
        .route_layer(middleware::from_fn(answer_options));
    let router = chat(service, lab, auth.as_ref(), context)
        .merge(endless)
        .route_layer(middleware::from_fn_with_state(config.request_time, deadline::keep))
        .route_layer(middleware::from_fn(headers::shorten_message))
        .route_layer(GrpcWebLayer::new())
        .route_layer(middleware::from_fn(headers::forbid_buffering))
        .route_layer(middleware::from_fn(only_grpc))
        .route_layer(guard::cors(&config.allowed))
        .merge(readable)
        .merge(ask_for_secret(proofs, auth.as_ref()))
        .fallback(nothing_here.layer(guard::cors(&config.allowed)))
        .layer(middleware::from_fn_with_state(Guard::new((config.allowed.clone(), context.clone())), guard::check))
        .layer(middleware::from_fn(request_charge::charge))
        .layer(middleware::from_fn_with_state(config.trusted_proxies.clone(), note_origin))
        .layer(middleware::from_fn(headers::add_security_headers));
    (router, reporter)
}

fn chat(service: Service, lab: Option<LabApi>, auth: Option<&Arc<SecretAuth>>, context: &ServerContext) -> Router {
    let chat = ChitChatServiceServer::new(service)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX);
    let mut routes = Router::new()
        .route_service(&format!("/{SERVICE_NAME}/{{method}}"), chat)
        .route_layer(middleware::from_fn(join_body::replace_body));
    if let Some(lab) = lab {
        let lab = LabServiceServer::new(lab)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX);
        routes = routes.route_service(&format!("/{LAB_SERVICE_NAME}/{{method}}"), lab);
    }
    let routes = routes
        .route_layer(middleware::from_fn(give_reason))
        .route_layer(middleware::from_fn_with_state(context.clone(), note_refusals));
    ask_for_secret(routes, auth)
}

/// Requires the access secret for all of these routes, where there is one.
fn ask_for_secret(routes: Router, auth: Option<&Arc<SecretAuth>>) -> Router {
    match auth {
        Some(auth) if routes.has_routes() => {
            routes.route_layer(middleware::from_fn_with_state(auth.clone(), secret::check))
        }
        _ => routes,
    }
}

/// Health is public, since load balancers need it. Reflection requires the access secret.
fn health_and_reflection(
    context: &ServerContext,
    auth: Option<&Arc<SecretAuth>>,
    has_lab: bool,
) -> (Router, HealthReporter) {
    let descriptors = if has_lab { LAB_FILE_DESCRIPTOR_SET } else { FILE_DESCRIPTOR_SET };
    let (reporter, health) = tonic_health::server::health_reporter();
    let health =
        health.accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let made = "the descriptors were made by the compiler";
    let v1 = reflection().build_v1().expect(made).accept_compressed(CompressionEncoding::Gzip);
    let v1alpha = reflection().build_v1alpha().expect(made).accept_compressed(CompressionEncoding::Gzip);
    let reflection = Router::new()
        .route_service(
            "/grpc.reflection.v1.ServerReflection/{method}",
            v1.max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX),
        )
        .route_service(
            "/grpc.reflection.v1alpha.ServerReflection/{method}",
            v1alpha.max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX),
        );
    let routes = ask_for_secret(reflection, auth)
        .route_service("/grpc.health.v1.Health/{method}", health.clone())
        .route_layer(middleware::from_fn_with_state(context.stopping.clone(), drain::end_at_shutdown))
        // Ends without help, and must answer NOT_SERVING during the drain.
        .route_service("/grpc.health.v1.Health/Check", health);
    (routes, reporter)
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    match readiness.obstacle() {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": why }))).into_response(),
    }
}

async fn measure(State(metrics): State<Metrics>, headers: HeaderMap) -> Response {
    let format = ExpositionFormat::negotiate(&headers);
    match metrics.encode(format) {
        Ok(text) => {
            let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept")];
            (headers, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Puts the origin of a request into its extensions. gRPC-Web is recognized by the media type alone, without regard to
/// its case and its parameters, such as a charset.
async fn note_origin(State(proxies): State<TrustedProxies>, mut request: Request, next: Next) -> Response {
    let content_type = content_type(&request);
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
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
    next.run(request).await
}

/// Some load balancers probe with OPTIONS.
async fn answer_options(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, [(header::ALLOW, READ_METHODS)]).into_response();
    }
    next.run(request).await
}

/// The framework would accept the body of a foreign page's form, which a browser sends without a preflight, as a call.
async fn only_grpc(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, CALL_METHODS)]).into_response();
    }
    if !content_type(&request).as_bytes().starts_with(b"application/grpc") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Here gRPC and gRPC-Web are spoken.\n").into_response();
    }
    next.run(request).await
}

/// The framework refuses broken frames, and frames that are far too large, before the codec sees them. Such a refusal
/// has no `ErrorInfo`: this adds it.
async fn give_reason(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
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

/// Counts refusals, and records those of bytes that never became a request. The service records all others.
async fn note_refusals(State(context): State<ServerContext>, request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>().copied();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if let Some(reason) = Status::from_header_map(response.headers()).as_ref().and_then(Reason::of) {
        context.metrics.refusal(reason);
        if let (Some(origin), Reason::Malformed) = (origin, reason) {
            context.refusals.record(&origin, &path, None, reason);
        }
    }
    response
}

/// A gRPC client gets its answer in gRPC.
async fn nothing_here(request: Request) -> Response {
    if let Some(content_type) = refusals::grpc_content_type(&request) {
        let mut response = Status::unimplemented("there is no such service here").into_http::<Body>();
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        return response;
    }
    (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response()
}

fn content_type(request: &Request) -> HeaderValue {
    request.headers().get(header::CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static(""))
}
