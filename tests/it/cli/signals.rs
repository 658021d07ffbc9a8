//! Signals that were ignored stay ignored; unread pipes delay nothing; terminals without colors.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::process::{Child, Command, Stdio};

use crate::support::{Participant, Program, ServerProgram, soon};

/// A program that is started with these signals ignored, as nohup does.
fn ignoring(signals: &str, arguments: &[&str]) -> Program {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("trap '' {signals}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_chitchat"));
    shell.args(arguments);
    Program::of(shell, &[])
}

#[test]
fn ignored_signals_stay_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().to_str().unwrap();
    let service = ignoring("HUP INT TERM USR1", &["serve", "--listen", "127.0.0.1:0", "--log-dir", logs]);
    let invitation = service.notice("Open ");
    let url = invitation.split_whitespace().nth(1).unwrap();
    let mut client = ignoring("HUP INT TERM USR1", &["join", "ann", "-s", url, "--log-dir", logs]);
    client.notice("* here: ann");
    for signal in ["HUP", "INT", "TERM", "USR1"] {
        service.signal(signal);
        client.signal(signal);
        client.type_line(format!("after {signal}"));
        client.until(&format!("ann: after {signal}"));
    }
    client.end_of_input().succeeded();
    Program::run(&["send", "-n", "ci", "-s", url, "--log-dir", logs, "hello"], &[]).succeeded();
}

/// SIGHUP and SIGUSR1 ask a service to reopen its log, and do not end it.
#[test]
fn a_service_outlives_hangups() {
    let server = ServerProgram::start(&[]);
    let mut ann = server.join("ann");
    for signal in ["HUP", "USR1"] {
        server.program.signal(signal);
        ann.program.type_line(signal);
        ann.program.until(&format!("ann: {signal}"));
    }
    ann.program.signal("HUP");
    ann.program.end().succeeded();
}

/// A full pipe that is not read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    // `dd` opens the pipe again for this, so that later writes to it still block.
    let mut filling = Command::new("dd");
    filling.args(["if=/dev/zero", "of=/proc/self/fd/1", "oflag=nonblock", "bs=512"]);
    let filled = filling.stdout(writer.try_clone().unwrap()).stderr(Stdio::null()).status().unwrap();
    assert!(!filled.success(), "dd fails when the pipe is full");
    (reader, writer)
}

fn kill(child: &Child, signal: &str) {
    assert!(
        Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status().unwrap().success()
    );
}

/// Programs whose standard error is a full pipe do all they should, and end.
#[test]
fn a_full_standard_error_stops_no_program() {
    let server = ServerProgram::start(&[]);
    let bob = server.join("bob");
    bob.program.line();
    let (_reader, errors) = full_pipe();
    let url = format!("http://{}", server.address);
    let start = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chitchat"));
        program
            .args(arguments)
            .env("CHITCHAT_LOG_DIR", server.log_folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        program.stderr(errors.try_clone().unwrap()).spawn().unwrap()
    };
    let mut client = start(&["join", "ann", "-s", &url]);
    bob.program.until("ann joined");
    client.stdin.as_mut().unwrap().write_all("not sent: it is empty\n\nhello\n".as_bytes()).unwrap();
    bob.program.until("ann: hello");
    kill(&client, "INT");
    bob.program.until("ann left");
    assert!(client.wait().unwrap().code().is_some());

    assert_eq!(start(&["serve", "--nonsense"]).wait().unwrap().code(), Some(2));
    assert_eq!(start(&["verify", "nothing"]).wait().unwrap().code(), Some(2));
}

/// A service prints everything on standard error; here that is more than a pipe holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_full_standard_error_serves() {
    let folder = tempfile::tempdir().unwrap();
    let (_reader, errors) = full_pipe();
    let mut service = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    service.args(["serve", "--listen", "127.0.0.1:0", "--journal", "memory", "--log-dir"]).arg(folder.path());
    let mut service = service.stderr(errors).spawn().unwrap();
    let log = folder.path().join("server.jsonl");
    let started = soon(async {
        loop {
            let records = if log.exists() { crate::support::records(&log) } else { Vec::new() };
            match records.into_iter().find(|record| record["event"] == "server_started") {
                Some(started) => break started,
                None => tokio::task::yield_now().await,
            }
        }
    });
    let address = started.await["address"].as_str().unwrap().parse().unwrap();
    let ann = Participant::join(address, "ann").await;
    for number in 0..60 {
        ann.publish(&format!("{number} {}", "x".repeat(100))).await;
    }
    kill(&service, "TERM");
    assert_eq!(service.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_full_standard_output_can_leave() {
    let server = ServerProgram::start(&[]);
    let bob = server.join("bob");
    let (_reader, output) = full_pipe();
    let mut client = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    client.args(["join", "ann", "-s", &format!("http://{}", server.address)]).stdin(Stdio::piped());
    client.env("CHITCHAT_LOG_DIR", server.log_folder()).stdout(output).stderr(Stdio::null());
    let mut client = client.spawn().unwrap();
    client.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    bob.program.until("ann: hello");
    kill(&client, "INT");
    bob.program.until("ann left");
    assert!(client.wait().unwrap().code().is_some());
}

/// The output of a command line on a terminal with these settings, including escape sequences.
fn shown(settings: &[(&str, &str)], arguments: &str) -> String {
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{}' {arguments}", env!("CARGO_BIN_EXE_chitchat")), "/dev/null"]);
    // Some libraries use colors if they detect continuous integration.
    script.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("CI", "true");
    let ended = Program::of(script, settings).end_of_input();
    ended.output.join("\n")
}

/// `NO_COLOR` and a dumb terminal are respected by records, usage errors, help and progress alike.
#[test]
fn colors_are_for_terminals_that_have_them_and_users_who_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let warning = format!("serve --listen 0.0.0.0:0 --journal {folder} --log-dir {folder}");
    for arguments in [&*warning, "serve --nonsense", "--help", "verify nothing"] {
        for plain in [&[("TERM", "dumb")][..], &[("TERM", "xterm"), ("NO_COLOR", "1")]] {
            let text = shown(plain, arguments);
            assert!(!text.is_empty() && !text.contains('\u{1b}'), "{arguments} {plain:?}: {text:?}");
        }
    }
    for arguments in [&*warning, "serve --nonsense", "--help"] {
        assert!(shown(&[("TERM", "xterm")], arguments).contains('\u{1b}'), "{arguments}");
    }
}
