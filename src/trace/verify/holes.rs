//! Logs with holes that they report themselves (`records_lost`). Lost records cause no violation, and the report says
//! what cannot be checked because of them. A hole that no record reports is a violation like any other.

use crate::trace::model::{LoggedJournal, LoggedSession};
use crate::trace::report::{Rule, RuleReport};

/// The rules that need to know all events.
const OF_EVENTS: [Rule; 7] = [Rule::V1, Rule::V2, Rule::V5, Rule::V6, Rule::V8, Rule::V11, Rule::V12];
/// The rules that need to know who was connected, from where, and what was sent to whom.
const OF_CONNECTIONS: [Rule; 4] = [Rule::V9, Rule::V12, Rule::V14, Rule::V15];
/// The rules that need the log of a session.
const OF_SESSIONS: [Rule; 9] =
    [Rule::V3, Rule::V4, Rule::V6, Rule::V7, Rule::V9, Rule::V10, Rule::V11, Rule::V12, Rule::V14];

pub(super) fn in_journal(journal: &LoggedJournal, rules: &mut [RuleReport]) {
    if journal.lost == 0 {
        return;
    }
    let lost = lost(journal.lost, "the service");
    let filled_in = journal.events().filter(|(_, event)| event.filled_in).count() as u64;
    let events = journal.missing().saturating_add(filled_in);
    if events > 0 {
        let why = format!("{lost}, so the log lacks {events} of the events of epoch {}", journal.epoch);
        OF_EVENTS.iter().for_each(|rule| rules[*rule as usize].lack(why.clone()));
        rules[Rule::V1 as usize]
            .caveat("the output of `chitchat journal export`, which has all events, was not given".into());
    }
    let why = format!("{lost}, and some of them may be about connections and deliveries");
    OF_CONNECTIONS.iter().for_each(|rule| rules[*rule as usize].lack(why.clone()));
}

pub(super) fn in_sessions(sessions: &[&LoggedSession], rules: &mut [RuleReport]) {
    for session in sessions.iter().filter(|session| session.who.is_some()) {
        let lost = session.lost_before.max(session.lost_after);
        if lost > 0 {
            let why = self::lost(lost, &format!("the log of {}", session.title()));
            OF_SESSIONS.iter().for_each(|rule| rules[*rule as usize].lack(why.clone()));
        }
    }
}

/// Why a session that lacks events cannot be judged.
pub(super) fn unknown_how_far(session: &LoggedSession, next: u64) -> String {
    let title = session.title();
    if session.is_unsure() {
        return format!("it is unknown what {title} got in the end: its log lost records");
    }
    format!("it is unknown whether {title} should have got event {next}: the event is in no log of the service")
}

fn lost(count: u64, of: &str) -> String {
    if count == 1 { format!("1 record of {of} was lost") } else { format!("{count} records of {of} were lost") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::trace::gallery::{JsonLog, Logs, truthful};
    use crate::trace::record::{LineRef, LogRecord};
    use crate::trace::report::{Report, Rule, Verdict};

    fn loss(at: &Value, count: usize) -> Value {
        let (timestamp, component) = (&at["timestamp"], &at["component"]);
        json!({"timestamp": timestamp, "level": "WARN", "component": component, "event": "records_lost", "count": count})
    }

    /// Removes records of a log, which reports the loss.
    fn lose(log: &mut JsonLog, first: usize, count: usize) {
        let lost = loss(&log.records[first], count);
        log.records.splice(first..first + count, [lost]);
    }

    /// Removes the records that report losses.
    fn silence(logs: &mut Logs) {
        logs.0.iter_mut().for_each(|log| log.records.retain(|record| record["event"] != "records_lost"));
    }

    fn caveats(report: &Report, rule: Rule) -> String {
        report.rule(rule).caveats.join("; ")
    }

    /// Every way to lose some records in a row.
    fn every_hole(file: usize, mut check: impl FnMut(usize, usize, Logs)) {
        let whole = truthful();
        let records = whole.0[file].records.len();
        for first in 0..records {
            for count in 1..=records - first {
                let mut logs = whole.clone();
                lose(&mut logs.0[file], first, count);
                check(first, count, logs);
            }
        }
    }

    #[test]
    fn a_reported_hole_is_no_violation_and_is_always_mentioned() {
        for file in 0..truthful().0.len() {
            every_hole(file, |first, count, logs| {
                let report = logs.verify().unwrap();
                assert_eq!(
                    report.violated(),
                    [],
                    "{count} records from {first} in {}: {report:#?}",
                    logs.0[file].name
                );
                let said = |rule| {
                    caveats(&report, rule).contains(" lost") || caveats(&report, rule).contains("no log of")
                };
                assert!(said(Rule::V9), "{count} records from {first} in {}: {report:#?}", logs.0[file].name);
            });
        }
    }

    #[test]
    fn events_in_a_hole_that_is_unreported_or_larger_than_reported_are_a_violation_v1() {
        let (mut hidden, mut few) = (0, 0);
        every_hole(0, |first, count, mut logs| {
            let is_broadcast = |record: &Value| record["event"].as_str().unwrap().ends_with("_broadcast");
            let lost = truthful().0[0].records[first..first + count].iter().filter(|r| is_broadcast(r)).count();
            let events_follow = logs.0[0].records[first..].iter().any(is_broadcast);
            if lost == 0 || !events_follow || first == 0 {
                return;
            }
            let mut smaller = logs.clone();
            smaller.0[0].records[first]["count"] = json!(lost - 1);
            assert!(smaller.verify().unwrap().violated().contains(&Rule::V1), "{count} from {first}");
            few += 1;
            silence(&mut logs);
            assert!(logs.verify().unwrap().violated().contains(&Rule::V1), "{count} from {first}");
            hidden += 1;
        });
        assert!(hidden > 50 && few > 50, "{hidden} {few}");
    }

    #[test]
    fn deliveries_in_an_unreported_hole_are_a_violation_v4() {
        let mut logs = truthful();
        let alice = &mut logs.0[1];
        let delivered = alice.records.iter().position(|record| record["event"] == "event_delivered").unwrap();
        lose(alice, delivered + 1, 6);
        assert_eq!(logs.verify().unwrap().violated(), []);
        silence(&mut logs);
        assert!(logs.verify().unwrap().violated().contains(&Rule::V4));
    }

    #[test]
    fn an_export_of_the_journal_fills_the_holes_of_the_services_log_v1_v2() {
        let export = |logs: &Logs| {
            let is_broadcast = |record: &&Value| record["event"].as_str().unwrap().ends_with("_broadcast");
            let records = logs.0[0].records.iter().filter(is_broadcast).cloned().collect();
            JsonLog { name: "export.jsonl".into(), records }
        };
        let export = export(&truthful());
        every_hole(0, |first, count, mut logs| {
            logs.0.push(export.clone());
            let report = logs.verify().unwrap();
            for rule in [Rule::V1, Rule::V2, Rule::V5, Rule::V8] {
                assert_eq!(report.rule(rule).verdict(), Verdict::Held);
                assert_eq!(caveats(&report, rule), "", "{count} from {first}: {rule}");
            }
            assert_eq!(report.rule(Rule::V2).checked, truthful().verify().unwrap().rule(Rule::V2).checked);
        });
    }

    #[test]
    fn records_after_a_hole_are_checked_against_those_before_it_v7() {
        let mut logs = truthful();
        let alice = &mut logs.0[1].records;
        let second = alice.iter().rposition(|record| record["event"] == "publish_sent").unwrap();
        let at = loss(&alice[second], 1);
        alice.insert(second, at);
        assert_eq!(logs.verify().unwrap().violated(), []);
        let send = &mut logs.0[1].records[second + 1];
        (send["local_time"], send["sent_logical_time"]) = (json!(2), json!(2));
        assert!(logs.verify().unwrap().violated().contains(&Rule::V7), "the clock of one process rises");
    }

    #[test]
    fn a_name_is_free_if_its_holder_may_have_left_in_a_hole_v8() {
        let mut logs = truthful();
        logs.0.truncate(1);
        let mut record =
            logs.0[0].records.iter().find(|record| record["event"] == "join_broadcast").unwrap().clone();
        let mut broadcast = |id: &str, kind: &str, sequence: u64| {
            let time = sequence * 2 + 1;
            record["sequence"] = json!(sequence);
            (record["logical_time"], record["sent_logical_time"]) = (json!(time), json!(1));
            let verb = if kind == "left" { "leave" } else { "join" };
            record["event"] = json!(format!("{verb}_broadcast"));
            (record["participant_id"], record["kind"]) = (json!(id), json!(kind));
            record["content"] = json!(format!("Participant alice {kind} Chit Chat at logical time {time}"));
            record.clone()
        };
        let start = logs.0[0].records[0].clone();
        logs.0[0].records =
            vec![start, broadcast("p1", "joined", 1), broadcast("p1", "left", 2), broadcast("p3", "joined", 3)];
        assert_eq!(logs.verify().unwrap().violated(), []);
        lose(&mut logs.0[0], 2, 1);
        assert_eq!(logs.verify().unwrap().violated(), []);
    }

    #[test]
    fn any_count_of_lost_records_is_accepted() {
        for count in [0, u64::MAX] {
            every_hole(0, |first, _, mut logs| {
                logs.0[0].records[first]["count"] = json!(count);
                let report = logs.verify().unwrap();
                assert!(report.events <= report.records);
            });
        }
    }

    #[test]
    fn a_process_that_began_in_a_hole_has_a_clock_and_a_session_of_its_own_v7() {
        // Alice's program is run again, and its first records are lost.
        let mut logs = truthful();
        let again = logs.0[2].records.split_off(0);
        let mut lost = loss(&again[0], 3);
        lost["from_start"] = json!(true);
        logs.0[1].records.push(lost);
        logs.0[1].records.extend(again.into_iter().skip(3));
        logs.0.remove(2);
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), [], "{report:#?}");
        assert_eq!(report.sessions, 3);
    }

    /// A page whose tab was killed resumes. Its log begins with the loss of what it had recorded before.
    #[test]
    fn a_resumed_session_whose_beginning_is_lost_is_mentioned_v4() {
        let mut logs = truthful();
        let at = logs.0[1].deliveries()[2];
        let last = logs.0[1].records[at].clone();
        let started = json!({"timestamp": last["timestamp"], "component": last["component"],
            "event": "client_started", "display_name": "alice"});
        let resume = |event: &str| {
            json!({"timestamp": last["timestamp"], "component": last["component"], "event": event,
                "epoch": last["epoch"], "participant_id": "p1", "display_name": "alice",
                "sequence": last["sequence"], "logical_time": last["logical_time"],
                "sent_logical_time": last["local_time"]})
        };
        let records = [loss(&last, at + 1), started, resume("join_sent"), resume("resumed")];
        logs.0[1].records.splice(..=at, records);
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), [], "{report:#?}");
        assert!(caveats(&report, Rule::V4).contains("of the log of alice (p1) were lost"), "{report:#?}");
    }

    #[test]
    fn a_log_with_a_hole_is_drawn() {
        for file in 0..truthful().0.len() {
            every_hole(file, |_, count, logs| {
                let mut builder = crate::trace::diagram::Builder::new();
                for (file, log) in (0..).zip(&logs.0) {
                    for (line, record) in (1..).zip(&log.records) {
                        let text = record.to_string();
                        builder.take(LineRef { file, line }, &LogRecord::parse(&text).unwrap()).unwrap();
                    }
                }
                let chart = builder.finish();
                let drawn = crate::trace::diagram::svg::text(&chart);
                let missing = if count == 1 { "record is" } else { "records are" };
                assert!(drawn.contains(&format!("; {count} {missing} missing")) && drawn.ends_with("</svg>\n"));
            });
        }
    }
}
