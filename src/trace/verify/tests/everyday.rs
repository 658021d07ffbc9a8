//! Truthful logs from everyday life, which no rule may accuse: services that share a log, levels that change, clocks that
//! are set back, a full disk, replicas whose logs end at different times.

use serde_json::{Value, json};

use super::replicated::in_one_file;
use crate::trace::gallery::{JsonLog, Logs, mistakes, replicated, truthful};
use crate::trace::report::Rule;

/// When a record was made, changed by some seconds.
fn moved(record: &Value, seconds: i64) -> Value {
    let time = humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap();
    let by = std::time::Duration::from_secs(seconds.unsigned_abs());
    json!(humantime::format_rfc3339_micros(if seconds < 0 { time - by } else { time + by }).to_string())
}

/// A record of the service, made some seconds after another.
fn after(record: &Value, seconds: i64, mut new: Value) -> Value {
    new["timestamp"] = moved(record, seconds);
    for field in ["level", "component", "epoch", "run", "replica"] {
        if let Some(value) = record.get(field) {
            new[field] = value.clone();
        }
    }
    new
}

#[track_caller]
fn check(logs: &Logs, expected: &[Rule]) {
    let report = logs.verify().unwrap();
    assert_eq!(report.violated(), expected, "{report:#?}");
}

/// The truthful run, with a run in each record.
fn with_runs(prefix: &str) -> Logs {
    let mut logs = truthful();
    for (file, log) in logs.0.iter_mut().enumerate() {
        log.records.iter_mut().for_each(|record| record["run"] = json!(format!("{prefix}{file}")));
    }
    logs
}

/// Two services with journals of their own write to one file.
fn two_services(change: impl Fn(&mut Vec<Value>)) -> Logs {
    let (mut one, mut other) = (with_runs("one"), with_runs("other"));
    for record in other.0.iter_mut().flat_map(|log| &mut log.records) {
        if record.get("epoch").is_some() {
            record["epoch"] = json!("the other");
        }
    }
    change(&mut one.0[0].records);
    in_one_file(Logs([one.0, other.0].concat()))
}

/// What one of two services in a file lost is missing in its own journal alone.
#[test]
fn a_loss_in_a_shared_log_is_that_of_its_run_v1_v15() {
    let records = truthful().0[0].records.len();
    for first in 0..records - 2 {
        let logs = two_services(|records| {
            let mut lost = json!({"event": "records_lost", "level": "WARN", "component": "server", "count": 2});
            (lost["timestamp"], lost["run"]) = (records[first + 1]["timestamp"].clone(), json!("one0"));
            records.splice(first..first + 2, [lost]);
        });
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), [], "{first}: {report:#?}");
        let said = report.rules.iter().flat_map(|rule| &rule.caveats);
        assert!(
            said.clone().any(|why| why.contains("2 records of the service were lost")),
            "{first}: {report:#?}"
        );
        assert!(!said.clone().any(|why| why.contains("epoch the other")), "{first}: {report:#?}");
    }
}

/// A loss that was noted by hand names no run: it may be that of any service.
#[test]
fn a_loss_that_names_no_run_may_be_that_of_any_service_in_the_file_v1() {
    for first in 1..truthful().0[0].records.len() {
        let mut logs = two_services(|_| ());
        let at = logs.0[0].records[first]["timestamp"].clone();
        logs.0[0].records[first] = json!({"timestamp": at, "level": "WARN", "component": "server",
            "event": "records_lost", "count": 1});
        check(&logs, &[]);
    }
}

/// Another service starts between the records of a stream that replaces one.
#[test]
fn the_start_of_another_service_ends_no_stream_v9() {
    let mut logs = replicated(std::time::Duration::ZERO);
    let start = logs.0[1].records[0].clone();
    let a = &mut logs.0[0].records;
    let first = a.iter().position(|record| record["event"] == "client_connected").unwrap();
    let handed = a.iter().rposition(|record| record["event"] == "event_delivered").unwrap();
    let who = a[first]["participant_id"].clone();
    assert_eq!(a[handed]["participant_ids"][0], who);
    let (mut second, mut gone) = (a[first].clone(), a[first].clone());
    second["timestamp"] = moved(&a[first], 0);
    (gone["event"], gone["reason"]) = (json!("client_disconnected"), json!("REPLACED"));
    a.splice(first + 1..first + 1, [start, second, gone]);
    // In one file, in the order of the lines.
    let b = logs.0.remove(1);
    logs.0[0].records.extend(b.records.into_iter().skip(1));
    let report = logs.verify().unwrap();
    assert_eq!(report.rule(Rule::V9).violated, 0, "{report:#?}");
}

fn never_handed() -> Logs {
    let mistake = mistakes().into_iter().find(|mistake| mistake.rule == Rule::V14).unwrap();
    mistake.made_in(&truthful()).unwrap()
}

/// The service ran with the log level debug and then, when the participant came back, with info. Its start says which.
#[test]
fn what_a_run_does_not_tell_no_other_run_tells_v14() {
    let mut logs = never_handed();
    check(&logs, &[Rule::V14]);
    let service = &mut logs.0[0].records;
    let end = service.pop().unwrap();
    let newest = service.iter().rfind(|record| record["kind"].is_string()).unwrap().clone();
    let start = json!({"event": "server_started", "sequence": newest["sequence"], "logical_time": newest["logical_time"],
        "grace_ms": 300_000, "stall_ms": 30_000, "logs_deliveries": false});
    let started = service.len();
    let back = json!({"event": "client_connected", "participant_id": "p1",
        "sequence": newest["sequence"].as_u64().map(|newest| newest - 1)});
    service.extend([after(&newest, 1, start), after(&newest, 2, back), after(&newest, 100, end)]);
    check(&logs, &[]);
    logs.0[0].records[started]["logs_deliveries"] = json!(true);
    check(&logs, &[Rule::V14]);
}

/// The next start records an event whose record is missing. The process had been killed long before.
#[test]
fn a_recovered_record_does_not_prolong_the_run_before_it_v14() {
    let mut logs = never_handed();
    let service = &mut logs.0[0].records;
    service.pop();
    let newest = service.iter().rfind(|record| record["kind"].is_string()).unwrap().clone();
    let [sequence, time] = ["sequence", "logical_time"].map(|field| newest[field].as_u64().unwrap());
    let (sequence, time) = (sequence + 1, time + 2);
    let content = format!("Participant dan joined Chit Chat at logical time {time}");
    let joined = json!({"event": "join_broadcast", "kind": "joined", "participant_id": format!("p{sequence}"),
        "display_name": "dan", "sequence": sequence, "logical_time": time, "local_time": time, "sent_logical_time": 1,
        "content": content, "recovered": true});
    let start = json!({"event": "server_started", "sequence": sequence, "logical_time": time, "grace_ms": 30_000,
        "stall_ms": 30_000});
    service.extend([after(&newest, 100, joined), after(&newest, 100, start)]);
    check(&logs, &[]);
}

/// A loss in one run does not excuse another.
#[test]
fn a_loss_in_an_earlier_run_hides_nothing_in_a_later_one_v14() {
    let mut logs = never_handed();
    let service = &mut logs.0[0].records;
    let first = service[0].clone();
    let lost = json!({"event": "records_lost", "count": 1});
    service.splice(..0, [after(&first, -10, first.clone()), after(&first, -5, lost)]);
    check(&logs, &[Rule::V14]);
}

/// Only the start says how long a stream may stall.
#[test]
fn a_run_without_its_start_may_have_any_limit_v14() {
    let mut logs = never_handed();
    logs.0[0].records.remove(0);
    check(&logs, &[]);
}

/// A participant whose stream was lost leaves late, because no event could be recorded.
#[test]
fn no_leave_is_due_while_the_writer_cannot_write_v15() {
    let late = |between: Option<Value>| {
        let mut logs = truthful();
        logs.0.truncate(1);
        let service = &mut logs.0[0].records;
        let join = service.iter().position(|record| record["event"] == "join_broadcast").unwrap();
        service.truncate(join + 1);
        let join = service[join].clone();
        let mut left = join.clone();
        let time = join["logical_time"].as_u64().unwrap() + 2;
        (left["event"], left["kind"], left["reason"]) =
            (json!("leave_broadcast"), json!("left"), json!("DISCONNECTED"));
        (left["sequence"], left["logical_time"], left["local_time"]) = (json!(2), json!(time), json!(time));
        left["content"] = json!(format!("Participant alice left Chit Chat at logical time {time}"));
        let gone = json!({"event": "client_disconnected", "participant_id": "p1", "reason": "DISCONNECTED"});
        service.push(after(&join, 1, gone));
        service.extend(between.map(|record| after(&join, 20, record)));
        service.push(after(&join, 300, left));
        logs
    };
    check(&late(None), &[Rule::V15]);
    check(&late(Some(json!({"event": "journal_unavailable", "reason": "JOURNAL_UNAVAILABLE"}))), &[]);
    check(&late(Some(json!({"event": "fault_changed", "faults": "writer stopped", "reason": "SET"}))), &[]);
}

/// The clock of the service's machine is set back by an hour at any time, and the logs of some clients begin after that,
/// others end before it.
#[test]
fn the_clock_of_the_service_may_be_set_back_v3_v10_v12() {
    for set_back in 1..truthful().0[0].records.len() {
        let mut logs = truthful();
        let time = logs.0[0].records[set_back]["timestamp"].clone();
        for record in &mut logs.0[0].records[set_back..] {
            record["timestamp"] = moved(record, -3600);
        }
        check(&logs, &[]);
        let is_before = |record: &Value| record["timestamp"].as_str() < time.as_str();
        for early in 1..4 {
            for late in (1..4).filter(|late| *late != early) {
                let mut logs = logs.clone();
                logs.0[early].records.retain(is_before);
                logs.0[late].records.retain(|record| !is_before(record));
                logs.0.retain(|log| !log.records.is_empty());
                check(&logs, &[]);
            }
        }
    }
}

/// A page does not wait for ever for the answer to its leave, and an old one recorded that its stream had ended.
#[test]
fn an_answer_after_the_end_of_a_page_shows_no_whole_stream_v9() {
    let mut logs = truthful();
    let bob = &mut logs.0[2].records;
    bob.iter_mut().for_each(|record| record["component"] = json!("browser"));
    let answer = bob.iter().position(|record| record["event"] == "leave_acknowledged").unwrap();
    let ended =
        after(&bob[answer - 1], 0, json!({"event": "disconnected", "reason": "LEFT", "participant_id": "p2"}));
    let last = bob.iter().rposition(|record| record["event"] == "event_delivered").unwrap();
    bob.insert(answer, ended);
    bob.remove(last);
    check(&logs, &[]);
    // With the answer first, it has read its stream to the end.
    logs.0[2].records.swap(answer - 1, answer);
    check(&logs, &[Rule::V9]);
}

/// The answer to the leave of the previous session comes after the page has joined anew.
#[test]
fn a_late_answer_to_the_previous_session_mixes_no_logs() {
    let mut logs = with_runs("r");
    let carol = logs.0.pop().unwrap().records;
    let bob = &mut logs.0[2].records;
    let answer = bob.iter().position(|record| record["event"] == "leave_acknowledged").unwrap();
    let answer = bob.remove(answer);
    let connected = carol.iter().position(|record| record["event"] == "connected").unwrap();
    let mut next = carol[connected].clone();
    next["run"] = answer["run"].clone();
    for field in ["timestamp", "local_time"] {
        next[field] = answer[field].clone();
    }
    bob.extend([next, answer]);
    assert!(logs.verify().is_ok());
}

/// A replica without its copy of the journal, or without its log, records again what happened before.
#[test]
fn a_replica_may_record_again_what_it_had_recorded_v1_v13() {
    for times in 1..3 {
        let mut logs = replicated(std::time::Duration::ZERO);
        let b = &mut logs.0[1].records;
        let (whole, end) = (b.clone(), b.last().unwrap().clone());
        for again in 1..=times {
            let broadcasts = whole.iter().filter(|record| record["kind"].is_string()).cloned();
            b.extend(broadcasts.map(|mut record| {
                (record["timestamp"], record["recovered"]) = (moved(&end, again), json!(true));
                record.as_object_mut().unwrap().remove("recipients");
                record
            }));
            let mut start = after(&end, again, whole[0].clone());
            (start["sequence"], start["logical_time"]) = (end["sequence"].clone(), end["logical_time"].clone());
            b.push(start);
        }
        check(&logs, &[]);
        // A number that is used twice by one start is a mistake even so.
        let at = logs.0[1]
            .records
            .iter()
            .rposition(|record| record["recovered"].is_null() && record["kind"].is_string());
        let repeated = logs.0[1].records[at.unwrap()].clone();
        logs.0[1].records.insert(at.unwrap(), repeated);
        check(&logs, &[Rule::V1]);
    }
}

/// The log of one replica was copied before the clients' logs; that of the other, which was cut off from the common log,
/// was copied later.
#[test]
fn the_logs_of_replicas_may_end_at_different_times_v3_v10() {
    let whole = replicated(std::time::Duration::ZERO);
    let last = |log: &JsonLog| log.records.iter().rposition(|record| record["kind"] == "message").unwrap();
    for late in [&[0][..], &[1], &[0, 1]] {
        let mut logs = whole.clone();
        for log in &mut logs.0[..2] {
            log.records.truncate(last(log));
        }
        for log in late {
            let end = logs.0[*log].records.last().unwrap().clone();
            let more = json!({"event": "client_connected", "participant_id": "p1", "sequence": 3});
            logs.0[*log].records.push(after(&end, 3600, more));
        }
        let violated = logs.verify().unwrap().violated();
        let (are_lost, all) = (violated.contains(&Rule::V3) && violated.contains(&Rule::V10), late.len() == 2);
        assert_eq!((are_lost, violated.is_empty()), (all, !all), "{late:?}: {violated:?}");
    }
}
