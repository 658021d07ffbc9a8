//! V4, according to refusals in a client's own log: a client drops its stream if an event cannot be true, or is not the
//! one that is due.

use crate::trace::model::Act;
use crate::trace::report::RuleReport;

use crate::trace::verify::step_context::StepContext;

pub(super) fn v4_refused_by_the_client(context: &StepContext<'_>, rule: &mut RuleReport) {
    match context.step.act {
        Act::EventRefused { sequence, expected, reason } => refused(context, sequence, expected, reason, rule),
        Act::Connected { resumed: true, .. } => same_journal(context, rule),
        _ => {}
    }
}

fn refused(context: &StepContext<'_>, sequence: u64, expected: Option<u64>, reason: &str, rule: &mut RuleReport) {
    rule.checked += 1;
    let who = context.session.title();
    let sentence = || match expected {
        Some(due) if due != sequence => {
            format!("{who} was sent event {sequence} where event {due} was due, and dropped the stream over it.")
        }
        _ => format!(
            "{who} was sent an event {sequence} that cannot be true, and dropped the stream over it: {reason}."
        ),
    };
    let before = context.session.position.map(|position| position.line);
    let lines: Vec<_> = before.into_iter().chain([context.step.line]).collect();
    rule.violate(context.at(), sentence, &lines);
}

/// A session is resumed in the epoch that it was in: positions of two epochs cannot be compared.
fn same_journal(context: &StepContext<'_>, rule: &mut RuleReport) {
    let Some((epoch, last)) = context.epoch_before() else { return };
    rule.checked += 1;
    let (who, now) = (context.session.title(), &context.journal.epoch);
    let sentence = || {
        format!(
            "{who} resumed its session of epoch {epoch} in epoch {now}: positions in two epochs cannot be compared."
        )
    };
    rule.violate(context.at(), sentence, &[last, context.step.line]);
}
