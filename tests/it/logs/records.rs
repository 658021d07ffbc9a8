//! The logs of all processes: complete, ordered and without secrets (T2, S7).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::{Participant, Record, ServerProgram, check_transcript};

fn of<'a>(records: &'a [Record], event: &'a str) -> impl Iterator<Item = &'a Record> {
    records.iter().filter(move |record| record["event"] == event)
}

fn positions(records: &[&Record]) -> Vec<(u64, u64)> {
    records.iter().map(|r| (r["sequence"].as_u64().unwrap(), r["logical_time"].as_u64().unwrap())).collect()
}

#[track_caller]
fn check_fields(records: &[Record], event: &str, fields: &[&str]) {
    let mut found = 0;
    for record in of(records, event) {
        found += 1;
        for field in fields {
            assert!(!record[*field].is_null(), "{event} has no {field}: {record}");
        }
    }
    assert!(found > 0, "no record of {event}");
}

/// Checks the fields that all records of one process have.
fn check_every(component: &str, records: &[Record]) {
    for record in records {
        let timestamp = record["timestamp"].as_str().unwrap();
        assert_eq!((timestamp.len(), &timestamp[26..]), (27, "Z"), "UTC, microseconds: {record}");
        humantime::parse_rfc3339(timestamp).unwrap();
        assert_eq!(record["component"], component);
        let level = if record["event"] == "event_delivered" && component == "server" { "DEBUG" } else { "INFO" };
        assert_eq!(record["level"], level, "{record}");
        assert!(record["event"].is_string());
        assert_eq!(record["run"], records[0]["run"], "one start of one process");
        assert_eq!(record["run"].as_str().map(str::len), Some(16), "{record}");
    }
    // Records are in order within one task; either of two tasks may write first.
    let by_one_task =
        |record: &&Record| component == "client" || record["event"].as_str().unwrap().ends_with("_broadcast");
    let in_order = records.iter().filter(by_one_task);
    let timestamps: Vec<_> = in_order.map(|record| record["timestamp"].as_str().unwrap()).collect();
    assert!(timestamps.is_sorted(), "{component}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_records_what_happens_with_its_identifiers_t2_s7() {
    let mut server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    bob.program.type_line("hello");
    alice.program.until("hello");
    bob.program.type_line("x".repeat(129));
    bob.program.notice("* refused: ");
    let eve = Participant::join(server.address, "eve").await;
    eve.wire.publish(&eve.request("")).await.unwrap_err();
    eve.leave().await.unwrap();
    assert_eq!(bob.quit().code, Some(3), "a line was refused");
    alice.quit().succeeded();
    server.stop("TERM").succeeded();

    let (of_server, of_alice, of_bob) = (server.records(), alice.records(), bob.records());
    for (component, records) in [("server", &of_server), ("client", &of_alice), ("client", &of_bob)] {
        check_every(component, records);
    }

    let who = ["epoch", "participant_id", "display_name"];
    let position = [&who[..], &["sequence", "logical_time", "local_time"]].concat();
    let broadcast = [&position[..], &["sent_logical_time", "kind", "content", "recipients"]].concat();
    let message = ["message_id", "seen_sequence"];
    for event in ["client_connected", "client_disconnected"] {
        check_fields(&of_server, event, &[&who[..], &["peer", "transport"]].concat());
    }
    check_fields(&of_server, "client_disconnected", &["reason"]);
    for event in ["join_broadcast", "leave_broadcast"] {
        check_fields(&of_server, event, &broadcast);
    }
    check_fields(&of_server, "message_broadcast", &[&broadcast[..], &message].concat());
    check_fields(&of_server, "event_delivered", &["epoch", "participant_ids", "first_sequence", "last_sequence"]);
    check_fields(&of_server, "request_refused", &["participant_id", "peer", "transport", "reason"]);
    for event in ["server_started", "server_stopping", "server_stopped"] {
        check_fields(&of_server, event, &["epoch"]);
    }
    check_fields(
        &of_server,
        "server_started",
        &["version", "grace_ms", "ping_ms", "ping_timeout_ms", "stall_ms", "logs_deliveries"],
    );
    check_fields(&of_bob, "client_started", &["display_name"]);
    check_fields(&of_bob, "join_sent", &["display_name", "sent_logical_time", "local_time"]);
    check_fields(&of_bob, "connected", &position);
    check_fields(&of_bob, "publish_queued", &[&who[..], &message, &["content"]].concat());
    check_fields(
        &of_bob,
        "publish_sent",
        &[&who[..], &message, &["sent_logical_time", "local_time", "content"]].concat(),
    );
    check_fields(&of_bob, "publish_acknowledged", &[&position[..], &["message_id"]].concat());
    check_fields(&of_bob, "publish_refused", &[&who[..], &["content", "reason"]].concat());
    check_fields(&of_bob, "event_delivered", &[&position[..], &["kind", "content"]].concat());
    check_fields(&of_bob, "leave_sent", &[&who[..], &["sent_logical_time", "local_time"]].concat());
    check_fields(&of_bob, "leave_acknowledged", &position);
    check_fields(&of_bob, "client_stopped", &who);

    let broadcasts: Vec<_> =
        of_server.iter().filter(|record| record["event"].as_str().unwrap().ends_with("_broadcast")).collect();
    assert_eq!(positions(&broadcasts)[0], (1, 3));
    check_transcript(&positions(&broadcasts));
    let delivered: Vec<_> = of(&of_alice, "event_delivered").collect();
    assert_eq!(delivered.len(), broadcasts.len() - 1, "all but its own Left");
    for (delivered, broadcast) in delivered.iter().zip(&broadcasts) {
        for field in ["epoch", "sequence", "logical_time", "content", "kind", "participant_id"] {
            assert_eq!(delivered[field], broadcast[field], "V3");
        }
    }
    for records in [&of_alice, &of_bob] {
        let local: Vec<_> = records.iter().filter_map(|record| record["local_time"].as_u64()).collect();
        assert!(local.windows(2).all(|pair| pair[0] < pair[1]), "V7: {local:?}");
    }
}

/// All logs, which are the files in the folder. Sessions are in a subfolder.
fn logs(server: &ServerProgram) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.log_folder()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn session_tokens_are_not_in_logs_or_output() {
    let mut server = ServerProgram::start(&[]);
    let alice = server.join("alice");
    let bob = Participant::join(server.address, "bob").await;
    let token = bob.welcome.session_token.clone();
    drop(bob.resume(server.address, 0).await.unwrap());
    bob.publish("hello").await;
    bob.wire.publish(&bob.request("")).await.unwrap_err();
    bob.leave().await.unwrap();
    bob.leave().await.unwrap_err();
    alice.program.until("left");
    let ended = server.stop("TERM").succeeded();
    let mut texts = vec![ended.errors, ended.output.join("\n")];
    texts.extend(logs(&server).iter().map(|log| fs::read_to_string(log).unwrap()));
    assert!(texts.iter().any(|text| text.contains("hello")));
    assert!(texts.iter().all(|text| !text.contains(&token)));
    // Alice's token is not known here, so look for anything of its form: 32 hexadecimal digits that are not
    // a message id.
    let records = [server.records(), alice.records()].concat();
    let ids: BTreeSet<_> = records.iter().filter_map(|record| record["message_id"].as_str()).collect();
    for value in records.iter().flat_map(|record| record.as_object().unwrap().values().filter_map(|v| v.as_str()))
    {
        let secret = value.len() >= 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(!secret || ids.contains(value), "{value}");
    }
}

#[test]
fn a_name_of_any_characters_makes_one_safe_file_in_the_log_folder() {
    let server = ServerProgram::start(&[]);
    let emoji = "😀".repeat(32);
    for name in ["../../escaped", "a/b\\c", "-rf *", "CON", ".hidden", "Åse Ødegård", "李小龍", &emoji] {
        server.join(name).quit().succeeded();
    }
    let file_name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files: BTreeSet<String> = logs(&server).iter().map(file_name).collect();
    assert_eq!(files.len(), 9, "{files:?}");
    for file in files.iter().filter(|file| *file != "server.jsonl") {
        assert!(file.starts_with("client-") && file.ends_with(".jsonl") && file.len() <= 255, "{file}");
        assert!(!file.contains(['/', '\\', ' ', '*', '\0']), "{file}");
    }
}

#[test]
fn a_log_is_appended_to_s7() {
    let server = ServerProgram::start(&[]);
    server.join("alice").quit().succeeded();
    let mut alice = server.join("alice");
    alice.quit().succeeded();
    assert_eq!(of(&alice.records(), "client_stopped").count(), 2);
}

#[test]
fn log_level_info_omits_deliveries() {
    let mut server = ServerProgram::start(&["--log-level", "info"]);
    server.join("alice").quit().succeeded();
    server.stop("TERM").succeeded();
    let records = server.records();
    assert_eq!(of(&records, "event_delivered").count(), 0);
    assert_eq!(of(&records, "leave_broadcast").count(), 1);
}
