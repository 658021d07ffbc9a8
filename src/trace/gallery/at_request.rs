//! Mistakes in what a request says, and in what becomes of it.

use serde_json::{Value, json};

use super::Mistake;
use super::logs::{JsonLog, Logs, number};
use crate::trace::report::Rule;

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        title: "A client says that it had seen less than it had",
        explanation: "The position is noted when the user begins to write, and what comes until it is sent is left out: \
                      an answer looks as if it had crossed its question.",
        rule: Rule::V6,
        apply: |logs| {
            let event = logs.message(|event| number(event, "seen_sequence") > 0)?;
            say_seen(logs, &event, number(&event, "seen_sequence") - 1);
            Some(())
        },
    },
    Mistake {
        title: "A client says that it had seen what it had not",
        explanation: "The newest event that a heartbeat names is taken for one that was shown: a message that crossed \
                      looks like an answer.",
        rule: Rule::V6,
        apply: |logs| {
            let crossed = |event: &Value| number(event, "seen_sequence") + 1 < number(event, "sequence");
            let event = logs.message(crossed).or_else(|| logs.message(|_| true))?;
            say_seen(logs, &event, number(&event, "seen_sequence") + 1);
            Some(())
        },
    },
    Mistake {
        title: "A message that waited says what came meanwhile",
        explanation: "What its writer had seen is taken when the message goes out at last, and not when it was written: on a \
                      bad network no two messages ever cross.",
        rule: Rule::V6,
        apply: |logs| {
            let waited = logs.others().find_map(|log| waited(log));
            let (id, seen) = match waited {
                Some(waited) => waited,
                None => submitted_before(logs.others().find(|log| log.find("publish_sent").is_some())?)?,
            };
            for record in logs.0.iter_mut().flat_map(|log| &mut log.records) {
                let is_told = record["message_id"] == id && record["seen_sequence"].is_u64();
                if is_told && record["event"] != "publish_queued" {
                    record["seen_sequence"] = json!(seen);
                }
            }
            Some(())
        },
    },
    Mistake {
        title: "A client has seen the future",
        explanation: "Nobody compares the position in the request with what there is, and a wrong counter goes through.",
        rule: Rule::V6,
        apply: |logs| {
            let event = logs.message(|_| true)?;
            say_seen(logs, &event, 5000);
            Some(())
        },
    },
    Mistake {
        title: "A join is stamped without the time of its request",
        explanation: "Only messages are thought to carry a time, and a join or leave is put down as nobody's send.",
        rule: Rule::V11,
        apply: |logs| other_send_time(logs, "joined"),
    },
    Mistake {
        title: "A leave carries another time than its request",
        explanation: "The time of the writer's last message is used again: the leave seems to have been sent before it was.",
        rule: Rule::V11,
        apply: |logs| other_send_time(logs, "left"),
    },
    Mistake {
        title: "A message that was refused is broadcast",
        explanation: "It is handed on first and judged afterwards, so its writer writes it again, and all read it twice.",
        rule: Rule::V11,
        apply: |logs| {
            let log = logs.others().find(|log| log.find("publish_acknowledged").is_some())?;
            let at = log.find("publish_acknowledged")?;
            (log.records[at]["event"], log.records[at]["reason"]) =
                (json!("publish_refused"), json!("RATE_LIMITED"));
            Some(())
        },
    },
];

/// A message that was sent when more had been delivered than when it was submitted, and how much.
fn waited(log: &JsonLog) -> Option<(Value, u64)> {
    let (mut delivered, mut queued) = (0, Vec::new());
    for record in &log.records {
        match record["event"].as_str() {
            Some("event_delivered") => delivered = number(record, "sequence"),
            Some("publish_queued") => queued.push((record["message_id"].clone(), delivered)),
            Some("publish_sent") if queued.contains(&(record["message_id"].clone(), delivered)) => {}
            Some("publish_sent") if queued.iter().any(|(id, _)| *id == record["message_id"]) => {
                return Some((record["message_id"].clone(), delivered));
            }
            _ => {}
        }
    }
    None
}

/// Where none waited, the first is as if it had been submitted before something came.
fn submitted_before(log: &mut JsonLog) -> Option<(Value, u64)> {
    let at = log.find("publish_sent")?;
    let mut queued = log.records[at].clone();
    queued["event"] = json!("publish_queued");
    (queued["sent_logical_time"], queued["local_time"]) = (Value::Null, Value::Null);
    let said = (queued["message_id"].clone(), number(&queued, "seen_sequence") + 1);
    log.records.insert(at, queued);
    Some(said)
}

/// A publish says from the beginning, and to everybody, that its writer had seen so much.
fn say_seen(logs: &mut Logs, event: &Value, seen: u64) {
    for record in logs.0.iter_mut().flat_map(|log| &mut log.records) {
        if record["message_id"] == event["message_id"] && record["seen_sequence"].is_u64() {
            record["seen_sequence"] = json!(seen);
        }
    }
}

/// What has no log to tell of it may be as it says, so it is one that a log tells of.
fn other_send_time(logs: &mut Logs, kind: &str) -> Option<()> {
    let what = if kind == "left" { "leave_acknowledged" } else { "connected" };
    let told = |log: &mut JsonLog| log.find(what).map(|at| log.records[at]["participant_id"].clone());
    let who = logs.others().find_map(told)?;
    let event =
        logs.journal().into_iter().find(|event| event["kind"] == kind && event["participant_id"] == who)?;
    let sent = number(&event, "sent_logical_time").checked_sub(1)?;
    logs.broadcast(number(&event, "sequence"))?["sent_logical_time"] = json!(sent);
    Some(())
}
