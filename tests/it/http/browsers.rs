//! Which origins and host names a browser may use to reach the service, and the page itself.

use std::net::SocketAddr;

use chitchat::server::{Allowed, CLAIM_BYTES_RECORDED, Config, REFUSALS_RECORDED};
use chitchat::wire::pb;
use http::{HeaderValue, Request, StatusCode, Version};
use tonic::Code;

use crate::support::{BINARY, Figures, Http1, Participant, Server, ServerProgram, Web, Wire, refused};

const PUBLISH: &str = "/chitchat.v1.ChitChatService/Publish";
const FRIEND: &str = "https://friend.example";

/// One path of each kind that a service handles.
const PATHS: [&str; 9] = [
    "/",
    "/app.js",
    "/healthz",
    "/readyz",
    "/metrics",
    "/nothing",
    PUBLISH,
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

async fn server() -> Server {
    let allowed = Allowed { origins: vec![HeaderValue::from_static(FRIEND)], hosts: vec!["chat.example".into()] };
    Server::with(Config { allowed, ..Server::config() }).await
}

fn preflight(origin: &str) -> [(&str, &str); 3] {
    [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent"),
    ]
}

/// A gRPC path answers OPTIONS, so a refusal of another method lists it (H2).
#[tokio::test]
async fn allowed_methods() {
    let server = server().await;
    for path in [PUBLISH, "/grpc.health.v1.Health/Check"] {
        let answer = Http1::get(server.address, path).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST, OPTIONS"));
        let preflight = Http1::connect(server.address).await.ask("OPTIONS", path, &[], b"").await;
        assert_eq!(preflight.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_preflight_from_an_allowed_origin_is_answered_and_from_another_refused() {
    let server = server().await;
    let mut browser = Http1::connect(server.address).await;
    let answer = browser.ask("OPTIONS", PUBLISH, &preflight(FRIEND), b"").await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    let allowed = answer.header("access-control-allow-headers").to_ascii_lowercase();
    for header in ["authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-user-agent"] {
        assert!(allowed.split(',').any(|allowed| allowed.trim() == header), "{header} in {allowed}");
    }
    assert!(!answer.header("access-control-max-age").is_empty());
    for origin in ["https://evil.example", "http://friend.example", "https://friend.example:444", "null", "*"] {
        let answer = browser.ask("OPTIONS", PUBLISH, &preflight(origin), b"").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
}

#[tokio::test]
async fn a_post_from_a_refused_origin_executes_nothing() {
    let server = server().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    for origin in ["https://evil.example", "http://localhost:1", "https://friend.example.evil.example", "null", ""]
    {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let headers = [("origin", origin)];
            let web = Web { version, headers: &headers, ..Web::new(server.address) };
            let answer = web.call("Publish", &alice.request("never")).await;
            assert_eq!(answer.http, StatusCode::FORBIDDEN, "{origin:?} over {version:?}");
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin:?} over {version:?}");
        }
    }
    assert_eq!(alice.publish("hello").await.sequence, 2, "nothing else has happened");
    alice.hears("hello").await;
}

#[tokio::test]
async fn the_services_own_page_and_allowed_origins_can_call_it_and_read_answers() {
    let server = server().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    for (origin, readable_by) in [(FRIEND, FRIEND), ("http://localhost", ""), ("https://localhost", "")] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let headers = [("origin", origin)];
            let web = Web { version, headers: &headers, ..Web::new(server.address) };
            let mut answer = web.call("Publish", &alice.request("hello")).await;
            assert_eq!(answer.header("access-control-allow-origin"), readable_by);
            let exposed = answer.header("access-control-expose-headers").to_owned();
            for header in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
                assert!(exposed.contains(header), "{header} in {exposed:?}");
            }
            answer.message::<pb::PublishResponse>().await;
            assert_eq!(answer.end().await.code(), Code::Ok);
            alice.hears("hello").await;

            let mut refusal = web.call("Publish", &alice.request("")).await;
            assert_eq!(refusal.header("access-control-allow-origin"), readable_by, "refusals are readable, too");
            refused::<()>(Err(refusal.end().await), Code::InvalidArgument, "TEXT_EMPTY");
        }
    }
}

/// The status of a request with a host name, over HTTP/1.1 and over HTTP/2.
async fn statuses(address: SocketAddr, host: &str, path: &str) -> [StatusCode; 2] {
    let headers = [("host", host), ("content-type", BINARY)];
    let method = if path.contains(".v1.") { "POST" } else { "GET" };
    let http1 = Http1::connect(address).await.ask(method, path, &headers, b"").await.status;
    let request = Request::builder().method(method).uri(format!("http://{host}{path}"));
    let wire = Wire::connect(address).await;
    let (http2, ..) = wire.send(request.header("content-type", BINARY).body(()).unwrap(), "").await;
    [http1, http2]
}

#[tokio::test]
async fn a_forged_host_is_refused_on_every_route_and_every_protocol() {
    let server = server().await;
    for path in PATHS {
        for host in ["evil.example", "evil.example:50051", "127.0.0.1.evil.example", "192.0.2", "localhost.evil"] {
            let misdirected = [StatusCode::MISDIRECTED_REQUEST; 2];
            assert_eq!(statuses(server.address, host, path).await, misdirected, "{host}{path}");
        }
    }
    // A full URL in the request line overrides the Host header.
    let answer = Http1::connect(server.address).await.ask("GET", "http://evil.example/", &[], b"").await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    for headers in [&[("host", "localhost"), ("host", "evil.example")][..], &[("host", "evil example/")]] {
        let answer = Http1::connect(server.address).await.ask("GET", "/", headers, b"").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{headers:?}");
    }
}

#[tokio::test]
async fn local_and_allowed_host_names_are_accepted() {
    let server = server().await;
    let port = server.address.port();
    // No attacker can rebind a numeric address, and NAT and port mappings need them.
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "LocalHost",
        "chat.example",
        "Chat.Example",
        "192.0.2.1",
        "[2001:db8::1]",
    ] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            assert_eq!(statuses(server.address, &host, "/readyz").await, [StatusCode::OK; 2], "{host}");
        }
    }
}

/// Proxies fail on answers with long headers: nginx on more than 4 KiB.
#[tokio::test]
async fn a_refusal_does_not_repeat_the_content_type() {
    let server = server().await;
    for (begin, expected) in
        [("application/grpc-web+", "application/grpc-web+proto"), ("application/grpc+", "application/grpc")]
    {
        let long = begin.to_owned() + &"x".repeat(9_000);
        for (host, path) in [("evil.example", PUBLISH), ("localhost", "/nothing/Here")] {
            let headers = [("host", host), ("content-type", &*long)];
            let answer = Http1::connect(server.address).await.ask("POST", path, &headers, b"").await;
            assert_eq!(answer.header("content-type"), expected, "{host}{path}");
        }
    }
}

/// Refusals by Host or Origin are free to provoke.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_by_host_and_origin_are_counted_and_do_not_fill_the_log() {
    let mut server = ServerProgram::start(&[]);
    let long = format!("http://{}", "o".repeat(7_000));
    let many = 2 * REFUSALS_RECORDED.burst;
    let mut stranger = Http1::connect(server.address).await;
    for _ in 0..many {
        let answer = stranger.ask("GET", "/healthz", &[("host", "evil.example")], b"").await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
        let answer = stranger.ask("POST", PUBLISH, &[("origin", &long), ("content-type", BINARY)], b"").await;
        assert_eq!((answer.status, answer.header("grpc-status")), (StatusCode::FORBIDDEN, "7"));
    }
    let figures = Figures::of(server.address).await;
    for reason in ["HOST_NOT_ALLOWED", "ORIGIN_NOT_ALLOWED"] {
        assert_eq!(figures.get(&format!("refusals_total{{reason=\"{reason}\"}}")), f64::from(many), "{reason}");
    }
    let records: Vec<_> =
        server.records().into_iter().filter(|record| record["event"] == "request_refused").collect();
    assert!(records.len() < many as usize, "{} records of {}", records.len(), 2 * many);
    let first = |reason: &str| records.iter().find(|record| record["reason"] == reason).unwrap();
    assert_eq!(first("HOST_NOT_ALLOWED")["host"], "evil.example");
    let origin = first("ORIGIN_NOT_ALLOWED")["origin"].as_str().unwrap();
    assert!(origin.starts_with("http://ooo") && origin.len() <= CLAIM_BYTES_RECORDED + '…'.len_utf8(), "{origin}");
    // Standard error has the same lines and no others.
    let said = server.stop("TERM").succeeded().errors;
    assert!(said.lines().count() < many as usize && said.lines().all(|line| line.len() < 1_024), "{said}");
}

#[tokio::test]
async fn every_response_forbids_sniffing_and_cross_origin_use() {
    let server = server().await;
    for path in PATHS {
        let method = if path.contains(".v1.") { "POST" } else { "GET" };
        for headers in [&[("content-type", BINARY)][..], &[("host", "evil.example")]] {
            let mut connection = Http1::connect(server.address).await;
            connection.request(method, path, headers, b"").await;
            let (_, headers) = connection.head().await;
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("cross-origin-resource-policy", "same-origin"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                let said: Vec<_> = headers.get_all(name).into_iter().collect();
                assert_eq!(said, [value], "{name} of {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_allow_origins_and_hosts() {
    let options = ["--allow-origin", FRIEND, "--allow-origin", "http://a.example", "--allow-host", "Chat.Example"];
    let server = ServerProgram::start(&options);
    for origin in [FRIEND, "http://a.example"] {
        let answer = Http1::connect(server.address).await.ask("OPTIONS", PUBLISH, &preflight(origin), b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
    for (host, status) in [("chat.example", StatusCode::OK), ("other.example", StatusCode::MISDIRECTED_REQUEST)] {
        assert_eq!(statuses(server.address, host, "/healthz").await, [status; 2], "{host}");
    }
}

#[tokio::test]
async fn the_page_and_its_parts_are_served_with_a_strict_policy() {
    let server = Server::start().await;
    let mut browser = Http1::connect(server.address).await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let whole = browser.ask("GET", path, &[], b"").await;
        assert_eq!((whole.status, whole.header("content-type")), (StatusCode::OK, content_type), "{path}");
        assert!(!whole.body.is_empty(), "{path}");
        assert_eq!(whole.header("x-content-type-options"), "nosniff", "{path}");
        let policy = whole.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{path}: {rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");

        let head = browser.ask("HEAD", path, &[], b"").await;
        assert_eq!((head.status, head.headers.get("etag")), (StatusCode::OK, whole.headers.get("etag")), "{path}");
        assert_eq!(head.header("content-length"), whole.body.len().to_string(), "{path}");

        let etag = whole.header("etag");
        for known in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let same = browser.ask("GET", path, &[("if-none-match", &known)], b"").await;
            assert_eq!((same.status, same.header("etag")), (StatusCode::NOT_MODIFIED, etag), "{path} {known}");
        }
        let other = browser.ask("GET", path, &[("if-none-match", "\"other\"")], b"").await;
        assert_eq!((other.status, other.body), (StatusCode::OK, whole.body.clone()), "{path}");

        let posted = Http1::connect(server.address).await.ask("POST", path, &[], b"hello").await;
        assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}
