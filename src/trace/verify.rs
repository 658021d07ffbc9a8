//! The rules V1 to V15 over the logs of all processes (specification, chapter 8).
//!
//! The service's records make the journal, which stays, at some 170 bytes an event: what others tell of an event
//! comes later, and so does what it is compared with. The records of the others are looked at one by one as they
//! pass, against the journal and against what their session was like before, and are forgotten: of a session only
//! what is not settled is kept. Every rule is one pass.

mod holes;
mod journals;
mod real_time;
mod seen;
mod sent;
mod sessions;
mod step_context;
mod steps;

use super::model::{Act, Model, Step};
use super::record::{Component, LineRef, LogRecord};
use super::report::{Report, Rule, RuleReport};
use step_context::StepContext;

/// Records that cannot be checked in the order in which they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The journal has to be known first.
    #[error("a record of the service came after records of others")]
    OutOfOrder,
    /// A delivery does not say to whom, so the lines of one process have to stand together.
    #[error("the records of several processes are mixed up in one file")]
    Interleaved,
}

/// Reads records, and in the end says which rules held.
#[derive(Debug)]
pub struct Checker {
    model: Model,
    rules: Vec<RuleReport>,
    records: u64,
    others_began: bool,
}

impl Default for Checker {
    fn default() -> Self {
        Self { model: Model::new(), rules: Rule::ALL.map(RuleReport::new).into(), records: 0, others_began: false }
    }
}

impl Checker {
    /// A checker that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one record. Those of a file come in its order, and those of the service before all others.
    ///
    /// # Errors
    /// [`InputError`], after which this checker is of no more use.
    pub fn take(&mut self, line: LineRef, record: &LogRecord<'_>) -> Result<(), InputError> {
        self.records += 1;
        if record.component == Component::Server {
            if self.others_began {
                return Err(InputError::OutOfOrder);
            }
            self.model.server(line, record);
            return Ok(());
        }
        self.others_began = true;
        let step = self.model.client(line, record);
        if step.is_of_another {
            return Err(InputError::Interleaved);
        }
        self.complete_journal(&step, record);
        self.look_at(&step);
        self.model.settle(&step);
        Ok(())
    }

    /// Says that a file is cut off, or has lines that are.
    pub fn torn(&mut self, file: u32) {
        self.model.torn(file);
    }

    /// Checks what only the whole can show, and reports.
    pub fn finish(mut self) -> Report {
        for journal in &self.model.journals {
            journals::check(journal, &mut self.rules);
        }
        sessions::check(&self.model, &mut self.rules);
        self.rules.iter_mut().for_each(RuleReport::close);
        Report {
            records: self.records,
            events: self.model.journals.iter().map(|journal| journal.known()).sum(),
            epochs: self.model.journals.len(),
            journals: self.model.journals.iter().filter(|journal| journal.is_known()).count(),
            sessions: self.model.sessions.iter().filter(|session| !session.goes_on).count(),
            rules: self.rules,
        }
    }

    /// What the service has no record of is taken from the first that it was delivered to.
    fn complete_journal(&mut self, step: &Step<'_>, record: &LogRecord<'_>) {
        let (Act::Delivered { sequence, .. }, Some(session)) = (&step.act, step.session) else { return };
        let journal = &mut self.model.journals[self.model.sessions[session].journal];
        if matches!(journal.lookup(*sequence), super::model::Lookup::Unrecorded) {
            journal.fill_in(*sequence, step.line, record);
        }
    }

    fn look_at(&mut self, step: &Step<'_>) {
        let Self { model, rules, .. } = self;
        steps::v7_log(model.log(step.line.file), step, &mut rules[Rule::V7 as usize]);
        let Some(index) = step.session else { return };
        let log = model.log(step.line.file);
        let (join, join_at, queued) = (log.join, log.join_at, log.queued(&step.act));
        let context = StepContext { join, join_at, queued, ..StepContext::new(model, index, step) };
        for (rule, check) in steps::CHECKS {
            check(&context, &mut rules[rule as usize]);
        }
        let (note, edge) = (steps::EventNote::of(&context), real_time::edge(&context));
        if let Some(note) = note {
            note.put(&mut model.journals[model.sessions[index].journal]);
        }
        match edge {
            Some(real_time::Edge::Sent { at, recorded }) => model.sent(step.line.file, at, recorded),
            Some(real_time::Edge::Received { recorded }) => model.received(step.line.file, step.at, recorded),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::InputError;
    use crate::trace::gallery::{Logs, truthful};
    use crate::trace::report::{Report, Rule, Verdict};

    fn with(change: impl FnMut(&mut Value)) -> Logs {
        let mut logs = truthful();
        logs.0.iter_mut().flat_map(|log| &mut log.records).for_each(change);
        logs
    }

    /// What a client refused was not delivered: it neither breaks a rule nor fills a gap.
    #[test]
    fn a_refused_event_is_no_delivery_v4() {
        let mut logs = truthful();
        let expected = logs.verify().unwrap();
        let alice = &mut logs.0[1];
        let deliveries = alice.deliveries();
        let refused = |delivery: &Value| {
            let mut record = delivery.clone();
            let due = record["sequence"].as_u64().unwrap() + 1;
            record["event"] = json!("event_refused");
            (record["sequence"], record["expected_sequence"]) = (json!(u64::MAX), json!(due));
            record["reason"] = json!("it came out of order");
            for field in ["logical_time", "local_time", "kind", "content"] {
                record[field] = Value::Null;
            }
            record
        };
        for at in deliveries.iter().rev() {
            alice.records.insert(at + 1, refused(&alice.records[*at]));
        }
        let report = logs.verify().unwrap();
        assert_eq!(report.violated(), []);
        assert_eq!(report.rule(Rule::V4).checked, expected.rule(Rule::V4).checked);
        let mut gap = truthful();
        gap.0[1].records[deliveries[3]]["event"] = json!("event_refused");
        assert!(gap.verify().unwrap().violated().contains(&Rule::V4));
    }

    fn caveats(report: &Report, rule: Rule) -> String {
        report.rule(rule).caveats.join("; ")
    }

    #[test]
    fn no_number_in_a_record_makes_the_verifier_stumble_or_remember_more() {
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
    fn a_journal_that_is_known_from_far_on_is_checked_from_there_on() {
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

    /// All processes have the right time but for some hours, as on machines without a time service, or behind proxies.
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

    /// The messages tell how far the clocks are apart, so machines need no common time.
    #[test]
    fn processes_on_other_machines_are_compared_by_their_messages_v12() {
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
    fn a_clock_that_was_set_back_makes_no_violation_v12() {
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
    fn whoever_was_unplugged_is_not_told_and_that_is_no_violation_v14() {
        let untold = |seconds: u64| {
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
        assert_eq!(untold(60).violated(), [Rule::V14]);
        // The service would not have noticed yet.
        let report = untold(25);
        assert_eq!(report.violated(), []);
        assert!(caveats(&report, Rule::V14).contains("ended before it could get more"));
    }

    /// The service's log, cut into two files: a later start in the second one is no beginning of it.
    #[test]
    fn a_service_log_is_split_at_any_line_before_a_restart_v1_v4_v13() {
        let mut whole = truthful();
        let head = whole.0[0].records.iter().rfind(|record| record["logical_time"].is_u64()).unwrap().clone();
        let start = json!({"timestamp": "2026-01-02T00:00:00Z", "level": "INFO", "component": "server",
            "event": "server_started", "epoch": head["epoch"], "sequence": head["sequence"],
            "logical_time": head["logical_time"]});
        whole.0[0].records.push(start);
        for at in 1..whole.0[0].records.len() {
            let mut older = whole.0[0].clone();
            let newer =
                crate::trace::gallery::JsonLog { name: "newer".into(), records: older.records.split_off(at) };
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
    fn a_service_log_that_was_copied_earlier_accuses_nobody_v3_v10() {
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
        // The service went on for long after it should have recorded the event.
        let last = logs.0[0].records.last().unwrap().clone();
        logs.0[0]
            .records
            .push(json!({"timestamp": "2026-01-02T00:00:00Z", "level": "INFO", "component": "server",
            "event": "client_connected", "epoch": last["epoch"], "participant_id": "p1", "sequence": 3}));
        let violated = logs.verify().unwrap().violated();
        assert!(violated.contains(&Rule::V3) && violated.contains(&Rule::V10), "{violated:?}");
    }

    /// A client's log without its beginning.
    #[test]
    fn a_client_log_without_its_beginning_accuses_nobody_v9() {
        for file in 1..truthful().0.len() {
            for at in 0..truthful().0[file].records.len() {
                let mut logs = truthful();
                logs.0[file].records.drain(..at);
                let report = logs.verify().unwrap();
                assert_eq!(report.violated(), [], "{file} from {at}: {report:#?}");
            }
        }
    }

    /// A slow path, or a client whose output nobody reads: what it lacks was handed to its stream.
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

    /// The first log that has them, with its deliveries put into this order, and what V4 says of it.
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
    fn whatever_came_in_the_wrong_order_is_said_once_and_as_it_was_v4() {
        let says = |order: &[usize], expected: &[&str]| assert_eq!(delivered_as(order), expected, "{order:?}");
        says(&[0, 1, 2, 3, 4, 5], &[]);
        says(&[0, 1, 3, 2, 4, 5], &["event 4 before event 3, which comes first in the order."]);
        says(&[0, 1, 4, 2, 3, 5], &["event 5 before event 3, which comes first in the order."]);
        says(&[0, 1, 3, 4, 5], &["event 4 right after event 2: the one event in between never arrived."]);
        says(&[0, 1, 2, 1, 2, 3], &["event 2 after event 3: deliveries went back in the order."]);
        says(&[0, 1, 1, 2], &["event 2 twice."]);
        let late_and_never = [
            "event 5 before event 3, which comes first in the order.",
            "events 2 and 5, but event 4 in between never arrived.",
        ];
        says(&[0, 1, 4, 2, 5], &late_and_never);
    }

    /// What is said of some mistakes, word for word: it names what differs, and nothing that is right.
    #[test]
    fn sentences_name_what_differs_v6_v10_v11() {
        let first = |rule: Rule, logs: &Logs| {
            let report = logs.verify().unwrap();
            report.rule(rule).violations.first().map(|violation| violation.sentence.clone()).unwrap_or_default()
        };
        let made = |title: &str| {
            let mistakes = crate::trace::gallery::mistakes();
            let mistake = mistakes.iter().find(|mistake| mistake.title == title).unwrap();
            mistake.made_in(&truthful()).unwrap()
        };
        assert_eq!(
            first(Rule::V10, &made("The acknowledgement tells another time")),
            "alice (p1) was told in the answer that event 4 has time 10, but it was broadcast with 11."
        );
        assert_eq!(
            first(Rule::V11, &made("What the writer had seen is made up")),
            "Event 4 states that alice (p1) sent it at time 9 with a view up to event 2, but no send of it in the log of \
             alice (p1) has both."
        );
        let mut logs = truthful();
        let bob = &mut logs.0[2].records;
        let at = bob.iter().position(|record| record["event"] == "leave_acknowledged").unwrap();
        let (left, time) = (bob[at]["sequence"].clone(), bob[at]["logical_time"].clone());
        let mut told = bob.iter().rfind(|record| record["event"] == "event_delivered").unwrap().clone();
        (told["sequence"], told["logical_time"]) = (left.clone(), time);
        bob.insert(at, told);
        assert_eq!(
            first(Rule::V6, &logs),
            format!("bob (p2) was told event {left}, its own leave, before that was acknowledged.")
        );
        let mut alone = truthful();
        alone.0.remove(1);
        let report = alone.verify().unwrap();
        let notes = caveats(&report, Rule::V11);
        assert!(notes.contains("it is unknown whether alice (p1) sent 4 of its messages: its whole"), "{notes}");
    }

    /// Each line says whose it is, so that they need not stand together.
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
    fn the_lines_of_several_processes_without_a_run_in_one_file_are_no_log() {
        let mut logs = truthful();
        let (carol, mut bob) = (logs.0.pop().unwrap(), logs.0.pop().unwrap());
        bob.records.extend(carol.records);
        bob.records.sort_by_key(|record| record["timestamp"].as_str().map(str::to_owned));
        logs.0.push(bob);
        assert_eq!(logs.verify().unwrap_err(), InputError::Interleaved);
    }
}
