//! Where HTTP and gRPC meet: the routes of the one port.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tonic::{Code, Status};
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

use super::config::Config;
use super::metrics::{Metrics, OPEN_METRICS};
use super::origin::{Origin, Peer, Transport};
use super::readiness::Readiness;
use super::secret::{self, Gate};
use super::service::Service;
use super::vitals::Vitals;
use super::{deadline, drain, guard, page, request_charge};
use crate::wire::codec::REQUEST_BYTES_BUFFERED_MAX;
use crate::wire::service::FILE_DESCRIPTOR_SET;
use crate::wire::service::chit_chat_service_server::{ChitChatServiceServer, SERVICE_NAME};
use crate::wire::{Reason, Rejection};

/// All routes, and where to say how the service is. What is checked for everybody lies outermost.
pub fn router(service: Service, config: &Config, vitals: &Vitals) -> (Router, HealthReporter) {
    let allowed = Arc::new(config.allowed.clone());
    let (endless, reporter) = health_and_reflection(vitals);
    let operators = Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready).with_state(vitals.readiness.clone()))
        .route("/metrics", get(measure).with_state(vitals.metrics.clone()));
    let router = chat(service, config, vitals)
        .merge(endless)
        .route_layer(middleware::from_fn_with_state(vitals.budgets.clone(), request_charge::charge))
        .route_layer(middleware::from_fn_with_state(config.request_time, deadline::keep))
        .route_layer(GrpcWebLayer::new())
        .route_layer(middleware::from_fn(only_grpc))
        .route_layer(guard::cors(&allowed))
        .merge(operators)
        .merge(page::routes())
        .fallback(nothing_here.layer(guard::cors(&allowed)))
        .layer(middleware::from_fn_with_state(allowed, guard::check))
        .layer(middleware::from_fn(note_origin));
    (router, reporter)
}

fn chat(service: Service, config: &Config, vitals: &Vitals) -> Router {
    let chat = ChitChatServiceServer::new(service).max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX);
    let mut routes = Router::new().route_service(&format!("/{SERVICE_NAME}/{{method}}"), chat);
    if let Some(secret) = &config.secret {
        let gate = Gate::new(secret.clone(), vitals.refusals.clone());
        routes = routes.route_layer(middleware::from_fn_with_state(gate, secret::check));
    }
    routes
        .route_layer(middleware::from_fn(give_reason))
        .route_layer(middleware::from_fn_with_state(vitals.clone(), note_refusals))
}

fn health_and_reflection(vitals: &Vitals) -> (Router, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (v1, v1alpha) = (reflection().build_v1(), reflection().build_v1alpha());
    let routes = Router::new()
        .route_service("/grpc.health.v1.Health/{method}", health.clone())
        .route_service(
            "/grpc.reflection.v1.ServerReflection/{method}",
            v1.expect("the descriptors were made by the compiler"),
        )
        .route_service(
            "/grpc.reflection.v1alpha.ServerReflection/{method}",
            v1alpha.expect("the descriptors were made by the compiler"),
        )
        .route_layer(middleware::from_fn_with_state(vitals.stopping.clone(), drain::end_at_shutdown))
        // Has an end of its own, and is to say NOT_SERVING meanwhile.
        .route_service("/grpc.health.v1.Health/Check", health);
    (routes, reporter)
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    match readiness.obstacle() {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": why }))).into_response(),
    }
}

async fn measure(State(metrics): State<Metrics>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Says where a request comes from, in its extensions. gRPC-Web is known by the type alone: its case and
/// its parameters, such as a charset, say nothing.
async fn note_origin(mut request: Request, next: Next) -> Response {
    let content_type = content_type(&request);
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    let transport = Transport::of(&essence);
    if let Some(Peer { remote, .. }) = request.extensions().get::<Peer>().copied() {
        request.extensions_mut().insert(Origin { peer: remote, transport });
    }
    if let (Transport::GrpcWeb, Ok(essence)) = (transport, HeaderValue::try_from(essence)) {
        request.headers_mut().insert(header::CONTENT_TYPE, essence);
    }
    next.run(request).await
}

/// The framework would take the body of a foreign page's form, which a browser sends without asking first,
/// for a call.
async fn only_grpc(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
    }
    if !content_type(&request).as_bytes().starts_with(b"application/grpc") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Here gRPC and gRPC-Web are spoken.\n").into_response();
    }
    next.run(request).await
}

/// What the framework refuses before the codec sees it, a broken frame or one that is far too large, it
/// refuses without a reason of ours.
async fn give_reason(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match Status::from_header_map(response.headers()) {
        Some(status)
            if matches!(status.code(), Code::OutOfRange | Code::Internal) && Reason::of(&status).is_none() =>
        {
            Status::from(Rejection::Malformed(status.message().to_owned())).into_http()
        }
        _ => response,
    }
}

/// Counts refusals, and records those of bytes that never became a request: the service, which records all
/// others, does not see them.
async fn note_refusals(State(vitals): State<Vitals>, request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>().copied();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if let Some(reason) = Status::from_header_map(response.headers()).as_ref().and_then(Reason::of) {
        vitals.metrics.refusal(reason);
        if let (Some(origin), Reason::Malformed) = (origin, reason) {
            vitals.refusals.record(&origin, &path, None, reason);
        }
    }
    response
}

/// Whoever speaks gRPC is told so in gRPC.
async fn nothing_here(request: Request) -> Response {
    let content_type = content_type(&request);
    if content_type.as_bytes().starts_with(b"application/grpc") {
        let mut response = Status::unimplemented("there is no such service here").into_http::<Body>();
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        return response;
    }
    (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response()
}

fn content_type(request: &Request) -> HeaderValue {
    request.headers().get(header::CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static(""))
}
