//! `chitchat send` and what scripts rely on: exit codes, waiting, the environment, errors that name the thing.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use crate::support::{DEADLINE, Ended, KeyPair, Program, ServerProgram, records};

/// A port that is taken, and at which nobody listens.
struct Nobody(Socket);

impl Nobody {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap().as_socket().unwrap())
    }
}

/// Runs `send` as ci, with this as its standard input.
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

/// 0: everything was acknowledged; 3: some; 1: nothing; 2: wrong usage, and then nothing was sent.
#[test]
fn send_exits_by_what_was_acknowledged() {
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
    let ended = send(&server, &["-"], "\n");
    assert!(
        ended.errors.ends_with("at least one character"),
        "nothing is repeated where there is nothing: {ended:?}"
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

/// A `send` of the lines of a pipe, of which one is acknowledged before the service is killed.
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
fn a_leave_without_an_answer_fails_no_message() {
    let mut server = ServerProgram::start(&[]);
    let ended = one_then_killed(&mut server).end_of_input().succeeded();
    assert!(ended.errors.contains("* could not reach the service"), "{ended:?}");
}

/// What is left when a service does not come back is counted (S3).
#[test]
fn what_is_left_of_the_input_is_not_called_sent() {
    let mut server = ServerProgram::start(&[]);
    let mut ci = one_then_killed(&mut server);
    ci.type_text("two\nthree\nfour");
    let ended = ci.end_of_input();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.errors.ends_with("* not sent: two\n* not sent: 2 more"), "{ended:?}");
}

/// A script may start before its service does.
#[test]
fn wait_outlasts_a_service_that_starts_later() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Nobody::new();
    let (url, logs) = (nobody.url(), folder.path().to_str().unwrap());
    let mut clients = [&["send", "-n", "ci", "hello"][..], &["join", "bob"]].map(|command| {
        Program::start(&[command, &["-s", &url, "--wait", "1min", "--log-dir", logs]].concat(), &[])
    });
    clients.iter().for_each(|client| drop(client.notice("no answer yet; still trying")));
    drop(nobody);
    let _server = ServerProgram::start_on(url.trim_start_matches("http://"), &[]);
    clients.iter_mut().for_each(|client| drop(client.end_of_input().succeeded()));

    let ended = Program::run(
        &["send", "-n", "ci", "-s", &Nobody::new().url(), "--wait", "1s", "--log-dir", logs, "hello"],
        &[],
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("cannot reach"), "{ended:?}");
}

/// `join NAME` is `join --name NAME`; a name that is given counts more than one in the environment.
#[test]
fn a_name_can_be_given_in_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Nobody::new();
    let (url, logs) = (nobody.url(), folder.path().to_str().unwrap());
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

/// A variable that is empty counts as unset, for every option of every subcommand.
#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Nobody::new();
    let (url, logs) = (nobody.url(), folder.path().to_str().unwrap());
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
        assert!(!ended.errors.contains("--help"), "no usage is wrong: {ended:?}");
    }
    assert!(seen > 40, "{seen}");
}

/// A setting for all clients does not forbid what one of them is asked to do.
#[test]
fn an_option_counts_more_than_a_variable_that_contradicts_it() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Nobody::new();
    let (url, logs) = (nobody.url(), folder.path().to_str().unwrap());
    let check = |arguments: &[&str], variable: &str, code: i32| {
        let ended = Program::run(arguments, &[(variable, "1")]);
        assert_eq!(ended.code, Some(code), "{arguments:?} {variable}: {ended:?}");
    };
    check(&["join", "ann", "-s", &url, "--log-dir", logs, "--plain"], "CHITCHAT_JSON", 1);
    check(&["join", "ann", "-s", &url, "--log-dir", logs, "--json"], "CHITCHAT_PLAIN", 1);
    check(&["serve", "--tls-cert", "no", "--tls-key", "no"], "CHITCHAT_TLS_SELF_SIGNED", 1);
    check(&["verify", "--gallery"], "CHITCHAT_JSON", 0);
}

/// A service that sends this when somebody has spoken, and hangs up.
fn stranger(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer).and_then(|()| stream.shutdown(Shutdown::Write));
            // With something unread the end would be a reset, which takes the answer with it.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address.to_string()
}

/// Words of libraries, which mean nothing to people.
const LIBRARIES: [&str; 18] = [
    "invalid digit",
    "a boolean",
    "expected number",
    "os error 21",
    "transport",
    "h2",
    "rustls",
    "InvalidContentType",
    "hyper",
    "tonic",
    "grpc-status",
    "PEM(",
    "UnknownIssuer",
    "webpki",
    "stream did not",
    "tokio",
    "Io(",
    "Status",
];

/// An error names the option and says what is wrong in the words of networks and files.
#[track_caller]
fn check_words(arguments: &[&str], named: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let ended = Program::run(arguments, &[("CHITCHAT_LOG_DIR", folder.path().to_str().unwrap())]);
    assert!(ended.code != Some(0) && ended.output.is_empty(), "{arguments:?}: {ended:?}");
    assert!(named.iter().all(|text| ended.errors.contains(text)), "{arguments:?}: {}", ended.errors);
    assert!(!LIBRARIES.iter().any(|text| ended.errors.contains(text)), "{arguments:?}: {}", ended.errors);
}

/// A log folder that is something else is named, and not in the words of the system (C6).
#[test]
fn log_folder_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, "").unwrap();
    let (file, url) = (file.to_str().unwrap(), Nobody::new().url());
    let named = ["--log-dir", file, "is not a folder"];
    check_words(&["send", "-n", "a", "hello", "-s", &url, "--log-dir", file], &named);
    check_words(&["serve", "--journal", "memory", "--listen", "127.0.0.1:0", "--log-dir", file], &named);
}

/// A certificate to trust has no effect on a connection without TLS, so it is wrong usage (C1).
#[test]
fn certificate_without_tls() {
    let url = Nobody::new().url();
    for command in [&["send", "-n", "a", "hello"][..], &["join", "-n", "a"]] {
        let by_option = Program::run(&[command, &["-s", &url, "--ca", "ca.pem"]].concat(), &[]);
        let by_variable = Program::run(&[command, &["-s", &url]].concat(), &[("CHITCHAT_CA", "ca.pem")]);
        for ended in [by_option, by_variable] {
            assert_eq!((ended.code, &*ended.output), (Some(2), &[][..]), "{ended:?}");
            assert!(["--ca", "https://"].iter().all(|text| ended.errors.contains(text)), "{ended:?}");
        }
    }
}

#[test]
fn a_failure_to_join_names_the_option_and_what_to_do() {
    let keys = tempfile::tempdir().unwrap();
    let (pair, other) = (KeyPair::make(keys.path(), "pair"), KeyPair::make(keys.path(), "other"));
    let file = |name: &str, text: &[u8]| {
        let path = keys.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (secret, wrong) =
        (file("secret", b"a-long-s3cret-of-24-chars\n"), file("wrong", b"a-guess-of-16-or-more"));
    let nobody = Nobody::new();
    let plain = ServerProgram::start(&["--secret-file", &secret]);
    let tls = ServerProgram::start(&pair.options());
    let (by_http, by_https) = (format!("http://{}", tls.address), format!("https://{}", tls.address));
    let send = |server: &str, options: &[&str], named: &[&str]| {
        check_words(&[&["send", "-n", "a", "hello", "-s", server], options].concat(), named);
    };
    send(&nobody.url(), &[], &["--server", "connection refused"]);
    send("http://nowhere.invalid:1", &[], &["--server", "nowhere.invalid cannot be resolved"]);
    send(&by_http, &[], &["--server", "use https://"]);
    send(&format!("https://{}", plain.address), &[], &["--server", "use http://"]);
    send(&by_https, &[], &["--ca", "authority"]);
    send(&by_https, &["--ca", other.certificate.to_str().unwrap()], &["certificate"]);
    send(&by_https, &["--ca", &secret], &["--ca", "certificate"]);
    send(&by_https, &["--ca", "missing"], &["--ca", "missing"]);
    send(&format!("http://{}", plain.address), &[], &["--secret-file"]);
    send(&format!("http://{}", plain.address), &["--secret-file", &wrong], &["--secret-file", "does not accept"]);
    for faulty in [file("empty", b""), file("binary", b"\xff\xfe"), file("two", b"a b"), "missing".into()] {
        send(&nobody.url(), &["--secret-file", &faulty], &["--secret-file", &faulty]);
    }
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-OpenSSH\r\n", b"<html>"] {
        send(&format!("http://{}", stranger(answer)), &[], &["--server", "not a Chit Chat service"]);
    }
    send(&format!("https://{}", stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n")), &[], &["--server", "use http://"]);
    send(&format!("http://{}", stranger(b"")), &[], &["--server", "connection was"]);
    let other_grpc = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let other_grpc: &'static [u8] = Box::leak(Box::new(other_grpc));
    send(&format!("http://{}", stranger(other_grpc)), &[], &["--server", "connection was"]);
}

#[test]
fn a_service_that_cannot_start_names_the_option() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (text, empty) = (path("text", b"hello, this is text"), path("empty", b""));
    let certificate = KeyPair::make(folder.path(), "a");
    let [cert, key] = [&certificate.certificate, &certificate.key].map(|path| path.to_str().unwrap());
    let serve = |options: &[&str], named: &[&str]| {
        check_words(&[&["serve", "--listen", "127.0.0.1:0"], options].concat(), named);
    };
    serve(&["--tls-cert", &text, "--tls-key", key], &["--tls-cert", &text, "no certificate"]);
    serve(&["--tls-cert", cert, "--tls-key", cert], &["--tls-key", cert, "no private key"]);
    serve(&["--tls-cert", "missing", "--tls-key", key], &["--tls-cert", "missing"]);
    serve(&["--tls-cert", cert, "--tls-key", "missing"], &["--tls-key", "missing"]);
    serve(&["--secret-file", &empty], &["--secret-file", &empty]);
    serve(&["--secret-file", "missing"], &["--secret-file", "missing"]);
    serve(&["--journal", &text], &["--journal", &text]);
    serve(&["--journal", "missing/a.db"], &["--journal", "missing/a.db"]);
    serve(&["--log-dir", &text], &["--log-dir", &text]);
    for (listen, named) in [("192.0.2.1:1", "no such address"), ("nowhere.invalid:1", "cannot be resolved")] {
        check_words(&["serve", "--listen", listen], &["--listen", listen, named]);
    }
    for (listen, named) in
        [(":1", "no host"), ("127.0.0.1:99999", "99999"), ("::1:1", "brackets"), ("http://a:1", "URL")]
    {
        check_words(&["serve", "--listen", listen], &["--listen", named]);
    }
    for arguments in
        [["verify", &text], ["verify", &empty], ["verify", "missing"], ["diagram", &text], ["diagram", "missing"]]
    {
        check_words(&arguments, &[arguments[1]]);
    }
    assert!(Path::new(&text).exists());
}

/// A value that an option cannot take is answered with what it can take.
#[test]
fn a_wrong_value_is_answered_with_the_right_ones() {
    for (option, wrong) in [
        ("--grace", &["5", "soon", "1 fortnight"][..]),
        ("--publish-rate", &["x", "0.5", "-1", "4294967296"]),
        ("--streams-max", &["x", "0"]),
    ] {
        for value in wrong {
            check_words(&["serve", &format!("{option}={value}")], &[option, "should be a "]);
        }
    }
    for value in ["x", "1001"] {
        check_words(&["join", "a", &format!("--history={value}")], &["--history", "from 0 to 1000"]);
    }
    check_words(&["diagram", "nothing.jsonl", "--from=x"], &["--from", "whole number"]);
    check_words(&["serve", "--listen", "127.0.0.1:+80"], &["--listen", "+80"]);
    check_words(&["serve", "--listen", "*:80"], &["--listen", "0.0.0.0:80"]);
    for (variable, subcommand) in [("CHITCHAT_JSON", &["join", "a"][..]), ("CHITCHAT_TLS_SELF_SIGNED", &["serve"])]
    {
        let ended = Program::run(subcommand, &[(variable, "maybe")]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors.contains("should be true or false"), "{ended:?}");
    }
}

/// An input or output that fails is named (S3).
#[test]
fn a_stream_that_fails_is_named() {
    let server = ServerProgram::start(&[]);
    let check = |redirection: &str, named: &str| {
        let mut shell = std::process::Command::new("sh");
        let (program, logs) = (env!("CARGO_BIN_EXE_chitchat"), server.log_folder().display());
        let command = format!("'{program}' join a -s http://{} --log-dir '{logs}' {redirection}", server.address);
        shell.arg("-c").arg(command);
        let ended = Program::of(shell, &[]).end_of_input();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.errors.contains(named), "{ended:?}");
    };
    check("</", "cannot read standard input: ");
    check("</dev/null >/dev/full", "cannot write to standard output: ");
}

/// What a service invites people with can be run as it stands.
#[test]
fn the_invitation_works_as_it_is_printed() {
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

/// A service that is replaced may take a moment to end: its address is free soon.
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
