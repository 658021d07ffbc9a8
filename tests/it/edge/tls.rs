//! TLS: certificates from files and self-signed ones, their reload, and which clients trust them.

use std::fs;
use std::path::Path;

use http::StatusCode;

use crate::support::{Ended, Http1, KeyPair, Participant, Program, ServerProgram, Window, Wire, connect_tls};
use chitchat::wire::pb;

fn url(server: &ServerProgram) -> String {
    format!("https://localhost:{}", server.address.port())
}

/// Runs a client that must fail to join.
fn refused_client(server: &ServerProgram, url: &str, options: &[&str]) -> Ended {
    let logs = server.log_folder().to_str().unwrap();
    let join = ["join", "--plain", "--name", "mallory", "--server", url, "--log-dir", logs];
    let ended = Program::run(&[&join[..], options].concat(), &[]);
    assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
    ended
}

#[test]
fn a_client_that_trusts_the_self_signed_certificate_can_join() {
    let server = ServerProgram::start(&["--tls-self-signed"]);
    let ca = server.log_folder().join("self-signed.pem");
    let ca = ca.to_str().unwrap();
    assert!(server.notices.iter().any(|notice| notice.contains(ca)), "{:?}", server.notices);
    let port = server.address.port();
    let mut alice = server.join_at(&url(&server), "alice", &["--plain", "--ca", ca]);
    let bob = server.join_at(&format!("https://127.0.0.1:{port}"), "bob", &["--plain", "--ca", ca]);
    alice.program.type_line("hello");
    bob.program.until("] alice: hello");

    let ended = refused_client(&server, &url(&server), &[]);
    assert!(ended.errors.contains("certificate"), "{}", ended.errors);
    refused_client(&server, &format!("http://localhost:{port}"), &[]);
    let unreadable = refused_client(&server, &url(&server), &["--ca", "/nonexistent/ca.pem"]);
    assert!(unreadable.errors.contains("/nonexistent/ca.pem"), "{}", unreadable.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_offered_on_one_port() {
    let folder = tempfile::tempdir().unwrap();
    let pair = KeyPair::make(folder.path(), "server");
    let server = ServerProgram::start(&pair.options());
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = connect_tls(server.address, &pair.der(), offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
        if chosen == Some("h2") {
            let wire = Wire::over(stream, Window::default()).await;
            let display_name = format!("alice {}", offered.len());
            let join = pb::JoinRequest { display_name, logical_time: 1, resume: None };
            let mut alice = Participant::over(wire, &join).await.unwrap();
            alice.event().await;
            alice.leave().await.unwrap();
        } else {
            let answer = Http1::over(stream).ask("GET", "/readyz", &[], b"").await;
            assert_eq!(answer.status, StatusCode::OK, "{offered:?}");
        }
    }
    assert!(connect_tls(server.address, &pair.der(), &["nonsense"]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn unencrypted_requests_are_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProgram::start(&KeyPair::make(folder.path(), "server").options());
    for said in [&b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut socket = Http1::connect(server.address).await;
        socket.say(said).await;
        let heard = socket.closed().await;
        assert!(!heard.contains("HTTP"), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_applies_to_new_connections_and_open_streams_continue() {
    let folder = tempfile::tempdir().unwrap();
    let pair = KeyPair::make(folder.path(), "server");
    let (first, ca) = (pair.der(), folder.path().join("ca.pem"));
    fs::copy(&pair.certificate, &ca).unwrap();
    let server = ServerProgram::start(&pair.options());
    let mut alice = server.join_at(&url(&server), "alice", &["--plain", "--ca", ca.to_str().unwrap()]);
    alice.program.until("alice joined");

    // An invalid key, a key of another certificate, and a missing file: the certificate stays.
    let other = fs::read(KeyPair::make(folder.path(), "other").key).unwrap();
    for key in [Some(&b"nonsense"[..]), Some(&other), None] {
        match key {
            Some(key) => fs::write(&pair.key, key).unwrap(),
            None => fs::remove_file(&pair.key).unwrap(),
        }
        server.program.signal("HUP");
        server.program.notice("the certificate cannot be reloaded");
        connect_tls(server.address, &first, &["h2"]).await.unwrap();
    }

    let second = KeyPair::make(folder.path(), "server");
    server.program.signal("HUP");
    server.program.notice("the certificate was reloaded");
    assert!(connect_tls(server.address, &first, &["h2"]).await.is_err());
    let stream = connect_tls(server.address, &second.der(), &["h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap(), [second.der()]);

    let bob = server.join_at(&url(&server), "bob", &["--plain", "--ca", second.certificate.to_str().unwrap()]);
    alice.program.type_line("still the same stream");
    for client in [&alice, &bob] {
        client.program.until("] alice: still the same stream");
    }
    assert!(alice.records().iter().all(|record| record["event"] != "disconnected"));
}

/// Starts a service that must fail, and returns its errors.
fn refused_at_the_start(folder: &Path, pair: &KeyPair) -> String {
    let logs = folder.join("logs");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log-dir", logs.to_str().unwrap()];
    let ended = Program::run(&[&serve[..], &pair.options()].concat(), &[]);
    assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
    ended.errors
}

#[test]
fn unusable_certificates_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (good, other) = (KeyPair::make(folder.path(), "good"), KeyPair::make(folder.path(), "other"));
    fs::write(path("empty"), "").unwrap();
    fs::write(path("nonsense"), "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n").unwrap();
    for name in ["missing", "empty", "nonsense", "other.key.pem"] {
        let bad = KeyPair { certificate: path(name), key: good.key.clone() };
        let errors = refused_at_the_start(folder.path(), &bad);
        assert!(errors.contains(name), "{errors}");
    }
    for name in ["missing", "empty", "other.pem"] {
        let bad = KeyPair { certificate: good.certificate.clone(), key: path(name) };
        let errors = refused_at_the_start(folder.path(), &bad);
        assert!(errors.contains(name), "{errors}");
    }
    let errors = refused_at_the_start(folder.path(), &KeyPair { key: other.key, ..good });
    assert!(errors.contains("certificate"), "{errors}");
}

#[test]
fn listening_on_the_network_prints_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "a-long-s3cret-indeed").unwrap();
    let safe = ["--tls-self-signed", "--secret-file", secret.to_str().unwrap()];
    for (listen, options, warned) in
        [("0.0.0.0:0", &[][..], true), ("0.0.0.0:0", &safe, false), ("127.0.0.1:0", &[], false)]
    {
        let server = ServerProgram::start_on(listen, options);
        for warning in ["connections are not encrypted", "anybody can join"] {
            let said = server.notices.iter().any(|notice| notice.contains(warning));
            assert_eq!(said, warned, "{listen} {options:?}: {:?}", server.notices);
        }
    }
    let server = ServerProgram::start_on("0.0.0.0:0", &[]);
    let alice = server.join_at(&format!("http://127.0.0.1:{}", server.address.port()), "alice", &["--plain"]);
    alice.program.until("alice joined");
}
