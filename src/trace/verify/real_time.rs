//! V12: a publish acknowledged before another was sent, by clocks of one machine, precedes it.
//!
//! A client records that it sends before it sends, and an acknowledgement after it came, so what the records
//! call earlier was earlier. Two sessions are known to share a machine where both reached the service from
//! its own (a loopback address); any other session is compared with itself alone. A page's clock has steps of
//! 100 microseconds, so where a page is one of the two, [`PAGE_CLOCK_MICROS`] have to lie between.

use crate::trace::model::{Act, Model};
use crate::trace::record::{Component, LineRef};
use crate::trace::report::RuleReport;

use super::steps::View;

/// How far apart two times have to be where a page recorded one of them.
const PAGE_CLOCK_MICROS: i64 = 200;

/// Sends and acknowledgements of messages, with their time.
#[derive(Debug, Default)]
pub(super) struct RealTime {
    moments: Vec<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    /// The journal, and the machine: 0 for the service's own, otherwise one for each session.
    group: (usize, usize),
    at: i64,
    what: What,
    sequence: u64,
    line: LineRef,
}

/// At one instant, a send is not after an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Sent,
    Acknowledged,
}

impl RealTime {
    pub(super) fn note(&mut self, view: &View<'_>) {
        let (journal, session, step) = (view.journal, view.session, view.step);
        let Some(who) = session.who else { return };
        let (what, sequence, at) = match step.act {
            Act::PublishSent { message, .. } if !session.sent.contains_key(&message) => {
                let Some(sequence) = journal.by_message.get(&(who, message)) else { return };
                (What::Sent, *sequence, step.at)
            }
            Act::Acknowledged { message: Some(_), sequence, .. } => {
                let late = if step.component == Component::Browser { PAGE_CLOCK_MICROS } else { 0 };
                (What::Acknowledged, sequence, step.at + late)
            }
            _ => return,
        };
        let early = if what == What::Sent && step.component == Component::Browser { PAGE_CLOCK_MICROS } else { 0 };
        let near = journal.links.get(&who).is_some_and(|link| link.loopback);
        let machine = if near { 0 } else { step.line.file as usize + 1 };
        let group = (session.journal, machine);
        self.moments.push(Moment { group, at: at - early, what, sequence, line: step.line });
    }

    pub(super) fn check(mut self, model: &Model, rule: &mut RuleReport) {
        self.moments.sort_unstable();
        let mut newest: Option<Moment> = None;
        for moment in self.moments {
            if newest.is_some_and(|newest| newest.group != moment.group) {
                newest = None;
            }
            match moment.what {
                What::Acknowledged if newest.is_none_or(|newest| newest.sequence < moment.sequence) => {
                    newest = Some(moment);
                }
                What::Acknowledged => {}
                What::Sent => {
                    rule.checked += 1;
                    let Some(before) = newest.filter(|before| before.sequence > moment.sequence) else { continue };
                    let (earlier, later) = (before.sequence, moment.sequence);
                    let sentence = || {
                        format!(
                            "Event {earlier} had been acknowledged before event {later} was sent, and yet event {later} \
                         comes before it in the order."
                        )
                    };
                    let broadcast = model.journals[moment.group.0].entry(later).map(|entry| entry.line);
                    let lines: Vec<_> = [before.line, moment.line].into_iter().chain(broadcast).collect();
                    rule.violate(sentence, &lines);
                }
            }
        }
    }
}
