//! Mistakes on the way to a client, or in it.

use serde_json::{Value, json};

use super::Mistake;
use super::logs::{JsonLog, Logs, number};
use crate::trace::report::Rule;

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        title: "A stamp for each recipient",
        explanation: "The clock ticks once for every copy that is sent, so each recipient gets a time of its own.",
        rule: Rule::V3,
        apply: |logs| {
            let event = delivered_message(logs)?;
            event["logical_time"] = json!(number(event, "logical_time") + 1);
            Some(())
        },
    },
    Mistake {
        title: "Text is changed on the way to one",
        explanation: "An encoding error or a broken cut: one recipient reads something else.",
        rule: Rule::V3,
        apply: |logs| {
            delivered_message(logs)?["content"] = json!("Hell");
            Some(())
        },
    },
    Mistake {
        title: "A message under another's name",
        explanation: "The recipient is told that somebody else wrote it.",
        rule: Rule::V3,
        apply: |logs| {
            delivered_message(logs)?["participant_id"] = json!("p999");
            Some(())
        },
    },
    Mistake {
        title: "The author's name of now, not of then",
        explanation: "The name is looked up when the event is shown, and meanwhile somebody else is called that.",
        rule: Rule::V3,
        apply: |logs| {
            delivered_message(logs)?["display_name"] = json!("mallory");
            Some(())
        },
    },
    Mistake {
        title: "One recipient is told another view of the writer's",
        explanation: "What the writer had seen is filled in for each stream: to one, a message crossed that to \
                      others did not.",
        rule: Rule::V3,
        apply: |logs| {
            let event = delivered_message(logs)?;
            event["seen_sequence"] = json!(number(event, "seen_sequence") + 1);
            Some(())
        },
    },
    Mistake {
        title: "The time of the send is not the writer's",
        explanation: "It is taken from the receipt: on the way to one, the writer's clock was replaced by another.",
        rule: Rule::V3,
        apply: |logs| {
            let event = delivered_message(logs)?;
            event["sent_logical_time"] = json!(number(event, "logical_time") - 1);
            Some(())
        },
    },
    Mistake {
        title: "Who left is said to have been cut off",
        explanation: "Each stream finds its own reason for a leave, from what it sees of the connection.",
        rule: Rule::V3,
        apply: |logs| {
            let left =
                |record: &&mut Value| record["event"] == "event_delivered" && record["reason"] == "REQUESTED";
            logs.others().find_map(|log| log.records.iter_mut().find(left))?["reason"] = json!("DISCONNECTED");
            Some(())
        },
    },
    Mistake {
        title: "An event that never happened",
        explanation: "A client is told something that is nowhere in the journal.",
        rule: Rule::V3,
        apply: |logs| {
            let head = logs.journal().len() as u64;
            let log = logs.others().find(|log| !log.deliveries().is_empty())?;
            let at = log.deliveries().pop()?;
            let mut event = log.records[at].clone();
            (event["sequence"], event["logical_time"]) =
                (json!(head + 1), json!(number(&event, "logical_time") + 100));
            event["local_time"] = json!(number(&event, "local_time") + 200);
            event["timestamp"] = log.records.last()?["timestamp"].clone();
            log.records.push(event);
            Some(())
        },
    },
    Mistake {
        title: "Two deliveries are swapped",
        explanation: "A task for each send: the network or the scheduler decides which comes first.",
        rule: Rule::V4,
        apply: |logs| {
            let (log, at) = three_deliveries(logs)?;
            let (one, two) = (log.records[at[1]].clone(), log.records[at[2]].clone());
            (log.records[at[1]], log.records[at[2]]) = (at_moment(&two, &one), at_moment(&one, &two));
            Some(())
        },
    },
    Mistake {
        title: "A delivery is skipped",
        explanation: "A full channel and a `default:` that drops; or a reconnect that starts at now.",
        rule: Rule::V4,
        apply: |logs| {
            let (log, at) = three_deliveries(logs)?;
            log.records.remove(at[1]);
            Some(())
        },
    },
    Mistake {
        title: "A delivery comes twice",
        explanation: "After a reconnect the service sends the last event again.",
        rule: Rule::V4,
        apply: |logs| {
            let (log, at) = three_deliveries(logs)?;
            let again = log.records[at[1]].clone();
            log.records.insert(at[1] + 1, again);
            Some(())
        },
    },
    Mistake {
        title: "A message is stamped before the clock ticks",
        explanation: "A send is an event, too: the clock must step first, and then be read.",
        rule: Rule::V7,
        apply: |logs| {
            for log in logs.others() {
                let Some(at) = log.find("publish_sent") else { continue };
                let heard = log.records[..at].iter().filter_map(|record| record["logical_time"].as_u64()).max()?;
                log.records[at]["sent_logical_time"] = json!(heard);
                return Some(());
            }
            None
        },
    },
    Mistake {
        title: "A client's clock does not take the maximum",
        explanation: "On a receipt it only adds 1 to its own time, and falls behind what it has heard.",
        rule: Rule::V7,
        apply: |logs| {
            for log in logs.others() {
                let mut before = None;
                for at in 0..log.records.len() {
                    let own = before.replace(number(&log.records[at], "local_time"));
                    let heard = number(&log.records[at], "logical_time");
                    let Some(own) = own.filter(|own| *own > 0 && *own < heard) else { continue };
                    log.records[at]["local_time"] = json!(own + 1);
                    return Some(());
                }
            }
            None
        },
    },
    Mistake {
        title: "Sending does not move the clock",
        explanation: "Only receipts are counted, so two events of one process have the same time.",
        rule: Rule::V7,
        apply: |logs| {
            let log = logs.others().find(|log| log.find("publish_sent").is_some())?;
            let at = log.find("publish_sent")?;
            let before = log.records[..at].iter().rev().find_map(|record| record["local_time"].as_u64())?;
            (log.records[at]["local_time"], log.records[at]["sent_logical_time"]) = (json!(before), json!(before));
            Some(())
        },
    },
    Mistake {
        title: "A clock goes back",
        explanation: "After a reconnect the clock begins at 0 again, within the same process.",
        rule: Rule::V7,
        apply: |logs| {
            let (log, at) = three_deliveries(logs)?;
            log.records[at[2]]["local_time"] = json!(1);
            Some(())
        },
    },
    Mistake {
        title: "A newcomer does not see its own join",
        explanation: "The service broadcasts first and adds the newcomer to its list afterwards.",
        rule: Rule::V9,
        apply: |logs| {
            let (log, at) = three_deliveries(logs)?;
            log.records.remove(at[0]);
            Some(())
        },
    },
    Mistake {
        title: "A newcomer is told what was before it came",
        explanation: "The stream starts at the beginning, or one event too early.",
        rule: Rule::V9,
        apply: |logs| {
            let first = logs.journal().into_iter().next()?;
            let began_later = |log: &JsonLog| {
                log.deliveries().first().is_some_and(|at| number(&log.records[*at], "sequence") == 2)
            };
            let log = logs.others().find(|log| began_later(log))?;
            let at = *log.deliveries().first()?;
            let mut earlier = log.records[at].clone();
            for field in ["sequence", "logical_time", "participant_id", "display_name", "content"] {
                earlier[field] = first[field].clone();
            }
            earlier["local_time"] = json!(number(&earlier, "local_time"));
            log.records.insert(at, earlier);
            Some(())
        },
    },
    Mistake {
        title: "The last message before the leave is missed",
        explanation: "On a leave the stream is closed at once, with events still on their way.",
        rule: Rule::V9,
        apply: |logs| {
            let log = logs
                .others()
                .find(|log| log.find("leave_acknowledged").is_some() && log.deliveries().len() > 2)?;
            let last = log.deliveries().pop()?;
            log.records.remove(last);
            Some(())
        },
    },
    Mistake {
        title: "Somebody who has left is told more",
        explanation: "The leave is announced, and the stream stays on the list of those to be told.",
        rule: Rule::V9,
        apply: |logs| {
            let last = logs.journal().pop()?;
            let left =
                |log: &JsonLog| log.find("leave_acknowledged").map(|at| number(&log.records[at], "sequence"));
            let log = logs.others().find(|log| left(log).is_some_and(|left| left < number(&last, "sequence")))?;
            let at = log.find("leave_acknowledged")?;
            let mut told = last.clone();
            for field in ["timestamp", "component", "run"] {
                told[field] = log.records[at][field].clone();
            }
            told["event"] = json!("event_delivered");
            told["local_time"] = json!(number(&last, "logical_time") + 100);
            log.records.insert(at + 1, told);
            Some(())
        },
    },
    Mistake {
        title: "A message that its writer never sent",
        explanation: "Anyone may write as anyone: the service believes the name in the request.",
        rule: Rule::V11,
        apply: |logs| {
            let log = logs.others().find(|log| log.find("publish_sent").is_some())?;
            let at = log.find("publish_sent")?;
            log.records.remove(at);
            Some(())
        },
    },
];

fn delivered_message(logs: &mut Logs) -> Option<&mut Value> {
    let is_message = |record: &&mut Value| record["event"] == "event_delivered" && record["kind"] == "message";
    logs.others().find_map(|log| log.records.iter_mut().find(is_message))
}

/// A log with at least three deliveries, and the places of all of them.
pub(super) fn three_deliveries(logs: &mut Logs) -> Option<(&mut JsonLog, Vec<usize>)> {
    let log = logs.others().find(|log| log.deliveries().len() > 2)?;
    let at = log.deliveries();
    Some((log, at))
}

/// An event as if it had been delivered when another was.
fn at_moment(event: &Value, other: &Value) -> Value {
    let mut event = event.clone();
    for field in ["timestamp", "local_time"] {
        event[field] = other[field].clone();
    }
    event
}
