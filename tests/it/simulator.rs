//! A service and clients in memory, by a seed: what keeps the rules gives no alarm, however its logs are cut and mixed,
//! and each mistake is caught by the rule that one would name (V1 to V15).
//!
//! `CHITCHAT_SIMULATED_RUNS=1000` makes it long.

mod mistakes;
mod world;

use chitchat::trace::gallery::{JsonLog, Logs};
use serde_json::Value;

use mistakes::Mistake;
use world::{Dice, run};

/// How many truthful runs there are, unless told otherwise.
const RUNS: u64 = 40;

fn runs() -> u64 {
    std::env::var("CHITCHAT_SIMULATED_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

/// What may happen to the logs of a run afterwards: copies that were made early, lost pieces, rotation, any order.
fn handle(dice: &mut Dice, mut logs: Logs) -> Logs {
    for _ in 0..dice.below(4) {
        let file = dice.below(logs.0.len() as u64) as usize;
        let count = logs.0[file].records.len() as u64;
        let at = dice.below(count) as usize;
        match dice.below(6) {
            0 => drop(logs.0[file].records.drain(..at)),
            1 => logs.0[file].records.truncate(at.max(1)),
            2 => {
                let later = logs.0[file].records.split_off(at.max(1));
                logs.0.push(JsonLog { name: format!("{}-later", logs.0[file].name), records: later });
            }
            3 => logs.0.reverse(),
            4 if logs.0.len() > 1 => drop(logs.0.remove(file)),
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
    let shown = |rule: &chitchat::trace::report::RuleReport| {
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
    for seed in 0..runs() {
        let (logs, _) = run(seed, None);
        assert_eq!(sentences(&logs), [""; 0], "seed {seed}");
    }
}

/// The same, and the logs are cut, rotated, copied early, lost or given in another order.
#[test]
fn truthful_runs_with_damaged_logs_give_no_alarm_v1_to_v15() {
    for seed in 0..runs() {
        let (logs, _) = run(seed, None);
        let mut dice = Dice::new(seed + 1_000_000);
        for variant in 0..4 {
            let handled = handle(&mut dice, logs.clone());
            assert_eq!(sentences(&handled), [""; 0], "seed {seed}, variant {variant}");
        }
    }
}

/// Each mistake in three runs, at least two of which the rule catches.
#[test]
fn every_simulated_mistake_is_caught_by_the_rule_that_one_would_name_v1_to_v15() {
    assert!(Mistake::ALL.len() >= 70);
    let mut missed = Vec::new();
    for mistake in Mistake::ALL {
        let (mut made, mut caught) = (0, 0);
        for seed in 0..400 {
            let (logs, was_made) = run(seed, Some(*mistake));
            if !was_made {
                continue;
            }
            made += 1;
            // What cannot be the log of one process is refused as that.
            let Ok(report) = logs.verify() else { continue };
            let violated = report.violated();
            let is_named = |rule| violated.contains(&rule);
            // In single runs what follows excuses it: a log that ends, a request that was refused.
            if is_named(mistake.rule()) || mistake.or().is_some_and(is_named) {
                caught += 1;
            }
            if made == 3 {
                break;
            }
        }
        if caught < 2 {
            missed.push(format!(
                "{mistake:?} ({}) was made {made} times, and caught {caught} times",
                mistake.rule()
            ));
        }
    }
    assert_eq!(missed, [""; 0]);
}
