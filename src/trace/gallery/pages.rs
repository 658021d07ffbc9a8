//! The mistakes as the page replays them: each as JSON, with its logs and the verifier's report.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::{Mistake, mistakes, truthful};
use crate::trace::proof::{NamedLog, Proof};

/// The name of the list of all of them.
const INDEX: &str = "index";

/// What is served under a name: `index` for the list, otherwise the number of a mistake, from 1. `None` if there is
/// none. All are made on the first request.
pub fn page(name: &str) -> Option<Arc<str>> {
    static PAGES: OnceLock<Vec<Arc<str>>> = OnceLock::new();
    let pages = PAGES.get_or_init(make);
    let place = if name == INDEX { 0 } else { name.parse().ok().filter(|number| *number > 0)? };
    // "01" and "+1" are not names.
    (name == INDEX || place.to_string() == name).then(|| pages.get(place).cloned()).flatten()
}

fn make() -> Vec<Arc<str>> {
    let mistakes = mistakes();
    let brief = |(number, mistake): (usize, &Mistake)| json!({ "number": number, "title": mistake.title, "rule": mistake.rule.to_string() });
    let index: Vec<Value> = (1..).zip(&mistakes).map(brief).collect();
    let shown = (1..).zip(&mistakes).map(|(number, mistake)| shown(number, mistake));
    std::iter::once(Value::from(index)).chain(shown).map(|page| page.to_string().into()).collect()
}

fn shown(number: usize, mistake: &Mistake) -> Value {
    let made = mistake.made_in(&truthful()).into_iter().next();
    let logs: Vec<NamedLog> = made
        .iter()
        .flat_map(|logs| &logs.0)
        .map(|log| NamedLog {
            name: log.name.clone(),
            text: log.records.iter().map(|record| format!("{record}\n")).collect(),
        })
        .collect();
    let proof = Proof::of(&logs).ok();
    json!({
        "number": number,
        "title": mistake.title,
        "explanation": mistake.explanation,
        "rule": mistake.rule.to_string(),
        "logs": logs.iter().map(|log| json!({ "name": log.name, "text": log.text })).collect::<Vec<_>>(),
        "report": proof.as_ref().map(Proof::published),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_has_a_page_on_which_its_rule_is_broken() {
        let index: Vec<Value> = serde_json::from_str(&page("index").unwrap()).unwrap();
        assert_eq!(index.len(), mistakes().len());
        for (number, listed) in (1..).zip(&index) {
            let shown: Value = serde_json::from_str(&page(&format!("{number}")).unwrap()).unwrap();
            assert_eq!((&shown["number"], &shown["title"]), (&listed["number"], &listed["title"]));
            let rules = shown["report"]["rules"].as_array().unwrap();
            let named = rules.iter().find(|rule| rule["rule"] == shown["rule"]).unwrap();
            assert_eq!(named["verdict"], "violated", "{}", shown["title"]);
        }
        for none in ["0", "01", "+1", "", "x", "999"] {
            assert!(page(none).is_none(), "{none}");
        }
    }
}
