//! Every client can leave, whatever it or the service is doing (S6).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{Client, Program, Proxy, ServerProgram, soon};

/// A client that is offline and has a message waiting.
async fn offline_with_a_message(server: &ServerProgram) -> Client {
    let proxy = Proxy::to(server.address).await;
    let mut alice = server.join_by(proxy.address, "alice", "--plain");
    alice.program.until("Participant alice joined");
    proxy.cut();
    alice.program.notice("* offline");
    // Both lines are read at once, and the first causes a notice.
    alice.program.type_text([&b"\xff\n"[..], b"this one waits\n"].concat());
    alice.program.notice("not valid UTF-8");
    alice
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_client_that_cannot_leave() {
    let server = ServerProgram::start(&[]);
    let mut alice = offline_with_a_message(&server).await;
    alice.program.signal("INT");
    alice.program.notice("1 message is not acknowledged yet");
    alice.program.signal("INT");
    let ended = alice.program.end();
    assert_eq!(ended.code, Some(130));
    assert!(ended.errors.contains("* not sent: this one waits"), "{}", ended.errors);
}

/// Closing a terminal causes two SIGHUPs, from the kernel and from the shell. What was typed is still sent (S3).
#[test]
fn two_hangups_are_not_two_interrupts() {
    let server = ServerProgram::start(&["--publish-rate", "10", "--publish-burst", "1"]);
    let mut alice = server.join("alice");
    let lines: String = (0..30).map(|n| format!("line {n}\n")).collect();
    alice.program.type_text(lines);
    alice.program.until("alice: line 0");
    alice.program.signal("HUP");
    alice.program.notice("not acknowledged yet");
    alice.program.signal("HUP");
    let ended = alice.program.end().succeeded();
    assert!(ended.output.last().unwrap().ends_with("alice: line 29"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn quit_works_while_a_message_waits_and_reports_it_as_not_sent() {
    let server = ServerProgram::start(&[]);
    let mut alice = offline_with_a_message(&server).await;
    alice.program.type_line("/quit");
    let notice = alice.program.notice("not sent");
    assert!(notice.contains("this one waits"), "{notice}");
    // It tries to reach the service until its patience ends, and then reports that it could not.
    let ended = alice.program.end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("could not reach the service"), "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_can_leave_while_its_message_waits_for_the_connection() {
    use chitchat::client::{self, Options, PublishError};
    let server = ServerProgram::start(&[]);
    let proxy = Proxy::to(server.address).await;
    let options = Options {
        patience: std::time::Duration::from_millis(300),
        ..Options::new(format!("http://{}", proxy.address), "alice")
    };
    let (chat, _updates) = client::join(options).await.unwrap();
    proxy.cut();
    let speaking = chat.clone();
    let publishing = tokio::spawn(async move { speaking.publish("this one waits").await });
    soon(chat.leave()).await.unwrap_err();
    let error = soon(publishing).await.unwrap().unwrap_err();
    assert!(matches!(error, PublishError::Unconfirmed | PublishError::Ended), "{error:?}");
}

#[test]
fn a_client_whose_output_is_closed_leaves_at_once_s6() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    let mut bob = Command::new(env!("CARGO_BIN_EXE_chitchat"))
        .args(["join", "--plain", "--name", "bob", "--server", &format!("http://{}", server.address), "--log-dir"])
        .arg(server.log_folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(bob.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("Participant bob joined"), "{line}");
    alice.program.type_line("is anyone reading?");
    alice.program.until("Participant bob left");
    assert_eq!(bob.wait().unwrap().code(), Some(0));
    let left = server.records().into_iter().find(|record| record["event"] == "leave_broadcast").unwrap();
    assert_eq!(left["reason"], "REQUESTED");
}

#[test]
fn a_client_without_standard_error_still_returns_its_exit_code() {
    let server = ServerProgram::start(&[]);
    let _alice = server.join("alice");
    let command = format!(
        "{} join --plain --name alice --server http://{} --log-dir {} </dev/null 2>&-; echo $?",
        env!("CARGO_BIN_EXE_chitchat"),
        server.address,
        server.log_folder().display(),
    );
    let output = Command::new("sh").arg("-c").arg(command).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1");
}

#[test]
fn an_unwritable_log_is_reported_and_the_chat_continues() {
    let server = ServerProgram::start(&[]);
    let folder = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("client-bob.jsonl")).unwrap();
    let (url, logs) = (format!("http://{}", server.address), folder.path().to_str().unwrap());
    let mut bob = Program::start(&["join", "--plain", "--name", "bob", "--server", &url, "--log-dir", logs], &[]);
    bob.notice("records are lost");
    bob.type_line("hello");
    bob.until("bob: hello");
    assert_eq!(bob.end_of_input().code, Some(0));
}
