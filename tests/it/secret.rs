//! The access secret: who does not know it does not get in, and cannot guess fast.

use std::fs;
use std::path::Path;

use chitchat::server::{Config, Secret, WRONG_ATTEMPTS_BURST};
use chitchat::wire::{Reason, pb};
use http::{StatusCode, Version};
use tonic::{Code, Status};

use crate::support::{
    Figures, Http1, Participant, Program, Server, ServerProgram, Web, Window, Wire, refused, soon,
};

const RIGHT: [(&str, &str); 1] = [("authorization", "Bearer s3cret")];

async fn guarded() -> Server {
    Server::with(Config { secret: Some(Secret::parse("s3cret").unwrap()), ..Server::config() }).await
}

fn newcomer(name: &str) -> pb::JoinRequest {
    pb::JoinRequest { display_name: name.into(), logical_time: 1, resume: None }
}

/// One attempt to join, which is not to succeed.
async fn attempt(wire: &Wire, authorization: &str) -> Status {
    let wire = wire.with("authorization", authorization);
    wire.join(&newcomer("mallory")).await.next().await.expect_err("this is not the secret")
}

#[tokio::test]
async fn only_who_knows_the_secret_takes_part() {
    let server = guarded().await;
    let wire = Wire::connect(server.address).await;
    for method in ["Join", "Publish", "Leave", "ListEvents"] {
        let answer = wire.call::<pb::PublishResponse>(method, b"").await;
        refused(answer, Code::Unauthenticated, "SECRET_REQUIRED");
        let end = Web::new(server.address).send(method, &[0; 5]).await.end().await;
        refused::<()>(Err(end), Code::Unauthenticated, "SECRET_REQUIRED");
    }
    for authorization in ["Basic s3cret", "s3cret", "Bearer", "Bearer wrong", "Bearer s3cre", "Bearer s3crets"] {
        let refusal = Err(attempt(&wire, authorization).await);
        refused::<()>(refusal, Code::Unauthenticated, "SECRET_REQUIRED");
    }
    let headers = [("authorization", "Bearer S3CRET")];
    let web = Web { headers: &headers, ..Web::new(server.address) };
    let end = web.call("Join", &newcomer("mallory")).await.end().await;
    refused::<()>(Err(end), Code::Unauthenticated, "SECRET_REQUIRED");

    let mut alice = Participant::over(wire.with(RIGHT[0].0, RIGHT[0].1), &newcomer("alice")).await.unwrap();
    alice.hears("Participant alice joined Chit Chat at logical time 3").await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let web = Web { version, headers: &RIGHT, ..Web::new(server.address) };
        let mut answer = web.call("Publish", &alice.request("hello")).await;
        answer.message::<pb::PublishResponse>().await;
        assert_eq!(answer.end().await.code(), Code::Ok);
        alice.hears("hello").await;
    }
    let refusals = Figures::of(server.address).await.get(r#"refusals_total{reason="SECRET_REQUIRED"}"#);
    assert_eq!(refusals, 15.0);
}

#[tokio::test]
async fn the_page_the_operators_and_preflights_need_no_secret() {
    let server = guarded().await;
    for path in ["/", "/app.js", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(Http1::get(server.address, path).await.status, StatusCode::OK, "{path}");
    }
    let wire = Wire::connect(server.address).await;
    wire.call::<tonic_health::pb::HealthCheckResponse>("/grpc.health.v1.Health/Check", b"").await.unwrap();
}

#[tokio::test]
async fn whoever_guesses_is_slowed_and_the_right_secret_works_again_afterwards() {
    let server = guarded().await;
    let wire = Wire::connect(server.address).await;
    let mut wrong = 0;
    let slowed = loop {
        let status = attempt(&wire, "Bearer wrong").await;
        match Reason::of(&status) {
            Some(Reason::SecretRequired) => wrong += 1,
            _ => break status,
        }
    };
    let refusal = refused::<()>(Err(slowed), Code::ResourceExhausted, "RATE_LIMITED");
    assert!(refusal.retry.is_some_and(|delay| !delay.is_zero()));
    assert!(wrong >= WRONG_ATTEMPTS_BURST, "{wrong} attempts were compared");
    // A new connection of the same address is no way round.
    let end = attempt(&Wire::connect(server.address).await, "Bearer wrong").await;
    assert!(matches!(Reason::of(&end), Some(Reason::RateLimited | Reason::SecretRequired)));

    let wire = wire.with(RIGHT[0].0, RIGHT[0].1);
    let alice = soon(async {
        loop {
            match Participant::over(wire.clone(), &newcomer("alice")).await {
                Ok(alice) => return alice,
                Err(status) => assert_eq!(Reason::of(&status), Some(Reason::RateLimited)),
            }
        }
    })
    .await;
    alice.publish("at last").await;
}

/// Everything that lies in a folder of logs, beside the kept sessions.
fn logs(folder: &Path) -> String {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_the_secret_from_a_file_and_nobody_writes_it_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", "very-s3cret\n"), file("wrong", "wrong-gu3ss\n"));
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
        assert!(!ended.errors.contains("wrong-gu3ss"), "{}", ended.errors);
    }
    let wire = Wire::connect_with(server.address, Window::default()).await;
    let carol = Participant::over(wire.with("authorization", "Bearer very-s3cret"), &newcomer("carol")).await;
    let token = carol.unwrap().welcome.session_token;

    let left = alice.quit().succeeded();
    let stopped = server.stop("TERM").succeeded();
    let said = [server.notices.join("\n"), stopped.errors, left.errors, left.output.join("\n")].concat();
    let written = logs(server.log_folder());
    assert!(written.contains("SECRET_REQUIRED"), "refusals are on record");
    for secret in ["very-s3cret", "wrong-gu3ss", &token] {
        assert!(!written.contains(secret) && !said.contains(secret), "{secret} is nowhere");
    }
}

#[test]
fn a_secret_file_that_is_of_no_use_is_refused_at_the_start() {
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
    for text in [&b""[..], b"\n", b"two words\n", b"two\nlines\n", "æ".as_bytes(), b"\xff\xfe"] {
        fs::write(path, text).unwrap();
        check(&serve, path);
        check(&join, path);
    }
}
