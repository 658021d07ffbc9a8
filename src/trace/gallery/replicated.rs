//! The truthful run as two replicas would record it.

use std::time::Duration;

use serde_json::{Value, json};

use super::logs::{JsonLog, Logs, as_json};
use super::truthful::{EPOCH, truthful};
use crate::log::{About, RecordBody, ReplicaNote, ServerRecord};

fn is_broadcast(record: &Value) -> bool {
    record["event"].as_str().is_some_and(|event| event.ends_with("_broadcast"))
}

fn shift(record: &mut Value, by: Duration) {
    let time = humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap();
    record["timestamp"] = json!(humantime::format_rfc3339_micros(time + by).to_string());
}

/// A replica that takes part when another one starts.
fn joined(timestamp: &Value, of: &str, replica_start: u64) -> Value {
    let note = ReplicaNote { about: About::epoch(EPOCH), of_replica: of.into(), replica_start, sequence: 0 };
    let timestamp = timestamp.as_str().unwrap().to_owned();
    as_json(timestamp, RecordBody::Server(ServerRecord::ReplicaJoined(note)))
}

/// The records that one replica would have written in a run: all broadcasts, and the streams of the participants
/// attached to it.
fn replica(service: &[Value], name: &str, whose: &[&str], ahead: Duration) -> JsonLog {
    let mut records = Vec::new();
    for record in service {
        let mut record = record.clone();
        // A record of what was handed over is about one stream.
        let whom = record["participant_id"].as_str().or(record["participant_ids"][0].as_str());
        let mine = whom.is_none_or(|id| whose.contains(&id));
        if !mine && !is_broadcast(&record) {
            continue;
        }
        // It applies what it has read a little later or earlier than the other.
        shift(&mut record, ahead + Duration::from_micros(700 * (records.len() as u64 % 5)));
        let is_start = record["event"] == "server_started";
        records.push(record);
        if is_start {
            let both = [("a", 2), ("b", 3)].map(|(of, start)| joined(&records[0]["timestamp"], of, start));
            records.extend(both);
        }
    }
    records.iter_mut().for_each(|record| record["replica"] = json!(name));
    JsonLog { name: format!("{name}.jsonl"), records }
}

/// The truthful run over two replicas.
pub(in crate::trace) fn replicated(ahead: Duration) -> Logs {
    let mut logs = truthful();
    let service = logs.0.remove(0).records;
    let id = |name: &str| {
        let joined = service.iter().find(|it| it["event"] == "join_broadcast" && it["display_name"] == name);
        joined.unwrap()["participant_id"].as_str().unwrap().to_owned()
    };
    let (alice, bob, carol) = (id("alice"), id("bob"), id("carol"));
    logs.0.insert(0, replica(&service, "a", &[&alice, &carol], Duration::ZERO));
    logs.0.insert(1, replica(&service, "b", &[&bob], ahead));
    logs
}
