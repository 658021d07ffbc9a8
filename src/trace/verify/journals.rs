//! The rules that the journal alone can break: V1, V2, V5, V8, V11 (valid texts and names), V13. And V4 and V9 as
//! far as the service says itself what it handed to streams.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::chat::{DisplayName, NameKey};
use crate::trace::model::{Entry, Journal};
use crate::trace::record::{Kind, LineRef, Who};
use crate::trace::report::{Rule, RuleReport};

use super::holes;

pub(super) fn check(journal: &Journal, rules: &mut [RuleReport]) {
    if !journal.is_known() {
        let why = format!("no log of the service for epoch {} was given", journal.epoch);
        Rule::ALL.iter().filter(|rule| **rule != Rule::V7).for_each(|rule| rules[*rule as usize].gap(why.clone()));
        return;
    }
    let missing = journal.missing();
    if missing > 0 {
        let why = format!(
            "{missing} events of epoch {} happened, but are in none of the given logs of the service",
            journal.epoch
        );
        for rule in [Rule::V1, Rule::V2, Rule::V8] {
            rules[rule as usize].gap(why.clone());
        }
    }
    holes::in_journal(journal, rules);
    v1_numbering(journal, &mut rules[Rule::V1 as usize]);
    v2_clock(journal, &mut rules[Rule::V2 as usize]);
    v4_streams_go_on(journal, &mut rules[Rule::V4 as usize]);
    v5_no_duplicate(journal, &mut rules[Rule::V5 as usize]);
    v8_membership(journal, &mut rules[Rule::V8 as usize]);
    v9_stream_in_membership(journal, &mut rules[Rule::V9 as usize]);
    v11_valid(journal, &mut rules[Rule::V11 as usize]);
    v13_prefix(journal, &mut rules[Rule::V13 as usize]);
}

fn v1_numbering(journal: &Journal, rule: &mut RuleReport) {
    rule.checked += journal.broadcasts;
    let with_start: HashSet<u32> = journal.starts.iter().map(|start| start.line.file).collect();
    for found in &journal.irregular {
        let (expected, stated) = (found.expected, found.stated);
        if found.before.is_none() && stated > expected && !with_start.contains(&found.line.file) {
            rule.gap(format!("a log of the service begins in the middle, with event {stated}"));
            continue;
        }
        let sentence = || match stated {
            _ if stated > expected => {
                format!("Event {stated} came where event {expected} should be: the numbering has a gap.")
            }
            _ => format!(
                "Event {stated} came where event {expected} should be: a number was used twice or out of order."
            ),
        };
        let lines: Vec<_> = found.before.into_iter().chain([found.line]).collect();
        rule.violate(sentence, &lines);
    }
}

fn v2_clock(journal: &Journal, rule: &mut RuleReport) {
    let recovered: HashMap<u64, (u64, LineRef)> =
        journal.starts.iter().map(|start| (start.sequence, (start.logical_time, start.line))).collect();
    let mut before: Option<(u64, u64, LineRef)> = None;
    for (sequence, entry) in journal.entries() {
        let previous = match before.filter(|(last, ..)| *last == sequence - 1) {
            Some((_, time, line)) => Some((time, Some(line))),
            None if sequence == 1 => Some((0, None)),
            None => recovered.get(&(sequence - 1)).map(|(time, line)| (*time, Some(*line))),
        };
        before = Some((sequence, entry.logical_time, entry.line));
        // A delivery tells the time in the request of messages alone.
        let Some((time, line)) = previous.filter(|_| !entry.filled_in || entry.kind == Kind::Message) else {
            continue;
        };
        rule.checked += 1;
        let right = time.max(entry.sent).saturating_add(2);
        if entry.logical_time != right {
            let (stated, sent, i) = (entry.logical_time, entry.sent, sequence);
            let sentence = || {
                format!(
                    "Event {i} has logical time {stated}, but max(L({}), t({i})) + 2 = max({time}, {sent}) + 2 = {right}: \
                 receiving it is one step of the clock, broadcasting it another.",
                    i - 1
                )
            };
            let lines: Vec<_> = line.into_iter().chain([entry.line]).collect();
            rule.violate(sentence, &lines);
        }
    }
    v2_recovered(journal, rule);
}

/// A restarted service goes on with the time at which its journal ends.
fn v2_recovered(journal: &Journal, rule: &mut RuleReport) {
    for start in &journal.starts {
        let Some(entry) = journal.entry(start.sequence) else { continue };
        rule.checked += 1;
        if entry.logical_time != start.logical_time {
            let (i, was, is) = (start.sequence, entry.logical_time, start.logical_time);
            let sentence = || {
                format!(
                    "The service started again after event {i} with its clock at {is}, but that event has time {was}."
                )
            };
            rule.violate(sentence, &[entry.line, start.line]);
        }
    }
}

/// What was handed to a stream may never have arrived, so it is not counted: the rule holds over what did.
fn v4_streams_go_on(journal: &Journal, rule: &mut RuleReport) {
    for leap in journal.leaps() {
        let (who, first, expected) = (journal.title(leap.who), leap.first, leap.expected.value);
        let sentence = || {
            format!("The stream of {who} was handed event {first} where event {expected} should have come next.")
        };
        rule.violate(sentence, &[leap.expected.line, leap.line]);
    }
}

fn v5_no_duplicate(journal: &Journal, rule: &mut RuleReport) {
    rule.checked += journal.entries().filter(|(_, entry)| entry.kind == Kind::Message).count() as u64;
    for (first, second) in &journal.repeated {
        let (Some(one), Some(two)) = (journal.entry(*first), journal.entry(*second)) else { continue };
        let who = journal.title(one.who);
        let sentence = || {
            format!(
                "Events {first} and {second} are the same publish of {who}, by its message id: a repeat was taken for a \
             new message."
            )
        };
        rule.violate(sentence, &[one.line, two.line]);
    }
}

/// Who is here, while the journal is read.
#[derive(Default)]
struct Roster {
    active: HashMap<Who, (LineRef, Option<NameKey>)>,
    gone: HashMap<Who, LineRef>,
    names: BTreeMap<NameKey, (Who, LineRef)>,
    keys: HashMap<u32, Option<NameKey>>,
}

impl Roster {
    fn key(&mut self, journal: &Journal, name: u32) -> Option<NameKey> {
        let parse = || DisplayName::parse(journal.name(name)).ok().map(|name| name.key());
        self.keys.entry(name).or_insert_with(parse).clone()
    }

    fn join(&mut self, journal: &Journal, entry: &Entry, rule: &mut RuleReport) {
        let who = journal.title(entry.who);
        if let Some(line) =
            self.active.get(&entry.who).map(|(line, _)| *line).or(self.gone.get(&entry.who).copied())
        {
            rule.violate(|| format!("{who} joined twice: a participant is one membership."), &[line, entry.line]);
        }
        let key = self.key(journal, entry.name);
        if let Some(key) = &key
            && let Some((holder, line)) = self.names.get(key).filter(|(holder, _)| *holder != entry.who)
        {
            let (name, holder) = (journal.name(entry.name), journal.title(*holder));
            let sentence = || format!("{name} joined while {holder}, whose name looks the same, was still here.");
            rule.violate(sentence, &[*line, entry.line]);
        }
        if let Some(key) = &key {
            self.names.insert(key.clone(), (entry.who, entry.line));
        }
        self.active.insert(entry.who, (entry.line, key));
    }

    fn leave(&mut self, entry: &Entry) {
        if let Some((_, Some(key))) = self.active.remove(&entry.who)
            && self.names.get(&key).is_some_and(|(holder, _)| *holder == entry.who)
        {
            self.names.remove(&key);
        }
        self.gone.insert(entry.who, entry.line);
    }
}

fn v8_membership(journal: &Journal, rule: &mut RuleReport) {
    let mut roster = Roster::default();
    let mut expected = 1;
    let mut whole = true;
    for (sequence, entry) in journal.entries() {
        if sequence != expected {
            // Whoever was here may have left meanwhile.
            whole = false;
            roster.names.clear();
        }
        expected = sequence.saturating_add(1);
        rule.checked += 1;
        if entry.kind == Kind::Joined {
            roster.join(journal, entry, rule);
            continue;
        }
        let does = if entry.kind == Kind::Left { "left" } else { "wrote" };
        let who = journal.title(entry.who);
        if let Some(left) = roster.gone.get(&entry.who) {
            let sentence = || format!("{who} {does} as event {sequence}, but it had left before.");
            rule.violate(sentence, &[*left, entry.line]);
        } else if !roster.active.contains_key(&entry.who) && whole {
            let sentence = || format!("{who} {does} as event {sequence}, but it had never joined.");
            rule.violate(sentence, &[entry.line]);
        }
        if entry.kind == Kind::Left {
            roster.leave(entry);
        }
    }
}

fn v9_stream_in_membership(journal: &Journal, rule: &mut RuleReport) {
    for (line, who, first, last) in &journal.strayed {
        let who = journal.title(*who);
        let sentence = || {
            format!("{who} was sent events {first} to {last}, which are not all between its join and its leave.")
        };
        rule.violate(sentence, &[*line]);
    }
}

fn v11_valid(journal: &Journal, rule: &mut RuleReport) {
    for (sequence, entry) in journal.entries() {
        rule.checked += 1;
        if !entry.valid {
            let sentence = || match entry.kind {
                Kind::Message => {
                    format!("Event {sequence} has a text that is empty or longer than 128 characters.")
                }
                _ => format!(
                    "Event {sequence} has a name that is not valid, or not the sentence for a join or leave."
                ),
            };
            rule.violate(sentence, &[entry.line]);
        }
    }
}

fn v13_prefix(journal: &Journal, rule: &mut RuleReport) {
    rule.checked += journal.compared;
    for fork in &journal.forks {
        let i = fork.sequence;
        let sentence =
            || format!("Two copies of the journal disagree about event {i}, so neither is a prefix of the other.");
        rule.violate(sentence, &[fork.one, fork.other]);
    }
    for start in &journal.starts {
        let Some((last, line)) = start.last else { continue };
        rule.checked += 1;
        if start.sequence < last {
            let found = start.sequence;
            let sentence = || {
                format!(
                    "The service had recorded event {last}, but when it started again its journal ended with event {found}: \
                 what was recorded is no longer there."
                )
            };
            rule.violate(sentence, &[line, start.line]);
        }
    }
    for previous in &journal.previous {
        rule.gap(format!(
            "an older copy of the journal was put in its place: epoch {} was recorded up to event {}, and epoch {} goes on \
             after event {}",
            previous.epoch, previous.last, journal.epoch, previous.after
        ));
    }
    if journal.compared == 0 && journal.starts.iter().all(|start| start.last.is_none()) {
        rule.gap(format!(
            "there is one copy of the journal of epoch {}, and nothing to compare it with",
            journal.epoch
        ));
    }
}
