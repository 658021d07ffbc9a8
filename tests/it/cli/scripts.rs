//! `chitchat send` and what scripts rely on: exit codes, waiting, the environment, errors that name what is wrong.

mod words;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use crate::support::{DEADLINE, Ended, Program, ServerProgram, records};

/// A port that is taken, but on which nothing listens.
struct DeadPort(Socket);

impl DeadPort {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap().as_socket().unwrap())
    }
}

/// Runs `send` as ci, with `input` as its standard input.
fn send(server: &ServerProgram, arguments: &[&str], input: &str) -> Ended {
    let url = format!("http://{}", server.address);
    let folder = server.log_folder().to_str().unwrap();
    let options = ["send", "-n", "ci", "-s", &url, "--log-dir", folder];
    let mut program = Program::start(&[&options, arguments].concat(), &[]);
    program.type_text(input);
    program.end_of_input()
}

/// Each TEXT is one message, and `-` stands for the lines of standard input.
#[test]
fn send_publishes_texts_and_lines_in_order_and_leaves() {
    let server = ServerProgram::start(&[]);
    let reader = server.join("reader");
    let ended = send(&server, &["one", "-", "two words"], "first line\nsecond line").succeeded();
    assert_eq!((ended.output.len(), ended.errors), (0, String::new()));
    send(&server, &[], "only a pipe\n").succeeded();
    let shown: Vec<_> =
        reader.program.lines(10).into_iter().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect();
    let expected = [
        "Participant ci joined",
        "ci: one",
        "ci: first line",
        "ci: second line",
        "ci: two words",
        "Participant ci left",
    ];
    assert!(shown[1..7].iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{shown:?}");
    assert!(shown[8].ends_with("ci: only a pipe") && shown[9].starts_with("Participant ci left"), "{shown:?}");
    assert!(server.log_folder().join("client-ci.jsonl").exists());
}

/// 0: all messages were acknowledged; 3: some; 1: none; 2: wrong usage, and nothing was sent.
#[test]
fn the_exit_code_of_send_depends_on_acknowledgements() {
    let server = ServerProgram::start(&[]);
    let long = "x".repeat(129);
    let check = |arguments: &[&str], input: &str, code: i32| {
        let ended = send(&server, arguments, input);
        assert_eq!(ended.code, Some(code), "{arguments:?} {input:?}: {ended:?}");
    };
    check(&["done"], "", 0);
    check(&[], "", 0);
    check(&["good", "-"], &format!("{long}\n"), 3);
    check(&["-"], &format!("{long}\n\n"), 1);
    let ended = send(&server, &["-"], &format!("{long}\n\n"));
    assert!(
        ended.errors.ends_with("* line 2 of standard input: refused: a message needs at least one character"),
        "an empty text is found by its line: {ended:?}"
    );
    check(&["good", &long], "", 2);
    check(&["good", ""], "", 2);
    check(&["--wait", "soon", "good"], "", 2);
    let messages = server.records().iter().filter(|record| record["event"] == "message_broadcast").count();
    assert_eq!(messages, 2);
    let taken = server.join("ci");
    check(&["done"], "", 1);
    drop(taken);
}

/// A `send` that is not killed records its end last, even if its input could not be read.
#[test]
fn the_end_of_send_is_recorded() {
    let server = ServerProgram::start(&["--address-limits", "off"]);
    let last = || records(&server.log_folder().join("client-ci.jsonl")).pop().unwrap()["event"].clone();
    for run in 0..20 {
        send(&server, &["hello"], "").succeeded();
        assert_eq!(last(), "client_stopped", "run {run}");
    }
    let mut shell = std::process::Command::new("sh");
    let (program, logs) = (env!("CARGO_BIN_EXE_chitchat"), server.log_folder().display());
    let options = format!("-n ci -s http://{} --log-dir '{logs}'", server.address);
    shell.arg("-c").arg(format!("'{program}' send {options} hello - </"));
    let ended = Program::of(shell, &[]).end_of_input();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(last(), "client_stopped", "{ended:?}");
}

/// A `send` that reads a pipe. Its first line is acknowledged before the service is killed.
fn one_then_killed(server: &mut ServerProgram) -> Program {
    let url = format!("http://{}", server.address);
    let folder = server.log_folder().to_str().unwrap();
    let mut ci = Program::start(&["send", "-n", "ci", "-s", &url, "--log-dir", folder], &[]);
    ci.type_line("one");
    let log = server.log_folder().join("client-ci.jsonl");
    let start = Instant::now();
    while !(log.exists() && records(&log).iter().any(|record| record["event"] == "publish_acknowledged")) {
        assert!(start.elapsed() < DEADLINE);
        thread::yield_now();
    }
    server.stop("KILL");
    ci.notice("* offline");
    ci
}

/// The exit code is about messages: a leave that the service did not see makes no difference (S3).
#[test]
fn an_unanswered_leave_does_not_change_the_exit_code() {
    let mut server = ServerProgram::start(&[]);
    let ended = one_then_killed(&mut server).end_of_input().succeeded();
    assert!(ended.errors.contains("* could not reach the service"), "{ended:?}");
}

/// Unsent lines are counted when a service does not come back (S3).
#[test]
fn unsent_input_is_counted() {
    let mut server = ServerProgram::start(&[]);
    let mut ci = one_then_killed(&mut server);
    ci.type_text("two\nthree\nfour");
    let ended = ci.end_of_input();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.errors.ends_with("* not sent: two\n* not sent: 2 more"), "{ended:?}");
}

/// A script may start before its service does.
#[test]
fn wait_keeps_trying_until_the_service_starts() {
    let folder = tempfile::tempdir().unwrap();
    let dead_port = DeadPort::new();
    let (url, logs) = (dead_port.url(), folder.path().to_str().unwrap());
    let mut clients = [&["send", "-n", "ci", "hello"][..], &["join", "bob"]].map(|command| {
        Program::start(&[command, &["-s", &url, "--wait", "1min", "--log-dir", logs]].concat(), &[])
    });
    clients.iter().for_each(|client| drop(client.notice("no answer yet; still trying")));
    drop(dead_port);
    let _server = ServerProgram::start_on(url.trim_start_matches("http://"), &[]);
    clients.iter_mut().for_each(|client| drop(client.end_of_input().succeeded()));

    let ended = Program::run(
        &["send", "-n", "ci", "-s", &DeadPort::new().url(), "--wait", "1s", "--log-dir", logs, "hello"],
        &[],
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("cannot reach"), "{ended:?}");
}

/// `join NAME` means `join --name NAME`; both override the environment.
#[test]
fn a_name_can_be_given_in_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let dead_port = DeadPort::new();
    let (url, logs) = (dead_port.url(), folder.path().to_str().unwrap());
    for name in [&["ann"][..], &["-n", "ann"], &["--name", "ann"]] {
        let ended =
            Program::run(&[&["join", "-s", &url, "--log-dir", logs], name].concat(), &[("CHITCHAT_NAME", "bob")]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        std::fs::remove_file(folder.path().join("client-ann.jsonl")).unwrap();
    }
    let ended = Program::run(&["join", "ann", "--name", "bob", "-s", &url, "--log-dir", logs], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

/// The variables that the help of a subcommand names.
fn variables(subcommand: &str) -> BTreeSet<String> {
    let help = Program::run(&[subcommand, "--help"], &[]).succeeded().output.join("\n");
    help.split("[env: ").skip(1).map(|text| text.split(['=', ']']).next().unwrap().to_owned()).collect()
}

/// This holds for every option of every subcommand.
#[test]
fn an_empty_variable_counts_as_unset() {
    let folder = tempfile::tempdir().unwrap();
    let dead_port = DeadPort::new();
    let (url, logs) = (dead_port.url(), folder.path().to_str().unwrap());
    let mut seen = 0;
    for (arguments, code) in [
        (&["serve", "--listen", "192.0.2.1:1"][..], 1),
        (&["join", "ann", "-s", &url, "--log-dir", logs], 1),
        (&["send", "-n", "ann", "-s", &url, "--log-dir", logs, "hello"], 1),
        (&["load", "-s", &url], 1),
        (&["verify", "nothing.jsonl"], 2),
        (&["diagram", "nothing.jsonl"], 2),
    ] {
        let variables = variables(arguments[0]);
        seen += variables.len();
        let settings: Vec<_> = variables.iter().map(|name| (&**name, "")).collect();
        let ended = Program::run(arguments, &settings);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(!ended.errors.contains("--help"), "no usage error: {ended:?}");
    }
    assert!(seen > 40, "{seen}");
}

/// A setting for all clients does not make an option of one of them a usage error.
#[test]
fn an_option_overrides_a_contradicting_variable() {
    let folder = tempfile::tempdir().unwrap();
    let dead_port = DeadPort::new();
    let (url, logs) = (dead_port.url(), folder.path().to_str().unwrap());
    let check = |arguments: &[&str], variable: &str, code: i32| {
        let ended = Program::run(arguments, &[(variable, "1")]);
        assert_eq!(ended.code, Some(code), "{arguments:?} {variable}: {ended:?}");
    };
    check(&["join", "ann", "-s", &url, "--log-dir", logs, "--plain"], "CHITCHAT_JSON", 1);
    check(&["join", "ann", "-s", &url, "--log-dir", logs, "--json"], "CHITCHAT_PLAIN", 1);
    check(&["serve", "--tls-cert", "no", "--tls-key", "no"], "CHITCHAT_TLS_SELF_SIGNED", 1);
    check(&["verify", "--gallery"], "CHITCHAT_JSON", 0);
}

/// The commands that a service prints at its start work as printed.
#[test]
fn the_printed_invitation_works() {
    let keys = tempfile::tempdir().unwrap();
    let secret = keys.path().join("a secret");
    std::fs::write(&secret, "a-long-s3cret-of-24-chars\n").unwrap();
    let server =
        ServerProgram::start_on("[::]:0", &["--tls-self-signed", "--secret-file", secret.to_str().unwrap()]);
    let invitation = server.program.notice("Open ");
    assert!(invitation.contains(&format!("https://[::1]:{} in a browser", server.address.port())), "{invitation}");
    let command = invitation.split_once("chitchat join NAME").unwrap().1;
    let mut shell = std::process::Command::new("sh");
    let logs = server.log_folder().display();
    shell
        .arg("-c")
        .arg(format!("exec '{}' send -n ci hello --log-dir '{logs}' {command}", env!("CARGO_BIN_EXE_chitchat")));
    Program::of(shell, &[]).end_of_input().succeeded();
}

/// A service that is being replaced may take a moment to end and free its address.
#[test]
fn a_service_waits_for_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut service =
        Program::start(&["serve", "--listen", &address, "--log-dir", folder.path().to_str().unwrap()], &[]);
    service.notice("is in use by another process; trying again");
    drop(taken);
    service.notice("Open ");
    service.signal("TERM");
    service.end().succeeded();
}
