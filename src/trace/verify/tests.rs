//! Logs that are changed by hand, and what the checker reports for them.

mod everyday;
mod farewells;
mod replicated;
mod sentences;

use serde_json::{Value, json};

use super::InputError;
use crate::trace::gallery::{Logs, truthful};
use crate::trace::report::{Report, Rule, Verdict};

fn with(change: impl FnMut(&mut Value)) -> Logs {
    let mut logs = truthful();
    logs.0.iter_mut().flat_map(|log| &mut log.records).for_each(change);
    logs
}

fn caveats(report: &Report, rule: Rule) -> String {
    report.rule(rule).caveats.join("; ")
}

#[test]
fn extreme_numbers_in_records_are_accepted_and_cost_no_memory() {
    let extremes = [0, 1, 1 << 20, 1 << 60, i64::MAX as u64, u64::MAX - 1, u64::MAX];
    let mut changed = 0;
    for (file, log) in truthful().0.iter().enumerate() {
        for (line, record) in log.records.iter().enumerate() {
            let numbers = record.as_object().into_iter().flatten().filter(|(_, value)| value.is_u64());
            for (field, _) in numbers {
                changed += 1;
                for extreme in extremes.iter().skip(changed % 3).step_by(3) {
                    let mut logs = truthful();
                    logs.0[file].records[line][field] = json!(extreme);
                    let report = logs.verify().unwrap();
                    assert!(report.events <= report.records, "{field} of {record}");
                }
            }
        }
    }
    assert!(changed > 200, "{changed}");
}

#[test]
fn a_journal_without_its_beginning_is_checked_from_its_first_known_event() {
    let far = 1 << 40;
    let mut logs = with(|record| {
        for field in ["sequence", "seen_sequence", "first_sequence", "last_sequence"] {
            if let Some(n) = record[field].as_u64() {
                record[field] = json!(n + far);
            }
        }
    });
    logs.0[0].records.remove(0);
    let report = logs.verify().unwrap();
    assert_eq!(report.violated(), [], "{:#?}", report.rules);
    assert!(caveats(&report, Rule::V1).contains("begins in the middle, with event 1099511627777"));
    assert!(report.rule(Rule::V3).checked > 20);
}

/// Shifts the clocks of the processes by some hours, as on machines without a time service.
fn skewed(mut logs: Logs) -> Logs {
    for (file, log) in logs.0.iter_mut().enumerate() {
        for record in &mut log.records {
            let time = humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap();
            let at = time + std::time::Duration::from_secs(3_600 * file as u64);
            record["timestamp"] = json!(humantime::format_rfc3339_micros(at).to_string());
        }
    }
    logs
}

/// The messages reveal how far the clocks are apart, so machines need no common time.
#[test]
fn processes_on_different_machines_are_compared_by_their_messages_v12() {
    let (here, apart) = (truthful().verify().unwrap(), skewed(truthful()).verify().unwrap());
    assert_eq!(apart.violated(), [], "{apart:#?}");
    assert_eq!(apart.rule(Rule::V12).checked, here.rule(Rule::V12).checked);
    for mistake in crate::trace::gallery::mistakes() {
        let logs = skewed(mistake.made_in(&truthful()).unwrap());
        let violated = logs.verify().unwrap().violated();
        assert!(violated.contains(&mistake.rule), "{}: {violated:?}", mistake.title);
    }
}

#[test]
fn a_clock_that_was_set_back_is_no_violation_v12() {
    let mut logs = truthful();
    let at = logs.0[1].records.iter().position(|record| record["event"] == "publish_acknowledged").unwrap();
    for record in &mut logs.0[1].records[at..] {
        let time = record["timestamp"].as_str().unwrap().replace("2026-", "2025-");
        record["timestamp"] = json!(time);
    }
    let report = logs.verify().unwrap();
    assert_eq!((report.violated(), report.rule(Rule::V12).verdict()), (vec![], Verdict::Held), "the others");
    assert!(caveats(&report, Rule::V12).contains("set back"));
}

#[test]
fn an_unplugged_participant_need_not_have_caught_up_v14() {
    let unplugged_for = |seconds: u64| {
        let mistakes = crate::trace::gallery::mistakes();
        let mistake = mistakes.iter().find(|mistake| mistake.rule == Rule::V14).unwrap();
        let mut logs = mistake.made_in(&truthful()).unwrap();
        let service = &mut logs.0[0].records;
        let end = service.len() - 1;
        let before = humantime::parse_rfc3339(service[end - 1]["timestamp"].as_str().unwrap()).unwrap();
        let at = before + std::time::Duration::from_secs(seconds);
        service[end]["timestamp"] = json!(humantime::format_rfc3339_micros(at).to_string());
        logs.verify().unwrap()
    };
    assert_eq!(unplugged_for(60).violated(), [Rule::V14]);
    // The service would not have noticed yet.
    let report = unplugged_for(25);
    assert_eq!(report.violated(), []);
    assert!(caveats(&report, Rule::V14).contains("ended before it could get more"));
}

/// The service's log, cut into two files: a later start in the second one is not its beginning.
#[test]
fn a_service_log_may_be_split_at_any_line_before_a_restart_v1_v4_v13() {
    let mut whole = truthful();
    let head = whole.0[0].records.iter().rfind(|record| record["logical_time"].is_u64()).unwrap().clone();
    let start = json!({"timestamp": "2026-01-02T00:00:00Z", "level": "INFO", "component": "server",
        "event": "server_started", "epoch": head["epoch"], "sequence": head["sequence"],
        "logical_time": head["logical_time"]});
    whole.0[0].records.push(start);
    for at in 1..whole.0[0].records.len() {
        let mut older = whole.0[0].clone();
        let newer = crate::trace::gallery::JsonLog { name: "newer".into(), records: older.records.split_off(at) };
        let logs = |files: &[&crate::trace::gallery::JsonLog]| {
            let services = files.iter().copied().cloned();
            Logs(services.chain(whole.0[1..].iter().cloned()).collect()).verify().unwrap()
        };
        for files in [&[&older, &newer][..], &[&newer, &older], &[&newer], &[&older]] {
            let report = logs(files);
            assert_eq!(report.violated(), [], "split at {at}: {report:#?}");
        }
    }
}

/// Runs of the service in the wrong order in one file.
#[test]
fn the_newest_run_of_the_service_may_come_first_in_its_file_v4_v13() {
    let mut logs = truthful();
    let service = &mut logs.0[0].records;
    let at = service.iter().rposition(|record| record["event"] == "message_broadcast").unwrap();
    let mut newer = service.split_off(at);
    let head = service.iter().rfind(|record| record["logical_time"].is_u64()).unwrap();
    let start = json!({"timestamp": newer[0]["timestamp"], "level": "INFO", "component": "server",
        "event": "server_started", "epoch": head["epoch"], "sequence": head["sequence"],
        "logical_time": head["logical_time"]});
    newer.insert(0, start);
    newer.append(service);
    *service = newer;
    let report = logs.verify().unwrap();
    assert_eq!(report.violated(), [], "{report:#?}");
    assert_eq!(report.rule(Rule::V13).verdict(), Verdict::Held);
}

/// The service's log was copied at any moment, and the logs of the clients later.
#[test]
fn a_service_log_that_was_copied_earlier_is_no_violation_v3_v10() {
    let whole = truthful();
    for at in 1..whole.0[0].records.len() {
        let mut logs = whole.clone();
        logs.0[0].records.truncate(at);
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), [], "cut at {at}: {report:#?}");
    }
    let mut logs = whole;
    let last = logs.0[0].records.iter().rposition(|record| record["event"] == "message_broadcast").unwrap();
    logs.0[0].records.truncate(last);
    let report = logs.verify().unwrap();
    assert!(caveats(&report, Rule::V10).contains("may have been copied earlier"), "{report:#?}");
    // The service continued long after it should have recorded the event.
    let last = logs.0[0].records.last().unwrap().clone();
    logs.0[0].records.push(json!({"timestamp": "2026-01-02T00:00:00Z", "level": "INFO", "component": "server",
        "event": "client_connected", "epoch": last["epoch"], "participant_id": "p1", "sequence": 3}));
    let violated = logs.verify().unwrap().violated();
    assert!(violated.contains(&Rule::V3) && violated.contains(&Rule::V10), "{violated:?}");
}

/// A client's log without its beginning.
#[test]
fn a_client_log_without_its_beginning_is_no_violation_v9() {
    for file in 1..truthful().0.len() {
        for at in 0..truthful().0[file].records.len() {
            let mut logs = truthful();
            logs.0[file].records.drain(..at);
            let report = logs.verify().unwrap();
            assert_eq!(report.violated(), [], "{file} from {at}: {report:#?}");
        }
    }
}

/// A slow path, or a client whose output is not being read: the events that it lacks were handed to its stream.
#[test]
fn what_was_handed_to_a_stream_may_be_on_its_way_v14() {
    let mut logs = truthful();
    let alice = logs.0[1].deliveries();
    logs.0[1].records.truncate(alice[8]);
    for hour in [9, 23] {
        for record in logs.0[0].records.iter_mut().rev().take(2) {
            record["timestamp"] = json!(format!("2026-01-01T{hour:02}:00:00.000000Z"));
        }
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), []);
        assert!(caveats(&report, Rule::V14).contains("may be on its way"), "{report:#?}");
    }
}

/// Puts the deliveries of alice's log into this order. Returns what V4 reports.
fn delivered_as(order: &[usize]) -> Vec<String> {
    let mut logs = truthful();
    let alice = &mut logs.0[1];
    let whole = alice.clone();
    let at: Vec<usize> = whole.deliveries();
    let moments = ["timestamp", "local_time"];
    for (to, from) in at.iter().zip(order) {
        let moment = moments.map(|field| whole.records[*to][field].clone());
        alice.records[*to] = whole.records[at[*from]].clone();
        moments.iter().zip(moment).for_each(|(field, value)| alice.records[*to][*field] = value);
    }
    at[order.len()..].iter().rev().for_each(|gone| drop(alice.records.remove(*gone)));
    let report = logs.verify().unwrap();
    let v4 = report.rule(Rule::V4);
    assert_eq!(v4.violated, v4.violations.len() as u64);
    v4.violations.iter().map(|violation| violation.sentence.replace("alice (p1) got ", "")).collect()
}

#[test]
fn a_wrong_order_of_deliveries_is_reported_once_and_exactly_v4() {
    let says = |order: &[usize], expected: &[&str]| assert_eq!(delivered_as(order), expected, "{order:?}");
    says(&[0, 1, 2, 3, 4, 5], &[]);
    says(&[0, 1, 3, 2, 4, 5], &["event 4 before event 3, which comes first in the order."]);
    says(&[0, 1, 4, 2, 3, 5], &["event 5 before event 3, which comes first in the order."]);
    says(&[0, 1, 3, 4, 5], &["event 4 right after event 2: the one event in between never arrived."]);
    says(&[0, 1, 2, 1, 2, 3], &["event 2 after event 3: deliveries went back in the order."]);
    says(&[0, 1, 1, 2], &["event 2 twice."]);
    // A missing event is noticed at the delivery after it.
    let late_and_never = [
        "events 2 and 5, but event 4 in between never arrived.",
        "event 5 before event 3, which comes first in the order.",
    ];
    says(&[0, 1, 4, 2, 5], &late_and_never);
}

/// Each line names its run, so the lines of a run need not be contiguous.
#[test]
fn the_lines_of_several_runs_may_be_mixed_in_one_file() {
    let mut logs = truthful();
    for (run, log) in logs.0.iter_mut().enumerate() {
        log.records.iter_mut().for_each(|record| record["run"] = json!(format!("r{run}")));
    }
    let expected = logs.verify().unwrap();
    let (carol, mut bob) = (logs.0.pop().unwrap(), logs.0.pop().unwrap());
    bob.records.extend(carol.records);
    bob.records.sort_by_key(|record| record["timestamp"].as_str().map(str::to_owned));
    logs.0.push(bob);
    let report = logs.verify().unwrap();
    assert_eq!(report.violated(), []);
    for (mixed, apart) in report.rules.iter().zip(&expected.rules) {
        assert_eq!(mixed.checked, apart.checked, "{:?}", mixed.rule);
    }
}

#[test]
fn mixed_lines_of_several_processes_that_name_no_run_are_refused() {
    let mut logs = truthful();
    let (carol, mut bob) = (logs.0.pop().unwrap(), logs.0.pop().unwrap());
    bob.records.extend(carol.records);
    bob.records.sort_by_key(|record| record["timestamp"].as_str().map(str::to_owned));
    logs.0.push(bob);
    assert_eq!(logs.verify().unwrap_err(), InputError::Interleaved);
}
