//! The rules that can be checked on one step of a session, against the journal and against the session's state before
//! the step: V3, V4, V6, V7, V9 (its beginning), V10, V11 (what was sent).

mod refused;
mod seen;

use crate::chat::LeaveReason;
use crate::trace::model::{
    Act, ClientLog, DeliveryDetails, LoggedEvent, LoggedJournal, Mark, Model, Step, WallTime,
};
use crate::trace::record::LoggedKind;
use crate::trace::report::{Rule, RuleReport};

use super::step_context::StepContext;
use super::{real_time, sent};

type Check = fn(&StepContext<'_>, &mut RuleReport);

/// The checks of every step.
pub(super) const CHECKS: [(Rule, Check); 9] = [
    (Rule::V3, v3_agreement),
    (Rule::V4, v4_continuity),
    (Rule::V4, refused::v4_refused_by_the_client),
    (Rule::V6, v6_causal_order),
    (Rule::V6, seen::v6_as_delivered),
    (Rule::V7, v7_clock_condition),
    (Rule::V9, v9_begins_with_own_join),
    (Rule::V10, v10_acknowledged_is_there),
    (Rule::V11, sent::v11_as_sent),
];

/// Another field of a delivery that differs from the broadcast: its name, its value in the broadcast, and its value in
/// the delivery.
fn differs(
    journal: &LoggedJournal,
    event: &LoggedEvent,
    stated: DeliveryDetails<'_>,
) -> Option<(&'static str, String, String)> {
    if event.filled_in {
        // The event is known only from a delivery, which need not have this field.
        return None;
    }
    let name = journal.name(event.name);
    let number = |what, was: u64, is: Option<u64>| {
        is.filter(|is| *is != was).map(|is| (what, was.to_string(), is.to_string()))
    };
    let name = stated.name.filter(|is| *is != name).map(|is| ("the name", name.into(), is.into()));
    let reason = stated.requested.filter(|is| *is != event.requested).map(|is| {
        let reason = |requested| if requested { LeaveReason::Requested } else { LeaveReason::Disconnected };
        ("the reason", reason(event.requested).as_str().into(), reason(is).as_str().into())
    });
    name.or_else(|| number("send time", event.sent, stated.sent))
        .or_else(|| number("a writer's view up to event", event.seen, stated.seen))
        .or(reason)
}

fn v3_agreement(context: &StepContext<'_>, rule: &mut RuleReport) {
    let StepContext { journal, session, step, .. } = context;
    let who = || session.title();
    match step.act {
        Act::Delivered { sequence, logical_time, kind, author, content, message, text, more } => {
            let sentence = |head| {
                format!(
                    "{} was sent event {sequence}, \"{text}\", but the last event that the service recorded is {head}.",
                    who()
                )
            };
            let Some(event) = context.event(sequence, rule, sentence) else { return };
            rule.checked += 1;
            let lines = [event.line, step.line];
            if event.logical_time != logical_time {
                let stated = event.logical_time;
                let sentence = || {
                    format!(
                        "Event {sequence} was broadcast with logical time {stated}, but {} got it with {logical_time}: \
                     an event has one time, the same for everybody.",
                        who()
                    )
                };
                rule.violate(context.at(), sentence, &lines);
            } else if event.content != content {
                let sentence = || {
                    format!("{} got event {sequence} with content that differs from what was broadcast.", who())
                };
                rule.violate(context.at(), sentence, &lines);
            } else if (event.kind, event.who, event.message) != (kind, author, message) {
                let sentence = || {
                    format!(
                        "{} got event {sequence} with a different author, kind or message id than it was broadcast with.",
                        who()
                    )
                };
                rule.violate(context.at(), sentence, &lines);
            } else if let Some((what, was, is)) = differs(journal, event, more) {
                let sentence = || {
                    format!("Event {sequence} was broadcast with {what} {was}, but {} got it with {is}.", who())
                };
                rule.violate(context.at(), sentence, &lines);
            }
        }
        Act::Connected { head, logical_time, .. } if head > 0 => {
            let Some(event) = journal.event(head) else { return };
            rule.checked += 1;
            if event.logical_time != logical_time {
                let stated = event.logical_time;
                let sentence = || {
                    format!(
                        "The Welcome told {} that event {head} has time {logical_time}, but it was broadcast with {stated}.",
                        who()
                    )
                };
                rule.violate(context.at(), sentence, &[event.line, step.line]);
            }
        }
        _ => {}
    }
}

/// A skipped event may still come late; one that never comes is reported at the end.
fn v4_continuity(context: &StepContext<'_>, rule: &mut RuleReport) {
    let StepContext { session, step, .. } = context;
    let (Act::Delivered { sequence, .. }, Some(newest)) = (&step.act, session.position) else { return };
    rule.checked += 1;
    let sequence = *sequence;
    let follows = |mark: Mark| mark.value.checked_add(1) == Some(sequence);
    if sequence > newest.value || session.latest.is_some_and(follows) {
        return;
    }
    let (who, newest_is) = (session.title(), newest.value);
    if let Some((_, skip)) = session.skip(sequence) {
        let early = skip.after.value;
        let sentence =
            || format!("{who} got event {early} before event {sequence}, which comes first in the order.");
        return rule.violate(context.at(), sentence, &[skip.after.line, step.line]);
    }
    let sentence = || match sequence {
        _ if sequence == newest_is => format!("{who} got event {sequence} twice."),
        _ => format!("{who} got event {sequence} after event {newest_is}: deliveries went back in the order."),
    };
    rule.violate(context.at(), sentence, &[newest.line, step.line]);
}

/// The event of a publish comes after all that the session knew when it first sent it.
fn v6_causal_order(context: &StepContext<'_>, rule: &mut RuleReport) {
    let StepContext { session, step, .. } = context;
    match step.act {
        Act::PublishSent { .. } if context.is_first_try() => {
            let Some((sequence, event)) = context.becomes else { return };
            rule.checked += 1;
            let Some(known) = session.known.filter(|known| known.value >= sequence) else { return };
            let (title, cause) = (session.title(), known.value);
            let sentence = || {
                if cause == sequence {
                    return format!(
                        "{title} knew of event {sequence} before it sent this message, and yet the message is that event."
                    );
                }
                format!(
                    "{title} knew of event {cause} when it sent this message, so the message can only come after \
                 it; but it became event {sequence}, before its own cause."
                )
            };
            rule.violate(context.at().max(event.at), sentence, &[known.line, step.line, event.line]);
        }
        Act::Acknowledged { message: None, sequence, .. } => {
            rule.checked += 1;
            let Some(known) = session.known.filter(|known| known.value >= sequence) else { return };
            let (title, cause) = (session.title(), known.value);
            let sentence = || {
                if cause == sequence {
                    return format!(
                        "{title} was sent event {sequence}, its own leave, before the leave was acknowledged."
                    );
                }
                format!("{title} left as event {sequence}, but had already been sent event {cause}.")
            };
            rule.violate(context.at(), sentence, &[known.line, step.line]);
        }
        _ => {}
    }
}

/// Checks the process's own clock, whichever session it is in.
pub(super) fn v7_log(model: &Model, log: &ClientLog, step: &Step<'_>, rule: &mut RuleReport) {
    let at = || model.by_service(step.line, step.at);
    if let Some(local) = step.local {
        rule.checked += 1;
        if let Some(before) = log.clock.filter(|before| before.value >= local) {
            let was = before.value;
            let sentence = || {
                format!(
                    "The process's clock stood at {was} and then at {local}: every event makes a Lamport clock rise."
                )
            };
            return rule.violate(at(), sentence, &[before.line, step.line]);
        }
        let received = match step.act {
            Act::Delivered { logical_time, .. }
            | Act::Acknowledged { logical_time, .. }
            | Act::Connected { logical_time, .. } => logical_time,
            _ => return,
        };
        if local <= received {
            let sentence = || {
                format!(
                    "Something with time {received} arrived, but the process's clock showed only {local} afterwards: \
                 the receiver must take the maximum of both clocks, and then add 1."
                )
            };
            rule.violate(at(), sentence, &[step.line]);
        }
    }
}

/// A send has a later time than everything that its session knew.
fn v7_clock_condition(context: &StepContext<'_>, rule: &mut RuleReport) {
    let (Act::PublishSent { sent, .. } | Act::LeaveSent { sent } | Act::JoinSent { sent, .. }) = context.step.act
    else {
        return;
    };
    rule.checked += 1;
    if let Some(time) = context.session.time.filter(|time| time.value >= sent) {
        let (who, before) = (context.session.title(), time.value);
        let sentence = || {
            format!(
                "{who} stamped a request with time {sent}, although it had already seen or sent time {before}: an effect \
             must have a greater time than its cause (Lamport's clock condition)."
            )
        };
        rule.violate(context.at(), sentence, &[time.line, context.step.line]);
    }
}

fn v9_begins_with_own_join(context: &StepContext<'_>, rule: &mut RuleReport) {
    let StepContext { journal, session, step, .. } = context;
    let Act::Delivered { sequence, kind, author, .. } = step.act else { return };
    if session.position.is_none() {
        if session.lost_before > 0 {
            // Lost records are reported for all rules at once.
            return;
        }
        if !session.whole {
            return rule.lack(format!(
                "the log of {} lacks its beginning, so it is unknown which event came first",
                session.title()
            ));
        }
        rule.checked += 1;
        if kind != LoggedKind::Joined || session.who != Some(author) {
            let who = session.title();
            let sentence = || format!("The first event that {who} got was event {sequence}, not its own join.");
            rule.violate(context.at(), sentence, &[session.begins, step.line]);
        }
        return;
    }
    rule.checked += 1;
    let left = session.who.and_then(|who| journal.left(who));
    if let Some((left, event)) = left.filter(|(left, _)| sequence >= *left) {
        let who = session.title();
        let sentence = || format!("{who} got event {sequence} although it had left as event {left}.");
        rule.violate(context.at(), sentence, &[event.line, step.line]);
    }
}

fn v10_acknowledged_is_there(context: &StepContext<'_>, rule: &mut RuleReport) {
    let StepContext { session, step, .. } = context;
    let Act::Acknowledged { message, sequence, logical_time } = step.act else { return };
    let who = || session.title();
    let sentence = |head| {
        format!("{} was promised event {sequence}, but the journal ends with event {head}: it is lost.", who())
    };
    let Some(event) = context.event(sequence, rule, sentence) else { return };
    rule.checked += 1;
    let same = session.who == Some(event.who)
        && match message {
            Some(message) => event.kind == LoggedKind::Message && event.message == message,
            None => event.kind == LoggedKind::Left,
        };
    if same && event.logical_time != logical_time {
        let stated = event.logical_time;
        let sentence = || {
            format!(
                "{} was told in the answer that event {sequence} has time {logical_time}, but it was broadcast with {stated}.",
                who()
            )
        };
        rule.violate(context.at(), sentence, &[event.line, step.line]);
    } else if !same {
        let sentence = || {
            format!(
                "{} was promised event {sequence} with time {logical_time}, but that event is another one: what \
             was acknowledged is lost or has moved.",
                who()
            )
        };
        rule.violate(context.at(), sentence, &[event.line, step.line]);
    }
}

/// What a step shows about an event of its own participant, to be noted on the event.
pub(super) struct EventNote {
    pub(super) sequence: u64,
    /// This attempt of the publish is the one that became the event.
    pub(super) explains: bool,
    pub(super) first_sent: Option<WallTime>,
    pub(super) acknowledged: Option<WallTime>,
}

impl EventNote {
    pub(super) fn of(context: &StepContext<'_>) -> Option<Self> {
        match context.step.act {
            Act::PublishSent { .. } => {
                let (sequence, _) = context.becomes?;
                let first_sent = context.is_first_try().then(|| real_time::sent_at(context.step));
                Some(Self { sequence, explains: context.became_event(), first_sent, acknowledged: None })
            }
            Act::LeaveSent { sent } => {
                let (sequence, event) = context.session.who.and_then(|who| context.journal.left(who))?;
                let explains = event.sent == sent;
                Some(Self { sequence, explains, first_sent: None, acknowledged: None })
            }
            Act::Acknowledged { message: Some(_), sequence, .. } => {
                let own =
                    context.journal.event(sequence).is_some_and(|event| Some(event.who) == context.session.who);
                let acknowledged = Some(real_time::acknowledged_at(context.step));
                own.then_some(Self { sequence, explains: false, first_sent: None, acknowledged })
            }
            _ => None,
        }
    }

    pub(super) fn put(self, journal: &mut LoggedJournal) {
        if let Some(event) = journal.event_mut(self.sequence) {
            event.sent_by_log |= self.explains;
            event.first_sent = event.first_sent.or(self.first_sent);
            event.acknowledged = event.acknowledged.or(self.acknowledged);
        }
    }
}
