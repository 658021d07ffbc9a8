//! Logs of several replicas, whose clocks differ, and what the checker reports for them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::trace::gallery::{JsonLog, Logs, replicated, truthful};
use crate::trace::report::{Report, Rule, Verdict};

/// How far the clock of the second replica is ahead.
const AHEAD: Duration = Duration::from_secs(3600);
const EPOCH: &str = "00c0ffee00c0ffee";

fn caveats(report: &Report, rule: Rule) -> String {
    report.rule(rule).caveats.join("; ")
}

/// All rules hold over the logs of replicas whose clocks are an hour apart, and as much is compared as for one service.
#[test]
fn the_logs_of_replicas_are_judged_by_one_clock_v12_v13_v15() {
    let one = truthful().verify().unwrap();
    for ahead in [Duration::ZERO, AHEAD] {
        let report = replicated(ahead).verify().unwrap();
        assert_eq!(report.violated(), [], "{report:#?}");
        assert_eq!(report.rule(Rule::V12).checked, one.rule(Rule::V12).checked);
        assert_eq!(caveats(&report, Rule::V12), caveats(&one, Rule::V12));
        assert_eq!(report.rule(Rule::V13).checked, one.events, "each event is compared");
        assert_eq!((report.rule(Rule::V15).checked, caveats(&report, Rule::V15)), (3, String::new()));
    }
}

/// A mistake that shows in the logs of participants is caught with replicas, too.
#[test]
fn every_mistake_is_caught_in_the_logs_of_replicas_v1_to_v14() {
    for mistake in crate::trace::gallery::mistakes() {
        // The logs of the replicas are truthful, so a mistake that changes the service's log cannot be tried.
        let Ok(mut made) = mistake.made_in(&truthful()) else { continue };
        let is_service_truthful = made.0[0] == truthful().0[0];
        if !is_service_truthful {
            continue;
        }
        let mut logs = replicated(AHEAD);
        logs.0.truncate(2);
        logs.0.extend(made.0.drain(1..));
        let violated = logs.verify().unwrap().violated();
        assert!(violated.contains(&mistake.rule), "{}: {violated:?}", mistake.title);
    }
}

/// Replicas that differ in anything that people or rules see of an event are a split view.
#[test]
fn a_replica_that_applied_something_else_is_a_split_view_v13() {
    for (event, field, value) in [
        ("message_broadcast", "content", json!("something else")),
        ("message_broadcast", "logical_time", json!(1000)),
        ("message_broadcast", "sent_logical_time", json!(1)),
        ("message_broadcast", "seen_sequence", json!(0)),
        ("message_broadcast", "message_id", json!("another")),
        ("message_broadcast", "participant_id", json!("p9")),
        ("join_broadcast", "display_name", json!("eve")),
        ("leave_broadcast", "reason", json!("DISCONNECTED")),
    ] {
        let mut logs = replicated(AHEAD);
        let record = logs.0[1].records.iter_mut().rfind(|record| record["event"] == event).unwrap();
        record[field] = value;
        let report = logs.verify().unwrap();
        assert!(report.violated().contains(&Rule::V13), "{event} {field}: {report:#?}");
        let said = &report.rule(Rule::V13).violations[0];
        assert!(said.sentence.contains("disagree") && said.lines.len() == 2, "{said:?}");
    }
}

#[test]
fn a_replica_whose_log_is_missing_is_named_v13_v15() {
    let mut logs = replicated(AHEAD);
    logs.0.remove(1);
    let report = logs.verify().unwrap();
    assert_eq!(report.violated(), [], "{report:#?}");
    assert!(caveats(&report, Rule::V13).contains("no log of replica b was given"));
    assert_eq!(report.rule(Rule::V15).verdict(), Verdict::NotCheckable);
    assert!(caveats(&report, Rule::V15).contains("no log of replica b was given"));
}

#[test]
fn a_hole_in_the_log_of_a_replica_is_no_violation_v13_v15() {
    for file in [0, 1] {
        for first in 1..replicated(AHEAD).0[file].records.len() {
            let mut logs = replicated(AHEAD);
            let at = logs.0[file].records[first]["timestamp"].clone();
            let lost = json!({"timestamp": at, "level": "WARN", "component": "server", "event": "records_lost",
                "count": 1, "replica": logs.0[file].records[first]["replica"]});
            logs.0[file].records[first] = lost;
            assert_eq!(logs.verify().unwrap().violated(), [], "{first} of {file}");
        }
    }
}

/// Takes what the replicas record at which second, about one participant whose stream begins at replica a. Returns what
/// V15 finds.
fn farewells(ahead: Duration, steps: &[(&str, u64, &str)]) -> Vec<String> {
    let stamp = |replica: &str, second: u64, mut record: Value| {
        let at = std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second);
        let at = if replica == "b" { at + ahead } else { at };
        record["timestamp"] = json!(humantime::format_rfc3339_micros(at).to_string());
        for (field, value) in [("component", "server"), ("level", "INFO"), ("epoch", EPOCH), ("replica", replica)]
        {
            record[field] = json!(value);
        }
        record
    };
    let replica_note = |event: &str, of: &str, reason: Option<&str>| {
        let start = if of == "a" { 2 } else { 3 };
        let mut note = json!({"event": event, "of_replica": of, "replica_start": start, "sequence": 1});
        note["reason"] = json!(reason);
        note
    };
    let stream = |event: &str, reason: Option<&str>| json!({"event": event, "participant_id": "p1", "display_name": "anna", "sequence": 1, "reason": reason});
    let event = |event: &str, kind: &str, sequence: u64, reason: Option<&str>| {
        let went = if kind == "left" { "left" } else { "joined" };
        let (sent, time) = (2 * sequence - 1, 2 * sequence + 1);
        json!({"event": event, "kind": kind, "sequence": sequence, "logical_time": time, "local_time": time,
            "sent_logical_time": sent, "participant_id": "p1", "display_name": "anna", "reason": reason,
            "content": format!("Participant anna {went} Chit Chat at logical time {time}")})
    };
    let mut logs = Logs(Vec::new());
    for replica in ["a", "b"] {
        let mut records = vec![
            json!({"event": "server_started", "sequence": 0, "logical_time": 0, "grace_ms": 30_000}),
            replica_note("replica_joined", "a", None),
            replica_note("replica_joined", "b", None),
        ];
        if replica == "a" {
            records.push(stream("client_connected", None));
        }
        records.push(event("join_broadcast", "joined", 1, None));
        let mut records: Vec<_> = records.into_iter().map(|record| stamp(replica, 0, record)).collect();
        for (_, second, what) in steps.iter().filter(|(by, ..)| *by == replica) {
            let record = match *what {
                "connects" => stream("client_connected", None),
                "is lost" => stream("client_disconnected", Some("DISCONNECTED")),
                "is replaced" => stream("client_disconnected", Some("REPLACED")),
                "is cut off" => stream("client_disconnected", Some("JOURNAL_UNAVAILABLE")),
                "refuses" => json!({"event": "request_refused", "reason": "JOURNAL_UNAVAILABLE"}),
                "left" => event("leave_broadcast", "left", 2, Some("DISCONNECTED")),
                "a is gone" => replica_note("replica_gone", "a", Some("SILENT")),
                "b is gone" => replica_note("replica_gone", "b", Some("SILENT")),
                "is unavailable" => json!({"event": "replica_unavailable", "reason": "CUT_OFF"}),
                "is available" => json!({"event": "replica_available"}),
                "begins to stop" => json!({"event": "server_stopping"}),
                "continues" => json!({"event": "something else"}),
                other => panic!("{other}"),
            };
            records.push(stamp(replica, *second, record));
        }
        logs.0.push(JsonLog { name: format!("{replica}.jsonl"), records });
    }
    let report = logs.verify().unwrap();
    let v15 = report.rule(Rule::V15);
    assert_eq!((v15.checked, v15.caveats.len()), (1, 0), "{v15:?}");
    assert_eq!(report.rule(Rule::V13).violated, 0);
    v15.violations.iter().map(|violation| violation.sentence.clone()).collect()
}

#[track_caller]
fn check_farewells(steps: &[(&str, u64, &str)], expected: &[&str]) {
    for ahead in [Duration::ZERO, AHEAD] {
        let found = farewells(ahead, steps);
        let matches = found.len() == expected.len() && found.iter().zip(expected).all(|(is, be)| is.contains(be));
        assert!(matches, "{steps:?} at {ahead:?}: {found:#?}");
    }
}

#[test]
fn a_participant_back_at_another_replica_has_not_vanished_v15() {
    let end = [("a", 200, "continues"), ("b", 200, "continues")];
    check_farewells(&[("a", 10, "is lost"), ("b", 15, "connects"), end[0], end[1]], &[]);
    check_farewells(&[("b", 15, "connects"), ("a", 16, "is replaced"), end[0], end[1]], &[]);
    check_farewells(&[("a", 10, "is lost"), end[0], end[1]], &["190 s later it had still not left"]);
    check_farewells(&[("a", 10, "is lost"), ("a", 50, "continues"), ("b", 50, "continues")], &[]);
    let moved = [("b", 15, "connects"), ("a", 16, "is replaced"), ("b", 20, "is lost")];
    check_farewells(&[&moved[..], &end].concat(), &["180 s later it had still not left"]);
    // Both stop in time.
    let stops = [("a", 30, "begins to stop"), ("b", 30, "begins to stop")];
    check_farewells(&[&[("a", 10, "is lost")], &stops[..], &end].concat(), &[]);
}

#[test]
fn a_leave_comes_after_the_grace_period_at_any_replica_v15() {
    for (second, expected) in [(20, "10 s after its stream had ended, before"), (41, ""), (95, "long after")] {
        let steps = [("a", 10, "is lost"), ("b", second, "left"), ("a", second, "left")];
        let expected = [expected].into_iter().filter(|expected| !expected.is_empty()).collect::<Vec<_>>();
        check_farewells(&steps, &expected);
        // Its session moves first.
        let steps = [
            ("b", 5, "connects"),
            ("a", 6, "is replaced"),
            ("b", 10, "is lost"),
            ("a", second, "left"),
            ("b", second, "left"),
        ];
        check_farewells(&steps, &expected);
    }
    let steps = [("a", 10, "is lost"), ("b", 15, "connects"), ("a", 41, "left"), ("b", 41, "left")];
    check_farewells(&steps, &["although its stream was open"]);
    // While the log accepts nothing, no participant can leave.
    let steps = [("a", 10, "is lost"), ("b", 30, "refuses"), ("a", 95, "left"), ("b", 95, "left")];
    check_farewells(&steps, &[]);
}

/// All servers of the log are down, and no client sends a request meanwhile.
#[test]
fn no_leave_is_due_while_no_replica_can_propose_it_v15() {
    let away = [("a", 10, "is lost"), ("a", 20, "is unavailable"), ("b", 21, "is unavailable")];
    let back = [("a", 120, "is available"), ("b", 121, "is available")];
    let left = |second| [("a", second, "left"), ("b", second, "left")];
    let steps = |parts: &[&[(&'static str, u64, &'static str)]]| parts.concat();
    check_farewells(&steps(&[&away, &back, &left(122)]), &[]);
    check_farewells(&steps(&[&away, &back, &left(95 + 122)]), &["long after"]);
    check_farewells(&steps(&[&away, &[("a", 300, "continues"), ("b", 300, "continues")]]), &[]);
    let end = [("a", 300, "continues"), ("b", 300, "continues")];
    check_farewells(&steps(&[&away, &back, &end]), &["290 s later it had still not left"]);
    // The outage began before the stream was lost, and does not end.
    let before = [("a", 5, "is unavailable"), ("b", 5, "is unavailable"), ("a", 10, "is lost")];
    check_farewells(&steps(&[&before, &end]), &[]);
    // Only one replica was cut off: the other should have proposed the leave.
    let one = [("a", 10, "is lost"), ("a", 20, "is unavailable"), ("a", 200, "is available")];
    check_farewells(&steps(&[&one, &left(201)]), &["long after"]);
}

/// The log of one replica was copied earlier than that of the other, where the session may have been resumed.
#[test]
fn what_the_log_of_a_replica_no_longer_shows_is_not_judged_v15() {
    let lost = [("a", 10, "is lost"), ("b", 12, "continues")];
    check_farewells(&[&lost[..], &[("a", 200, "continues")]].concat(), &[]);
    check_farewells(&[&lost[..], &[("a", 95, "left")]].concat(), &[]);
    // It would show it if it had stopped, or if it is gone.
    let end = [("a", 100, "b is gone"), ("a", 200, "continues")];
    check_farewells(&[&lost[..], &end].concat(), &["190 s later it had still not left"]);
}

/// An export of the journal has no replica, no run and no start.
#[test]
fn an_export_of_the_journal_takes_nothing_from_the_logs_of_replicas_v15() {
    let mut logs = replicated(AHEAD);
    let export = truthful().0[0].records.iter().filter(|record| record["kind"].is_string()).cloned().collect();
    logs.0.push(JsonLog { name: "export.jsonl".into(), records: export });
    let report = logs.verify().unwrap();
    assert_eq!(report.violated(), [], "{report:#?}");
    assert_eq!((report.rule(Rule::V15).checked, caveats(&report, Rule::V15)), (3, String::new()));
}

/// The beginning of the log may show a stream.
#[test]
fn a_log_of_a_replica_without_its_beginning_is_named_v15() {
    for file in [0, 1] {
        let mut logs = replicated(AHEAD);
        logs.0[file].records.remove(0);
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), [], "{report:#?}");
        let name = ["a", "b"][file];
        let said = caveats(&report, Rule::V15);
        assert!(said.contains(&format!("the log of replica {name} begins in the middle")), "{said}");
    }
}

#[test]
fn the_sessions_of_a_replica_that_is_gone_have_a_grace_period_from_then_on_v15() {
    check_farewells(&[("b", 16, "a is gone"), ("b", 47, "left")], &[]);
    check_farewells(&[("b", 16, "a is gone"), ("b", 30, "left")], &["14 s after its stream had ended"]);
    check_farewells(&[("b", 16, "a is gone"), ("b", 200, "continues")], &["184 s later it had still not left"]);
    // Replica a was frozen, and finds out later that it was declared gone and that its participant has left.
    let steps = [("b", 16, "a is gone"), ("b", 47, "left")];
    let wakes = [("a", 60, "a is gone"), ("a", 60, "left"), ("a", 60, "is cut off")];
    check_farewells(&[&steps[..], &wakes].concat(), &[]);
    // The client found out first.
    let wakes = [("a", 60, "is lost"), ("a", 60, "a is gone"), ("a", 60, "left")];
    check_farewells(&[&steps[..], &wakes].concat(), &[]);
}

/// The same, with what all services recorded in one file.
pub(super) fn in_one_file(mut logs: Logs) -> Logs {
    let (mut services, others): (Vec<_>, Vec<_>) = logs.0.drain(..).partition(JsonLog::is_of_service);
    let mut shared = services.remove(0);
    shared.records.extend(services.into_iter().flat_map(|log| log.records));
    shared.records.sort_by_key(|record| record["timestamp"].as_str().map(str::to_owned));
    logs.0 = [vec![shared], others].concat();
    logs
}

/// Replicas that write to one log folder, with one clock.
#[test]
fn replicas_may_share_a_log_v1_to_v15() {
    let logs = replicated(Duration::ZERO);
    let (shared, apart) = (in_one_file(logs.clone()).verify().unwrap(), logs.verify().unwrap());
    assert_eq!(shared.violated(), [], "{shared:#?}");
    for (shared, apart) in shared.rules.iter().zip(&apart.rules) {
        assert_eq!((shared.checked, &shared.caveats), (apart.checked, &apart.caveats), "{:?}", shared.rule);
    }
}

#[test]
fn a_mistake_in_a_shared_log_is_found_in_its_line_v13() {
    let mut logs = replicated(Duration::ZERO);
    let record = logs.0[1].records.iter_mut().rfind(|record| record["event"] == "message_broadcast").unwrap();
    record["content"] = json!("something else");
    let record = record.clone();
    let shared = in_one_file(logs);
    let report = shared.verify().unwrap();
    assert!(report.violated().contains(&Rule::V13), "{report:#?}");
    let lines = &report.rule(Rule::V13).violations[0].lines;
    assert!(lines.iter().any(|line| shared.record(*line) == Some(&record)), "{lines:?}");
}

/// A line that is cut off may be of any replica.
#[test]
fn a_shared_log_may_be_cut_off_v10() {
    for end in 1..in_one_file(replicated(Duration::ZERO)).0[0].records.len() {
        let mut logs = in_one_file(replicated(Duration::ZERO));
        logs.0[0].records.truncate(end);
        logs.0[0].records.push(json!("cut off"));
        assert_eq!(logs.verify().unwrap().violated(), [], "{end}");
    }
}

/// Services with journals of their own, and participants of the same names.
#[test]
fn other_services_may_share_a_log_v1_to_v15() {
    let (one, mut other) = (truthful(), truthful());
    for record in other.0.iter_mut().flat_map(|log| &mut log.records) {
        if record.get("epoch").is_some() {
            record["epoch"] = json!("the other");
        }
    }
    let report = in_one_file(Logs([one.0, other.0].concat())).verify().unwrap();
    assert_eq!(report.violated(), [], "{report:#?}");
    assert_eq!(report.events, 2 * truthful().verify().unwrap().events);
}
