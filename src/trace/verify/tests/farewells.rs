//! V15 over the logs of one service, in pieces, and for a participant that comes back late.

use serde_json::{Value, json};

use crate::trace::gallery::{JsonLog, Logs};
use crate::trace::report::Rule;

/// What the service records at a second of its run.
fn record(second: u64, mut record: Value) -> Value {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_323_200 + second);
    record["timestamp"] = json!(humantime::format_rfc3339_micros(at).to_string());
    (record["level"], record["component"], record["epoch"]) = (json!("INFO"), json!("server"), json!("e"));
    record
}

/// The service starts with this many events in its journal; its grace period is 30 s.
fn starts(second: u64, sequence: u64) -> Value {
    let time = 3 * sequence;
    let start = json!({"event": "server_started", "sequence": sequence, "logical_time": time, "grace_ms": 30_000});
    record(second, start)
}

/// An event of anna's stream.
fn stream(second: u64, event: &str) -> Value {
    record(second, json!({"event": event, "participant_id": "p1", "sequence": 0}))
}

/// Anna's join or leave.
fn broadcast(second: u64, verb: &str, kind: &str, sequence: u64) -> Value {
    let time = 3 * sequence;
    let content = format!("Participant anna {kind} Chit Chat at logical time {time}");
    let event = json!({"event": format!("{verb}_broadcast"), "participant_id": "p1", "display_name": "anna",
        "sequence": sequence, "logical_time": time, "sent_logical_time": time - 2, "kind": kind, "content": content,
        "reason": "DISCONNECTED"});
    record(second, event)
}

fn begins() -> Vec<Value> {
    vec![starts(0, 0), stream(1, "client_connected"), broadcast(1, "join", "joined", 1)]
}

fn v15(pieces: &[&[Value]]) -> Vec<String> {
    let logs = pieces.iter().map(|records| JsonLog { name: "server.jsonl".into(), records: records.to_vec() });
    let report = Logs(logs.collect()).verify().unwrap();
    report.rule(Rule::V15).violations.iter().map(|violation| violation.sentence.clone()).collect()
}

/// Her Left is in a piece that is read after that of a later run.
#[test]
fn a_leave_counts_in_whatever_order_the_pieces_of_a_log_are_read_v15() {
    let one = [begins(), vec![stream(5, "client_disconnected")]].concat();
    let two = vec![stream(35, "session_expired"), broadcast(35, "leave", "left", 2)];
    let three = vec![starts(100, 2), stream(150, "request_refused"), stream(200, "request_refused")];
    let pieces = [one, two, three];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(v15(&order.map(|piece: usize| &*pieces[piece])), [""; 0], "{order:?}");
    }
}

/// If the service recorded something in between, it was awake, and she should have left.
#[test]
fn a_participant_back_long_after_its_grace_period_should_have_left_v15() {
    let back = |seconds: &[u64], at: u64| {
        let meanwhile = seconds.iter().map(|second| stream(*second, "request_refused"));
        let gone = [begins(), vec![stream(5, "client_disconnected")]].concat();
        v15(&[&gone.into_iter().chain(meanwhile).chain([stream(at, "client_connected")]).collect::<Vec<_>>()])
    };
    assert_eq!(back(&[], 200), [""; 0]);
    assert_eq!(back(&[30, 39], 200), [""; 0]);
    assert_eq!(back(&[30, 60], 61).len(), 1);
    // Absent when the service started.
    let after_a_start = |seconds: &[u64]| {
        let meanwhile = seconds.iter().map(|second| stream(*second, "request_refused"));
        let records = begins().into_iter().chain([starts(100, 1)]).chain(meanwhile);
        v15(&[&records.chain([stream(190, "client_connected")]).collect::<Vec<_>>()])
    };
    assert_eq!(after_a_start(&[130]), [""; 0]);
    assert_eq!(after_a_start(&[140]).len(), 1);
}

/// The next start records what the service had committed right before it was killed. That does not show that it was awake.
#[test]
fn a_record_of_the_next_start_moves_no_deadline_v15() {
    let mut recovered = broadcast(100, "join", "joined", 2);
    (recovered["participant_id"], recovered["display_name"]) = (json!("p2"), json!("bob"));
    (recovered["content"], recovered["recovered"]) =
        (json!("Participant bob joined Chit Chat at logical time 6"), json!(true));
    let killed = [begins(), vec![stream(5, "client_disconnected"), recovered]].concat();
    assert_eq!(v15(&[&[killed, vec![starts(100, 2), stream(101, "client_connected")]].concat()]), [""; 0]);
}
