//! The rules that are checked on the journal alone: V1, V2, V5, V8, V11 (valid texts and names), V13, V15; and V4 and
//! V9 for what the service itself records that it handed to streams.

use std::collections::{BTreeMap, HashMap};

use crate::chat::{DisplayName, NameKey};
use crate::trace::model::{Farewell, FarewellFault, Handed, LoggedEvent, LoggedJournal, ServiceRun, ServiceStart};
use crate::trace::record::{LineRef, LoggedKind, Who};
use crate::trace::report::{Rule, RuleReport};

use super::holes;

/// A request with a time further ahead of the service's clock is refused (L5).
const CLOCK_LEAP_MAX: u64 = 1 << 20;

pub(super) fn check(journal: &LoggedJournal, rules: &mut [RuleReport]) {
    if !journal.is_known() {
        let why = format!("no log of the service for epoch {} was given", journal.epoch);
        Rule::ALL
            .iter()
            .filter(|rule| **rule != Rule::V7)
            .for_each(|rule| rules[*rule as usize].lack(why.clone()));
        return;
    }
    let missing = journal.missing();
    if missing > 0 {
        let why = format!("the given logs of the service lack {missing} of the events of epoch {}", journal.epoch);
        for rule in [Rule::V1, Rule::V2, Rule::V5, Rule::V8] {
            rules[rule as usize].lack(why.clone());
        }
    }
    holes::in_journal(journal, rules);
    v1_numbering(journal, &mut rules[Rule::V1 as usize]);
    v2_clock(journal, &mut rules[Rule::V2 as usize]);
    v4_streams_continue(journal, &mut rules[Rule::V4 as usize]);
    v5_no_duplicate(journal, &mut rules[Rule::V5 as usize]);
    v8_membership(journal, &mut rules[Rule::V8 as usize]);
    v9_stream_in_membership(journal, &mut rules[Rule::V9 as usize]);
    v9_after_the_end(journal, &mut rules[Rule::V9 as usize]);
    v11_valid(journal, &mut rules[Rule::V11 as usize]);
    v13_prefix(journal, &mut rules[Rule::V13 as usize]);
    v15_farewell(journal, &mut rules[Rule::V15 as usize]);
}

fn v1_numbering(journal: &LoggedJournal, rule: &mut RuleReport) {
    rule.checked += journal.broadcasts;
    for run in journal.runs.iter().filter(|run| run.start.is_none()) {
        if let Some(first) = run.first.filter(|first| *first > 1 && journal.event(*first - 1).is_none()) {
            rule.lack(format!("a log of the service begins in the middle, with event {first}"));
        }
    }
    for found in &journal.irregular {
        let (expected, stated) = (found.expected, found.stated);
        let sentence = || match stated {
            _ if stated > expected => {
                format!("Event {stated} came where event {expected} should be: the numbering has a gap.")
            }
            _ => format!(
                "Event {stated} came where event {expected} should be: a number was used twice or out of order."
            ),
        };
        let lines: Vec<_> = found.before.into_iter().chain([found.line]).collect();
        rule.violate(found.at, sentence, &lines);
    }
}

fn v2_clock(journal: &LoggedJournal, rule: &mut RuleReport) {
    let recovered: HashMap<u64, (u64, LineRef)> =
        journal.starts().map(|start| (start.sequence, (start.logical_time, start.line))).collect();
    let mut before: Option<(u64, u64, LineRef)> = None;
    for (sequence, event) in journal.events() {
        let previous = match before.filter(|(last, ..)| *last == sequence - 1) {
            Some((_, time, line)) => Some((time, Some(line))),
            None if sequence == 1 => Some((0, None)),
            None => recovered.get(&(sequence - 1)).map(|(time, line)| (*time, Some(*line))),
        };
        before = Some((sequence, event.logical_time, event.line));
        // A delivery states the time in the request only for messages, and the record of another program need not.
        let Some((time, line)) = previous.filter(|_| !event.filled_in || event.sent > 0) else { continue };
        rule.checked += 1;
        if event.sent > time.saturating_add(CLOCK_LEAP_MAX) {
            let (sent, i) = (event.sent, sequence);
            let sentence = || {
                format!(
                    "Event {i} was accepted with time {sent} in its request, more than 2^20 after L({}) = {time}: the \
                     service must refuse such a request, or one client could use up the clock.",
                    i - 1
                )
            };
            let lines: Vec<_> = line.into_iter().chain([event.line]).collect();
            rule.violate(event.at, sentence, &lines);
        }
        let right = time.max(event.sent).saturating_add(2);
        if event.logical_time != right {
            let (stated, sent, i) = (event.logical_time, event.sent, sequence);
            let sentence = || {
                format!(
                    "Event {i} has logical time {stated}, but max(L({}), t({i})) + 2 = max({time}, {sent}) + 2 = {right}: \
                 receiving the request is one step of the clock, broadcasting the event another.",
                    i - 1
                )
            };
            let lines: Vec<_> = line.into_iter().chain([event.line]).collect();
            rule.violate(event.at, sentence, &lines);
        }
    }
    v2_recovered(journal, rule);
}

/// A restarted service continues with the time at which its journal ends.
fn v2_recovered(journal: &LoggedJournal, rule: &mut RuleReport) {
    for start in journal.starts() {
        let Some(event) = journal.event(start.sequence) else { continue };
        rule.checked += 1;
        if event.logical_time != start.logical_time {
            let (i, was, is) = (start.sequence, event.logical_time, start.logical_time);
            let sentence = || {
                format!(
                    "The service started again after event {i} with its clock at {is}, but that event has time {was}."
                )
            };
            rule.violate(start.at, sentence, &[event.line, start.line]);
        }
    }
}

/// Events that were handed to a stream may never have arrived, so they do not count as checked: only deliveries do.
fn v4_streams_continue(journal: &LoggedJournal, rule: &mut RuleReport) {
    for gap in journal.stream_gaps() {
        let (who, first, expected) = (journal.title(gap.who), gap.first, gap.expected.value);
        let sentence = || {
            format!("The stream of {who} was handed event {first} where event {expected} should have come next.")
        };
        rule.violate(gap.at, sentence, &[gap.expected.line, gap.line]);
    }
}

fn v5_no_duplicate(journal: &LoggedJournal, rule: &mut RuleReport) {
    rule.checked += journal.events().filter(|(_, event)| event.kind == LoggedKind::Message).count() as u64;
    for (first, second) in &journal.repeated {
        let (Some(one), Some(two)) = (journal.event(*first), journal.event(*second)) else { continue };
        let who = journal.title(one.who);
        let sentence = || {
            format!(
                "Events {first} and {second} have the same message id of {who}: a repeated publish was taken for a new \
             message."
            )
        };
        rule.violate(two.at, sentence, &[one.line, two.line]);
    }
}

/// Tracks who is active and who has left, while the journal is read.
#[derive(Default)]
struct MembershipTracker {
    active: HashMap<Who, (LineRef, Option<NameKey>)>,
    gone: HashMap<Who, LineRef>,
    names: BTreeMap<NameKey, (Who, LineRef)>,
    keys: HashMap<u32, Option<NameKey>>,
}

impl MembershipTracker {
    fn key(&mut self, journal: &LoggedJournal, name: u32) -> Option<NameKey> {
        let parse = || DisplayName::parse(journal.name(name)).ok().map(|name| name.key());
        self.keys.entry(name).or_insert_with(parse).clone()
    }

    fn join(&mut self, journal: &LoggedJournal, event: &LoggedEvent, rule: &mut RuleReport) {
        let who = journal.title(event.who);
        if let Some(line) =
            self.active.get(&event.who).map(|(line, _)| *line).or(self.gone.get(&event.who).copied())
        {
            let sentence = || format!("{who} joined twice: a participant can join only once.");
            rule.violate(event.at, sentence, &[line, event.line]);
        }
        let key = self.key(journal, event.name);
        if let Some(key) = &key
            && let Some((holder, line)) = self.names.get(key).filter(|(holder, _)| *holder != event.who)
        {
            let (name, holder) = (journal.name(event.name), journal.title(*holder));
            let sentence = || format!("{name} joined while {holder}, whose name looks the same, was still here.");
            rule.violate(event.at, sentence, &[*line, event.line]);
        }
        if let Some(key) = &key {
            self.names.insert(key.clone(), (event.who, event.line));
        }
        self.active.insert(event.who, (event.line, key));
    }

    fn leave(&mut self, event: &LoggedEvent) {
        if let Some((_, Some(key))) = self.active.remove(&event.who)
            && self.names.get(&key).is_some_and(|(holder, _)| *holder == event.who)
        {
            self.names.remove(&key);
        }
        self.gone.insert(event.who, event.line);
    }
}

fn v8_membership(journal: &LoggedJournal, rule: &mut RuleReport) {
    let mut roster = MembershipTracker::default();
    let mut expected = 1;
    let mut whole = true;
    for (sequence, event) in journal.events() {
        if sequence != expected {
            // Active participants may have left meanwhile.
            whole = false;
            roster.names.clear();
        }
        expected = sequence.saturating_add(1);
        rule.checked += 1;
        if event.kind == LoggedKind::Joined {
            roster.join(journal, event, rule);
            continue;
        }
        let does = if event.kind == LoggedKind::Left { "left as" } else { "wrote" };
        let who = journal.title(event.who);
        if let Some(left) = roster.gone.get(&event.who) {
            let sentence = || format!("{who} {does} event {sequence}, but had already left.");
            rule.violate(event.at, sentence, &[*left, event.line]);
        } else if !roster.active.contains_key(&event.who) && whole {
            let sentence = || format!("{who} {does} event {sequence}, but had never joined.");
            rule.violate(event.at, sentence, &[event.line]);
        }
        if event.kind == LoggedKind::Left {
            roster.leave(event);
        }
    }
}

fn v9_stream_in_membership(journal: &LoggedJournal, rule: &mut RuleReport) {
    for (who, handed) in journal.strayed() {
        let Handed { line, at, first, last } = handed;
        let (title, head) = (journal.title(who), journal.head());
        let (joined, left) = (journal.joined(who), journal.left(who));
        let events = if first == last { format!("event {first}") } else { format!("events {first} to {last}") };
        let (sentence, shown) = match (joined, left) {
            (Some((joined, event)), _) if first < joined => {
                (format!("{title} was sent {events}, but joined only later, as event {joined}."), Some(event.line))
            }
            (_, Some((left, event))) if last >= left => {
                (format!("{title} was sent {events}, but had already left, as event {left}."), Some(event.line))
            }
            _ => (format!("{title} was sent {events}, but the journal ends with event {head}."), None),
        };
        let lines: Vec<_> = shown.into_iter().chain([line]).collect();
        rule.violate(at, || sentence, &lines);
    }
}

/// Events that the service handed to a stream after the stream had ended, both by its own records.
fn v9_after_the_end(journal: &LoggedJournal, rule: &mut RuleReport) {
    for (who, Handed { line, at, first, last }, ended) in journal.after_end() {
        let who = journal.title(*who);
        let events = if first == last { format!("event {first}") } else { format!("events {first} to {last}") };
        let sentence = || format!("{who} was sent {events} after its stream had ended.");
        rule.violate(*at, sentence, &[*ended, *line]);
    }
}

fn v11_valid(journal: &LoggedJournal, rule: &mut RuleReport) {
    for (sequence, event) in journal.events() {
        rule.checked += 1;
        if !event.valid {
            let sentence = || match event.kind {
                LoggedKind::Message => {
                    format!("Event {sequence} has a text that is empty or longer than 128 characters.")
                }
                _ => format!(
                    "Event {sequence} has an invalid name, or its content is not the sentence for a join or leave."
                ),
            };
            rule.violate(event.at, sentence, &[event.line]);
        }
    }
}

/// Uses only the clock of the service.
fn v15_farewell(journal: &LoggedJournal, rule: &mut RuleReport) {
    let (checked, faults) = journal.farewells();
    rule.checked += checked;
    if let Some(why) = journal.replicas_not_judged().filter(|_| journal.is_of_replicas()) {
        rule.caveat(why);
    } else if journal.is_without_grace() {
        rule.caveat("the service's log is from an older version, which does not state the grace period".into());
    } else if journal.is_unsure_of_farewells() {
        rule.caveat(
            "the journal could not be written for a while, a lab stopped the writer, or the clock was set back, so the times of leaves are not judged".into(),
        );
    } else if checked == 0 && journal.runs.iter().any(|run| run.start.is_none()) {
        rule.lack("the log of the service begins in the middle of a run, and has no later start".into());
    }
    for Farewell { who, fault, after, since, line, at } in faults {
        let (who, seconds) = (journal.title(who), after / 1_000_000);
        let sentence = || match fault {
            FarewellFault::Connected => format!("{who} left as disconnected, although its stream was open."),
            FarewellFault::Early => format!(
                "{who} left as disconnected {seconds} s after its stream had ended, before its grace period was over."
            ),
            FarewellFault::Late => {
                format!("{who} left {seconds} s after its stream had ended, long after its grace period was over.")
            }
            FarewellFault::Never => format!(
                "{who} did not come back after its stream had ended, and {seconds} s later it had still not left."
            ),
        };
        rule.violate(at, sentence, &[since, line]);
    }
}

/// Every start that follows another run in the same file, with the last event recorded before it, in whatever order the
/// file has the runs.
fn restarts(journal: &LoggedJournal) -> Vec<(u64, LineRef, ServiceStart)> {
    let mut runs: Vec<&ServiceRun> = journal.runs.iter().filter(|run| !run.is_copy).collect();
    runs.sort_by_key(|run| (run.file, run.place()));
    let mut restarts = Vec::new();
    for of_a_file in runs.chunk_by(|one, next| one.file == next.file) {
        let mut before: Option<(u64, LineRef)> = None;
        // Runs at the same place are copies of each other.
        for copies in of_a_file.chunk_by(|one, next| one.place() == next.place()) {
            let started = copies.iter().filter_map(|run| run.start);
            restarts.extend(
                before.into_iter().flat_map(|(last, line)| started.clone().map(move |start| (last, line, start))),
            );
            before = copies.iter().filter_map(|run| run.last).chain(before).max();
        }
    }
    restarts
}

fn v13_prefix(journal: &LoggedJournal, rule: &mut RuleReport) {
    rule.checked += journal.compared;
    for conflict in &journal.conflicts {
        let i = conflict.sequence;
        let sentence =
            || format!("Two copies of the journal disagree about event {i}, so neither is a prefix of the other.");
        rule.violate(conflict.at, sentence, &[conflict.one, conflict.other]);
    }
    if let without @ [_, ..] = &*journal.replicas_without_log() {
        let names = without.join(", ");
        rule.lack(format!("no log of replica {names} was given, so it is unknown whether it had the same events"));
    }
    let restarts = restarts(journal);
    for (last, line, start) in &restarts {
        let (last, line) = (*last, *line);
        rule.checked += 1;
        if start.sequence < last {
            let found = start.sequence;
            let sentence = || {
                format!(
                    "The service had recorded event {last}, but when it started again its journal ended with event {found}: \
                 what was recorded is no longer there."
                )
            };
            rule.violate(start.at, sentence, &[line, start.line]);
        }
    }
    for previous in &journal.previous {
        rule.caveat(format!(
            "the journal was replaced by an older copy: epoch {} was recorded up to event {}, and epoch {} continues \
             after event {}",
            previous.epoch, previous.last, journal.epoch, previous.after
        ));
    }
    // A start that found an empty journal has nothing before it: there is one copy, and one order.
    let from_start = journal.starts().filter(|start| start.sequence == 0).count() as u64;
    if journal.compared > 0 || !restarts.is_empty() {
        return;
    }
    rule.checked += from_start;
    if from_start == 0 {
        rule.lack(format!(
            "there is only one copy of the journal of epoch {}, and no log of the service with its beginning was given",
            journal.epoch
        ));
    }
}
