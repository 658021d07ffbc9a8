//! V12: a publish acknowledged before another was sent precedes it.
//!
//! A client records a send before it sends, and an acknowledgement after it arrived, so what the records call earlier
//! was earlier. Two records of one process are compared by its own clock. Those of two processes are compared by what
//! their messages reveal about their clocks ([`ProcessClock`](crate::trace::model::ProcessClock)), whatever machines
//! they are on. A page's clock has steps of 100 microseconds, so if one of the two is a page, they must be
//! [`PAGE_CLOCK_MICROS`] apart.

use std::collections::HashMap;

use crate::trace::model::{Act, LoggedEvent, LoggedJournal, Lookup, Model, Step, WallTime};
use crate::trace::record::{Component, LoggedKind};
use crate::trace::report::RuleReport;

use super::step_context::StepContext;

/// How far apart two times have to be if a page recorded one of them.
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

/// What a step reveals about the clock of its process: it sent something that the service recorded, or received it.
pub(super) enum Edge {
    /// The process sent something at `at`, by its own clock, that the service recorded at `recorded`.
    Sent { at: i64, recorded: i64 },
    /// The service recorded at `recorded`, by its clock, what the step received.
    Received { recorded: i64 },
}

pub(super) fn edge(context: &StepContext<'_>) -> Option<Edge> {
    let is_of_service = |event: &&LoggedEvent| !event.filled_in && !event.recovered;
    match context.step.act {
        Act::Delivered { sequence, .. } => match context.journal.lookup(sequence) {
            Lookup::Known(event) => {
                Some(event).filter(is_of_service).map(|event| Edge::Received { recorded: event.at })
            }
            _ => None,
        },
        Act::PublishSent { .. } if context.is_first_try() => {
            let (_, event) = context.becomes.filter(|(_, event)| is_of_service(event))?;
            Some(Edge::Sent { at: sent_at(context.step).at, recorded: event.at })
        }
        Act::Connected { resumed: false, .. } if context.join.is_some() => {
            let (_, event) = context.session.who.and_then(|who| context.journal.joined(who))?;
            is_of_service(&event).then_some(Edge::Sent { at: context.join_at, recorded: event.at })
        }
        _ => None,
    }
}

/// The earliest acknowledgement of the events so far, by some clock.
#[derive(Clone, Copy)]
struct Earliest {
    by: i64,
    acknowledged: WallTime,
    sequence: u64,
}

impl Earliest {
    fn note(known: &mut Option<Self>, by: i64, acknowledged: WallTime, sequence: u64) {
        if known.is_none_or(|known| by < known.by) {
            *known = Some(Self { by, acknowledged, sequence });
        }
    }
}

/// How far the clocks of replicas may still be apart after alignment: one replica may consistently apply events a
/// little later than another.
const REPLICAS_APART_MICROS: i64 = 50_000;

/// Goes through the order backwards. Each message has to be sent before any later one in the order was acknowledged, so
/// only the first of those acknowledgements matters.
pub(super) fn v12_real_time(model: &Model, journal: &LoggedJournal, rule: &mut RuleReport) {
    let apart = if journal.is_of_replicas() { REPLICAS_APART_MICROS } else { 0 };
    let mut by_service: Option<Earliest> = None;
    // By the file of a process and its first line there.
    let mut by_own: HashMap<(u32, u32), Option<Earliest>> = HashMap::new();
    let mut overtaken = Vec::new();
    for (sequence, event) in journal.events().rev().filter(|(_, event)| event.kind == LoggedKind::Message) {
        if let Some((sent, clock)) = event.first_sent.and_then(|sent| Some((sent, model.clock(sent.line)?))) {
            let own = by_own.get(&(sent.line.file, clock.first_line)).copied().flatten();
            let own = own.filter(|earliest| !clock.set_back && earliest.by < sent.at);
            let earliest_sent = clock.earliest(sent.at).filter(|_| !journal.is_set_back);
            rule.checked += u64::from(!clock.set_back || earliest_sent.is_some());
            let other = by_service
                .filter(|earliest| earliest_sent.is_some_and(|sent| earliest.by.saturating_add(apart) < sent));
            overtaken.extend(own.or(other).map(|before| (sequence, sent, before, event)));
        }
        let Some(acknowledged) = event.acknowledged else { continue };
        let Some(clock) = model.clock(acknowledged.line) else { continue };
        let own = by_own.entry((acknowledged.line.file, clock.first_line)).or_default();
        Earliest::note(own, acknowledged.at, acknowledged, sequence);
        if let Some(latest) = clock.latest(acknowledged.at) {
            Earliest::note(&mut by_service, latest, acknowledged, sequence);
        }
    }
    for (later, sent, Earliest { acknowledged, sequence: earlier, .. }, event) in overtaken.into_iter().rev() {
        let sentence = || {
            format!(
                "Event {earlier} had been acknowledged before event {later} was sent, and yet event {later} comes \
                 before it in the order."
            )
        };
        rule.violate(event.at, sentence, &[acknowledged.line, sent.line, event.line]);
    }
}
