//! Mistakes of a service.

use serde_json::{Value, json};

use super::Mistake;
use super::logs::{JsonLog, Logs, earlier, is_broadcast, later, micros, number};
use crate::trace::report::Rule;

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        title: "An event is left out of the record",
        explanation: "The service broadcasts without recording, or its record is lost. Nobody can replay the conversation.",
        rule: Rule::V1,
        apply: |logs| {
            let gone = logs.message(|_| true)?;
            logs.service()?
                .records
                .retain(|record| !(is_broadcast(record) && record["sequence"] == gone["sequence"]));
            Some(())
        },
    },
    Mistake {
        title: "A number is given out twice",
        explanation: "Two tasks read the same counter before either wrote it back.",
        rule: Rule::V1,
        apply: |logs| {
            let next = number(&logs.message(|_| true)?, "sequence") + 1;
            logs.broadcast(next)?["sequence"] = json!(next - 1);
            Some(())
        },
    },
    Mistake {
        title: "A wall clock is called logical",
        explanation: "The time of day is no logical time: it says nothing of causes, and two machines never agree on it.",
        rule: Rule::V2,
        apply: |logs| {
            for (seconds, event) in (1_767_254_400_u64..).zip(logs.journal()) {
                logs.everywhere(number(&event, "sequence"), |record| record["logical_time"] = json!(seconds));
            }
            Some(())
        },
    },
    Mistake {
        title: "The service's clock does not take the maximum",
        explanation: "On a receipt the clock must jump past the time in the request; here it only counts its own steps.",
        rule: Rule::V2,
        apply: |logs| {
            let journal = logs.journal();
            let pair = journal
                .windows(2)
                .find(|pair| number(&pair[1], "sent_logical_time") > number(&pair[0], "logical_time"))?;
            let time = number(&pair[0], "logical_time") + 2;
            logs.everywhere(number(&pair[1], "sequence"), |record| record["logical_time"] = json!(time));
            Some(())
        },
    },
    Mistake {
        title: "The stamp is read too early",
        explanation: "The time of the receipt is used for the broadcast, too: two events, one step of the clock.",
        rule: Rule::V2,
        apply: |logs| {
            let event = logs.message(|_| true)?;
            let time = number(&event, "logical_time") - 1;
            logs.everywhere(number(&event, "sequence"), |record| record["logical_time"] = json!(time));
            Some(())
        },
    },
    Mistake {
        title: "The stamp is read too late",
        explanation: "The lock is released before the clock is read, and meanwhile another request has moved it on.",
        rule: Rule::V2,
        apply: |logs| {
            let event = logs.message(|_| true)?;
            let time = number(&event, "logical_time") + 2;
            logs.everywhere(number(&event, "sequence"), |record| record["logical_time"] = json!(time));
            Some(())
        },
    },
    Mistake {
        title: "Two events have one time",
        explanation: "Two requests are stamped from one reading of the clock, and nobody can say which came first.",
        rule: Rule::V2,
        apply: |logs| {
            let event = logs.message(|_| true)?;
            let sequence = number(&event, "sequence");
            let time = logs.broadcast(sequence - 1)?["logical_time"].clone();
            logs.everywhere(sequence, |record| record["logical_time"] = time.clone());
            Some(())
        },
    },
    Mistake {
        title: "The Welcome tells another time than the event",
        explanation: "The newcomer is told the clock of now, though the newest event carries an older time.",
        rule: Rule::V3,
        apply: |logs| {
            let welcome = logs.others().find_map(|log| log.find("connected").map(|at| &mut log.records[at]))?;
            welcome["logical_time"] = json!(number(welcome, "logical_time") - 1);
            Some(())
        },
    },
    Mistake {
        title: "A stream begins after its own join",
        explanation: "It is attached where the conversation ends, and by then that is one event further.",
        rule: Rule::V4,
        apply: |logs| {
            let service = logs.service()?;
            let connected = service.records.iter().find(|record| record["event"] == "client_connected")?;
            let (who, first) = (connected["participant_id"].clone(), number(connected, "sequence") + 2);
            // At the end, after all that it was handed: where it has got more, it gets this again.
            let last = service.records.last()?;
            let delivered = json!({
                "timestamp": last["timestamp"], "level": "DEBUG", "component": "server", "event": "event_delivered",
                "epoch": connected["epoch"], "participant_id": who, "first_sequence": first, "last_sequence": first,
            });
            service.records.push(delivered);
            Some(())
        },
    },
    Mistake {
        title: "A repeat is taken for a new message",
        explanation: "The answer was lost, the client sent again, and the service did not recognise the message id.",
        rule: Rule::V5,
        apply: |logs| {
            let first = logs.message(|_| true)?;
            let second = logs.message(|event| event["sequence"] != first["sequence"])?;
            logs.everywhere(number(&second, "sequence"), |record| {
                for field in ["message_id", "participant_id", "display_name", "content"] {
                    record[field] = first[field].clone();
                }
            });
            Some(())
        },
    },
    Mistake {
        title: "An effect comes before its cause",
        explanation: "One goroutine or task for each message: the scheduler decides about the order, and an answer overtakes its question.",
        rule: Rule::V6,
        apply: |logs| {
            let cause = logs.message(|_| true)?;
            let effect = logs.message(|event| event["seen_sequence"].as_u64() >= cause["sequence"].as_u64())?;
            logs.exchange(number(&cause, "sequence"), number(&effect, "sequence"));
            Some(())
        },
    },
    Mistake {
        title: "A message overtakes an earlier one of its own writer",
        explanation: "Each request goes to whichever worker is free, and the second worker was faster.",
        rule: Rule::V6,
        apply: |logs| {
            let messages: Vec<_> = logs.journal().into_iter().filter(|event| event["kind"] == "message").collect();
            let same = |one: &Value, other: &Value| one["participant_id"] == other["participant_id"];
            let (at, first) = messages
                .iter()
                .enumerate()
                .find(|(at, first)| messages[at + 1..].iter().any(|m| same(first, m)))?;
            let second = messages[at + 1..].iter().find(|second| same(first, second))?;
            logs.exchange(number(first, "sequence"), number(second, "sequence"));
            Some(())
        },
    },
    Mistake {
        title: "A leave comes before what its sender had seen",
        explanation: "A leave takes a short cut, past messages that wait in a queue and that somebody has been told of already.",
        rule: Rule::V6,
        apply: |logs| {
            let find =
                |log: &mut JsonLog| log.find("leave_acknowledged").map(|at| number(&log.records[at], "sequence"));
            let left = logs.others().find_map(find)?;
            logs.exchange(left - 1, left);
            Some(())
        },
    },
    Mistake {
        title: "A message from nobody",
        explanation: "The service takes a message from whoever never joined.",
        rule: Rule::V8,
        apply: |logs| {
            let event = logs.message(|_| true)?;
            logs.everywhere(number(&event, "sequence"), |record| record["participant_id"] = json!("p999"));
            Some(())
        },
    },
    Mistake {
        title: "A leave before the last message",
        explanation: "The leave overtook the message, so that somebody who is gone still speaks.",
        rule: Rule::V8,
        apply: |logs| {
            let left = logs.journal().into_iter().find(|event| event["kind"] == "left")?;
            let after = logs.message(|event| number(event, "sequence") > number(&left, "sequence"))?;
            logs.everywhere(number(&after, "sequence"), |record| {
                (record["participant_id"], record["display_name"]) =
                    (left["participant_id"].clone(), left["display_name"].clone());
            });
            Some(())
        },
    },
    Mistake {
        title: "A name is held twice",
        explanation: "Two joins at once, and both found the name free; or names are compared letter by letter, and ALICE looks like alice.",
        rule: Rule::V8,
        apply: |logs| {
            let joins: Vec<_> =
                logs.journal().into_iter().filter(|event| event["kind"] == "joined").take(2).collect();
            let name = joins.first()?["display_name"].as_str()?.to_uppercase();
            let (event, time) = (number(joins.get(1)?, "sequence"), number(joins.get(1)?, "logical_time"));
            logs.everywhere(event, |record| {
                record["display_name"] = json!(name);
                record["content"] = json!(format!("Participant {name} joined Chit Chat at logical time {time}"));
            });
            Some(())
        },
    },
    Mistake {
        title: "Somebody leaves twice",
        explanation: "The leave and the broken stream are both announced.",
        rule: Rule::V8,
        apply: |logs| {
            let mut journal = logs.journal().into_iter();
            let left = journal.find(|event| event["kind"] == "left")?;
            let again = journal.find(|event| event["kind"] == "left")?;
            logs.everywhere(number(&again, "sequence"), |record| {
                for field in ["participant_id", "display_name"] {
                    record[field] = left[field].clone();
                }
            });
            Some(())
        },
    },
    Mistake {
        title: "Somebody comes back as who has left",
        explanation: "A name is looked up, and with it an old id: two memberships that nobody can tell apart.",
        rule: Rule::V8,
        apply: |logs| {
            let left = logs.journal().into_iter().find(|event| event["kind"] == "left")?;
            let after = logs.message(|event| number(event, "sequence") > number(&left, "sequence"))?;
            let (name, time) = (left["display_name"].as_str()?, number(&after, "logical_time"));
            logs.everywhere(number(&after, "sequence"), |record| {
                for field in ["participant_id", "display_name"] {
                    record[field] = left[field].clone();
                }
                (record["kind"], record["message_id"]) = (json!("joined"), Value::Null);
                record["content"] = json!(format!("Participant {name} joined Chit Chat at logical time {time}"));
                if is_broadcast(record) {
                    record["event"] = json!("join_broadcast");
                }
            });
            Some(())
        },
    },
    Mistake {
        title: "A stream carries what is not for it",
        explanation: "A stream is attached before its participant has joined, and gets what was for others.",
        rule: Rule::V9,
        apply: |logs| {
            let second = logs.journal().into_iter().filter(|event| event["kind"] == "joined").nth(1)?;
            let service = logs.service()?;
            let last = service.records.last()?;
            let before = number(&second, "sequence") - 1;
            let delivered = json!({
                "timestamp": last["timestamp"], "level": "DEBUG", "component": "server", "event": "event_delivered",
                "epoch": second["epoch"], "participant_id": second["participant_id"],
                "first_sequence": before, "last_sequence": before,
            });
            service.records.push(delivered);
            Some(())
        },
    },
    Mistake {
        title: "An acknowledgement names another's event",
        explanation: "Answers are matched to requests by the order in which they come, and two came the other way round.",
        rule: Rule::V10,
        apply: |logs| {
            let acknowledged =
                logs.others().find_map(|log| log.find("publish_acknowledged").map(|at| &mut log.records[at]))?;
            acknowledged["sequence"] = json!(number(acknowledged, "sequence") + 1);
            Some(())
        },
    },
    Mistake {
        title: "A leave is acknowledged and not recorded",
        explanation: "The session is closed and nothing else happens: to everybody else it is still here.",
        rule: Rule::V10,
        apply: |logs| {
            let next = logs.journal().len() + 1;
            let left =
                logs.others().find_map(|log| log.find("leave_acknowledged").map(|at| &mut log.records[at]))?;
            left["sequence"] = json!(next);
            Some(())
        },
    },
    Mistake {
        title: "An acknowledged message is lost",
        explanation: "The service answers before it has recorded, and is killed in between: the next start does not find it.",
        rule: Rule::V10,
        apply: |logs| {
            let last = logs.journal().into_iter().rfind(|event| event["kind"] == "message")?;
            let sequence = number(&last, "sequence");
            logs.end_before(sequence, |record| {
                record["event"] == "publish_acknowledged" && record["sequence"] == last["sequence"]
            });
            // The next start finds that it is not there.
            let head = logs.broadcast(sequence - 1)?.clone();
            let service = logs.service()?;
            service.records.push(json!({
                "timestamp": later(&last, 10), "level": "INFO", "component": "server", "event": "server_started",
                "epoch": head["epoch"], "sequence": head["sequence"], "logical_time": head["logical_time"],
            }));
            Some(())
        },
    },
    Mistake {
        title: "The acknowledgement tells another time",
        explanation: "The reply is stamped by itself, and not with the time of the event.",
        rule: Rule::V10,
        apply: |logs| {
            let acknowledged =
                logs.others().find_map(|log| log.find("publish_acknowledged").map(|at| &mut log.records[at]))?;
            acknowledged["logical_time"] = json!(number(acknowledged, "logical_time") - 1);
            Some(())
        },
    },
    Mistake {
        title: "The service changes the text",
        explanation: "Spaces are trimmed or characters replaced, for everybody alike: only the sender's log tells.",
        rule: Rule::V11,
        apply: |logs| {
            let event = logs.message(|_| true)?;
            logs.everywhere(number(&event, "sequence"), |record| {
                if record["content"].is_string() {
                    record["content"] = json!("Hello");
                }
            });
            Some(())
        },
    },
    Mistake {
        title: "What the writer had seen is made up",
        explanation: "The service fills in its own view, and messages that crossed look as if one answered the other.",
        rule: Rule::V11,
        apply: |logs| {
            let event = logs.message(|event| number(event, "seen_sequence") > 0)?;
            let seen = number(&event, "seen_sequence") - 1;
            logs.everywhere(number(&event, "sequence"), |record| {
                if record["seen_sequence"].is_u64() {
                    record["seen_sequence"] = json!(seen);
                }
            });
            Some(())
        },
    },
    Mistake {
        title: "An announcement tells another time than its event",
        explanation: "The sentence is made with one reading of the clock, and the event stamped with the next.",
        rule: Rule::V11,
        apply: |logs| {
            let joined = logs.journal().into_iter().find(|event| event["kind"] == "joined")?;
            let (name, time) = (joined["display_name"].as_str()?, number(&joined, "logical_time") - 1);
            let sentence = format!("Participant {name} joined Chit Chat at logical time {time}");
            logs.everywhere(number(&joined, "sequence"), |record| record["content"] = json!(sentence));
            Some(())
        },
    },
    Mistake {
        title: "A text that is too long",
        explanation: "Bytes are counted instead of characters, or nothing at all: 129 characters get through.",
        rule: Rule::V11,
        apply: |logs| {
            let event = logs.message(|_| true)?;
            let long = "æ".repeat(129);
            let change = |record: &mut Value| record["content"] = json!(long);
            logs.everywhere(number(&event, "sequence"), change);
            let records = logs.others().flat_map(|log| &mut log.records);
            records
                .filter(|record| record["event"] == "publish_sent" && record["message_id"] == event["message_id"])
                .for_each(change);
            Some(())
        },
    },
    Mistake {
        title: "A later message overtakes one that was acknowledged",
        explanation: "The message was acknowledged on receipt and put into the order later; meanwhile another slipped in.",
        rule: Rule::V12,
        apply: acknowledged_on_receipt,
    },
    Mistake {
        title: "Somebody who is here is never told the last event",
        explanation: "The queue to a slow reader was full, and `default:` dropped what did not fit.",
        rule: Rule::V14,
        apply: never_told,
    },
    Mistake {
        title: "Somebody who vanished never leaves",
        explanation: "The broken stream is noticed and nothing follows from it: to everybody else a ghost is still here.",
        rule: Rule::V15,
        apply: |logs| {
            let left = logs.journal().into_iter().find(|event| event["kind"] == "left")?;
            logs.end_before(number(&left, "sequence"), |_| false);
            let service = logs.service()?;
            state_grace(service)?;
            let end = service.records.last()?.clone();
            let record = |event: &str, seconds| {
                json!({"timestamp": later(&end, seconds), "level": "INFO", "component": "server", "event": event,
                    "epoch": end["epoch"]})
            };
            let mut gone = record("client_disconnected", 1);
            (gone["participant_id"], gone["reason"]) = (left["participant_id"].clone(), json!("DISCONNECTED"));
            service.records.extend([gone, record("server_stopping", 60)]);
            Some(())
        },
    },
    Mistake {
        title: "Somebody who is connected is announced as gone",
        explanation: "The timer of an old connection is not stopped when a new one takes its place, and ends the session.",
        rule: Rule::V15,
        apply: |logs| {
            let left = logs.journal().into_iter().find(|event| event["reason"] == "REQUESTED")?;
            logs.everywhere(number(&left, "sequence"), |record| {
                if record["reason"].is_string() {
                    record["reason"] = json!("DISCONNECTED");
                }
            });
            state_grace(logs.service()?)
        },
    },
];

/// Where the service is of a version that did not say how long its grace period is, it does.
fn state_grace(service: &mut JsonLog) -> Option<()> {
    let start = service.find("server_started")?;
    service.records[start]["grace_ms"] = json!(30_000);
    Some(())
}

/// A message was sent, and acknowledged, before the one was sent that precedes it in the order.
fn acknowledged_on_receipt(logs: &mut Logs) -> Option<()> {
    let messages: Vec<_> = logs.journal().into_iter().filter(|event| event["kind"] == "message").collect();
    let differ = |pair: &&[Value]| {
        let known = |event: &Value| number(event, "sequence") > 3;
        pair[0]["participant_id"] != pair[1]["participant_id"] && known(&pair[0])
    };
    for pair in messages.windows(2).rev().filter(differ) {
        let of = |record: &Value, event: &Value| record["message_id"] == event["message_id"];
        let sends = |record: &&Value| record["event"] == "publish_sent" && of(record, &pair[0]);
        let sent = logs.others().find_map(|log| log.records.iter().find(sends).cloned());
        let told = |record: &Value| {
            let event = record["event"].as_str().unwrap_or_default();
            event.starts_with("publish_") && of(record, &pair[1])
        };
        let answers = |record: &&Value| record["event"] == "publish_acknowledged" && of(record, &pair[0]);
        let answered = logs.others().find_map(|log| log.records.iter().find(answers).cloned());
        let way = answered.zip(sent.as_ref()).map_or(0, |(last, first)| 3 * (micros(&last) - micros(first)));
        let sender = logs.others().find(|log| log.records.iter().any(&told));
        let (Some(sent), Some(sender)) = (sent, sender) else { continue };
        // Its records stand where they were made: before the other was sent.
        let (mut early, rest): (Vec<_>, Vec<_>) = sender.records.drain(..).partition(|record| told(record));
        // By more than what their way to the service and back leaves open of their clocks.
        let lead = 3 * (early.first().zip(early.last()).map_or(0, |(first, last)| micros(last) - micros(first)));
        for (record, more) in early.iter_mut().rev().zip(1..) {
            record["timestamp"] = earlier(&sent, lead + way.max(lead) + more);
        }
        let time = early.first()?["timestamp"].as_str()?;
        let at = rest.iter().position(|record| record["timestamp"].as_str() >= Some(time)).unwrap_or(rest.len());
        // It was the process that ran then.
        if let Some(before) = at.checked_sub(1).and_then(|before| rest.get(before)) {
            early.iter_mut().for_each(|record| record["run"] = before["run"].clone());
        }
        sender.records = [&rest[..at], &early, &rest[at..]].concat();
        return Some(());
    }
    None
}

/// The run ends before the first leave, long after the last event, which one reader never got.
pub(super) fn never_told(logs: &mut Logs) -> Option<()> {
    let first_leave = logs.journal().into_iter().find(|event| event["kind"] == "left")?;
    let last = number(&first_leave, "sequence") - 1;
    logs.end_before(last + 1, |_| false);
    let author = logs.journal().pop()?["participant_id"].clone();
    let own = |log: &JsonLog| {
        log.records
            .iter()
            .find_map(|record| (record["event"] == "connected").then(|| record["participant_id"].clone()))
    };
    let reader =
        logs.others().find(|log| own(log).is_some_and(|id| id != author) && !log.deliveries().is_empty())?;
    let end = reader.deliveries().pop()?;
    reader.records.truncate(end);
    let reader = own(reader)?;
    let is_here = |record: &Value| record["event"] == "join_broadcast" && record["participant_id"] != reader;
    let service = logs.service()?;
    service.split_deliveries();
    let end = service.records.last()?.clone();
    let others: Vec<_> = service.records.iter().filter(|record| is_here(record)).cloned().collect();
    let untold = |record: &Value| record["participant_id"] == reader && number(record, "last_sequence") >= last;
    service.records.retain(|record| !untold(record) || number(record, "first_sequence") < last);
    service.records.iter_mut().filter(|record| untold(record)).for_each(|record| {
        record["last_sequence"] = json!(last - 1);
    });
    // All others are handed it.
    for join in others {
        let own = |record: &&Value| record["participant_id"] == join["participant_id"];
        let handed = service.records.iter().filter(own).map(|record| number(record, "last_sequence")).max()?;
        let first = (handed + 1).max(number(&join, "sequence"));
        if first > last {
            continue;
        }
        service.records.push(json!({
            "timestamp": end["timestamp"], "level": "DEBUG", "component": "server", "event": "event_delivered",
            "epoch": end["epoch"], "participant_id": join["participant_id"], "first_sequence": first,
            "last_sequence": last,
        }));
    }
    let stopping = json!({
        "timestamp": later(&end, 60), "level": "INFO", "component": "server", "event": "server_stopping",
        "epoch": end["epoch"],
    });
    service.records.push(stopping);
    Some(())
}
