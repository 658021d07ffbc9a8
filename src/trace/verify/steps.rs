//! The rules that can be checked on one step of a session, against the journal and against what the session
//! was like before the step: V3, V4, V6, V7, V9 (its beginning), V10, V11 (what was sent).

use crate::trace::model::{Act, ClientLog, Entry, Journal, Lookup, Mark, Moment, Particulars, Step};
use crate::trace::record::Kind;
use crate::trace::report::{Rule, RuleReport};

use super::view::View;
use super::{real_time, seen, sent};

type Check = fn(&View<'_>, &mut RuleReport);

/// What is asked of every step.
pub(super) const CHECKS: [(Rule, Check); 8] = [
    (Rule::V3, v3_agreement),
    (Rule::V4, v4_continuity),
    (Rule::V6, v6_causal_order),
    (Rule::V6, seen::v6_as_delivered),
    (Rule::V7, v7_clock_condition),
    (Rule::V9, v9_begins_with_own_join),
    (Rule::V10, v10_acknowledged_is_there),
    (Rule::V11, sent::v11_as_sent),
];

/// What else a delivery tells that is not as it was broadcast: what it is, how it was, and how it came.
fn differs(journal: &Journal, entry: &Entry, told: Particulars<'_>) -> Option<(&'static str, String, String)> {
    if entry.filled_in {
        // It was read from a delivery, which need not tell it.
        return None;
    }
    let name = journal.name(entry.name);
    let number = |what, was: u64, is: Option<u64>| {
        is.filter(|is| *is != was).map(|is| (what, was.to_string(), is.to_string()))
    };
    let name = told.name.filter(|is| *is != name).map(|is| ("the name", name.into(), is.into()));
    let reason = told.requested.filter(|is| *is != entry.requested).map(|is| {
        let reason = |requested| if requested { "its wish" } else { "a lost connection" };
        ("the reason", reason(entry.requested).into(), reason(is).into())
    });
    name.or_else(|| number("the time of its send", entry.sent, told.sent))
        .or_else(|| number("a writer's view up to event", entry.seen, told.seen))
        .or(reason)
}

fn v3_agreement(view: &View<'_>, rule: &mut RuleReport) {
    let View { journal, session, step, .. } = view;
    let who = || session.title();
    match step.act {
        Act::Delivered { sequence, logical_time, kind, author, content, message, text, more } => {
            let entry = match journal.lookup(sequence) {
                Lookup::Known(entry) => entry,
                Lookup::Unrecorded => return rule.unrecorded(sequence),
                Lookup::Nothing => {
                    let n = journal.head();
                    let sentence = || {
                        format!(
                            "{} was told an event {sequence}, \"{text}\", but the service recorded only {n}.",
                            who()
                        )
                    };
                    return rule.violate(sentence, &[step.line]);
                }
            };
            rule.checked += 1;
            let lines = [entry.line, step.line];
            if entry.logical_time != logical_time {
                let stated = entry.logical_time;
                let sentence = || {
                    format!(
                        "Event {sequence} was broadcast with logical time {stated}, but {} got it with {logical_time}: \
                     an event has one time, the same for everybody.",
                        who()
                    )
                };
                rule.violate(sentence, &lines);
            } else if entry.content != content {
                let sentence = || {
                    format!("{} got another content for event {sequence} than the one that was broadcast.", who())
                };
                rule.violate(sentence, &lines);
            } else if (entry.kind, entry.who, entry.message) != (kind, author, message) {
                let sentence = || {
                    format!(
                        "{} got event {sequence} with another author, kind or message id than it was broadcast with.",
                        who()
                    )
                };
                rule.violate(sentence, &lines);
            } else if let Some((what, was, is)) = differs(journal, entry, more) {
                let sentence = || {
                    format!("Event {sequence} was broadcast with {what} {was}, but {} got it with {is}.", who())
                };
                rule.violate(sentence, &lines);
            }
        }
        Act::Connected { head, logical_time, .. } if head > 0 => {
            let Some(entry) = journal.entry(head) else { return };
            rule.checked += 1;
            if entry.logical_time != logical_time {
                let stated = entry.logical_time;
                let sentence = || {
                    format!(
                        "The Welcome told {} that event {head} has time {logical_time}, but it was broadcast with {stated}.",
                        who()
                    )
                };
                rule.violate(sentence, &[entry.line, step.line]);
            }
        }
        _ => {}
    }
}

/// What is skipped may come late; what never comes is said in the end.
fn v4_continuity(view: &View<'_>, rule: &mut RuleReport) {
    let View { session, step, .. } = view;
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
        return rule.violate(sentence, &[skip.after.line, step.line]);
    }
    let sentence = || match sequence {
        _ if sequence == newest_is => format!("{who} got event {sequence} twice."),
        _ => format!("{who} got event {sequence} after event {newest_is}: deliveries went back in the order."),
    };
    rule.violate(sentence, &[newest.line, step.line]);
}

/// The event of a publish comes after all that the session knew when it first sent it.
fn v6_causal_order(view: &View<'_>, rule: &mut RuleReport) {
    let View { session, step, .. } = view;
    match step.act {
        Act::PublishSent { .. } if view.is_first_try() => {
            let Some((sequence, entry)) = view.becomes else { return };
            rule.checked += 1;
            let Some(known) = session.known.filter(|known| known.value >= sequence) else { return };
            let (title, cause) = (session.title(), known.value);
            let sentence = || {
                format!(
                    "{title} knew of event {cause} when it sent this message, so the message can only come after \
                 it; but it became event {sequence}, before its own cause."
                )
            };
            rule.violate(sentence, &[known.line, step.line, entry.line]);
        }
        Act::Acknowledged { message: None, sequence, .. } => {
            rule.checked += 1;
            let Some(known) = session.known.filter(|known| known.value >= sequence) else { return };
            let (title, cause) = (session.title(), known.value);
            let sentence = || format!("{title} left as event {sequence}, but had been told event {cause} before.");
            rule.violate(sentence, &[known.line, step.line]);
        }
        _ => {}
    }
}

/// The process's own clock, whichever session it is in.
pub(super) fn v7_log(log: &ClientLog, step: &Step<'_>, rule: &mut RuleReport) {
    if let Some(local) = step.local {
        rule.checked += 1;
        if let Some(before) = log.clock.filter(|before| before.value >= local) {
            let was = before.value;
            let sentence = || {
                format!(
                    "The process's clock stood at {was} and then at {local}: every event makes a Lamport clock rise."
                )
            };
            return rule.violate(sentence, &[before.line, step.line]);
        }
        let heard = match step.act {
            Act::Delivered { logical_time, .. }
            | Act::Acknowledged { logical_time, .. }
            | Act::Connected { logical_time, .. } => logical_time,
            _ => return,
        };
        if local <= heard {
            let sentence = || {
                format!(
                    "Something with time {heard} arrived, but the process's clock showed only {local} afterwards: \
                 the receiver must take the maximum of both clocks, and then add 1."
                )
            };
            rule.violate(sentence, &[step.line]);
        }
    }
}

/// A send is later than everything that its session knew.
fn v7_clock_condition(view: &View<'_>, rule: &mut RuleReport) {
    let (Act::PublishSent { sent, .. } | Act::LeaveSent { sent } | Act::JoinSent { sent, .. }) = view.step.act
    else {
        return;
    };
    rule.checked += 1;
    if let Some(time) = view.session.time.filter(|time| time.value >= sent) {
        let (who, before) = (view.session.title(), time.value);
        let sentence = || {
            format!(
                "{who} stamped what it sent with {sent}, though it had seen or sent time {before} before: an effect \
             must have a greater time than its cause (Lamport's clock condition)."
            )
        };
        rule.violate(sentence, &[time.line, view.step.line]);
    }
}

fn v9_begins_with_own_join(view: &View<'_>, rule: &mut RuleReport) {
    let View { journal, session, step, .. } = view;
    let Act::Delivered { sequence, kind, author, .. } = step.act else { return };
    if session.position.is_none() {
        if session.lost_before > 0 {
            // What was lost is said for all rules at once.
            return;
        }
        if !session.whole {
            return rule.gap(format!(
                "the log of {} has no beginning, so what it was told first is unknown",
                session.title()
            ));
        }
        rule.checked += 1;
        if kind != Kind::Joined || session.who != Some(author) {
            let who = session.title();
            let sentence =
                || format!("The first event that {who} got was event {sequence}, and not its own join.");
            rule.violate(sentence, &[session.begins, step.line]);
        }
        return;
    }
    rule.checked += 1;
    let left = session.who.and_then(|who| journal.left(who));
    if let Some((left, entry)) = left.filter(|(left, _)| sequence >= *left) {
        let who = session.title();
        let sentence = || format!("{who} got event {sequence} though it had left as event {left}.");
        rule.violate(sentence, &[entry.line, step.line]);
    }
}

fn v10_acknowledged_is_there(view: &View<'_>, rule: &mut RuleReport) {
    let View { journal, session, step, .. } = view;
    let Act::Acknowledged { message, sequence, logical_time } = step.act else { return };
    let who = || session.title();
    let entry = match journal.lookup(sequence) {
        Lookup::Known(entry) => entry,
        Lookup::Unrecorded => return rule.unrecorded(sequence),
        Lookup::Nothing => {
            let n = journal.head();
            let sentence = || {
                format!(
                    "{} was promised event {sequence}, but the journal ends with event {n}: it is lost.",
                    who()
                )
            };
            return rule.violate(sentence, &[step.line]);
        }
    };
    rule.checked += 1;
    let same = session.who == Some(entry.who)
        && entry.logical_time == logical_time
        && match message {
            Some(message) => entry.kind == Kind::Message && entry.message == message,
            None => entry.kind == Kind::Left,
        };
    if !same {
        let sentence = || {
            format!(
                "{} was promised event {sequence} with time {logical_time}, but that event is another one: what \
             was acknowledged is lost or has moved.",
                who()
            )
        };
        rule.violate(sentence, &[entry.line, step.line]);
    }
}

/// What a step says of an event of its own participant, to be noted with the event.
pub(super) struct Note {
    pub(super) sequence: u64,
    /// This try of the publish is the one that became the event.
    pub(super) explains: bool,
    pub(super) first_sent: Option<Moment>,
    pub(super) acknowledged: Option<Moment>,
}

impl Note {
    pub(super) fn of(view: &View<'_>) -> Option<Self> {
        match view.step.act {
            Act::PublishSent { .. } => {
                let (sequence, _) = view.becomes?;
                let first_sent = view.is_first_try().then(|| real_time::sent_at(view.step));
                Some(Self { sequence, explains: view.became_event(), first_sent, acknowledged: None })
            }
            Act::LeaveSent { sent } => {
                let (sequence, entry) = view.session.who.and_then(|who| view.journal.left(who))?;
                let explains = entry.sent == sent;
                Some(Self { sequence, explains, first_sent: None, acknowledged: None })
            }
            Act::Acknowledged { message: Some(_), sequence, .. } => {
                let own = view.journal.entry(sequence).is_some_and(|entry| Some(entry.who) == view.session.who);
                let acknowledged = Some(real_time::acknowledged_at(view.step));
                own.then_some(Self { sequence, explains: false, first_sent: None, acknowledged })
            }
            _ => None,
        }
    }

    pub(super) fn put(self, journal: &mut Journal) {
        if let Some(entry) = journal.entry_mut(self.sequence) {
            entry.sent_by_log |= self.explains;
            entry.first_sent = entry.first_sent.or(self.first_sent);
            entry.acknowledged = entry.acknowledged.or(self.acknowledged);
        }
    }
}
