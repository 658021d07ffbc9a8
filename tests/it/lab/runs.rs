//! The lab as a program: its key, its command, and faults with real clients, judged by `chitchat verify`.

use std::path::Path;

use crate::support::{Ended, Program, ServerProgram};

/// A service with a lab, and its key.
struct Lab {
    server: ServerProgram,
    key: String,
}

impl Lab {
    fn start(options: &[&str]) -> Self {
        let server = ServerProgram::start_command("lab", "127.0.0.1:0", options);
        let line = server.program.notice("lab-key=");
        let key = line.split_once("lab-key=").unwrap().1.trim().to_owned();
        Self { server, key }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn run(&self, key: &str, arguments: &[&str]) -> Ended {
        let url = self.url();
        Program::run(&[&["fault", "--server", &url, "--lab-key", key], arguments].concat(), &[])
    }

    /// Runs `chitchat fault`, which must succeed.
    #[track_caller]
    fn fault(&self, arguments: &[&str]) -> Vec<String> {
        self.run(&self.key, arguments).succeeded().output
    }
}

/// K7, C13: the key is printed in the teacher's URL, is needed for every call, and is never logged.
#[test]
fn key() {
    let lab = Lab::start(&[]);
    let _alice = lab.server.join("alice");
    for (key, named) in [("wrong", "--lab-key"), (&lab.key, "NAME: no active participant is called bob")] {
        let ended = lab.run(key, &["bob", "--pause"]);
        assert_eq!((ended.code, ended.errors.contains(named)), (Some(1), true), "{ended:?}");
        assert!(ended.errors.matches("--lab-key").count() < 2, "{ended:?}");
    }
    assert_eq!(lab.fault(&["--list"]), ["alice: no fault"]);
    assert_eq!(lab.fault(&["alice"]), ["alice: no fault"]);
    for arguments in [&["bob"][..], &[""], &["", "--clear"]] {
        let ended = lab.run(&lab.key, arguments);
        let named = "NAME: no active participant is called";
        assert_eq!((ended.code, ended.errors.contains(named)), (Some(1), true), "{arguments:?}: {ended:?}");
    }
    let log = std::fs::read_to_string(lab.server.log_folder().join("server.jsonl")).unwrap();
    assert!(!log.contains(&lab.key));
}

/// K7: with `--lab-open` there is no key. At a service without a lab, `fault` reports that there is none.
#[test]
fn open_lab_and_no_lab() {
    let open = ServerProgram::start_command("lab", "127.0.0.1:0", &["--lab-open"]);
    let url = format!("http://{}", open.address);
    let line = open.program.notice("Set faults with: ");
    assert!(!line.contains("--lab-key"), "{line}");
    Program::run(&["fault", "--server", &url, "--clear"], &[]).succeeded();
    let plain = ServerProgram::start(&[]);
    let url = format!("http://{}", plain.address);
    let ended = Program::run(&["fault", "--server", &url, "--clear"], &[]);
    assert!(ended.code == Some(1) && ended.errors.contains("has no lab"), "{ended:?}");
}

/// C13: a lab that can be reached from the network prints a QR code.
#[test]
fn qr_code() {
    let lab = ServerProgram::start_command("lab", "0.0.0.0:0", &["--lab-open"]);
    lab.program.notice("\u{2588}\u{2588}\u{2588}\u{2588}\u{2588}");
}

/// C1: wrong values are refused before any call is made, and the error names the option.
#[test]
fn wrong_options() {
    for (arguments, named) in [
        (&["fault"][..], "NAME"),
        (&["fault", "alice", "--hold", "everything"], "--hold"),
        (&["fault", "alice", "--cut", "none"], "--cut"),
        (&["fault", "alice", "--delay", "31s"], "'--delay <TIME>': must be at most 30s"),
        (&["fault", "alice", "--jitter", "soon"], "--jitter"),
        (&["fault", "alice", "--pause", "--for", "11min"], "'--for <TIME>': must be at most 10min"),
        (&["fault", "alice", "--for", "1s"], "--hold"),
        (&["fault", "alice", "--disconnect", "--for", "1s"], "--hold"),
        (&["fault", "alice", "--delay-of", "publishes"], "--jitter"),
        (&["fault", "alice", "--hold", "both", "--delay-of", "publishes"], "--jitter"),
        (&["fault", "--list", "--delay-of", "publishes"], "--jitter"),
        (&["fault", "alice", "--release", "0"], "--release"),
        (&["fault", "alice", "--release", "all", "--pause"], "--release"),
        (&["fault", "alice", "--stop-writer", "1s"], "--stop-writer"),
        (&["fault", "--stop-writer", "61s"], "'--stop-writer <TIME>': must be at most 60s"),
        (&["fault", "--clear", "--pause", "alice"], "--clear"),
    ] {
        let ended = Program::run(arguments, &[]);
        assert!(ended.code == Some(2) && ended.errors.contains(named), "{arguments:?}: {ended:?}");
    }
}

/// K2, G1: a held participant gets a notice; the log has the participant, the fault and the first event it affects.
#[test]
fn a_held_client_gets_a_notice_and_the_change_is_logged() {
    let lab = Lab::start(&[]);
    let (mut alice, mut bob) = (lab.server.join("alice"), lab.server.join("bob"));
    alice.program.until("bob joined");
    let lines = lab.fault(&["alice", "--hold", "deliveries", "--for", "5min"]);
    assert!(lines[0].starts_with("alice: deliveries held, ends in "), "{lines:?}");
    alice.program.notice("the lab: deliveries held");
    bob.program.type_line("hello");
    bob.program.until("hello");
    let lines = lab.fault(&["--list"]);
    assert!(lines[0].ends_with("1 deliveries held"), "{lines:?}");
    lab.fault(&["alice", "--release", "1"]);
    alice.program.until("hello");
    lab.fault(&["--clear"]);
    alice.program.notice("the lab has ended its faults");
    let records = lab.server.records();
    let changes: Vec<_> = records.iter().filter(|record| record["event"] == "fault_changed").collect();
    let told = |n: usize| ["display_name", "faults", "reason"].map(|field| changes[n][field].as_str().unwrap());
    assert_eq!(told(0), ["alice", "deliveries held", "SET"]);
    assert_eq!(told(1), ["alice", "deliveries held", "RELEASED"]);
    assert_eq!(told(2), ["alice", "", "CLEARED"]);
    assert_eq!((changes[0]["sequence"].as_u64(), changes[2]["sequence"].as_u64()), (Some(3), Some(4)));
    // The diagram shades alice's lifeline once, and names the fault.
    for (format, shade) in [
        ("svg", "<g><title>alice, by the lab: deliveries held</title><rect class=\"fault\""),
        ("mermaid", ": the lab, deliveries held"),
    ] {
        let diagram = [&["diagram", "--format", format][..], &logs(lab.server.log_folder())].concat();
        let picture = Program::run(&diagram, &[]).succeeded().output.join("\n");
        assert_eq!(picture.matches(shade).count(), 1, "{picture}");
    }
    assert_eq!((alice.quit().code, bob.quit().code), (Some(0), Some(0)));
}

/// K1, V14: logs that end while a participant is held violate no rule, and the report says why.
#[test]
fn logs_that_end_during_a_hold() {
    let lab = Lab::start(&[]);
    let (mut alice, mut bob) = (lab.server.join("alice"), lab.server.join("bob"));
    alice.program.until("bob joined");
    lab.fault(&["alice", "--hold", "deliveries", "--for", "10min"]);
    alice.program.notice("the lab: deliveries held");
    bob.program.type_line("hello");
    bob.program.until("hello");
    let arguments = [&["verify", "--all"][..], &logs(lab.server.log_folder())].concat();
    let ended = Program::run(&arguments, &[]).succeeded();
    let output = ended.output.join("\n");
    assert!(output.contains("alice (p1) got 2 of 3 events: the lab was holding back the rest"), "{output}");
    lab.fault(&["--clear"]);
    alice.program.until("hello");
    assert_eq!((alice.quit().code, bob.quit().code), (Some(0), Some(0)));
}

/// The logs in a folder.
fn logs(folder: &Path) -> Vec<&'static str> {
    let logs = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path().display().to_string());
    logs.filter(|path| path.ends_with(".jsonl")).map(|path| &*path.leak()).collect()
}
