//! Mistakes that real implementations make, each as a change to truthful logs. They prove the verifier: every
//! one must be caught by the rule that names it. And they can be shown.

mod at_client;
mod at_request;
mod at_restart;
mod at_service;
mod logs;
mod pages;
mod truthful;

pub use logs::{JsonLog, Logs};
pub use pages::page;
pub use truthful::truthful;

#[cfg(test)]
pub(in crate::trace) use truthful::LATE;

use super::report::Rule;

/// One mistake.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// A few words.
    pub title: &'static str,
    /// How it comes about, for somebody who learns this.
    pub explanation: &'static str,
    /// The rule that names it.
    pub rule: Rule,
    apply: fn(&mut Logs) -> Option<()>,
}

impl Mistake {
    /// The logs as they would be, had this mistake been made; none where they offer no occasion for it.
    pub fn made_in(&self, logs: &Logs) -> Option<Logs> {
        let mut logs = logs.clone();
        (self.apply)(&mut logs)?;
        Some(logs)
    }
}

/// All of them, in the order of the rules.
pub fn mistakes() -> Vec<Mistake> {
    let mut mistakes =
        [at_service::MISTAKES, at_request::MISTAKES, at_restart::MISTAKES, at_client::MISTAKES].concat();
    mistakes.sort_by_key(|mistake| mistake.rule);
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::report::Verdict;

    #[test]
    fn the_truthful_logs_keep_every_rule() {
        let report = truthful().verify().unwrap();
        let held = report.with(Verdict::Held);
        let all_but_copies: Vec<_> = Rule::ALL.into_iter().filter(|rule| *rule != Rule::V13).collect();
        assert_eq!(held, all_but_copies, "{:#?}", report.rules);
    }

    #[test]
    fn every_mistake_is_caught_by_the_rule_that_names_it_v1_to_v15() {
        let mistakes = mistakes();
        assert!(mistakes.len() >= 50);
        for mistake in &mistakes {
            let report = mistake.made_in(&truthful()).expect(mistake.title).verify().unwrap();
            assert!(report.violated().contains(&mistake.rule), "{}: {:?}", mistake.title, report.violated());
        }
        for rule in Rule::ALL {
            assert!(mistakes.iter().any(|mistake| mistake.rule == rule), "{rule} names none");
        }
    }
}
