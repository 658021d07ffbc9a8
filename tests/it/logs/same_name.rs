//! Two processes with one name and one folder: each has its own log, so that `verify` does not mix up their steps.

use std::path::{Path, PathBuf};

use crate::support::{DurableServer, Program, ServerProgram, records};

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

/// Starts a second service that logs in this folder, and says once where.
fn second_service(folder: &Path, journal: &str) -> Program {
    let logs = folder.to_str().unwrap();
    let service =
        Program::start(&["serve", "--listen", "127.0.0.1:0", "--journal", journal, "--log-dir", logs], &[]);
    let said = service.notice("this service logs to ");
    assert!(
        said.contains("another process is writing to server.jsonl") && said.contains("/server-2.jsonl"),
        "{said}"
    );
    service
}

/// `verify`, which runs when the first one is dropped, and `diagram` tell two services apart.
#[test]
fn two_services_in_one_folder_have_a_log_each_g4() {
    let server = ServerProgram::start(&[]);
    let logs = server.log_folder();
    let mut second = second_service(logs, "memory");
    second.notice("  server_started ");
    let started = records(&logs.join("server-2.jsonl")).pop().unwrap();
    let address = started["address"].as_str().unwrap().parse().unwrap();
    for (mut client, text) in
        [(server.join("alice"), "to the first"), (server.join_by(address, "bob", "--plain"), "to the second")]
    {
        client.program.type_line(text);
        client.program.until(text);
        client.quit().succeeded();
    }
    second.signal("TERM");
    let ended = second.end().succeeded();
    assert!(!ended.errors.contains("this service logs to"), "{ended:?}");
    let diagram = ["diagram", "--format", "mermaid", logs.to_str().unwrap()];
    let lines = Program::run(&diagram, &[]).succeeded().output;
    assert_eq!(lines.iter().filter(|line| line.ends_with(" as service")).count(), 2, "{lines:#?}");
}

/// A second service that cannot start leaves no empty log, which `verify` would refuse.
#[test]
fn a_second_service_that_fails_leaves_no_log_g4() {
    let server = DurableServer::start(&[]);
    let (logs, journal) = (server.log().parent().unwrap().to_owned(), server.journal());
    let ended = second_service(&logs, journal.to_str().unwrap()).end();
    assert!(ended.code == Some(1) && ended.errors.contains("is in use by another process"), "{ended:?}");
    assert!(!logs.join("server-2.jsonl").exists());
}
