//! A service and clients in memory, by a seed: what keeps the rules gives no alarm, however its logs are cut and mixed,
//! and each mistake is caught by the rule that one would name (V1 to V15).
//!
//! `CHITCHAT_SIMULATED_RUNS=1000` makes it long, and `CHITCHAT_SIMULATED_SEED=5000` makes other runs.

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

/// How many truthful runs there are, unless told otherwise.
const RUNS: u64 = 40;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect(name))
}

fn runs() -> u64 {
    setting("CHITCHAT_SIMULATED_RUNS").unwrap_or(RUNS)
}

/// A number of seeds.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let first = setting("CHITCHAT_SIMULATED_SEED").unwrap_or(0);
    first..first + count
}

/// What may happen to the logs of a run afterwards: copies that were made early, lost pieces, rotation, any order, and an
/// older copy beside the log.
fn handle(dice: &mut Dice, mut logs: Logs) -> Logs {
    for _ in 0..dice.below(4) {
        let file = dice.below(logs.0.len() as u64) as usize;
        let count = logs.0[file].records.len() as u64;
        let at = dice.below(count) as usize;
        match dice.below(7) {
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
            _ => turn(&mut logs.0[file]),
        }
        logs.0.retain(|log| !log.records.is_empty());
    }
    logs
}

/// The runs of the service in a file, the newest first.
fn turn(log: &mut JsonLog) {
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
    // A piece without its start would continue another run.
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
fn truthful_runs_give_no_alarm_v1_to_v15() {
    for seed in seeds(runs()) {
        let (logs, _) = run(seed, None);
        assert_eq!(sentences(&logs), [""; 0], "seed {seed}");
    }
}

/// The same, and the logs are cut, rotated, copied early, lost or given in another order.
#[test]
fn truthful_runs_with_damaged_logs_give_no_alarm_v1_to_v15() {
    for seed in seeds(runs()) {
        let (logs, _) = run(seed, None);
        let mut dice = Dice::new(seed + 1_000_000);
        for variant in 0..4 {
            let handled = handle(&mut dice, logs.clone());
            assert_eq!(sentences(&handled), [""; 0], "seed {seed}, variant {variant}");
        }
    }
}

/// In how many runs each mistake is made, unless told otherwise.
const RUNS_OF_A_MISTAKE: u64 = 4;
/// In how many runs there may be no occasion for it, for each one that has.
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

/// Each mistake in every run in which it is made; one that a run may hide, for a reason that is said, in one of them at
/// least.
#[test]
fn every_simulated_mistake_is_caught_by_the_rule_that_one_would_name_v1_to_v15() {
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

/// A mistake that a run may hide stands in the specification's table of what no log can show, with that reason.
#[test]
fn the_specification_has_each_reason_for_which_a_mistake_may_be_hidden_v1_to_v15() {
    let specification =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/specification.md")).unwrap();
    let table = specification.split_once("What no log can show").unwrap().1.split_once("\n## ").unwrap().0;
    for (mistake, why) in Mistake::ALL.iter().filter_map(|mistake| Some((mistake, mistake.may_hide()?))) {
        assert!(table.contains(&format!("| {why}")), "{mistake:?}: {why}");
    }
}
