//! The README's commands for three replicas on one machine, typed into a shell one after another, do what it says.
//! Only the ports differ, since those of the README may be in use.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::support::{DEADLINE, Program, nats_server, wait_for_record};

/// The commands: each line after a prompt, with the lines that continue it.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("### More than one machine").nth(1).unwrap();
    let block = section.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    block.strip_prefix("$ ").unwrap().split("\n$ ").map(str::to_owned).collect()
}

/// A prefix X such that the ports X1, X2 and X3 are free.
fn free_decade() -> String {
    loop {
        let decade = fastrand::u16(1500..3000);
        let ports = [1, 2, 3].map(|n| TcpListener::bind((Ipv4Addr::LOCALHOST, decade * 10 + n)));
        if ports.iter().all(Result::is_ok) {
            return decade.to_string();
        }
    }
}

#[track_caller]
fn wait_for_port(port: &str) {
    let (address, start) = (format!("127.0.0.1:{port}"), Instant::now());
    while TcpStream::connect(&address).is_err() {
        assert!(start.elapsed() < DEADLINE, "nothing listens on {address}");
        std::thread::yield_now();
    }
}

#[test]
fn the_readme_commands_start_three_replicas_on_one_machine() {
    let folder = tempfile::TempDir::new().unwrap();
    let (clients, routes, services) = (free_decade(), free_decade(), free_decade());
    let mut shell = Command::new("bash");
    let programs =
        [Path::new(env!("CARGO_BIN_EXE_chitchat")), &nats_server()].map(|it| it.parent().unwrap().to_owned());
    let path = std::env::var("PATH").unwrap();
    let found = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).unwrap();
    shell.current_dir(&folder).env("PATH", found);
    let mut shell = Program::of(shell, &[]);
    let commands = commands();
    assert_eq!(commands.len(), 7, "{commands:#?}");
    for command in commands {
        let command = command.replace(":422", &format!(":{clients}")).replace(":622", &format!(":{routes}"));
        shell.type_line(command.replace(":5005", &format!(":{services}")));
        if command.starts_with("for ") {
            (1..=3).for_each(|n| wait_for_port(&format!("{clients}{n}")));
        } else if command.starts_with("chitchat serve") {
            let log = command.split("--log-dir ").nth(1).unwrap().split(' ').next().unwrap();
            wait_for_record(&folder.path().join(log).join("server.jsonl"), |record| {
                record["event"] == "server_started"
            });
        } else if command.starts_with("chitchat join") {
            shell.type_line("hello from the README");
            shell.until("alice: hello from the README");
            shell.type_line("/quit");
            // The logs are complete once each replica has broadcast the leave.
            for replica in ["logs-a", "logs-b", "logs-c"] {
                wait_for_record(&folder.path().join(replica).join("server.jsonl"), |record| {
                    record["event"] == "leave_broadcast"
                });
            }
        }
    }
    shell.until("no rule is violated");
    let line = shell.until("V13");
    assert!(line.contains("held"), "{line}");
    shell.type_line("kill $(jobs -p); wait; exit");
    shell.end();
}
