//! Which pages may use the service from a browser, and by which names: the Origin check, the Host check
//! against DNS rebinding, and CORS.
//!
//! A proxy that sends its own name for the backend as Host, as nginx's `proxy_pass` alone does, hides the name
//! that the browser used. Then two things count instead: the browser's statement that the page has the same origin as
//! the request (`Sec-Fetch-Site`, which no script can set), and the Origin's host, which has to be a name that the
//! service answers to. Under DNS rebinding, that host is the attacker's.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::Authority};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::server::edge::origin::{Origin, Proxied};
use crate::server::ops::context::ServerContext;
use crate::server::ops::refusals::{Claims, answer};
use crate::wire::Rejection;

/// The name that the browser used, as forwarded by a proxy.
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// How the origin of a request's page relates to the requested one, as the browser states it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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

/// Refuses requests under a wrong name or from a wrong origin. CORS alone only hides the answer from a foreign
/// page; the request would have been executed.
///
/// # Errors
/// The refusal.
pub fn check(allowed: &Allowed, context: &ServerContext, request: &Request) -> Result<(), Box<Response>> {
    allowed.check(request).map_err(|rejection| refuse(context, request, rejection).into())
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
    fn check(&self, request: &Request) -> Result<(), Rejection> {
        let names = names(request)?;
        if !names.iter().all(|name| self.knows_host(name.host())) {
            return Err(Rejection::HostNotAllowed);
        }
        let same_origin = request.headers().get(SEC_FETCH_SITE).is_some_and(|site| site == "same-origin");
        match request.headers().get(header::ORIGIN) {
            Some(origin) if !self.knows_origin(origin, &names, same_origin) => Err(Rejection::OriginNotAllowed),
            _ => Ok(()),
        }
    }

    /// Unlike a name, an IP address cannot be pointed here by a foreign DNS server.
    fn knows_host(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        host.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.hosts.iter().any(|allowed| allowed == host)
    }

    /// The page's origin is ours if it has the host and port by which the request addresses us, or if the browser says
    /// so.
    fn knows_origin(&self, origin: &HeaderValue, names: &[Authority], same_origin: bool) -> bool {
        if self.origins.contains(origin) {
            return true;
        }
        let Some(uri) = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok()) else { return false };
        let (Some(scheme @ ("http" | "https")), Some(origin)) = (uri.scheme_str(), uri.authority()) else {
            return false;
        };
        let usual = if scheme == "http" { 80 } else { 443 };
        let port = |authority: &Authority| authority.port_u16().unwrap_or(usual);
        let alone = uri.path() == "/" && uri.query().is_none() && !origin.as_str().contains('@');
        let own = |name: &Authority| origin.host().eq_ignore_ascii_case(name.host()) && port(origin) == port(name);
        alone && (names.iter().any(own) || same_origin && self.knows_host(origin.host()))
    }
}

/// The names by which the service is addressed: :authority or Host, and the one that a trusted proxy names.
fn names(request: &Request) -> Result<Vec<Authority>, Rejection> {
    let malformed = |why: &str| Rejection::Malformed(why.to_owned());
    let mut names = Vec::new();
    let mut hosts = request.headers().get_all(header::HOST).into_iter();
    match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => names.push(authority.clone()),
        (None, None, _) => {}
        (None, Some(host), None) => {
            let host = Authority::try_from(host.as_bytes());
            names.push(host.map_err(|_| malformed("the Host header names no host"))?);
        }
        (None, Some(_), Some(_)) => return Err(malformed("there is more than one Host header")),
    }
    if let Some(forwarded) = forwarded_host(request) {
        // Each proxy appends the name that it was addressed by.
        let last = forwarded.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let host = Authority::try_from(last.trim_ascii());
        names.push(host.map_err(|_| malformed("the X-Forwarded-Host header names no host"))?);
    }
    Ok(names)
}

/// The name that the browser used, as a trusted proxy states it.
fn forwarded_host(request: &Request) -> Option<&[u8]> {
    request.extensions().get::<Proxied>()?;
    request.headers().get_all(X_FORWARDED_HOST).into_iter().next_back().map(HeaderValue::as_bytes)
}

fn refuse(context: &ServerContext, request: &Request, rejection: Rejection) -> Response {
    let code = match rejection {
        Rejection::HostNotAllowed => StatusCode::MISDIRECTED_REQUEST,
        Rejection::OriginNotAllowed => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    context.metrics.refusal(rejection.reason());
    if let Some(origin) = request.extensions().get::<Origin>() {
        let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
        let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let claims = Claims {
            host: authority.or(header(header::HOST)),
            forwarded_host: forwarded_host(request),
            origin: header(header::ORIGIN),
        };
        context.refusals.record_claims(origin, request.uri().path(), None, rejection.reason(), claims);
    }
    answer(request, code, code, rejection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_ip_addresses_and_allowed_names_are_accepted() {
        let allowed = Allowed { hosts: vec!["chat.example".into()], ..Allowed::default() };
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "[::1]",
            "192.0.2.7",
            "[2001:db8::7]",
            "Chat.Example",
        ] {
            assert!(allowed.knows_host(host), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "chat.example.evil", "192.0.2"]
        {
            assert!(!allowed.knows_host(host), "{host}");
        }
    }

    fn knows(origin: &'static str, names: &[&'static str], same_origin: bool) -> bool {
        let origins = vec![HeaderValue::from_static("https://friend.example")];
        let allowed = Allowed { origins, hosts: vec!["chat.example".into()] };
        let names: Vec<_> = names.iter().copied().map(Authority::from_static).collect();
        allowed.knows_origin(&HeaderValue::from_static(origin), &names, same_origin)
    }

    #[test]
    fn only_the_services_own_and_allowed_origins_may_use_it() {
        let own = ["localhost:50051"];
        for origin in ["http://localhost:50051", "https://localhost:50051", "https://friend.example"] {
            assert!(knows(origin, &own, false), "{origin}");
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
            assert!(!knows(origin, &own, false), "{origin}");
        }
        assert!(knows("https://chat.example", &["127.0.0.1:50051", "chat.example"], false), "the forwarded name");
    }

    #[test]
    fn behind_a_proxy_that_hides_the_host_a_known_name_and_same_origin_are_required() {
        let backend = ["127.0.0.1:50051"];
        for origin in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]", "https://chat.example"] {
            assert!(knows(origin, &backend, true), "{origin}");
            assert!(!knows(origin, &backend, false), "{origin}: a page of another origin");
        }
        for origin in ["http://evil.example:8080", "http://evil.example", "null", "", "http://u@localhost:8080"] {
            assert!(!knows(origin, &backend, true), "{origin}");
        }
    }
}
