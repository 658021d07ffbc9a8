//! Clients behind a trusted proxy: limits and logs use the clients' own addresses.

use std::net::SocketAddr;
use std::time::Duration;

use chitchat::server::{Config, Rate};
use chitchat::wire::Reason;
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Code;

use crate::support::{
    Http1, KeyPair, Participant, Record, Server, ServerProgram, Web, Window, Wire, refused, soon,
};

const VERSION_1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n";
/// From 192.0.2.2:4711, with an extension after the addresses.
const VERSION_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x02\xc6\x33\x64\x01\x12\x67\x01\xbb\x04\0\x01\0";
/// The proxy's own health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn behind_proxies() -> Config {
    Config { trusted_proxies: vec!["127.0.0.1".parse().unwrap()].into(), ..Server::config() }
}

/// A connection that begins with these bytes.
async fn connect(address: SocketAddr, header: &[u8]) -> TcpStream {
    let mut socket = soon(TcpStream::connect(address)).await.unwrap();
    soon(socket.write_all(header)).await.unwrap();
    socket
}

async fn join(wire: Wire, name: &str) -> Result<Participant, tonic::Status> {
    let request = chitchat::wire::pb::JoinRequest { display_name: name.into(), logical_time: 1, resume: None };
    Participant::over(wire, &request).await
}

/// Joins until the rate limit, with a burst of three, refuses. Returns how many joined.
async fn joins(address: SocketAddr, forwarded_for: &str, names: &str) -> usize {
    let wire = Wire::connect(address).await.with("x-forwarded-for", forwarded_for);
    for n in 0.. {
        if let Err(status) = join(wire.clone(), &format!("{names} {n}")).await {
            assert_eq!(Reason::of(&status), Some(Reason::RateLimited));
            return n;
        }
    }
    unreachable!("some join is too fast")
}

const SLOW: Rate = Rate { per_second: 1, burst: 3 };

#[tokio::test]
async fn each_client_of_a_trusted_proxy_has_its_own_limits_and_cannot_evade_them() {
    let server = Server::with(Config { join_rate: SLOW, ..behind_proxies() }).await;
    assert!(joins(server.address, "192.0.2.1", "anna").await >= 3);
    assert!(joins(server.address, "192.0.2.2", "berta").await >= 3, "another client has its own limit");
    // An address that the client itself wrote is to the left of the one that the proxy appended.
    let spoofed = joins(server.address, "198.51.100.77, 192.0.2.2", "carla").await;
    assert!(spoofed < 3, "{spoofed}");
}

#[tokio::test]
async fn a_client_that_is_not_a_trusted_proxy_is_not_believed() {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()].into();
    let server = Server::with(Config { join_rate: SLOW, trusted_proxies, ..Server::config() }).await;
    assert!(joins(server.address, "192.0.2.1", "anna").await >= 3);
    let other = joins(server.address, "192.0.2.2", "berta").await;
    assert!(other < 3, "{other}");
    for header in [VERSION_1, VERSION_2] {
        let mut socket = Http1::over(connect(server.address, header).await);
        socket.request("GET", "/healthz", &[], b"").await;
        let heard = socket.closed().await;
        assert!(heard.starts_with("HTTP/1.1 400"), "{heard}");
    }
}

/// An operator needs to see which name to allow.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_refusal_has_the_forwarded_name() {
    let server = ServerProgram::start(&["--trust-proxy", "127.0.0.1"]);
    let headers = [("host", "localhost"), ("x-forwarded-host", "chat.example")];
    let answer = Http1::connect(server.address).await.ask("GET", "/healthz", &headers, b"").await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    let refusal = server.records().into_iter().find(|record| record["event"] == "request_refused").unwrap();
    assert_eq!((&refusal["host"], &refusal["forwarded_host"]), (&"localhost".into(), &"chat.example".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_name_the_client_and_not_the_proxy() {
    let server = ServerProgram::start(&["--trust-proxy", "127.0.0.1,::1"]);
    let address = server.address;
    let _alice = join(Wire::connect(address).await.with("x-forwarded-for", "192.0.2.7"), "alice").await.unwrap();
    let socket = connect(address, VERSION_1).await;
    let _bob = join(Wire::over(socket, Window::Wide).await, "bob").await.unwrap();
    let socket = connect(address, VERSION_2).await;
    let carol = join(Wire::over(socket, Window::Wide).await, "carol").await.unwrap();
    refused(carol.wire.publish(&carol.request("")).await, Code::InvalidArgument, "TEXT_EMPTY");
    // Over HTTP/1.1 as well. A header with many hops and with invalid ones does no harm.
    let hops = format!("[2001:db8::1]:1, {}, <, 2001:db8::9", "10.0.0.1,".repeat(1000));
    let headers = [("x-forwarded-for", &*hops)];
    let web = Web { headers: &headers, ..Web::new(address) };
    let request = chitchat::wire::pb::JoinRequest { display_name: "dora".into(), ..Default::default() };
    let _dora = web.call("Join", &request).await;

    let records = server.records();
    let peer = |event: &str, name: &str| {
        let of =
            |record: &&Record| record["event"] == event && (name.is_empty() || record["display_name"] == name);
        records.iter().find(of).map(|record| record["peer"].as_str().unwrap().to_owned())
    };
    for (name, client) in
        [("alice", "192.0.2.7"), ("bob", "192.0.2.1:4711"), ("carol", "192.0.2.2:4711"), ("dora", "2001:db8::9")]
    {
        assert_eq!(peer("client_connected", name).as_deref(), Some(client), "{name}");
    }
    assert_eq!(peer("request_refused", "").as_deref(), Some("192.0.2.2:4711"));
}

#[tokio::test]
async fn http_may_follow_a_proxy_header() {
    let server = Server::with(behind_proxies()).await;
    for header in [&b""[..], VERSION_1, VERSION_2, LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut client = Http1::over(connect(server.address, header).await);
        assert_eq!(client.ask("GET", "/healthz", &[], b"").await.status, StatusCode::OK, "{header:?}");
        // In two pieces, though no proxy sends it like that.
        let (begin, rest) = header.split_at(header.len() / 2);
        let mut client = Http1::over(connect(server.address, begin).await);
        client.say(rest).await;
        assert_eq!(client.ask("GET", "/healthz", &[], b"").await.status, StatusCode::OK, "{header:?}");
    }
    let mut malformed = Http1::over(connect(server.address, b"PROXY TCP4 nonsense\r\n").await);
    malformed.request("GET", "/healthz", &[], b"").await;
    assert_eq!(malformed.closed().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_may_follow_a_proxy_header() {
    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    let folder = tempfile::tempdir().unwrap();
    let pair = KeyPair::make(folder.path(), "pair");
    let options = [&pair.options()[..], &["--trust-proxy", "127.0.0.0/8"]].concat();
    let server = ServerProgram::start(&options);
    let mut roots = RootCertStore::empty();
    roots.add(pair.der()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = connect(server.address, VERSION_2).await;
    let name = ServerName::try_from("localhost").unwrap();
    let socket = soon(TlsConnector::from(Arc::new(config)).connect(name, socket)).await.unwrap();
    assert_eq!(Http1::over(socket).ask("GET", "/healthz", &[], b"").await.status, StatusCode::OK);
}

#[tokio::test]
async fn connections_count_for_the_client_and_never_for_the_proxy() {
    let first_request = Duration::from_millis(300);
    let config = Config { connections_per_address_max: 2, first_request, ..behind_proxies() };
    let server = Server::with(config).await;
    let mut open = Vec::new();
    for header in [&b""[..], b"", b"", VERSION_1, VERSION_1, VERSION_2] {
        let mut client = Http1::over(connect(server.address, header).await);
        assert_eq!(client.ask("GET", "/healthz", &[], b"").await.status, StatusCode::OK);
        open.push(client);
    }
    let mut third = Http1::over(connect(server.address, VERSION_1).await);
    third.request("GET", "/healthz", &[], b"").await;
    assert_eq!(third.closed().await, "");
    // A connection that never identifies its protocol is closed, too.
    for begun in [&b""[..], &VERSION_1[..20], &VERSION_2[..20]] {
        assert_eq!(Http1::over(connect(server.address, begun).await).closed().await, "");
    }
}

/// With only `proxy_pass`, nginx sends its own name for the backend and the browser's headers.
#[tokio::test]
async fn a_page_behind_a_name_hiding_proxy_is_allowed_and_a_rebound_one_is_not() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let backend = server.address.to_string();
    let check = |origin: &'static str, site: Option<&'static str>| {
        let (address, backend, request) = (server.address, backend.clone(), alice.request("hello"));
        async move {
            let mut headers = vec![("host", &*backend), ("origin", origin)];
            headers.extend(site.map(|site| ("sec-fetch-site", site)));
            Web { headers: &headers, ..Web::new(address) }.call("Publish", &request).await.http
        }
    };
    for origin in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
        assert_eq!(check(origin, Some("same-origin")).await, StatusCode::OK, "{origin}");
        for site in [Some("same-site"), Some("cross-site"), Some("none"), None] {
            assert_eq!(check(origin, site).await, StatusCode::FORBIDDEN, "{origin} {site:?}");
        }
    }
    for origin in ["http://evil.example:8080", "https://evil.example", "null"] {
        assert_eq!(check(origin, Some("same-origin")).await, StatusCode::FORBIDDEN, "{origin}");
    }
    alice.event().await;
}

#[tokio::test]
async fn the_forwarded_host_of_a_trusted_proxy_counts_and_must_be_allowed() {
    let allowed = chitchat::server::Allowed { hosts: vec!["chat.example".into()], ..Default::default() };
    let trusting = Server::with(Config { allowed: allowed.clone(), ..behind_proxies() }).await;
    let wary = Server::with(Config { allowed, ..Server::config() }).await;
    for (server, forwarded, origin, expected) in [
        (&trusting, "chat.example", "https://chat.example", StatusCode::OK),
        (&trusting, "evil.example, chat.example:8443", "https://chat.example:8443", StatusCode::OK),
        (&trusting, "chat.example", "https://evil.example", StatusCode::FORBIDDEN),
        (&trusting, "evil.example", "https://evil.example", StatusCode::MISDIRECTED_REQUEST),
        (&trusting, "chat.example, evil.example", "https://chat.example", StatusCode::MISDIRECTED_REQUEST),
        (&trusting, "a b", "https://chat.example", StatusCode::BAD_REQUEST),
        (&wary, "chat.example", "https://chat.example", StatusCode::FORBIDDEN),
        (&wary, "evil.example", "http://localhost", StatusCode::OK),
    ] {
        let headers = [("x-forwarded-host", forwarded), ("origin", origin)];
        let web = Web { headers: &headers, ..Web::new(server.address) };
        let answer = web.call("Publish", &chitchat::wire::pb::PublishRequest::default()).await;
        assert_eq!(answer.http, expected, "{forwarded} {origin}");
    }
}
