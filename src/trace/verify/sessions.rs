//! The rules that only whole logs can show: V4 (what never arrived), V9 (everything until the leave), V11 (every message
//! was sent), V14.

mod unanswered;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::trace::model::{LoggedJournal, LoggedSession, Model, ServiceRun};
use crate::trace::record::{LineRef, LoggedKind, Who};
use crate::trace::report::{Rule, RuleReport};

use super::real_time::v12_real_time;
use super::{holes, sent};
use unanswered::v10_unanswered;

/// How long a stream may accept nothing if the service's log does not say: the default, in microseconds.
const STALL_MICROS: i64 = 30_000_000;
/// How much longer a busy service may take, in microseconds.
const BUSY_MICROS: i64 = 5_000_000;

pub(super) fn check(model: &Model, rules: &mut [RuleReport]) {
    model.sessions.iter().for_each(|session| v4_never_arrived(model, session, &mut rules[Rule::V4 as usize]));
    let mut by_journal: Vec<Vec<&LoggedSession>> = vec![Vec::new(); model.journals.len()];
    model.sessions.iter().for_each(|session| by_journal[session.journal].push(session));
    let known = || model.journals.iter().zip(&by_journal).filter(|(journal, _)| journal.is_known());
    for (journal, sessions) in known() {
        sessions.iter().for_each(|session| v9_until_the_leave(model, session, &mut rules[Rule::V9 as usize]));
        sessions.iter().for_each(|session| v10_unanswered(model, session, &mut rules[Rule::V10 as usize]));
        for session in furthest(sessions.iter().copied()).into_values() {
            v14_caught_up(journal, session, &mut rules[Rule::V14 as usize]);
        }
    }
    if model.journals.iter().any(|journal| journal.is_set_back) {
        rules[Rule::V12 as usize].caveat("the clock of the service's machine was set back".into());
    }
    if model.is_set_back() {
        rules[Rule::V12 as usize].caveat("the clock of a machine was set back while a process ran".into());
    } else if model.is_unsteady() {
        rules[Rule::V12 as usize]
            .caveat("the clock of a machine was not steady compared with the service's".into());
    }
    for rule in [Rule::V3, Rule::V10] {
        beyond_the_end(model, &mut rules[rule as usize]);
    }
    for (journal, sessions) in known() {
        sessions.iter().for_each(|session| sent::v11_leave(journal, session, &mut rules[Rule::V11 as usize]));
        for session in furthest(sessions.iter().copied()).into_values() {
            sent::v11_unasked(model, journal, session, &mut rules[Rule::V11 as usize]);
        }
        v11_was_sent(journal, sessions, &mut rules[Rule::V11 as usize]);
        v12_real_time(model, journal, &mut rules[Rule::V12 as usize]);
        without_logs(journal, sessions, rules);
        holes::in_sessions(sessions, rules);
    }
}

/// Events that a log mentions after the end of the service's logs are lost if those logs continue beyond that time.
/// Otherwise the logs may have been copied before they happened.
fn beyond_the_end(model: &Model, rule: &mut RuleReport) {
    for claim in std::mem::take(&mut rule.beyond) {
        let session = &model.sessions[claim.session];
        let journal = model.journal_of(session);
        let latest = model.clock(claim.line).and_then(|clock| clock.latest(claim.at));
        let continues = latest.is_some_and(|at| journal.continues_beyond(at));
        if continues {
            rule.checked += 1;
            rule.violate(model.by_service(claim.line, claim.at), || claim.sentence, &[claim.line]);
        } else if journal.is_set_back {
            rule.caveat(format!(
                "the log of the service ends with event {}, but {} knows of event {}, and the clock of the service's \
                 machine was set back: it is unknown whether that log was copied earlier",
                journal.head(),
                session.title(),
                claim.sequence
            ));
        } else {
            rule.lack(format!(
                "the log of the service ends with event {}, but {} knows of event {}: that log may have been copied earlier",
                journal.head(),
                session.title(),
                claim.sequence
            ));
        }
    }
}

/// For each participant, the session that got furthest: it may continue in another log, and a log may be an older copy
/// of another.
fn furthest<'a>(sessions: impl Iterator<Item = &'a LoggedSession>) -> BTreeMap<Who, &'a LoggedSession> {
    let mut furthest: BTreeMap<Who, &LoggedSession> = BTreeMap::new();
    for session in sessions {
        let Some(who) = session.who else { continue };
        let best = furthest.entry(who).or_insert(session);
        if reach(best) < reach(session) {
            *best = session;
        }
    }
    furthest
}

/// The last event that it got.
fn reach(session: &LoggedSession) -> u64 {
    session.position.map_or(0, |position| position.value)
}

fn v4_never_arrived(model: &Model, session: &LoggedSession, rule: &mut RuleReport) {
    for (first, skip) in &session.skipped {
        let (who, before, after) = (session.title(), skip.before.value, skip.after.value);
        // It may have arrived in the hole at the end of the log, but too late.
        let never = if session.lost_after > 0 { "did not arrive before it" } else { "never arrived" };
        let sentence = || {
            let count = skip.last - first + 1;
            if count == after - before - 1 {
                let events = if count == 1 { "the one event".into() } else { format!("{count} events") };
                return format!(
                    "{who} got event {after} right after event {before}: {events} in between {never}."
                );
            }
            let events =
                if count == 1 { format!("event {first}") } else { format!("events {first} to {}", skip.last) };
            format!("{who} got events {before} and {after}, but {events} in between {never}.")
        };
        rule.violate(model.by_service(skip.after.line, skip.at), sentence, &[skip.before.line, skip.after.line]);
    }
}

fn v9_until_the_leave(model: &Model, session: &LoggedSession, rule: &mut RuleReport) {
    let journal = model.journal_of(session);
    let Some((left, event)) = session.who.and_then(|who| journal.left(who)) else { return };
    let Some(acknowledged) = session.left.filter(|_| session.offline.is_some()) else {
        // It was killed, cut off or expired, so it could not receive everything.
        return;
    };
    if session.broken || session.is_unsure() {
        return;
    }
    if session.position.is_none() && !session.whole {
        return rule.lack(format!(
            "the log of {} begins after the last delivery, so it is unknown what it got before its leave",
            session.title()
        ));
    }
    rule.checked += 1;
    let got = reach(session);
    if got < left - 1 {
        let who = session.title();
        let sentence = || {
            format!(
                "{who} left as event {left}, but the last event that it got was {got}: it missed events before its leave."
            )
        };
        let lines: Vec<LineRef> =
            session.position.map(|position| position.line).into_iter().chain([acknowledged, event.line]).collect();
        rule.violate(model.by_service(session.last, session.last_at), sentence, &lines);
    }
}

fn v11_was_sent(journal: &LoggedJournal, sessions: &[&LoggedSession], rule: &mut RuleReport) {
    let whole = furthest(sessions.iter().copied().filter(|session| session.whole));
    let mut unproved = HashMap::new();
    for (sequence, event) in journal.events().filter(|(_, event)| event.kind == LoggedKind::Message) {
        if event.sent_by_log {
            rule.checked += 1;
            continue;
        }
        if event.filled_in {
            // When its send was checked, the event was not known yet.
            rule.caveat("some messages appear only in deliveries, so it is unknown whether they were sent".into());
            continue;
        }
        // A log that ends before the event may lack some of its writer's processes.
        let Some(session) = whole.get(&event.who).filter(|session| reach(session) >= sequence) else {
            *unproved.entry(event.who).or_insert(0_u64) += 1;
            continue;
        };
        rule.checked += 1;
        let who = session.title();
        if let Some(sent) = event.first_sent {
            let sentence = || {
                format!(
                    "Event {sequence} states that {who} sent it at time {} with a view up to event {}, but no send of it in \
                     the log of {who} has both.",
                    event.sent, event.seen
                )
            };
            rule.violate(event.at, sentence, &[sent.line, event.line]);
            continue;
        }
        let sentence = || {
            format!(
                "Event {sequence} is a message of {who}, but its log has no such send: none with that message id, time \
             {} and view of the conversation up to event {}.",
                event.sent, event.seen
            )
        };
        rule.violate(event.at, sentence, &[event.line]);
    }
    let mut unproved: Vec<_> = unproved.into_iter().collect();
    unproved.sort_unstable();
    for (who, count) in unproved.into_iter().take(SESSIONS_NAMED) {
        let who = journal.title(who);
        rule.caveat(format!(
            "it is unknown whether {who} sent {count} of its messages: its log was not given, or not all of it"
        ));
    }
}

/// A session may lack events if it was not there to get them, or if they were handed to its stream: they may be on a
/// slow path, or wait for a program whose output is not being read.
fn v14_caught_up(journal: &LoggedJournal, session: &LoggedSession, rule: &mut RuleReport) {
    let head = journal.head();
    let Some(who) = session.who.filter(|who| journal.left(*who).is_none()) else { return };
    let got = reach(session);
    if got >= head {
        rule.checked += 1;
        return;
    }
    let next = got.max(who.0.saturating_sub(1)).saturating_add(1);
    // When an event happened, and what was handed over since, only the service's log shows.
    let known = journal.event(next).filter(|missed| !missed.filled_in && !session.is_unsure());
    let Some(missed) = known else {
        return rule.caveat(holes::unknown_how_far(session, next));
    };
    let title = session.title();
    let Some(free_since) = journal.free_since(who) else {
        return rule.caveat(format!(
            "{title} got {got} of {head} events: the lab was holding back the rest when the logs ended"
        ));
    };
    if journal.runs.iter().all(|run| !run.tells_deliveries) {
        return rule.caveat(format!(
            "{title} got {got} of {head} events, and the service's log does not show what was sent to whom"
        ));
    }
    // What a run does not tell, no other run does: its limits, what a lab held back, and what it handed to streams.
    let is_told = |run: &&ServiceRun| run.start.is_some() && run.tells_deliveries && !run.has_hole;
    let open_until = journal.run_of(who).filter(is_told).and_then(|_| journal.connection_ended(who));
    // A stream has this much time from its beginning, however old the event is.
    let overdue = |began: i64| missed.at.max(free_since).max(began).saturating_add(patience(journal));
    let newest = journal.handed(who).map(|(handed, began)| (handed, overdue(began)));
    let is_due = |(_, overdue): &(u64, i64)| open_until.is_some_and(|until| *overdue <= until);
    let Some((handed, overdue)) = newest.filter(is_due) else {
        return rule.caveat(format!(
            "{title} got {got} of {head} events: its connection, or the service's log, ended before it could get more, \
             or the log lacks what would show it"
        ));
    };
    if handed >= next {
        return rule.caveat(format!(
            "{title} got {got} of {head} events and was sent more, which may be on its way, or unread by its program"
        ));
    }
    rule.checked += 1;
    let sentence = || {
        format!(
            "{title} still takes part and was connected, but the last event that it got is {got}, while the journal \
         continues to {head}, and its stream was never handed event {next}."
        )
    };
    let lines: Vec<LineRef> =
        [missed.line].into_iter().chain(session.position.map(|position| position.line)).collect();
    rule.violate(overdue, sentence, &lines);
}

/// How long an event may wait before it is handed to an open stream: a stream that accepts nothing for longer is
/// closed.
fn patience(journal: &LoggedJournal) -> i64 {
    let stall = journal.starts().filter_map(|start| start.settings.stall).max().unwrap_or(STALL_MICROS);
    stall.saturating_add(BUSY_MICROS)
}

/// How many sessions without a log are named.
const SESSIONS_NAMED: usize = 20;

/// Reports whose logs are missing or cut off.
fn without_logs(journal: &LoggedJournal, sessions: &[&LoggedSession], rules: &mut [RuleReport]) {
    let known: HashSet<Who> = sessions.iter().filter_map(|session| session.who).collect();
    let mut absent: Vec<_> = journal.members.keys().filter(|who| !known.contains(who)).copied().collect();
    absent.sort_unstable();
    let names: Vec<_> = absent.iter().take(SESSIONS_NAMED).map(|who| journal.title(*who)).collect();
    if names.is_empty() {
        return;
    }
    let more = absent.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let why = format!("no log of {}{more} was given", names.join(", "));
    for rule in [Rule::V3, Rule::V4, Rule::V6, Rule::V7, Rule::V9, Rule::V10, Rule::V12] {
        rules[rule as usize].lack(why.clone());
    }
    // Participants who have left need not catch up.
    if absent.iter().any(|who| journal.left(*who).is_none()) {
        rules[Rule::V14 as usize].lack(why);
    }
}
