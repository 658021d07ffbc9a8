//! V6, the other way round: what a send says that its writer had seen is what it had been delivered. Which
//! messages crossed is told by that alone, so neither more nor less may be said.

use crate::trace::model::{Act, Mark};
use crate::trace::report::RuleReport;

use super::steps::View;

pub(super) fn v6_as_delivered(view: &View<'_>, rule: &mut RuleReport) {
    let (session, step) = (view.session, view.step);
    let Act::PublishSent { message, seen, .. } = step.act else { return };
    let Some(delivered) = delivered(view) else { return };
    rule.checked += 1;
    // A further try may say the same again, or what has come since.
    let least = session.sent.get(&message).map_or(delivered, |first| first.seen.min(delivered));
    let own = session.who.map_or(0, |who| who.0);
    if (least..=delivered).contains(&seen) || (delivered == 0 && seen < own) {
        return;
    }
    let who = session.title();
    let sentence = || {
        let said = match seen {
            0 => "had seen nothing".into(),
            _ => format!("had seen everything up to event {seen}"),
        };
        let was = match delivered {
            0 => "before anything was delivered to it".into(),
            _ => format!("when event {delivered} was the last that had been delivered to it"),
        };
        format!("{who} said in this send that it {said}, {was}: which messages crossed can no longer be told.")
    };
    let last = session.position.map(|Mark { line, .. }| line).unwrap_or(session.begins);
    rule.violate(sentence, &[last, step.line]);
}

/// The last event that the session had been delivered; 0 for none, and none where the log does not say.
fn delivered(view: &View<'_>) -> Option<u64> {
    let session = view.session;
    match session.position {
        Some(position) => Some(position.value),
        None => (session.whole && session.lost_before == 0).then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::trace::gallery::{Logs, truthful};
    use crate::trace::report::Rule;

    /// Somebody's send and the record before it, at the place of the send.
    fn a_send(logs: &Logs) -> (usize, usize) {
        let (file, log) = (2, &logs.0[2]);
        (file, log.records.iter().rposition(|record| record["event"] == "publish_sent").unwrap())
    }

    fn says(logs: &Logs) -> Vec<String> {
        let report = logs.verify().unwrap();
        let v6 = report.rule(Rule::V6);
        assert!(v6.violations.iter().all(|violation| violation.lines.len() == 2), "{v6:?}");
        v6.violations.iter().map(|violation| violation.sentence.clone()).collect()
    }

    #[test]
    fn a_further_try_may_say_what_the_first_said_or_what_came_since_and_no_more_v6() {
        for (said, right) in [(0, true), (1, true), (2, true), (3, false), (-1, false)] {
            let mut logs = truthful();
            let (file, at) = a_send(&logs);
            let records = &mut logs.0[file].records;
            let seen = records[at]["seen_sequence"].as_i64().unwrap();
            let id = records[at]["message_id"].clone();
            // The first try came two deliveries earlier, and was lost on its way.
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
                let told = record["event"] == "message_broadcast" || record["event"] == "event_delivered";
                if told && record["message_id"] == id {
                    record["seen_sequence"] = json!(seen - 2 + said);
                }
            }
            assert_eq!(says(&logs).is_empty(), right, "{said}: {:?}", says(&logs));
        }
    }

    #[test]
    fn before_its_own_join_has_come_a_session_has_seen_nothing_of_its_own_v6() {
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
    fn where_the_log_does_not_say_what_was_delivered_nobody_is_accused_v6() {
        let mut logs = truthful();
        let (file, at) = a_send(&logs);
        logs.0[file].records[at]["seen_sequence"] = json!(1);
        assert_eq!(says(&logs).len(), 1);
        logs.0[file].records.drain(..at);
        assert_eq!(says(&logs), [""; 0]);
    }
}
