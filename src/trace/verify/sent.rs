//! V11: the service put into the order what was requested, with the time of the request.

use crate::trace::model::{Act, LoggedJournal, LoggedSession, Model};
use crate::trace::record::LineRef;
use crate::trace::report::RuleReport;

use super::step_context::StepContext;

pub(super) fn v11_as_sent(context: &StepContext<'_>, rule: &mut RuleReport) {
    match context.step.act {
        Act::PublishSent { content, .. } => text(context, content, rule),
        Act::Refused { message, certain: true } => refusal(context, message, rule),
        Act::Connected { resumed: false, .. } => join(context, rule),
        _ => {}
    }
}

fn text(context: &StepContext<'_>, content: u64, rule: &mut RuleReport) {
    let Some((_, event)) = context.becomes else { return };
    rule.checked += 1;
    if event.content != content {
        let title = context.session.title();
        let sentence = || format!("{title} sent one text, and another was broadcast as its message.");
        rule.violate(context.at().max(event.at), sentence, &[context.step.line, event.line]);
    }
}

/// Another attempt of the same publish may have been accepted: each attempt has its own time, and the event has that of
/// the accepted one.
fn refusal(context: &StepContext<'_>, message: u64, rule: &mut RuleReport) {
    let Some(sent) = context.session.sent.get(&message).filter(|_| message != 0) else { return };
    rule.checked += 1;
    let Some((sequence, event)) = context.becomes.filter(|(_, event)| event.sent == sent.last_time) else {
        return;
    };
    let title = context.session.title();
    let sentence = || {
        format!("{title} was told that this message was refused, and yet it was broadcast as event {sequence}.")
    };
    rule.violate(context.at().max(event.at), sentence, &[context.step.line, event.line]);
}

/// A Welcome answers the last request to join: a client gives up one before it makes another.
fn join(context: &StepContext<'_>, rule: &mut RuleReport) {
    let joined = context.session.who.and_then(|who| context.journal.joined(who));
    let (Some(request), Some((sequence, event))) = (context.join, joined.filter(|(_, event)| !event.filled_in))
    else {
        return;
    };
    rule.checked += 1;
    if event.sent != request.value {
        let (title, sent, stated) = (context.session.title(), request.value, event.sent);
        let sentence = || {
            format!("{title} asked to join at time {sent}, but its join, event {sequence}, states time {stated}.")
        };
        rule.violate(event.at, sentence, &[request.line, event.line]);
    }
}

/// The log that has the acknowledgement of a leave must have the request, too, if it has the whole session.
pub(super) fn v11_leave(journal: &LoggedJournal, session: &LoggedSession, rule: &mut RuleReport) {
    let left = session.who.and_then(|who| journal.left(who));
    let Some(answer) = session.left.filter(|_| session.whole && session.lost_before == 0) else { return };
    let Some((sequence, event)) = left.filter(|(_, event)| event.requested && !event.filled_in) else { return };
    rule.checked += 1;
    if !event.sent_by_log {
        let (title, stated) = (session.title(), event.sent);
        let sentence = || {
            format!(
                "{title} left as event {sequence}, which states a request at time {stated}, but its log has no such request."
            )
        };
        rule.violate(event.at, sentence, &[answer, event.line]);
    }
}

/// If an event states that a participant asked to leave, its log must have the request, if that log has the whole
/// session and continues after the event, or has the service's answer that it no longer knows the session.
pub(super) fn v11_unasked(model: &Model, journal: &LoggedJournal, session: &LoggedSession, rule: &mut RuleReport) {
    let Some((sequence, event)) = session.who.and_then(|who| journal.left(who)) else { return };
    if !event.requested || event.filled_in || event.sent_by_log || session.left.is_some() {
        return;
    }
    let title = session.title();
    let end = session.unknown.or_else(|| later_record(model, session, event.at).filter(|_| !journal.is_set_back));
    let Some(last) = end.filter(|_| session.whole && !session.is_unsure()) else {
        return rule.caveat(format!("it is unknown whether {title} asked to leave: its log ends before that"));
    };
    rule.checked += 1;
    let sentence =
        || format!("Event {sequence} states that {title} asked to leave, but its log has no such request.");
    rule.violate(event.at, sentence, &[event.line, last]);
}

/// A record that the process of a session made after this time of the service's clock: in that session or a later one.
fn later_record(model: &Model, session: &LoggedSession, at: i64) -> Option<LineRef> {
    let clock = model.clock(session.last)?;
    let is_later = |other: &&LoggedSession| clock.earliest(other.last_at).is_some_and(|last| last > at);
    if is_later(&session) {
        return Some(session.last);
    }
    let of_process = |other: &&LoggedSession| {
        other.file == session.file
            && model.clock(other.begins).is_some_and(|own| own.first_line == clock.first_line)
    };
    model.sessions.iter().filter(of_process).find(is_later).map(|other| other.last)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::trace::gallery::{Logs, truthful};
    use crate::trace::report::Rule;

    /// Inserts a changed copy of a record of bob's log before that record.
    fn before(event: &str, change: impl Fn(&mut Value)) -> Logs {
        let mut logs = truthful();
        let bob = &mut logs.0[2].records;
        let at = bob.iter().position(|record| record["event"] == event).unwrap();
        let mut other = bob[at].clone();
        other["local_time"] = Value::Null;
        change(&mut other);
        bob.insert(at, other);
        logs
    }

    fn v11(logs: &Logs) -> Vec<String> {
        let report = logs.verify().unwrap();
        report.rule(Rule::V11).violations.iter().map(|violation| violation.sentence.clone()).collect()
    }

    #[test]
    fn a_repeated_request_is_compared_by_the_attempt_that_was_answered_v11() {
        for event in ["join_sent", "leave_sent"] {
            // The first attempt is lost, and the clock has moved on by the second.
            let logs = before(event, |first| {
                first["sent_logical_time"] = json!(first["sent_logical_time"].as_u64().unwrap() - 1);
            });
            assert_eq!(v11(&logs), [""; 0], "{event}");
        }
    }

    #[test]
    fn a_refused_attempt_may_be_followed_by_an_accepted_one_v11() {
        let refused = |record: &mut Value| {
            record["event"] = json!("publish_refused");
            record["reason"] = json!("RATE_LIMITED");
            record["sent_logical_time"] = Value::Null;
        };
        let mut logs = before("publish_sent", refused);
        let bob = &mut logs.0[2].records;
        let at = bob.iter().position(|record| record["event"] == "publish_refused").unwrap();
        // The refused attempt is an earlier one, at an earlier time.
        let mut first = bob[at + 1].clone();
        let known = bob[..at].iter().filter_map(|record| record["local_time"].as_u64()).max().unwrap();
        assert_eq!(first["sent_logical_time"], json!(known + 1));
        (first["sent_logical_time"], first["local_time"]) = (json!(known), Value::Null);
        bob.insert(at, first);
        assert_eq!(v11(&logs), [""; 0]);
    }

    /// No clock tells which came first, the end of the log or the leave.
    #[test]
    fn a_leave_that_was_not_requested_is_found_by_the_end_of_the_session_v11() {
        for (reason, found) in [("SESSION_UNKNOWN", 1), ("CONNECTION_LOST", 0)] {
            let mut logs = truthful();
            let bob = &mut logs.0[2].records;
            let leave = bob.iter().position(|record| record["event"] == "leave_sent").unwrap();
            bob.truncate(leave + 1);
            let before = bob[leave - 1]["timestamp"].clone();
            let end = &mut bob[leave];
            (end["event"], end["timestamp"], end["reason"]) = (json!("disconnected"), before, json!(reason));
            (end["local_time"], end["sent_logical_time"]) = (Value::Null, Value::Null);
            assert_eq!(v11(&logs).len(), found, "{reason}: {:?}", v11(&logs));
        }
    }

    #[test]
    fn an_uncertain_refusal_is_no_violation_v11() {
        for reason in ["UNCONFIRMED", "CONNECTION_LOST", "SHUTTING_DOWN", "JOURNAL_UNAVAILABLE", "502 Bad Gateway"]
        {
            let mut logs = truthful();
            let bob = &mut logs.0[2].records;
            let answer = bob.iter_mut().find(|record| record["event"] == "publish_acknowledged").unwrap();
            (answer["event"], answer["reason"]) = (json!("publish_refused"), json!(reason));
            assert_eq!(v11(&logs), [""; 0], "{reason}");
        }
    }
}
