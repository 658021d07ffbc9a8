//! V12: a publish acknowledged before another was sent, by clocks of one machine, precedes it.
//!
//! A client records that it sends before it sends, and an acknowledgement after it came, so what the records
//! call earlier was earlier. Two sessions are known to share a machine where both reached the service from
//! its own (a loopback address); any other session is compared with itself alone. A page's clock has steps of
//! 100 microseconds, so where a page is one of the two, [`PAGE_CLOCK_MICROS`] have to lie between.

use std::collections::HashMap;

use crate::trace::model::{LoggedJournal, Step, WallTime};
use crate::trace::record::{Component, LoggedKind, Who};
use crate::trace::report::RuleReport;

/// How far apart two times have to be where a page recorded one of them.
const PAGE_CLOCK_MICROS: i64 = 200;

/// When a publish was sent, at the earliest.
pub(super) fn sent_at(step: &Step<'_>) -> WallTime {
    WallTime { at: step.at.saturating_sub(uncertainty(step)), line: step.line }
}

/// When a publish was acknowledged, at the latest.
pub(super) fn acknowledged_at(step: &Step<'_>) -> WallTime {
    WallTime { at: step.at.saturating_add(uncertainty(step)), line: step.line }
}

fn uncertainty(step: &Step<'_>) -> i64 {
    if step.component == Component::Browser { PAGE_CLOCK_MICROS } else { 0 }
}

/// Goes through the order from its end. What is sent has to be sent before everything later in the order was
/// acknowledged; the first of those acknowledgements is enough to look at.
pub(super) fn v12_real_time(journal: &LoggedJournal, rule: &mut RuleReport) {
    // By machine: none for the service's own, otherwise one for each participant.
    let mut first: HashMap<Option<Who>, (WallTime, u64)> = HashMap::new();
    let mut overtaken = Vec::new();
    for (sequence, event) in journal.events().rev().filter(|(_, event)| event.kind == LoggedKind::Message) {
        let machine = (!journal.is_near(event.who)).then_some(event.who);
        if let Some(sent) = event.first_sent {
            rule.checked += 1;
            let before = first.get(&machine).filter(|(acknowledged, _)| acknowledged.at < sent.at);
            overtaken.extend(before.map(|(acknowledged, of)| (sequence, sent, *acknowledged, *of, event.line)));
        }
        if let Some(acknowledged) = event.acknowledged
            && first.get(&machine).is_none_or(|(earliest, _)| acknowledged.at < earliest.at)
        {
            first.insert(machine, (acknowledged, sequence));
        }
    }
    for (later, sent, acknowledged, earlier, broadcast) in overtaken.into_iter().rev() {
        let sentence = || {
            format!(
                "Event {earlier} had been acknowledged before event {later} was sent, and yet event {later} comes \
                 before it in the order."
            )
        };
        rule.violate(sentence, &[acknowledged.line, sent.line, broadcast]);
    }
}
