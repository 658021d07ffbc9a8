//! Companions and scenarios of a lab, from the command line. `chitchat verify` judges their logs when each service
//! ends.

use std::fs;

use chitchat::wire::pb;
use prost::Message as _;
use tempfile::TempDir;
use tonic::Code;

use crate::support::{Ended, KeyPair, Program, Record, ServerProgram, Wire, records, refused};

/// A service with an open lab.
fn lab(options: &[&str]) -> ServerProgram {
    ServerProgram::start_command("lab", "127.0.0.1:0", &[&["--lab-open"], options].concat())
}

fn run(lab: &ServerProgram, command: &str, arguments: &[&str]) -> Ended {
    let url = format!("http://{}", lab.address);
    Program::run(&[&[command, "--server", &url], arguments].concat(), &[])
}

/// K8: companions are ordinary participants: they join, answer people but not each other, leave, and each has its own
/// log with its own run.
#[test]
fn companions() {
    let lab = lab(&[]);
    let mut alice = lab.join("alice");
    for (kind, name) in [("echo", "echo"), ("echo", "echo 2"), ("answerer", "answerer")] {
        let added = run(&lab, "companion", &["--add", kind]).succeeded();
        assert_eq!(added.output, [format!("{name} has joined")]);
        alice.program.until(&format!("{name} joined"));
    }
    alice.program.type_line("Is anybody there?");
    let mut answers: Vec<String> = Vec::new();
    while answers.len() < 3 {
        let line = alice.program.line();
        answers.extend(
            line.split_once("] ").map(|(_, text)| text.to_owned()).filter(|text| !text.starts_with("alice")),
        );
    }
    answers.sort();
    assert!(answers[0].starts_with("answerer: To ["), "{answers:?}");
    assert_eq!(answers[1..], ["echo 2: Echo: Is anybody there?", "echo: Echo: Is anybody there?"]);
    let listed = run(&lab, "companion", &[]).succeeded().output;
    assert!(listed.len() == 3 && listed[0].starts_with("echo: echo, clock "), "{listed:?}");
    // Even a companion that is held can leave.
    run(&lab, "fault", &["echo", "--hold", "both", "--for", "10min"]).succeeded();
    for name in ["echo", "echo 2", "answerer"] {
        assert_eq!(run(&lab, "companion", &["--remove", name]).succeeded().output, [format!("{name} has left")]);
        alice.program.until(&format!("{name} left"));
    }
    let log = |name: &str| records(&lab.log_folder().join(name));
    let (one, two) = (log("client-echo.jsonl"), log("client-echo%202.jsonl"));
    for log in [&one, &two] {
        assert!(log.iter().all(|record| record["run"] == log[0]["run"] && record["component"] == "client"));
        assert_eq!(log.last().unwrap()["event"], "client_stopped");
    }
    assert_ne!(one[0]["run"], two[0]["run"]);
    let server = lab.records();
    assert!(server.iter().all(|record| record["component"] == "server" && record["run"] == server[0]["run"]));
    assert_eq!(alice.quit().code, Some(0));
}

/// K8: the number of companions is bounded; wrong requests are refused with the reason, and change nothing.
#[test]
fn limit_and_refusals() {
    let lab = lab(&["--companions-max", "1"]);
    let mut alice = lab.join("alice");
    let refused = |command: &str, arguments: &[&str], named: &str| {
        let ended = run(&lab, command, arguments);
        assert!(ended.code == Some(1) && ended.errors.contains(named), "{arguments:?}: {ended:?}");
    };
    refused("companion", &["--add", "echo", "--as", "alice"], "--as: a participant with that name");
    run(&lab, "companion", &["--add", "actor", "--as", "bob"]).succeeded();
    refused("companion", &["--add", "echo"], "the limit on companions is reached: 1; see --companions-max");
    refused("companion", &["--remove", "nobody"], "--remove: no companion is called nobody");
    refused("companion", &["--remove", "alice"], "--remove: no companion is called alice");
    refused("scenario", &["hamlet"], "NAME: there is no scenario called hamlet");
    refused("scenario", &["crossing", "--person", "nobody"], "--person: no active participant is called nobody");
    for (arguments, named) in [
        (&["companion", "--add", "parrot"][..], "--add"),
        (&["companion", "--as", "bob"], "--add"),
        (&["companion", "--add", "echo", "--remove", "bob"], "--remove"),
        (&["companion", "--remove", "bob", "--as", "carol"], "--as"),
        (&["scenario", "first", "--pause", "31s"], "--pause"),
        (&["scenario", "--person", "alice"], "NAME"),
        (&["scenario", "--pause", "1s"], "NAME"),
        (&["scenario", "--stop", "--person", "alice"], "--person"),
        (&["scenario", "--stop", "--pause", "1s"], "--pause"),
        (&["scenario", "first", "--stop"], "--stop"),
        (&["lab", "--companions-max", "201"], "--companions-max"),
    ] {
        let ended = Program::run(arguments, &[]);
        assert!(ended.code == Some(2) && ended.errors.contains(named), "{arguments:?}: {ended:?}");
    }
    assert_eq!(run(&lab, "companion", &[]).succeeded().output.len(), 1);
    run(&lab, "companion", &["--remove", "bob"]).succeeded();
    run(&lab, "companion", &["--add", "echo"]).succeeded();
    assert_eq!(alice.quit().code, Some(0));
}

/// E3: the refusal names the field that is at fault. In StartScenario a participant's name is in `person`.
#[tokio::test(flavor = "multi_thread")]
async fn the_field_of_an_unknown_person() {
    let lab = lab(&[]);
    let wire = Wire::connect(lab.address).await;
    let request =
        pb::StartScenarioRequest { name: "crossing".into(), person: "nobody".into(), ..Default::default() };
    let method = "/chitchat.v1.LabService/StartScenario";
    let answer = wire.call::<pb::StartScenarioResponse>(method, &request.encode_to_vec()).await;
    assert_eq!(refused(answer, Code::NotFound, "NAME_UNKNOWN").fields, ["person"]);
}

/// K9: each built-in scenario runs to its end without people, and asks its question; its companions leave.
#[test]
fn built_in_scenarios() {
    let lab = lab(&["--grace", "2s"]);
    let listed = run(&lab, "scenario", &[]).succeeded().output;
    assert_eq!(listed.len(), 10);
    for line in &listed {
        let name = line.split_whitespace().next().unwrap();
        let told = run(&lab, "scenario", &[name, "--pause", "0s"]).succeeded().output;
        assert!(told.iter().any(|line| line.starts_with("1. ")), "{told:#?}");
        assert!(told.last().unwrap().contains(") is right. "), "{told:#?}");
        assert_eq!(run(&lab, "companion", &[]).succeeded().output, ["no companions"], "{name}: all have left");
        let faults = run(&lab, "fault", &["--list"]).succeeded().output;
        assert_eq!(faults, ["no participants"], "{name}");
    }
}

/// K9: two messages that cross are concurrent in the logs: the writer of the second had not seen the first.
#[test]
fn crossing_messages_are_concurrent() {
    let lab = lab(&[]);
    run(&lab, "scenario", &["crossing", "--pause", "0s"]).succeeded();
    let records = lab.records();
    let messages: Vec<_> = records.iter().filter(|record| record["event"] == "message_broadcast").collect();
    assert_eq!(messages.len(), 2);
    assert!(messages[1]["seen_sequence"].as_u64() < messages[0]["sequence"].as_u64());
}

/// K9: a retry is not a second message: sent twice, broadcast once.
#[test]
fn a_retry_is_one_event() {
    let lab = lab(&[]);
    run(&lab, "scenario", &["retry", "--pause", "0s"]).succeeded();
    let log = records(&lab.log_folder().join("client-Ben.jsonl"));
    let sent: Vec<_> = log.iter().filter(|record| record["event"] == "publish_sent").collect();
    assert!(sent.len() >= 2, "{sent:?}");
    assert!(sent.iter().all(|record| record["message_id"] == sent[0]["message_id"]));
    let broadcast = lab.records().into_iter().filter(|record| record["message_id"] == sent[0]["message_id"]);
    assert_eq!(broadcast.filter(|record| record["event"] == "message_broadcast").count(), 1);
}

/// K9: a person can play the role that allows one, and the scenario continues when they write.
#[test]
fn a_person_takes_part() {
    let lab = lab(&[]);
    let mut alice = lab.join("alice");
    let url = format!("http://{}", lab.address);
    let arguments = ["scenario", "--server", &url, "crossing", "--person", "alice", "--pause", "0s"];
    let mut scenario = Program::start(&arguments, &[]);
    scenario.until("2. alice writes to Ben");
    alice.program.type_line("See you at noon");
    scenario.until("3. Ben writes");
    assert_eq!(scenario.end_of_input().code, Some(0));
    alice.program.until("Ben left");
    assert_eq!(alice.quit().code, Some(0));
}

/// K9: a scenario ends at once, with its faults, when it is stopped or when another one starts.
#[test]
fn stopped() {
    let lab = lab(&[]);
    let url = format!("http://{}", lab.address);
    let play = |name: &str| Program::start(&["scenario", "--server", &url, name, "--pause", "30s"], &[]);
    let mut first = play("crossing");
    first.until("1. ");
    let mut second = play("first");
    second.until("1. ");
    let ended = first.end_of_input();
    assert!(ended.code == Some(1) && ended.errors.contains("another scenario was started"), "{ended:?}");
    run(&lab, "scenario", &["--stop"]).succeeded();
    let ended = second.end_of_input();
    assert!(ended.code == Some(1) && ended.errors.contains("was stopped"), "{ended:?}");
    assert_eq!(run(&lab, "companion", &[]).succeeded().output, ["no companions"]);
}

/// K9: a teacher's own scenarios are added to the built-in ones or replace them; an invalid one is reported before the
/// service starts, with its file and step.
#[test]
fn own_scenarios() {
    let folder = TempDir::new().unwrap();
    let (path, scenarios) = (folder.path().to_str().unwrap(), |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
    });
    let own = include_str!("../../../docs/scenarios/crash.toml").replace("Crash and resume", "Mine");
    scenarios("crash.toml", &own);
    scenarios("notes.txt", "no scenario");
    scenarios("other.toml", &own.replace("Mine", "Another of mine"));
    let lab = lab(&["--scenarios", path]);
    let listed = run(&lab, "scenario", &[]).succeeded().output;
    assert_eq!(listed.len(), 11);
    assert!(listed[9].ends_with("Mine") && listed[10].ends_with("Another of mine"), "{listed:?}");
    run(&lab, "scenario", &["other", "--pause", "0s"]).succeeded();
    scenarios("wrong.toml", &own.replace("do = \"crash\"", "do = \"explode\""));
    let file = folder.path().join("wrong.toml");
    let check_wrong = |why: &str| {
        let ended = Program::run(&["lab", "--listen", "127.0.0.1:0", "--scenarios", path], &[]);
        let named = format!("--scenarios: {}: {why}", file.display());
        assert!(ended.code == Some(1) && ended.errors.contains(&named), "{ended:?}");
    };
    check_wrong("step 2: explode is not an action");
    scenarios("wrong.toml", "title = Mine\n");
    check_wrong("line 1: ");
    let ended = Program::run(&["lab", "--listen", "127.0.0.1:0", "--scenarios", "/nowhere"], &[]);
    assert!(ended.code == Some(1) && ended.errors.contains("--scenarios: cannot read /nowhere"), "{ended:?}");
}

/// K8, C13: companions also work over TLS, both with a self-signed certificate and with one from files that this
/// machine does not trust.
#[test]
fn companions_over_tls() {
    let folder = TempDir::new().unwrap();
    let pair = KeyPair::make(folder.path(), "server");
    for own in [false, true] {
        let options = if own { pair.options().to_vec() } else { vec!["--tls-self-signed"] };
        let lab = lab(&options);
        let ca = if own { pair.certificate.clone() } else { lab.log_folder().join("self-signed.pem") };
        let url = format!("https://localhost:{}", lab.address.port());
        let access = ["--server", &url, "--ca", ca.to_str().unwrap()];
        let run = |command: &[&str]| Program::run(&[command, &access].concat(), &[]).succeeded().output;
        let mut alice = lab.join_at(&url, "alice", &["--plain", "--ca", ca.to_str().unwrap()]);
        assert_eq!(run(&["companion", "--add", "echo"]), ["echo has joined"]);
        alice.program.until("echo joined");
        alice.program.type_line("hello");
        alice.program.until("echo: Echo: hello");
        run(&["scenario", "retry", "--pause", "0s"]);
        run(&["companion", "--remove", "echo"]);
        alice.program.until("echo left");
        assert_eq!(alice.quit().code, Some(0));
    }
}

/// K8, A7: the wrong wall clock of a companion shows in its messages and in its log. The order is not affected, but the
/// wall-clock lens puts an answer before its question.
#[test]
fn wrong_wall_clock() {
    use crate::contracts::vectors::lens::{Causality, Event, Kind, Lens};

    let lab = lab(&[]);
    let mut alice = lab.join("alice");
    run(&lab, "companion", &["--add", "wrong-clock"]).succeeded();
    alice.program.until("joined");
    alice.program.until("joined");
    alice.program.type_line("What time is it?");
    alice.program.until("By my clock it is");
    run(&lab, "companion", &["--remove", "wrong clock"]).succeeded();
    let at = |record: &Record, field: &str| {
        let at = humantime::parse_rfc3339(record[field].as_str().unwrap()).unwrap();
        i64::try_from(at.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
    };
    let is_message = |record: &&Record| record["event"] == "message_broadcast";
    let events: Vec<Event> = lab
        .records()
        .iter()
        .filter(is_message)
        .enumerate()
        .map(|(index, record)| Event {
            author: record["display_name"].as_str().unwrap().to_owned(),
            time: record["logical_time"].as_u64().unwrap(),
            recorded_at: at(record, "timestamp"),
            // Sequences among the messages alone: the second has seen the first.
            kind: Kind::Message {
                sent: record["sent_logical_time"].as_u64().unwrap(),
                seen: index as u64,
                sent_at: Some(at(record, "sent_at")),
            },
        })
        .collect();
    let sent = |index: usize| match events[index].kind {
        Kind::Message { sent_at: Some(at), .. } => at - events[index].recorded_at,
        _ => unreachable!("a message"),
    };
    assert!(sent(0).abs() < 60_000 && (-660_000..-540_000).contains(&sent(1)), "{events:?}");
    let causality = Causality::of(&events);
    assert_eq!(causality.swappable(Lens::Wall), (vec![(0, 1)], vec![(0, 1)]));
    let log = records(&lab.log_folder().join("client-wrong%20clock.jsonl"));
    let sent = log.iter().find(|record| record["event"] == "publish_sent").unwrap();
    assert!(at(sent, "timestamp") < events[1].recorded_at - 540_000);
    assert_eq!(alice.quit().code, Some(0));
}
