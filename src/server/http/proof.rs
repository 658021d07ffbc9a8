//! The lab's proof over HTTP: a page posts its log, and gets the report of `verify` on all logs of the lab. A log does
//! not fit into a gRPC request.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderValue, StatusCode, header};
use tokio::time::timeout;

use crate::server::lab::proof::Proofs;
use crate::server::lab::proof_fault::{PAGE_LOG_BYTES_MAX, PROOF_TIME_MAX, ProofFault};
use crate::wire::LAB_KEY;

/// The route of proofs, in a service that offers them.
pub fn routes(proofs: Option<Proofs>) -> Router {
    match proofs {
        Some(proofs) => Router::new().route("/lab/proof", post(serve).with_state(proofs)),
        None => Router::new(),
    }
}

async fn serve(State(proofs): State<Proofs>, request: Request) -> Response {
    let proof = timeout(PROOF_TIME_MAX, prove(&proofs, request)).await;
    match proof.unwrap_or(Err(ProofFault::TooLong)) {
        Ok(report) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, report).into_response()
        }
        Err(fault) => refusal(&fault),
    }
}

async fn prove(proofs: &Proofs, request: Request) -> Result<String, ProofFault> {
    let turn = proofs.enter(request.headers().get(LAB_KEY).map(HeaderValue::as_bytes))?;
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > PAGE_LOG_BYTES_MAX as u64) {
        return Err(ProofFault::PageLogTooLarge);
    }
    // An address that has used up its memory gets the same answer: its log did not fit.
    let page_log = to_bytes(request.into_body(), PAGE_LOG_BYTES_MAX).await;
    let page_log = page_log.map_err(|_| ProofFault::PageLogTooLarge)?;
    let page_log = String::from_utf8(page_log.into());
    let page_log = page_log.map_err(|_| ProofFault::Unusable("the page's log is not UTF-8".into()))?;
    proofs.prove(turn, page_log).await
}

fn refusal(fault: &ProofFault) -> Response {
    let code = match fault {
        ProofFault::KeyRequired => StatusCode::FORBIDDEN,
        ProofFault::PageLogTooLarge | ProofFault::LogsTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ProofFault::Busy => StatusCode::TOO_MANY_REQUESTS,
        ProofFault::WriterStopped => StatusCode::SERVICE_UNAVAILABLE,
        ProofFault::TooLong => StatusCode::GATEWAY_TIMEOUT,
        ProofFault::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut response = (code, format!("{fault}\n")).into_response();
    if matches!(fault, ProofFault::Busy | ProofFault::WriterStopped) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
