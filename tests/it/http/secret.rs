//! The access secret: callers without it are refused, and guessing neither pays nor harms others.

use std::fs;
use std::path::Path;

use chitchat::server::{Config, SECRET_CHARACTERS_MAX, Secret, WRONG_SECRETS};
use chitchat::wire::{Reason, pb};
use http::{StatusCode, Version};
use tonic::{Code, Status};

use crate::support::{Http1, Participant, Program, Server, ServerProgram, Web, Window, Wire, refused, soon};

const RIGHT: [(&str, &str); 1] = [("authorization", "Bearer a-long-s3cret-indeed")];

async fn guarded() -> Server {
    Server::with(Config { secret: Some(Secret::parse("a-long-s3cret-indeed").unwrap()), ..Server::config() }).await
}

fn newcomer(name: &str) -> pb::JoinRequest {
    pb::JoinRequest { display_name: name.into(), logical_time: 1, resume: None }
}

/// One attempt to join, which must fail.
async fn attempt(wire: &Wire, authorization: &str) -> Status {
    let wire = wire.with("authorization", authorization);
    wire.join(&newcomer("mallory")).await.next().await.expect_err("this is not the secret")
}

#[tokio::test]
async fn only_callers_with_the_secret_can_take_part() {
    let server = guarded().await;
    let wire = Wire::connect(server.address).await;
    for method in ["Join", "Publish", "Leave", "ListEvents"] {
        let answer = wire.call::<pb::PublishResponse>(method, b"").await;
        refused(answer, Code::Unauthenticated, "SECRET_REQUIRED");
        let end = Web::new(server.address).send(method, &[0; 5]).await.end().await;
        refused::<()>(Err(end), Code::Unauthenticated, "SECRET_REQUIRED");
    }
    for authorization in [
        "Basic a-long-s3cret-indeed",
        "a-long-s3cret-indeed",
        "Bearer",
        "Bearer wrong",
        "Bearer a-long-s3cret-indee",
        "Bearer a-long-s3cret-indeeds",
    ] {
        let refusal = Err(attempt(&wire, authorization).await);
        refused::<()>(refusal, Code::Unauthenticated, "SECRET_REQUIRED");
    }
    let headers = [("authorization", "Bearer A-LONG-S3CRET-INDEED")];
    let web = Web { headers: &headers, ..Web::new(server.address) };
    let end = web.call("Join", &newcomer("mallory")).await.end().await;
    refused::<()>(Err(end), Code::Unauthenticated, "SECRET_REQUIRED");

    let mut alice = Participant::over(wire.with(RIGHT[0].0, RIGHT[0].1), &newcomer("alice")).await.unwrap();
    alice.hears("Participant alice joined Chit Chat at logical time 3").await;
    for authorization in ["bearer a-long-s3cret-indeed", "BEARER  a-long-s3cret-indeed"] {
        let wire = wire.with("authorization", authorization);
        wire.publish(&alice.request("hello")).await.expect("the case of the scheme does not matter");
        alice.hears("hello").await;
    }
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let web = Web { version, headers: &RIGHT, ..Web::new(server.address) };
        let mut answer = web.call("Publish", &alice.request("hello")).await;
        answer.message::<pb::PublishResponse>().await;
        assert_eq!(answer.end().await.code(), Code::Ok);
        alice.hears("hello").await;
    }
    let figures = Http1::connect(server.address).await.ask("GET", "/metrics", &RIGHT, b"").await;
    let counted = "\nchitchat_refusals_total{reason=\"SECRET_REQUIRED\"} 15\n";
    assert!(figures.text().contains(counted), "{}", figures.text());
}

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[tokio::test]
async fn the_page_and_health_are_open_but_metrics_and_reflection_need_the_secret() {
    let server = guarded().await;
    for path in ["/", "/app.js", "/healthz", "/readyz"] {
        assert_eq!(Http1::get(server.address, path).await.status, StatusCode::OK, "{path}");
    }
    let wire = Wire::connect(server.address).await;
    wire.call::<tonic_health::pb::HealthCheckResponse>("/grpc.health.v1.Health/Check", b"").await.unwrap();
    refused(wire.call::<pb::PublishResponse>(REFLECTION, b"").await, Code::Unauthenticated, "SECRET_REQUIRED");

    let mut operator = Http1::connect(server.address).await;
    let refusal = operator.ask("GET", "/metrics", &[], b"").await;
    assert_eq!((refusal.status, refusal.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"));
    assert_eq!(operator.ask("GET", "/metrics", &RIGHT, b"").await.status, StatusCode::OK);
    let request = http::Request::post(format!("http://localhost{REFLECTION}"))
        .header("content-type", "application/grpc")
        .header(RIGHT[0].0, RIGHT[0].1);
    let (status, headers, _) = wire.send(request.body(()).unwrap(), "").await;
    assert_eq!((status, Status::from_header_map(&headers).map(|status| status.code())), (StatusCode::OK, None));
}

/// Over HTTP, too, a refusal by a rate limit says when to retry: in whole seconds, at least one (H7, E3).
#[tokio::test]
async fn retry_after() {
    let server = guarded().await;
    let mut operator = Http1::connect(server.address).await;
    let slowed = loop {
        let refusal = operator.ask("GET", "/metrics", &[("authorization", "Bearer wrong")], b"").await;
        if refusal.status != StatusCode::UNAUTHORIZED {
            break refusal;
        }
        assert_eq!(refusal.header("retry-after"), "", "waiting does not make a wrong secret right");
    };
    assert_eq!((slowed.status, slowed.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
}

/// Many people share an address behind NAT or a proxy: none of them may lock out the others.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_are_slowed_but_not_the_right_one_from_the_same_address() {
    let server = guarded().await;
    let wire = Wire::connect(server.address).await;
    let flood = tokio::spawn({
        let address = server.address;
        async move {
            let (wire, mut wrong, mut slowed) = (Wire::connect(address).await, 0, 0);
            loop {
                let refusal = attempt(&wire, "Bearer wrong").await;
                match Reason::of(&refusal) {
                    Some(Reason::SecretRequired) => wrong += 1,
                    Some(Reason::RateLimited) => slowed += 1,
                    other => panic!("{other:?}"),
                }
                if slowed >= 10 * WRONG_SECRETS.burst && wrong >= WRONG_SECRETS.burst {
                    return refusal;
                }
            }
        }
    });
    let alice = Participant::over(wire.with(RIGHT[0].0, RIGHT[0].1), &newcomer("alice")).await.unwrap();
    for n in 0..80 {
        alice.publish(&format!("message {n}")).await;
    }
    let slowed = refused::<()>(Err(soon(flood).await.unwrap()), Code::ResourceExhausted, "RATE_LIMITED");
    assert!(slowed.retry.is_some_and(|delay| !delay.is_zero()));
    // While wrong secrets are slowed, the right one is not, and a request without a secret does not count as a guess.
    alice.publish("still here").await;
    let none = wire.call::<pb::PublishResponse>("Publish", b"").await;
    refused(none, Code::Unauthenticated, "SECRET_REQUIRED");
    // A new connection from the same address does not evade the limit, nor does a guess of another length.
    let other = Wire::connect(server.address).await;
    let long = format!("Bearer {}", "x".repeat(SECRET_CHARACTERS_MAX + 1));
    for guess in ["Bearer wrong", &long, "Bearer "] {
        let reason = Reason::of(&attempt(&other, guess).await);
        assert!(matches!(reason, Some(Reason::RateLimited | Reason::SecretRequired)), "{reason:?}");
    }
}

/// The text of all files in a log folder, except the kept sessions.
fn logs(folder: &Path) -> String {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_the_secret_from_a_file_and_it_is_never_logged_or_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", "very-s3cret-indeed\n"), file("wrong", "wrong-gu3ss-of-mine\n"));
    let mut server = ServerProgram::start(&["--secret-file", &right]);
    let url = format!("http://{}", server.address);
    let mut alice = server.join_at(&url, "alice", &["--plain", "--secret-file", &right]);
    alice.program.type_line("hello");
    alice.program.until("] alice: hello");

    let logs_there = server.log_folder().to_str().unwrap().to_owned();
    for secret in [&[][..], &["--secret-file", &wrong]] {
        let join = ["join", "--plain", "--name", "bob", "--server", &url, "--log-dir", &logs_there];
        let ended = Program::run(&[&join[..], secret].concat(), &[]);
        assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
        assert!(ended.errors.contains("access secret"), "{}", ended.errors);
        assert!(!ended.errors.contains("wrong-gu3ss-of-mine"), "{}", ended.errors);
    }
    let wire = Wire::connect_with(server.address, Window::default()).await;
    let carol =
        Participant::over(wire.with("authorization", "Bearer very-s3cret-indeed"), &newcomer("carol")).await;
    let token = carol.unwrap().welcome.session_token;

    let left = alice.quit().succeeded();
    let stopped = server.stop("TERM").succeeded();
    let said = [server.notices.join("\n"), stopped.errors, left.errors, left.output.join("\n")].concat();
    let written = logs(server.log_folder());
    assert!(written.contains("SECRET_REQUIRED"), "refusals are logged");
    for secret in ["very-s3cret-indeed", "wrong-gu3ss-of-mine", &token] {
        assert!(!written.contains(secret) && !said.contains(secret), "{secret} must not be logged or printed");
    }
}

#[test]
fn an_unusable_secret_file_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let (path, logs) = (path.to_str().unwrap(), folder.path().join("logs"));
    let logs = logs.to_str().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log-dir", logs, "--secret-file", path];
    let join = ["join", "--name", "alice", "--log-dir", logs, "--secret-file", path];
    let check = |arguments: &[&str], named: &str| {
        let ended = Program::run(arguments, &[]);
        assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
        assert!(ended.errors.contains(named), "{}", ended.errors);
    };
    check(&serve, path);
    check(&join, path);
    for text in [
        &b""[..],
        b"\n",
        b"too-short-for-it\x20",
        b"fifteen-letters\n",
        b"two words of text\n",
        b"two\nlines-of-text\n",
        "æøåæøåæøåæøåæøåæ".as_bytes(),
        b"\xff\xfe",
    ] {
        fs::write(path, text).unwrap();
        check(&serve, path);
        check(&join, path);
    }
}
