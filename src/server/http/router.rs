//! The routes of the one port, for HTTP and gRPC.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

use super::calls::PageCorsLayer;
use super::entrance::Entrance;
use super::page::LabPage;
use super::secret::{self, SecretAuth};
use super::{calls, drain, entrance, guard, page, proof};
use crate::server::config::Config;
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

/// The methods of the page and of the operators' paths.
const READ_METHODS: &str = "GET, HEAD, OPTIONS";

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
        .merge(page::mistakes::routes(config.gallery))
        .route_layer(middleware::from_fn(answer_options));
    let (proxies, allowed) = (config.trusted_proxies.clone(), config.allowed.clone());
    let entrance = Entrance { proxies, allowed, context: context.clone() };
    let router = chat(service, lab, auth.as_ref(), context)
        .merge(endless)
        .route_layer(middleware::from_fn_with_state(config.request_time, calls::answer))
        .route_layer(GrpcWebLayer::new())
        .route_layer(middleware::from_fn(calls::admit))
        .route_layer(PageCorsLayer(guard::cors(&config.allowed)))
        .merge(readable)
        .merge(ask_for_secret(proofs, auth.as_ref()))
        .fallback(nothing_here.layer(guard::cors(&config.allowed)))
        .layer(middleware::from_fn_with_state(Arc::new(entrance), entrance::enter));
    (router, reporter)
}

fn chat(service: Service, lab: Option<LabApi>, auth: Option<&Arc<SecretAuth>>, context: &ServerContext) -> Router {
    let chat = ChitChatServiceServer::new(service)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX);
    let mut routes = Router::new().route_service(&format!("/{SERVICE_NAME}/{{method}}"), chat);
    if let Some(lab) = lab {
        let lab = LabServiceServer::new(lab)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(REQUEST_BYTES_BUFFERED_MAX);
        routes = routes.route_service(&format!("/{LAB_SERVICE_NAME}/{{method}}"), lab);
    }
    let routes = routes.route_layer(middleware::from_fn_with_state(context.clone(), calls::complete));
    ask_for_secret(routes, auth)
}

/// Requires the access secret for all of these routes, if there is one.
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
        // Its responses end on their own, and it must answer NOT_SERVING during the drain.
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

/// Some load balancers probe with OPTIONS.
async fn answer_options(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, [(header::ALLOW, READ_METHODS)]).into_response();
    }
    next.run(request).await
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
