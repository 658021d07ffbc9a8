//! Who may speak to the service from a browser, and under which name: the Origin check, the Host check
//! against DNS rebinding, and CORS.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::Authority};
use tonic::Status;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::origin::Peer;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// What an operator allows beyond the page's own origin and the names of this machine.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Origins, as `https://chat.example`.
    pub origins: Vec<HeaderValue>,
    /// Host names, without a port, in lower case.
    pub hosts: Vec<String>,
}

/// Turns away whoever comes under a wrong name or from a wrong origin. CORS alone only hides the answer
/// from a foreign page; the request would have been executed.
pub async fn check(State(allowed): State<Arc<Allowed>>, request: Request, next: Next) -> Response {
    let authority = match authority(&request) {
        Ok(authority) => authority,
        Err(why) => return refuse(&request, StatusCode::BAD_REQUEST, why),
    };
    let local = request.extensions().get::<Peer>().map(|peer| peer.local.ip().to_canonical());
    if let Some(authority) = &authority
        && !allowed.knows_host(authority.host(), local)
    {
        let why = "this service does not answer to that host name; see --allow-host";
        return refuse(&request, StatusCode::MISDIRECTED_REQUEST, why);
    }
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && !allowed.knows_origin(origin, authority.as_ref())
    {
        let why = "pages of that origin may not use this service; see --allow-origin";
        return refuse(&request, StatusCode::FORBIDDEN, why);
    }
    next.run(request).await
}

/// Lets pages of the allowed origins read the answers.
pub fn cors(allowed: &Allowed) -> CorsLayer {
    let names = |names: &[&'static str]| -> Vec<HeaderName> {
        names.iter().copied().map(HeaderName::from_static).collect()
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed.origins.iter().cloned()))
        .allow_methods([Method::POST])
        .allow_headers(names(&["authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-user-agent"]))
        .expose_headers(names(&["grpc-status", "grpc-message", "grpc-status-details-bin"]))
        .max_age(PREFLIGHT_MAX_AGE)
}

impl Allowed {
    fn knows_host(&self, host: &str, local: Option<IpAddr>) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        if let Ok(ip) = host.parse::<IpAddr>() {
            // A number is no name that somebody could have pointed here.
            let ip = ip.to_canonical();
            if ip.is_loopback() || Some(ip) == local {
                return true;
            }
        }
        host == "localhost" || host.ends_with(".localhost") || self.hosts.iter().any(|allowed| allowed == host)
    }

    /// A page's own origin has the host and port by which it speaks to us.
    fn knows_origin(&self, origin: &HeaderValue, authority: Option<&Authority>) -> bool {
        if self.origins.contains(origin) {
            return true;
        }
        let Some(uri) = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok()) else { return false };
        match (uri.scheme_str(), uri.authority(), authority) {
            (Some(scheme @ ("http" | "https")), Some(origin), Some(own)) => {
                let usual = if scheme == "http" { 80 } else { 443 };
                let port = |authority: &Authority| authority.port_u16().unwrap_or(usual);
                let alone = uri.path() == "/" && uri.query().is_none() && !origin.as_str().contains('@');
                alone && origin.host().eq_ignore_ascii_case(own.host()) && port(origin) == port(own)
            }
            _ => false,
        }
    }
}

/// The name under which the service is spoken to: :authority, or Host.
fn authority(request: &Request) -> Result<Option<Authority>, &'static str> {
    if let Some(authority) = request.uri().authority() {
        return Ok(Some(authority.clone()));
    }
    let mut hosts = request.headers().get_all(header::HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => {
            Authority::try_from(host.as_bytes()).map(Some).map_err(|_| "the Host header names no host")
        }
        (Some(_), Some(_)) => Err("there is more than one Host header"),
    }
}

/// Whoever speaks gRPC is told in gRPC as well.
fn refuse(request: &Request, code: StatusCode, why: &'static str) -> Response {
    let header = |name| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let remote = request.extensions().get::<Peer>().map(|peer| tracing::field::display(peer.remote));
    let authority = request.uri().authority().map(tracing::field::display);
    let (host, origin) = (header(header::HOST), header(header::ORIGIN));
    tracing::info!(peer = remote, authority, host = host.as_deref(), origin = origin.as_deref(), "{why}");
    match request.headers().get(header::CONTENT_TYPE) {
        Some(grpc) if grpc.as_bytes().starts_with(b"application/grpc") => {
            let mut response = Status::permission_denied(why).into_http::<Body>();
            response.headers_mut().insert(header::CONTENT_TYPE, grpc.clone());
            *response.status_mut() = code;
            response
        }
        _ => (code, format!("{why}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_and_allowed_ones_are_answered_to() {
        let allowed = Allowed { hosts: vec!["chat.example".into()], ..Allowed::default() };
        let local = Some("192.0.2.7".parse().unwrap());
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "192.0.2.7",
            "Chat.Example",
        ] {
            assert!(allowed.knows_host(host, local), "{host}");
        }
        for host in
            ["evil.example", "192.0.2.8", "127.0.0.1.evil.example", "localhost.evil.example", "chat.example.evil"]
        {
            assert!(!allowed.knows_host(host, local), "{host}");
        }
    }

    #[test]
    fn only_the_own_origin_and_allowed_ones_may_use_the_service() {
        let origins = vec![HeaderValue::from_static("https://friend.example")];
        let allowed = Allowed { origins, ..Allowed::default() };
        let own = Authority::from_static("localhost:50051");
        let check = |origin: &'static str| allowed.knows_origin(&HeaderValue::from_static(origin), Some(&own));
        for origin in ["http://localhost:50051", "https://localhost:50051", "https://friend.example"] {
            assert!(check(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost:50052",
            "http://localhost",
            "https://friend.example.evil",
            "http://friend.example",
            "ftp://localhost:50051",
        ] {
            assert!(!check(origin), "{origin}");
        }
    }
}
