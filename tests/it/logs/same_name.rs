//! Two processes with one name and one folder: each has its own log, so that `verify` does not mix up their steps.

use std::path::{Path, PathBuf};

use crate::support::{Program, ServerProgram, records};

const IMPATIENT: [&str; 6] = ["--grace", "500ms", "--ping", "200ms", "--ping-timeout", "300ms"];

fn second(server: &ServerProgram) -> PathBuf {
    server.log_folder().join("client-alice-2.jsonl")
}

fn events(log: &Path) -> Vec<String> {
    records(log).iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect()
}

/// Its name is taken (N5), and it does not write to the first one's log (G4).
#[test]
fn a_second_process_with_a_name_is_refused_and_logs_elsewhere_g4() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    for _ in 0..2 {
        let ended = server.start_client(server.address, "alice", &["--plain"]).end_of_input();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = ended.errors.lines().filter(|line| line.contains("client-alice-2.jsonl")).count();
        assert_eq!(said, 1, "{}", ended.errors);
    }
    let of_second = events(&second(&server));
    assert_eq!(of_second.iter().filter(|event| *event == "client_started").count(), 2, "{of_second:?}");
    alice.program.type_line("still here");
    alice.program.until("still here");
    alice.quit().succeeded();
    assert_eq!(events(&alice.log).iter().filter(|event| *event == "client_started").count(), 1);
    // Once the first process has ended, its log is free again.
    let again = server.join("alice");
    again.program.until("Participant alice joined");
    assert_eq!(events(&again.log).iter().filter(|event| *event == "client_started").count(), 2);
}

/// The first sleeps for longer than its grace period, and the second takes its name (D10).
#[test]
fn a_second_process_takes_an_expired_name_and_logs_elsewhere_g4() {
    let server = ServerProgram::start(&IMPATIENT);
    let bob = server.join("bob");
    let sleeping = server.join("alice");
    sleeping.program.until("Participant alice joined");
    sleeping.program.signal("STOP");
    bob.program.until("Participant alice left");
    let mut alice = server.join("alice");
    alice.program.type_line("I am the second");
    bob.program.until("I am the second");
    sleeping.program.signal("CONT");
    sleeping.program.notice("is already here");
    alice.program.type_line("and the only one");
    bob.program.until("and the only one");
    alice.quit().succeeded();
    // Its name is free again.
    bob.program.until("Participant alice joined");
    assert!(events(&second(&server)).contains(&"publish_acknowledged".to_owned()));
}

/// Two services that are given one folder write to one log, and the second says so.
#[test]
fn a_second_service_in_a_folder_says_so_g4() {
    let server = ServerProgram::start(&[]);
    let logs = server.log_folder().to_str().unwrap();
    let second = ["serve", "--listen", "127.0.0.1:0", "--journal", "memory", "--log-dir", logs];
    Program::start(&second, &[]).notice("another service is writing to ");
}
