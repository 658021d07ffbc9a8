//! The records of refused requests. Refusals are free to provoke, and the log's disk is the journal's too, so their
//! records are limited in rate for each address, and in length; all refusals are counted.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request, StatusCode, header};
use tonic::Status;

use super::limiter::{Limiter, Rate};
use crate::chat::ParticipantId;
use crate::log::{About, ServerRecord};
use crate::server::edge::origin::{Origin, Transport};
use crate::wire::{Reason, Rejection};

/// How many refusals are recorded for each address.
pub const REFUSALS_RECORDED: Rate = Rate { per_second: 5, burst: 100 };

/// How much is recorded of each text that a refused caller chose, such as its Origin, in bytes.
pub const CLAIM_BYTES_RECORDED: usize = 256;

/// The records of refusals. Clones share the limit.
#[derive(Clone)]
pub struct Refusals {
    recorded: Arc<Option<Limiter<IpAddr>>>,
    /// How many were not recorded since the last recorded one.
    unrecorded: Arc<AtomicU64>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { recorded: Arc::new(Limiter::new(REFUSALS_RECORDED)), unrecorded: Arc::default() }
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").field("unrecorded", &self.unrecorded).finish_non_exhaustive()
    }
}

/// What a request claims about itself, for the record of its refusal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims<'a> {
    /// The name by which it addressed the service.
    pub host: Option<&'a [u8]>,
    /// The name that a trusted proxy says the browser used.
    pub forwarded_host: Option<&'a [u8]>,
    /// The page that it came from.
    pub origin: Option<&'a [u8]>,
}

impl Refusals {
    /// Records that a request was refused, and why. The method is the last part of the path.
    pub fn record(&self, origin: &Origin, path: &str, participant: Option<ParticipantId>, reason: Reason) {
        self.record_claims(origin, path, participant, reason, Claims::default());
    }

    /// Records that a request was refused, with the reason and what the request claimed.
    pub fn record_claims(
        &self,
        origin: &Origin,
        path: &str,
        participant: Option<ParticipantId>,
        reason: Reason,
        claims: Claims<'_>,
    ) {
        let too_many = |limiter: &Limiter<IpAddr>| limiter.count(&origin.address()).is_err();
        if self.recorded.as_ref().as_ref().is_some_and(too_many) {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let unrecorded = self.unrecorded.swap(0, Ordering::Relaxed);
        let about = About { participant_id: participant.map(|id| id.to_string().into()), ..About::default() };
        ServerRecord::RequestRefused {
            about,
            method: path.rsplit('/').next().map(|method| cut(method.as_bytes()).into()),
            peer: origin.peer.to_string().into(),
            transport: origin.transport.to_string().into(),
            reason: reason.as_str().into(),
            host: claims.host.map(|host| cut(host).into()),
            forwarded_host: claims.forwarded_host.map(|host| cut(host).into()),
            origin: claims.origin.map(|origin| cut(origin).into()),
            unrecorded: (unrecorded > 0).then_some(unrecorded),
        }
        .emit();
    }
}

/// The beginning of a text that the caller chose.
fn cut(text: &[u8]) -> String {
    let mut kept = String::from_utf8_lossy(&text[..text.len().min(CLAIM_BYTES_RECORDED)]).into_owned();
    if text.len() > CLAIM_BYTES_RECORDED {
        kept.push('…');
    }
    kept
}

/// The answer to a refused caller: in gRPC, with the HTTP status `grpc`, if it speaks gRPC, and otherwise as a line
/// of text with the HTTP status `plain`.
pub fn answer<B>(request: &Request<B>, grpc: StatusCode, plain: StatusCode, rejection: Rejection) -> Response {
    match grpc_content_type(request) {
        Some(content_type) => {
            let mut response = Status::from(rejection).into_http::<Body>();
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            *response.status_mut() = grpc;
            response
        }
        None => {
            let retry_delay = rejection.retry_delay();
            let mut response = (plain, format!("{rejection}\n")).into_response();
            if let Some(delay) = retry_delay {
                // Whole seconds, rounded up, so that a retry is never too early.
                let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
            }
            if plain == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// The content type of an answer without a body to a gRPC request; `None` if the request is not gRPC. It is never the
/// request's own, which can be of any length: proxies reject a response with long headers.
pub fn grpc_content_type<B>(request: &Request<B>) -> Option<HeaderValue> {
    match Transport::of(request.headers().get(header::CONTENT_TYPE)?.as_bytes()) {
        Transport::Grpc => Some(HeaderValue::from_static("application/grpc")),
        Transport::GrpcWeb => Some(HeaderValue::from_static("application/grpc-web+proto")),
        Transport::Http => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_long_claim_is_recorded() {
        assert_eq!(cut(b"http://evil.example"), "http://evil.example");
        let long = cut("æ".repeat(4096).as_bytes());
        assert!(long.starts_with('æ') && long.ends_with('…') && long.len() < CLAIM_BYTES_RECORDED + 8, "{long}");
    }
}
