//! Errors name the option, and say what is wrong in terms of networks and files.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::thread;

use super::DeadPort;
use crate::support::{KeyPair, Program, ServerProgram};

/// A service that reads something, sends this answer and hangs up.
fn stranger(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer).and_then(|()| stream.shutdown(Shutdown::Write));
            // Closing with unread data would reset the connection, and the answer would be lost.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address.to_string()
}

/// Words of libraries, which mean nothing to users.
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

/// An error must contain certain texts, and no words of libraries.
#[track_caller]
fn check_words(arguments: &[&str], named: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let ended = Program::run(arguments, &[("CHITCHAT_LOG_DIR", folder.path().to_str().unwrap())]);
    assert!(ended.code != Some(0) && ended.output.is_empty(), "{arguments:?}: {ended:?}");
    assert!(named.iter().all(|text| ended.errors.contains(text)), "{arguments:?}: {}", ended.errors);
    assert!(!LIBRARIES.iter().any(|text| ended.errors.contains(text)), "{arguments:?}: {}", ended.errors);
}

/// A folder for logs or sessions that is not a folder is reported by name, not in the system's words (C6).
#[test]
fn folder_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, "").unwrap();
    let (file, url) = (file.to_str().unwrap(), DeadPort::new().url());
    let named = ["--log-dir", file, "is not a folder"];
    check_words(&["send", "-n", "a", "hello", "-s", &url, "--log-dir", file], &named);
    check_words(&["serve", "--journal", "memory", "--listen", "127.0.0.1:0", "--log-dir", file], &named);
    let named = ["--state-dir", file, "is not a folder"];
    check_words(&["send", "-n", "a", "hello", "-s", &url, "--state-dir", file], &named);
}

/// A certificate to trust has no effect on a connection without TLS, so it is wrong usage (C1).
#[test]
fn certificate_without_tls() {
    let url = DeadPort::new().url();
    for command in [
        &["send", "-n", "a", "hello"][..],
        &["join", "-n", "a"],
        &["fault", "--list"],
        &["companion"],
        &["scenario"],
    ] {
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
    let dead_port = DeadPort::new();
    let plain = ServerProgram::start(&["--secret-file", &secret]);
    let tls = ServerProgram::start(&pair.options());
    let (by_http, by_https) = (format!("http://{}", tls.address), format!("https://{}", tls.address));
    let send = |server: &str, options: &[&str], named: &[&str]| {
        check_words(&[&["send", "-n", "a", "hello", "-s", server], options].concat(), named);
    };
    send(&dead_port.url(), &[], &["--server", "connection refused"]);
    check_words(&["load", "--server", &dead_port.url()], &["--server", "connection refused"]);
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
        send(&dead_port.url(), &["--secret-file", &faulty], &["--secret-file", &faulty]);
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

#[test]
fn the_error_for_a_wrong_value_lists_the_right_ones() {
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
