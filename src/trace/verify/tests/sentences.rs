//! The sentences about mistakes, word for word: they name what differs, and nothing that is right.

use serde_json::{Value, json};

use crate::trace::gallery::{JsonLog, Logs, truthful};
use crate::trace::report::Rule;

fn first(rule: Rule, logs: &Logs) -> String {
    let report = logs.verify().unwrap();
    report.rule(rule).violations.first().map(|violation| violation.sentence.clone()).unwrap_or_default()
}

fn caveats(rule: Rule, logs: &Logs) -> String {
    logs.verify().unwrap().rule(rule).caveats.join("; ")
}

fn made(title: &str) -> Logs {
    let mistakes = crate::trace::gallery::mistakes();
    let mistake = mistakes.iter().find(|mistake| mistake.title == title).unwrap();
    mistake.made_in(&truthful()).unwrap()
}

#[test]
fn an_acknowledgement_with_another_time_v10() {
    assert_eq!(
        first(Rule::V10, &made("The acknowledgement states a different time")),
        "alice (p1) was told in the answer that event 4 has time 10, but it was broadcast with 11."
    );
}

#[test]
fn a_message_with_another_view_than_was_sent_v11() {
    assert_eq!(
        first(Rule::V11, &made("What the writer had seen is made up")),
        "Event 4 states that alice (p1) sent it at time 9 with a view up to event 2, but no send of it in the log of \
         alice (p1) has both."
    );
}

#[test]
fn a_leave_that_is_delivered_before_it_is_acknowledged_v6() {
    let mut logs = truthful();
    let bob = &mut logs.0[2].records;
    let at = bob.iter().position(|record| record["event"] == "leave_acknowledged").unwrap();
    let (left, time) = (bob[at]["sequence"].clone(), bob[at]["logical_time"].clone());
    let mut delivery = bob.iter().rfind(|record| record["event"] == "event_delivered").unwrap().clone();
    (delivery["sequence"], delivery["logical_time"]) = (left.clone(), time);
    bob.insert(at, delivery);
    assert_eq!(
        first(Rule::V6, &logs),
        format!("bob (p2) was sent event {left}, its own leave, before the leave was acknowledged.")
    );
}

/// A caveat is a whole sentence, so that it can be shown after any words.
#[test]
fn messages_of_a_participant_without_a_log_v11() {
    let mut alone = truthful();
    alone.0.remove(1);
    let said = caveats(Rule::V11, &alone);
    assert!(said.contains("it is unknown whether alice (p1) sent 4 of its messages: its log"), "{said}");
}

/// The service's log, with one more batch for a participant at its end, before the service stops.
fn handed(who: &str, first: u64, last: u64) -> Logs {
    let mut logs = truthful();
    let service: &mut JsonLog = &mut logs.0[0];
    let at = service.records.len() - 2;
    let before = &service.records[at];
    let batch = json!({"timestamp": before["timestamp"], "level": "DEBUG", "component": "server",
        "event": "event_delivered", "epoch": service.records[0]["epoch"], "first_sequence": first, "last_sequence": last,
        "participant_ids": [who]});
    service.records.insert(at, batch);
    logs
}

/// Before the join, after the leave, or beyond the end of the journal: each is a different mistake.
#[test]
fn a_stream_that_is_handed_events_outside_its_membership_v9() {
    assert_eq!(
        first(Rule::V9, &handed("p2", 1, 1)),
        "bob (p2) was sent event 1, but joined only later, as event 2."
    );
    let left =
        truthful().0[2].records.iter().rfind(|record| record["sequence"].is_u64()).unwrap()["sequence"].clone();
    let (left, after) = (left.as_u64().unwrap(), left.as_u64().unwrap() + 1);
    let sentence = first(Rule::V9, &handed("p2", after, after));
    let expected = [
        format!("bob (p2) was sent event {after}, but had already left, as event {left}."),
        format!("bob (p2) was sent event {after} after its stream had ended."),
    ];
    assert!(expected.contains(&sentence), "{sentence}");
    let head = truthful().0[0].records.last().unwrap()["sequence"].as_u64().unwrap();
    assert_eq!(
        first(Rule::V9, &handed("p1", head + 1, head + 2)),
        format!(
            "alice (p1) was sent events {} to {}, but the journal ends with event {head}.",
            head + 1,
            head + 2
        )
    );
    // A log that was copied before the event was recorded causes no violation.
    let mut early = handed("p1", head + 1, head + 2);
    let service = &mut early.0[0].records;
    service.truncate(service.len() - 2);
    assert_eq!(first(Rule::V9, &early), "");
    // Nor does a piece that shows only that the service ran at some time, perhaps after the end of the other one.
    let mut pieces = handed("p1", head + 1, head + 2);
    let service = &mut pieces.0[0].records;
    let batch = service.remove(service.len() - 3);
    let (mut start, end) = (service[0].clone(), service[service.len() - 2..].to_vec());
    (start["sequence"], start["logical_time"]) = (end[1]["sequence"].clone(), end[1]["logical_time"].clone());
    service.extend([vec![start], end].concat());
    pieces.0.push(JsonLog { name: "server-later.jsonl".into(), records: vec![batch] });
    assert_eq!(first(Rule::V9, &pieces), "");
}

/// What was due is what had not come by then, even if it came later.
#[test]
fn a_stream_that_repeats_or_skips_events_v4() {
    let head = truthful().0[0].records.last().unwrap()["sequence"].as_u64().unwrap();
    assert_eq!(
        first(Rule::V4, &handed("p1", head - 2, head - 1)),
        format!(
            "The stream of alice (p1) was handed event {} where event {} should have come next.",
            head - 2,
            head + 1
        )
    );
    let mut logs = handed("p1", 10, 11);
    let service = &mut logs.0[0].records;
    let at = service.iter().position(|record| record["participant_ids"] == json!(["p1"])).unwrap();
    let mut early = service[at].clone();
    service[at]["last_sequence"] = json!(9);
    early["first_sequence"] = json!(12);
    service.insert(at + 1, early);
    assert_eq!(
        first(Rule::V4, &logs),
        "The stream of alice (p1) was handed event 12 where event 10 should have come next."
    );
}

/// The service is killed right after a participant that had missed an old event came back (V14).
#[test]
fn a_new_stream_need_not_have_been_handed_an_old_event_yet_v14() {
    let mut logs = made("Somebody who is present never receives the last event");
    let sentence = first(Rule::V14, &logs);
    assert!(
        sentence.starts_with("alice (p1) still takes part and was connected, but the last event that it got is")
    );
    let service = &mut logs.0[0].records;
    let position =
        service.iter().rfind(|record| record["last_sequence"].is_u64()).unwrap()["last_sequence"].clone();
    let end = service.pop().unwrap();
    let event = |event: &str| {
        json!({"timestamp": end["timestamp"], "level": "INFO", "component": "server", "event": event,
            "epoch": end["epoch"], "participant_id": "p1", "sequence": position})
    };
    let (gone, back) = (event("client_disconnected"), event("client_connected"));
    service.extend([gone, back]);
    service.push(end);
    assert_eq!(first(Rule::V14, &logs), "");
}

/// The service's log is cut off early, and the other logs are from machines whose clocks are far behind.
#[test]
fn when_an_event_happened_only_the_service_shows_v14() {
    let mut logs = truthful();
    for record in logs.0[1..].iter_mut().flat_map(|log| &mut log.records) {
        record["timestamp"] = json!("2020-01-01T00:00:00.000000Z");
    }
    let (service, alice) = (&mut logs.0[0].records, 1);
    let handed = |record: &Value| record["event"] == "event_delivered";
    let first = service.iter().position(handed).unwrap();
    service.truncate(first + 1);
    service[first]["timestamp"] = json!("2026-12-01T00:00:00.000000Z");
    service.push(json!("cut off"));
    let known = service.iter().filter(|record| record["kind"].is_string()).count();
    let next = logs.0[alice].deliveries()[known];
    logs.0[alice].records.truncate(next);
    assert_eq!(logs.verify().unwrap().violated(), []);
}

/// What broke first is reported first, whatever its file and its rule.
#[test]
fn the_report_begins_with_what_was_complete_first() {
    let mut logs = truthful();
    let (carol, alice) = (logs.0.len() - 1, 1);
    // The last delivery of the first log, and the first but one of the last, are wrong.
    let late = *logs.0[alice].deliveries().last().unwrap();
    logs.0[alice].records[late]["content"] = json!("late");
    let early = logs.0[carol].deliveries()[1];
    let local = logs.0[carol].records[early]["local_time"].as_u64().unwrap();
    logs.0[carol].records[early]["local_time"] = json!(local - 5);
    let report = logs.verify().unwrap();
    let order: Vec<Rule> = report.in_order().iter().map(|(rule, _)| *rule).collect();
    assert_eq!(order, [Rule::V7, Rule::V3]);
    assert!(report.in_order()[0].1 < report.in_order()[1].1);
}

/// A client's record that it refused an event, in place of the delivery.
fn refused(delivery: &Value, sequence: u64, reason: &str) -> Value {
    let mut record = delivery.clone();
    record["event"] = json!("event_refused");
    record["expected_sequence"] = delivery["sequence"].clone();
    (record["sequence"], record["reason"]) = (json!(sequence), json!(reason));
    for field in ["logical_time", "local_time", "kind", "content"] {
        record[field] = Value::Null;
    }
    record
}

/// What a client refused was not delivered: it fills no gap. A service that keeps the rules never makes a client
/// refuse.
#[test]
fn an_event_that_a_client_refused_is_evidence_and_no_delivery_v4() {
    let says = |sequence: u64, reason: &str| {
        let mut logs = truthful();
        let alice = &mut logs.0[1];
        let at = alice.deliveries()[3];
        // It resumed, and got it then.
        alice.records.insert(at, refused(&alice.records[at], sequence, reason));
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), [Rule::V4]);
        assert_eq!(report.in_order().len(), 1);
        report.rule(Rule::V4).violations[0].sentence.clone()
    };
    assert_eq!(
        says(9, "event 9 came where event 4 was due"),
        "alice (p1) was sent event 9 where event 4 was due, and dropped the stream over it."
    );
    assert_eq!(
        says(4, "event 4 has content that its kind cannot have"),
        "alice (p1) was sent an event 4 that cannot be true, and dropped the stream over it: event 4 has content that \
         its kind cannot have."
    );
    let mut gap = truthful();
    let at = gap.0[1].deliveries()[3];
    gap.0[1].records[at] = refused(&gap.0[1].records[at], 4, "not this one");
    assert_eq!(gap.verify().unwrap().rule(Rule::V4).violated, 2, "it never came");
}

/// Positions of two epochs cannot be compared, so a session does not go from one to another.
#[test]
fn a_session_is_resumed_in_the_epoch_that_it_was_in_v4() {
    let mut logs = truthful();
    let alice = &mut logs.0[1].records;
    let mut resumed = alice.iter().find(|record| record["event"] == "connected").unwrap().clone();
    for field in ["timestamp", "local_time"] {
        resumed[field] = alice.last().unwrap()[field].clone();
    }
    resumed["local_time"] = json!(resumed["local_time"].as_u64().map(|time| time + 1));
    (resumed["event"], resumed["epoch"]) = (json!("resumed"), json!("0ther"));
    alice.push(resumed);
    let report = logs.verify().unwrap();
    assert_eq!(
        report.rule(Rule::V4).violations[0].sentence,
        "alice (p1) resumed its session of epoch 00c0ffee00c0ffee in epoch 0ther: positions in two epochs cannot be \
         compared."
    );
}
