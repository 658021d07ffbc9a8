//! V10, for publishes without an answer: a client that stays connected gets one within the request time.
//!
//! Two deliveries after the request time was over, themselves more than the request time apart, show that the client
//! stayed connected: neither the client nor the service was suspended, and the network worked. If the service refused a
//! request of the participant meanwhile, or a lab made it fail, that may be the answer.

use crate::trace::model::{ANSWER_MICROS, LoggedSession, Model};
use crate::trace::report::RuleReport;

pub(super) fn v10_unanswered(model: &Model, session: &LoggedSession, rule: &mut RuleReport) {
    let count = session.unanswered();
    if count == 0 {
        return;
    }
    if overdue(model, session, rule).is_none() {
        let (title, publishes) =
            (session.title(), if count == 1 { "a publish".into() } else { format!("{count} publishes") });
        rule.caveat(format!("{publishes} of {title} had no answer when its log ended"));
    }
}

/// Reports a violation if the oldest of them should have had an answer.
fn overdue(model: &Model, session: &LoggedSession, rule: &mut RuleReport) -> Option<()> {
    let (waiting, journal) = (session.waiting?, model.journal_of(session));
    let (who, position) = (session.who?, session.position?);
    let (first, at) = waiting.late?;
    let (earlier, later) = (journal.event(first)?, journal.event(position.value)?);
    let is_known = |event: &crate::trace::model::LoggedEvent| !event.filled_in && !event.recovered;
    let stayed = is_known(earlier)
        && is_known(later)
        && later.at.saturating_sub(earlier.at) > ANSWER_MICROS
        && session.last_at.saturating_sub(at) > ANSWER_MICROS;
    let sent_at = model.clock(waiting.line)?.earliest(waiting.at)?;
    if !stayed || session.offline.is_some() || session.lost_after > 0 || journal.lost > 0 {
        return None;
    }
    if journal.may_have_refused(who, sent_at) || journal.missing() > 0 || journal.is_set_back {
        return None;
    }
    rule.checked += 1;
    let (title, until) = (session.title(), position.value);
    let seconds = session.last_at.saturating_sub(waiting.at) / 1_000_000;
    let sentence = || {
        format!(
            "{title} sent a message that got no answer for {seconds} s, although it stayed connected and got all events \
             up to {until} meanwhile."
        )
    };
    let at = model.by_service(waiting.line, waiting.at.saturating_add(ANSWER_MICROS));
    rule.violate(at, sentence, &[waiting.line, position.line]);
    Some(())
}
