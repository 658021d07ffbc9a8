//! Mistakes that real implementations make, each as a change to truthful logs. They test the verifier, since the rule
//! that names a mistake must catch it, and `chitchat verify --gallery` shows them.
//!
//! The mistakes are data: a table in TOML, whose format `docs/gallery.md` explains.

mod expression;
mod interpreter;
mod logs;
mod pages;
#[cfg(test)]
mod replicated;
mod table;
mod truthful;

pub use interpreter::NotMade;
pub use logs::{JsonLog, Logs};
pub use pages::page;
pub use table::{TableError, parse};
pub use truthful::truthful;

#[cfg(test)]
pub(in crate::trace) use replicated::replicated;
#[cfg(test)]
pub(in crate::trace) use truthful::LATE;

use super::report::Rule;
use table::MistakeStep;

/// One mistake.
#[derive(Debug)]
pub struct Mistake {
    /// A short sentence.
    pub title: String,
    /// How it comes about, for a student.
    pub explanation: String,
    /// The rule that must catch it.
    pub rule: Rule,
    steps: Vec<MistakeStep>,
    otherwise: Vec<MistakeStep>,
}

impl Mistake {
    /// The logs as they would be, had this mistake been made.
    ///
    /// # Errors
    /// [`NotMade`], if it does not apply to these logs, or a step of the table is wrong.
    pub fn made_in(&self, logs: &Logs) -> Result<Logs, NotMade> {
        let ways = [&self.steps, &self.otherwise].into_iter().filter(|steps| !steps.is_empty());
        for steps in ways {
            if let Some(logs) = interpreter::run(steps, logs)? {
                return Ok(logs);
            }
        }
        Err(NotMade::NoOccasion)
    }
}

/// The table of the built-in mistakes.
const TABLE: &str = include_str!("gallery/mistakes.toml");

/// The built-in mistakes, in the order of the rules.
pub fn mistakes() -> Vec<Mistake> {
    parse(TABLE).expect("the program's own table is correct")
}

/// How many mistakes are built in, without parsing them.
pub fn count_mistakes() -> usize {
    TABLE.lines().filter(|line| *line == "[[mistake]]").count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::report::Verdict;

    #[test]
    fn the_truthful_logs_keep_every_rule() {
        let report = truthful().verify().unwrap();
        let held = report.with(Verdict::Held);
        assert_eq!(held, Rule::ALL, "{:#?}", report.rules);
        assert!(report.rules.iter().all(|rule| rule.is_settled() && !rule.had_nothing()), "{:#?}", report.rules);
    }

    #[test]
    fn every_mistake_is_caught_by_the_rule_that_names_it_v1_to_v15() {
        let mistakes = mistakes();
        assert!(mistakes.len() >= 50);
        assert_eq!(count_mistakes(), mistakes.len());
        assert!(mistakes.is_sorted_by_key(|mistake| mistake.rule));
        for mistake in &mistakes {
            let report = mistake.made_in(&truthful()).expect(&mistake.title).verify().unwrap();
            assert!(report.violated().contains(&mistake.rule), "{}: {:?}", mistake.title, report.violated());
        }
        for rule in Rule::ALL {
            assert!(mistakes.iter().any(|mistake| mistake.rule == rule), "{rule} names none");
        }
    }

    fn table(steps: &str) -> String {
        format!("[[mistake]]\nrule = \"V1\"\ntitle = \"A\"\nexplanation = \"B\"\nsteps = [\n{steps}\n]\n")
    }

    #[test]
    fn a_wrong_table_is_refused_with_its_line_and_what_is_wrong() {
        let says = |text: &str, expected: &str| {
            let error = parse(text).map(drop).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} instead of {expected:?}");
        };
        says("[[mistake]", "line 1: ");
        says("[[mistakes]]", "unknown field `mistakes`, expected `mistake`");
        says(&table("").replace("V1", "V16"), "line 2: \"V16\" is not a rule: the rules are V1 to V15");
        says(&table("").replace("title", "titel"), "unknown field `titel`");
        let step = |step: &str, expected: &str| says(&table(&format!("\n{step}")), &format!("line 7: {expected}"));
        step("{ fnd = \"a\" }", "a step needs exactly one of find, check, set,");
        step("{ find = \"a\", set = \"b\" }", "a step needs exactly one of find, check, set,");
        step("{ find = \"a\", nht = 2 }", "unknown field `nht`, expected one of `find`, `in`, `where`,");
        step("{ find = \"a\", nth = 0 }", "invalid value: integer `0`, expected a nonzero i64");
        step("{ find = \"a\", where = \"event = 'x'\" }", "syntax error: ");
        step("{ find = \"a\", where = \"evnt == 'x'\" }", "no log record has the field \"evnt\"");
        step("{ find = \"event\" }", "\"event\" cannot be the name of a record");
        step("{ find = \"a\", in = \"elsewhere\" }", "no step before this one finds or adds \"elsewhere\"");
        step("{ remove = \"a\" }", "no step before this one finds or adds \"a\"");
        step(
            "{ set = \"all\", with = { content = \"{{ b.content }}\" } }",
            "no log record has the field \"b.content\"",
        );
        step("{ set = \"all\", with = { contents = \"\" } }", "no log record has the field \"contents\"");
        step("{ add = \"a\" }", "add needs exactly one of after, before, at_end_of");
    }

    #[test]
    fn a_mistake_that_does_not_apply_to_the_logs_is_not_made() {
        let made = |steps: &str| parse(&table(steps)).unwrap()[0].made_in(&truthful()).map(drop);
        let missing = made("{ find = \"a\", where = \"event == 'server_ready'\" }");
        assert!(matches!(missing, Err(NotMade::NoOccasion)));
        let unfit = made("{ find = \"a\" },\n{ check = \"a.message_id + 1 == 2\" }").unwrap_err().to_string();
        assert!(unfit.contains("line 7: invalid operation"), "{unfit}");
        let removed = "{ find = \"a\" }, { remove = \"a\" }, { set = \"a\", with = { content = \"\" } }";
        assert!(made(removed).unwrap_err().to_string().contains("an earlier step has removed \"a\""));
    }

    /// Where a later step has no match, an earlier one tries its next candidate.
    #[test]
    fn finds_go_back_until_all_match() {
        let steps = "{ find = \"a\", in = \"server\", where = \"broadcast\" },
            { find = \"b\", after = \"a\", where = \"event == 'leave_broadcast' and participant_id == a.participant_id\" },
            { check = \"a.kind == 'message'\" }, { set = \"a\", with = { content = \"{{ a.content }} {{ b.sequence }}\" } }";
        let logs = parse(&table(steps)).unwrap()[0].made_in(&truthful()).unwrap();
        let changed = logs.0[0].records.iter().find(|record| record["content"] == "Who was first? 11");
        assert!(changed.is_some());
    }
}
