//! Mistakes when a service or a client starts again, a stream is resumed, or there are copies of the journal.

use serde_json::{Value, json};

use super::Mistake;
use super::at_client::three_deliveries;
use super::at_service::never_told;
use super::logs::{JsonLog, Logs, is_broadcast, later, number};
use crate::trace::report::Rule;

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        title: "A restart numbers from 1 again",
        explanation: "The counter lives in memory, so the next process gives out numbers that are taken, in the same epoch.",
        rule: Rule::V1,
        apply: |logs| {
            let head = start_again(logs, |_| {})?;
            broadcast_again(logs, &head, 1)
        },
    },
    Mistake {
        title: "A restart forgets the clock",
        explanation: "The messages are kept and the clock is not: what comes next could be stamped earlier than its causes.",
        rule: Rule::V2,
        apply: |logs| start_again(logs, |start| start["logical_time"] = json!(0)).map(drop),
    },
    Mistake {
        title: "A restart forgets which messages it has had",
        explanation: "The table of message ids is not rebuilt from the record, and a client that sends again is believed.",
        rule: Rule::V5,
        apply: |logs| {
            let head = start_again(logs, |_| {})?;
            let known = logs.message(|_| true)?;
            broadcast_again(logs, &known, number(&head, "sequence") + 1)
        },
    },
    Mistake {
        title: "A client that starts again forgets its clock",
        explanation: "It goes on with its session, but its clock begins at 0: what it sends is stamped before what it knows.",
        rule: Rule::V7,
        apply: |logs| {
            let log = logs.others().find(|log| log.find("connected").is_some() && !log.deliveries().is_empty())?;
            let welcome = log.records[log.find("connected")?].clone();
            let last = log.records[*log.deliveries().last()?].clone();
            let start = record(&log.records.last()?.clone(), "client_started");
            let mut join = record(&start, "join_sent");
            for field in ["epoch", "participant_id", "display_name"] {
                join[field] = welcome[field].clone();
            }
            join["sequence"] = last["sequence"].clone();
            (join["sent_logical_time"], join["local_time"]) = (json!(1), json!(1));
            log.records.extend([start, join]);
            Some(())
        },
    },
    Mistake {
        title: "A resume tells the last event again",
        explanation: "The stream goes on at the position that the client named, and not after it.",
        rule: Rule::V4,
        apply: |logs| {
            let (log, at) = three_deliveries(logs)?;
            let again = log.records[at[1]].clone();
            log.records.insert(at[1] + 1, again);
            break_before(log, at[1] + 1)
        },
    },
    Mistake {
        title: "A resume begins one event too late",
        explanation: "What was broadcast while the client was away is nobody's to deliver.",
        rule: Rule::V4,
        apply: |logs| {
            let (log, at) = three_deliveries(logs)?;
            log.records.remove(at[1]);
            break_before(log, at[1])
        },
    },
    Mistake {
        title: "Two copies of the journal disagree",
        explanation: "A replica applied something else, or a backup was written to after it was made.",
        rule: Rule::V13,
        apply: |logs| {
            let mut copy = JsonLog { name: "server-copy.jsonl".into(), records: logs.service()?.records.clone() };
            let message = copy.records.iter_mut().find(|record| record["event"] == "message_broadcast")?;
            message["content"] = json!("Good-bye");
            logs.0.push(copy);
            Some(())
        },
    },
    Mistake {
        title: "A replica stamps by its own clock",
        explanation: "It gets the messages in the right order, and gives them times of its own.",
        rule: Rule::V13,
        apply: |logs| {
            let mut copy = JsonLog { name: "server-copy.jsonl".into(), records: logs.service()?.records.clone() };
            let message = copy.records.iter_mut().find(|record| record["event"] == "message_broadcast")?;
            message["logical_time"] = json!(number(message, "logical_time") + 1);
            logs.0.push(copy);
            Some(())
        },
    },
    Mistake {
        title: "A restart forgets what was recorded",
        explanation: "The journal was not flushed to the disk before the event was told.",
        rule: Rule::V13,
        apply: |logs| {
            let service = logs.service()?;
            let last = service.records.last()?.clone();
            let head = service.records.iter().rfind(|record| is_broadcast(record))?;
            let (sequence, time) = (number(head, "sequence"), number(head, "logical_time"));
            service.records.push(json!({
                "timestamp": later(&last, 1), "level": "INFO", "component": "server", "event": "server_started",
                "epoch": head["epoch"], "sequence": sequence - 1, "logical_time": time - 2,
            }));
            Some(())
        },
    },
    Mistake {
        title: "A resumed stream stays silent",
        explanation: "The client is connected again, but nobody put its new stream on the list of those to be told.",
        rule: Rule::V14,
        apply: |logs| {
            never_told(logs)?;
            let silent = logs.others().min_by_key(|log| log.last_delivered())?;
            let end = silent.records.len();
            break_before(silent, end)
        },
    },
];

/// A record that comes a second after another, in the same log.
fn record(after: &Value, event: &str) -> Value {
    json!({
        "timestamp": later(after, 1), "level": "INFO", "component": after["component"], "event": event,
        "display_name": after["display_name"],
    })
}

/// The service starts once more, after its last event. Answers with that event.
fn start_again(logs: &mut Logs, change: impl Fn(&mut Value)) -> Option<Value> {
    let head = logs.journal().pop()?;
    let service = logs.service()?;
    let mut start = record(service.records.last()?, "server_started");
    for field in ["epoch", "sequence", "logical_time"] {
        start[field] = head[field].clone();
    }
    start["display_name"] = Value::Null;
    change(&mut start);
    service.records.push(start);
    Some(head)
}

/// An event is broadcast as if it were new, at the end of the service's log.
fn broadcast_again(logs: &mut Logs, event: &Value, sequence: u64) -> Option<()> {
    let time = number(&logs.journal().pop()?, "logical_time").max(number(event, "sent_logical_time")) + 2;
    let service = logs.service()?;
    let mut again = event.clone();
    again["timestamp"] = later(service.records.last()?, 1);
    (again["sequence"], again["logical_time"], again["local_time"]) = (json!(sequence), json!(time), json!(time));
    service.records.push(again);
    Some(())
}

/// The stream breaks and is resumed before a record.
fn break_before(log: &mut JsonLog, at: usize) -> Option<()> {
    let before = log.records[at.checked_sub(1)?].clone();
    let welcome = log.records[log.find("connected")?].clone();
    let own = |event: &str| {
        let mut own = json!({"timestamp": before["timestamp"], "level": "INFO", "event": event});
        for field in ["component", "epoch", "participant_id", "display_name"] {
            own[field] = welcome[field].clone();
        }
        own
    };
    let mut resumed = own("resumed");
    // As the Welcome tells it: the newest event and its time.
    (resumed["sequence"], resumed["logical_time"]) = (before["sequence"].clone(), before["logical_time"].clone());
    log.records.splice(at..at, [own("disconnected"), resumed]);
    Some(())
}
