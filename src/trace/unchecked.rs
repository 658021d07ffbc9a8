//! What could not be checked, and why: each reason once, with the rules that it affects.

use std::collections::HashMap;

use super::report::{Report, Rule, Verdict};

/// A reason, and the rules that could not be checked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The reason, as a sentence.
    pub why: String,
    /// The rules that could not be checked at all.
    pub unchecked: Vec<Rule>,
    /// The rules that could not be checked in part.
    pub in_part: Vec<Rule>,
}

/// Every reason once: first those for which rules could not be checked at all, then the others, each group sorted by
/// how many rules it affects. A rule that could not be checked always has a reason.
pub fn reasons(report: &Report) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for rule in &report.rules {
        let is_unchecked = rule.verdict() == Verdict::NotCheckable;
        for why in rule.caveats.iter().map(String::as_str) {
            let place = *known.entry(why).or_insert_with(|| {
                reasons.push(Reason { why: why.into(), unchecked: Vec::new(), in_part: Vec::new() });
                reasons.len() - 1
            });
            let reason = &mut reasons[place];
            let list = if is_unchecked { &mut reason.unchecked } else { &mut reason.in_part };
            list.push(rule.rule);
        }
    }
    reasons.sort_by_key(|reason| {
        (reason.unchecked.is_empty(), std::cmp::Reverse(reason.unchecked.len() + reason.in_part.len()))
    });
    reasons
}

/// Why a rule had nothing to check, although no log is missing.
pub fn nothing_to_check(rule: Rule) -> &'static str {
    match rule {
        Rule::V1 | Rule::V2 | Rule::V8 => "the logs of the service have no event",
        Rule::V3 | Rule::V9 => "no log has a delivery",
        Rule::V4 => "no log has two deliveries to one participant",
        Rule::V5 => "no message was broadcast",
        Rule::V6 => "no log has an acknowledgement or a submitted message",
        Rule::V7 => "no log of a participant was given",
        Rule::V10 => "no log has an acknowledgement",
        Rule::V11 => "the logs have no message, join or leave that can be compared",
        Rule::V12 => "no message was sent after another had been acknowledged",
        Rule::V13 => "there is only one copy of the journal",
        Rule::V14 => "no participant was active when the logs ended",
        Rule::V15 => "no stream ended, and no participant left because of a lost connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::gallery::{Logs, mistakes, truthful};

    #[track_caller]
    fn check(logs: &Logs) -> Vec<Reason> {
        // Without the answers to its requests a log of version 1 does not say whose it is.
        let Ok(report) = logs.verify() else { return Vec::new() };
        let reasons = reasons(&report);
        for rule in report.with(Verdict::NotCheckable) {
            assert!(reasons.iter().any(|reason| reason.unchecked.contains(&rule)), "{rule} has no reason");
        }
        for (index, reason) in reasons.iter().enumerate() {
            assert!(
                !reasons[index + 1..].iter().any(|other| other.why == reason.why),
                "{reason:?} is there twice"
            );
        }
        reasons
    }

    /// Tries every gap: one log is missing, all but one, the records of one kind, or all records from some line on.
    #[test]
    fn a_rule_that_cannot_be_checked_always_has_a_reason() {
        let whole = truthful();
        check(&whole);
        check(&Logs(Vec::new()));
        for file in 0..whole.0.len() {
            check(&Logs(vec![whole.0[file].clone()]));
            let mut without = whole.clone();
            without.0.remove(file);
            check(&without);
            for at in 0..whole.0[file].records.len() {
                let mut cut = whole.clone();
                cut.0[file].records.truncate(at);
                check(&cut);
                check(&Logs(vec![cut.0.swap_remove(file)]));
            }
        }
        let events: std::collections::BTreeSet<String> = (whole.0.iter())
            .flat_map(|log| log.records.iter().filter_map(|record| Some(record["event"].as_str()?.to_owned())))
            .collect();
        for event in events {
            let mut without = whole.clone();
            without.0.iter_mut().for_each(|log| log.records.retain(|record| record["event"] != *event));
            check(&without);
        }
        mistakes().iter().for_each(|mistake| drop(check(&mistake.made_in(&whole).unwrap())));
    }

    #[test]
    fn a_missing_log_is_reported_once() {
        let mut logs = truthful();
        logs.0.remove(1);
        let about_alice = check(&logs).into_iter().filter(|reason| reason.why.contains("no log of alice"));
        let about_alice: Vec<_> = about_alice.collect();
        assert_eq!(about_alice.len(), 1, "{about_alice:?}");
        assert!(about_alice[0].in_part.len() + about_alice[0].unchecked.len() >= 8, "{about_alice:?}");
    }
}
