//! V6, the other way around: a send states that its writer had seen exactly what had been delivered to it when the text
//! was submitted. Only this shows which messages crossed, so it may state neither more nor less.

use crate::trace::model::{Act, Mark, Queued};
use crate::trace::report::RuleReport;

use crate::trace::verify::step_context::StepContext;

pub(super) fn v6_as_delivered(context: &StepContext<'_>, rule: &mut RuleReport) {
    match (&context.step.act, context.queued) {
        (Act::PublishSent { seen, .. }, Some(queued)) => as_queued(context, *seen, queued, rule),
        (Act::PublishQueued { seen, .. }, None) => at_once(context, *seen, None, "when it submitted this", rule),
        (Act::PublishSent { message, seen, .. }, None) => {
            let first = context.session.sent.get(message).map(|first| first.seen);
            // An old log without `publish_queued`, or that record was lost or cut off.
            let is_cut = context.session.lost_before > 0 || !context.session.whole;
            let least = if is_cut { Some(0) } else { first };
            at_once(context, *seen, least, "in this send", rule);
        }
        (Act::PublishQueued { seen, .. }, Some(queued)) => {
            if queued.is_of(context.session) {
                as_queued(context, *seen, queued, rule);
            } else {
                at_once(context, *seen, Some(0), "when it submitted this", rule);
            }
        }
        _ => {}
    }
}

/// A view that is stated when the message is sent: what had been delivered by then. A further attempt may repeat it, or
/// state what has come since, if no record shows when the text was submitted.
fn at_once(context: &StepContext<'_>, seen: u64, least: Option<u64>, moment: &str, rule: &mut RuleReport) {
    let session = context.session;
    let Some(delivered) = delivered(context) else { return };
    rule.checked += 1;
    let least = least.map_or(delivered, |least| least.min(delivered));
    if (least..=delivered).contains(&seen) || (delivered == 0 && seen < own_join(context)) {
        return;
    }
    let who = session.title();
    let sentence = || {
        let was = match delivered {
            0 => "nothing had been delivered to it yet".into(),
            _ => format!("the last event that had been delivered to it was {delivered}"),
        };
        let said = had_seen(seen);
        format!(
            "{who} stated {moment} that it {said}, but {was}: which messages crossed can no longer be determined."
        )
    };
    let last = session.position.map(|Mark { line, .. }| line).unwrap_or(session.begins);
    rule.violate(context.at(), sentence, &[last, context.step.line]);
}

/// A view that was fixed when the text was submitted. If the message is sent as another participant, after joining anew,
/// it counts as written without knowledge of anything delivered to this one, except its own join at most.
fn as_queued(context: &StepContext<'_>, seen: u64, queued: Queued, rule: &mut RuleReport) {
    rule.checked += 1;
    let is_same = queued.is_of(context.session);
    if (is_same && seen == queued.seen) || (!is_same && seen <= own_join(context)) {
        return;
    }
    let (who, then, now) = (context.session.title(), had_seen(queued.seen), had_seen(seen));
    let sentence = || {
        format!(
            "{who} {then} when it submitted this message, but this record states that it {now}: what arrives later must \
             not count, or the logs no longer show which messages crossed."
        )
    };
    rule.violate(context.at(), sentence, &[queued.line, context.step.line]);
}

fn had_seen(seen: u64) -> String {
    match seen {
        0 => "had seen nothing".into(),
        _ => format!("had seen everything up to event {seen}"),
    }
}

/// The event of the participant's own join, by its id.
fn own_join(context: &StepContext<'_>) -> u64 {
    context.session.who.map_or(0, |who| who.0)
}

/// The last event that had been delivered to the session; 0 for none, and `None` if the log does not say.
fn delivered(context: &StepContext<'_>) -> Option<u64> {
    let session = context.session;
    match session.position {
        Some(position) => Some(position.value),
        None => (session.whole && session.lost_before == 0).then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::trace::gallery::{LATE, Logs, truthful};
    use crate::trace::report::Rule;

    /// The file and the place of bob's last send.
    fn a_send(logs: &Logs) -> (usize, usize) {
        let (file, log) = (2, &logs.0[2]);
        (file, log.records.iter().rposition(|record| record["event"] == "publish_sent").unwrap())
    }

    /// Old logs, without `publish_queued`.
    fn without_queued() -> Logs {
        let mut logs = truthful();
        let late = logs.0[2].records.iter().find(|record| record["content"] == LATE).unwrap().clone();
        for record in logs.0.iter_mut().flat_map(|log| &mut log.records) {
            if record["message_id"] == late["message_id"] && record["seen_sequence"].is_u64() {
                // Such a client stated its view when it sent the message.
                record["seen_sequence"] = json!(late["seen_sequence"].as_u64().unwrap() + 1);
            }
        }
        logs.0.iter_mut().for_each(|log| log.records.retain(|record| record["event"] != "publish_queued"));
        logs
    }

    fn says(logs: &Logs) -> Vec<String> {
        let report = logs.verify().unwrap();
        let v6 = report.rule(Rule::V6);
        assert!(v6.violations.iter().all(|violation| violation.lines.len() == 2), "{v6:?}");
        v6.violations.iter().map(|violation| violation.sentence.clone()).collect()
    }

    #[test]
    fn a_repeated_send_may_state_the_first_view_or_a_newer_one_v6() {
        for (said, right) in [(0, true), (1, true), (2, true), (3, false), (-1, false)] {
            let mut logs = without_queued();
            let (file, at) = a_send(&logs);
            let records = &mut logs.0[file].records;
            let seen = records[at]["seen_sequence"].as_i64().unwrap();
            let id = records[at]["message_id"].clone();
            // The first attempt came two deliveries earlier, and was lost on its way.
            let deliveries =
                records[..at].iter().enumerate().rev().filter(|(_, r)| r["event"] == "event_delivered");
            let earlier = deliveries.map(|(at, _)| at).nth(1).unwrap();
            let mut first = records[at].clone();
            let before = &records[earlier - 1];
            first["timestamp"] = before["timestamp"].clone();
            first["local_time"] = Value::Null;
            first["seen_sequence"] = json!(seen - 2);
            first["sent_logical_time"] = json!(before["local_time"].as_u64().unwrap() + 1);
            records[at]["seen_sequence"] = json!(seen - 2 + said);
            records.insert(earlier, first);
            for record in logs.0.iter_mut().flat_map(|log| &mut log.records) {
                let has_event = record["event"] == "message_broadcast" || record["event"] == "event_delivered";
                if has_event && record["message_id"] == id {
                    record["seen_sequence"] = json!(seen - 2 + said);
                }
            }
            assert_eq!(says(&logs).is_empty(), right, "{said}: {:?}", says(&logs));
        }
    }

    /// The record of a submitted text states what had been delivered, and each attempt, and the event, states the same
    /// (V6).
    #[test]
    fn a_view_is_fixed_when_the_text_is_submitted_v6() {
        let late = truthful().0[2].records.iter().find(|record| record["content"] == LATE).unwrap().clone();
        let (id, seen) = (&late["message_id"], late["seen_sequence"].as_u64().unwrap());
        for (what, said, violations) in [
            ("", 0, 0),
            ("publish_queued", 1, 3),
            ("publish_queued", -1, 3),
            ("publish_sent", 1, 2),
            ("publish_sent", -1, 2),
        ] {
            let mut logs = truthful();
            for record in &mut logs.0[2].records {
                if record["event"] == what && record["message_id"] == *id {
                    record["seen_sequence"] = json!(seen.checked_add_signed(said).unwrap());
                }
            }
            assert_eq!(says(&logs).len(), violations, "{what} {said}: {:?}", says(&logs));
        }
    }

    /// A message that is sent as another participant counts as written without knowledge of anything delivered to that
    /// one (V6).
    #[test]
    fn after_joining_anew_an_old_view_does_not_count_v6() {
        for (said, right) in [(0, true), (2, true), (3, false)] {
            let mut logs = truthful();
            let bob = &mut logs.0[2].records;
            let at = bob.iter().position(|record| record["content"] == LATE).unwrap();
            assert_eq!(bob[at]["event"], "publish_queued");
            let id = bob[at]["message_id"].clone();
            // It was submitted as another participant.
            bob[at]["participant_id"] = json!("p1000");
            bob[at]["epoch"] = json!("another");
            for record in logs.0.iter_mut().flat_map(|log| &mut log.records) {
                if record["message_id"] == id && record["seen_sequence"].is_u64() {
                    record["seen_sequence"] = json!(said);
                }
            }
            assert_eq!(says(&logs).is_empty(), right, "{said}: {:?}", says(&logs));
        }
    }

    #[test]
    fn before_its_own_join_arrives_a_session_has_seen_nothing_v6() {
        for (said, right) in [(0, true), (1, true), (2, false), (9, false)] {
            let mut logs = truthful();
            let bob = &mut logs.0[2].records;
            let welcome = bob.iter().position(|record| record["event"] == "connected").unwrap();
            let mut send = bob.iter().find(|record| record["event"] == "publish_sent").unwrap().clone();
            for field in ["timestamp", "local_time"] {
                send[field] = bob[welcome][field].clone();
            }
            (send["local_time"], send["message_id"], send["seen_sequence"]) =
                (Value::Null, json!("x"), json!(said));
            bob.insert(welcome + 1, send);
            assert_eq!(says(&logs).is_empty(), right, "{said}: {:?}", says(&logs));
        }
    }

    #[test]
    fn a_log_that_does_not_show_deliveries_is_no_violation_v6() {
        let mut logs = truthful();
        let (file, at) = a_send(&logs);
        logs.0[file].records[at]["seen_sequence"] = json!(1);
        assert_eq!(says(&logs).len(), 1);
        logs.0[file].records.drain(..at);
        assert_eq!(says(&logs), [""; 0]);
    }
}
