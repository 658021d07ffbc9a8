//! The rules V1 to V14 over the logs of all processes (specification, chapter 8).
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
        let (join, queued) = (log.join, log.queued(&step.act));
        let context = StepContext { join, queued, ..StepContext::new(model, index, step) };
        for (rule, check) in steps::CHECKS {
            check(&context, &mut rules[rule as usize]);
        }
        if let Some(note) = steps::EventNote::of(&context) {
            note.put(&mut model.journals[model.sessions[index].journal]);
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

    #[test]
    fn by_clocks_of_other_machines_a_session_is_compared_with_itself_alone_v12() {
        let remote = |record: &mut Value| {
            if record["peer"].is_string() {
                record["peer"] = json!("192.0.2.7:50000");
            }
        };
        let made = |title: &str, remote: &dyn Fn(&mut Value)| {
            let mistakes = crate::trace::gallery::mistakes();
            let mistake = mistakes.iter().find(|mistake| mistake.title == title).unwrap();
            mistake.made_in(&with(remote)).unwrap().verify().unwrap().violated()
        };
        let (others, own) = (
            "A later message overtakes one that was acknowledged",
            "A message overtakes an earlier one of its own writer",
        );
        assert!(made(others, &|_| {}).contains(&Rule::V12));
        assert!(!made(others, &remote).contains(&Rule::V12));
        assert!(made(own, &remote).contains(&Rule::V12));
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
        assert_eq!((report.violated(), report.rule(Rule::V12).verdict()), (vec![], Verdict::NotCheckable));
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
