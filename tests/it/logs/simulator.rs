//! A service and clients simulated in memory, from a seed: a run that keeps the rules causes no violation, however its
//! logs are cut and mixed, and each mistake is caught by the rule that it breaks (V1 to V15).
//!
//! `CHITCHAT_SIMULATED_RUNS=1000` tests more runs, and `CHITCHAT_SIMULATED_SEED=5000` other ones.

mod client;
mod dice;
mod mistakes;
mod receiving;
mod requests;
mod service;
mod streams;
mod world;

use chitchat::trace::gallery::{JsonLog, Logs};
use chitchat::trace::report::{Rule, RuleReport};
use serde_json::Value;

use dice::Dice;
use mistakes::Mistake;
use world::run;

/// The default number of truthful runs.
const RUNS: u64 = 40;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect(name))
}

fn runs() -> u64 {
    setting("CHITCHAT_SIMULATED_RUNS").unwrap_or(RUNS)
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    let first = setting("CHITCHAT_SIMULATED_SEED").unwrap_or(0);
    first..first + count
}

/// Does to the logs of a run what may happen to them afterwards: early copies, perhaps in the middle of a line, lost
/// pieces, rotation, any order, and an older copy or the same one beside the log.
fn handle(dice: &mut Dice, mut logs: Logs) -> Logs {
    for _ in 0..dice.below(4) {
        let file = dice.below(logs.0.len() as u64) as usize;
        let count = logs.0[file].records.len() as u64;
        let at = dice.below(count) as usize;
        match dice.below(9) {
            0 => drop(logs.0[file].records.drain(..at)),
            1 => logs.0[file].records.truncate(at.max(1)),
            2 => {
                let later = logs.0[file].records.split_off(at.max(1));
                logs.0.push(JsonLog { name: format!("{}-later", logs.0[file].name), records: later });
            }
            3 => logs.0.reverse(),
            4 if logs.0.len() > 1 => drop(logs.0.remove(file)),
            5 => {
                let older = logs.0[file].records[..at.max(1)].to_vec();
                logs.0.push(JsonLog { name: format!("{}-older", logs.0[file].name), records: older });
            }
            6 => {
                logs.0[file].records.truncate(at.max(1));
                logs.0[file].records.push(Value::from("cut off"));
            }
            7 => {
                let same = logs.0[file].records.clone();
                logs.0.push(JsonLog { name: format!("{}-again", logs.0[file].name), records: same });
            }
            _ => reverse_runs(&mut logs.0[file]),
        }
        logs.0.retain(|log| !log.records.is_empty());
    }
    logs
}

/// Reverses the order of the service's runs in a file, so that the newest comes first.
fn reverse_runs(log: &mut JsonLog) {
    if !log.is_of_service() {
        return;
    }
    let is_start = |record: &Value| record["event"] == "server_started";
    let mut runs: Vec<Vec<Value>> = Vec::new();
    for record in log.records.drain(..) {
        if is_start(&record) || runs.is_empty() {
            runs.push(Vec::new());
        }
        runs.last_mut().unwrap().push(record);
    }
    // A piece without its start would continue the wrong run.
    if runs.iter().all(|run| is_start(&run[0])) {
        runs.reverse();
    }
    log.records = runs.concat();
}

fn sentences(logs: &Logs) -> Vec<String> {
    let report = logs.verify().unwrap();
    let shown = |rule: &RuleReport| {
        let name = rule.rule;
        rule.violations
            .iter()
            .map(move |violation| format!("{name}: {} {:?}", violation.sentence, violation.lines))
            .collect::<Vec<_>>()
    };
    report.rules.iter().flat_map(shown).collect()
}

/// Random delays, skewed clocks, kills, restarts, retries and lost answers.
#[test]
fn truthful_runs_violate_nothing_v1_to_v15() {
    for seed in seeds(runs()) {
        let (logs, _) = run(seed, None);
        assert_eq!(sentences(&logs), [""; 0], "seed {seed}");
    }
}

/// The same, with logs that are cut, rotated, copied early, lost or given in another order.
#[test]
fn truthful_runs_with_damaged_logs_violate_nothing_v1_to_v15() {
    for seed in seeds(runs()) {
        let (logs, _) = run(seed, None);
        let mut dice = Dice::new(seed + 1_000_000);
        for variant in 0..4 {
            let handled = handle(&mut dice, logs.clone());
            assert_eq!(sentences(&handled), [""; 0], "seed {seed}, variant {variant}");
        }
    }
}

/// The default number of runs in which each mistake is made.
const RUNS_OF_A_MISTAKE: u64 = 4;
/// How many seeds to try, at most, for each run that has an occasion for the mistake.
const RUNS_WITHOUT: u64 = 200;

/// The results of the runs in which a mistake was made.
#[derive(Default)]
struct Tally {
    made: u64,
    missed: Vec<(u64, Vec<Rule>)>,
}

fn tally(mistake: Mistake, wanted: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds(wanted * RUNS_WITHOUT) {
        let (logs, was_made) = run(seed, Some(mistake));
        if !was_made {
            continue;
        }
        tally.made += 1;
        let violated = logs.verify().map(|report| report.violated()).unwrap_or_default();
        if !violated.contains(&mistake.rule()) && !mistake.or().is_some_and(|rule| violated.contains(&rule)) {
            tally.missed.push((seed, violated));
        }
        if tally.made == wanted {
            break;
        }
    }
    tally
}

/// Each mistake is caught in every run in which it is made. One that a run may hide, for a documented reason, is caught
/// in at least one run.
#[test]
fn every_simulated_mistake_is_caught_by_its_rule_v1_to_v15() {
    assert!(Mistake::ALL.len() >= 70);
    let wanted = RUNS_OF_A_MISTAKE.max(runs() / 20);
    let mut wrong = Vec::new();
    for mistake in Mistake::ALL {
        let Tally { made, missed } = tally(*mistake, wanted);
        let is_hidden = |missed: usize| mistake.may_hide().is_some() && (missed as u64) < made;
        if made < wanted || !(missed.is_empty() || is_hidden(missed.len())) {
            let (count, rule) = (missed.len(), mistake.rule());
            wrong.push(format!("{mistake:?} ({rule}): made {made} times, missed {count} times: {missed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// If a run may hide a mistake, the specification's table of what no log can show has the reason.
#[test]
fn the_specification_lists_every_reason_why_a_mistake_may_stay_hidden_v1_to_v15() {
    let specification =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/specification.md")).unwrap();
    let table = specification.split_once("What no log can show").unwrap().1.split_once("\n## ").unwrap().0;
    for (mistake, why) in Mistake::ALL.iter().filter_map(|mistake| Some((mistake, mistake.may_hide()?))) {
        assert!(table.contains(&format!("| {why}")), "{mistake:?}: {why}");
    }
}
