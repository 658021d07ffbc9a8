//! Which participants had a stream, and when those that lost it left, by the service's own records and its own clock
//! (V15).
//!
//! The check begins with a start of the service, which states the grace period, and ends with that process, with lost
//! records, or with the file. A service that starts gives all participants a fresh grace period.

use foldhash::HashMap;

use crate::chat::LeaveReason;
use crate::trace::record::{LineRef, LogRecord, Who};

use super::run::{JITTER_MICROS, ServiceStart};

/// How much too early a leave may come, in microseconds: a start is recorded a little after grace periods begin.
pub(super) const EARLY_MICROS: i64 = 2_000_000;
/// How long after the end of the grace period a leave may come, in microseconds.
const LATE_MICROS: i64 = 5_000_000;

/// What is wrong with a leave, or with the lack of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarewellFault {
    /// It left as disconnected while its stream was open.
    Connected,
    /// It left as disconnected before its grace period was over.
    Early,
    /// It left long after its grace period was over.
    Late,
    Never,
}

/// A participant that left when it should not have, or did not leave when it should have.
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    pub who: Who,
    pub fault: FarewellFault,
    /// How long after the end of its stream it left, or had still not left, in microseconds.
    pub after: i64,
    /// The record of the beginning or end of its stream, or of the service's start.
    pub since: LineRef,
    /// Its leave, or the record that shows how much time has passed.
    pub line: LineRef,
    /// When it left or, if it did not, when it should have, in microseconds since 1970.
    pub at: i64,
}

#[derive(Clone, Copy, Debug)]
struct Presence {
    /// How many of its streams are open: for a moment two, when one is replaced.
    open: u32,
    /// When the last of them ended, unless by a leave or the stop of the service.
    since: Option<i64>,
    has_left: bool,
    line: LineRef,
}

/// One process of the service, as far as it is known.
#[derive(Clone, Debug)]
struct Watch {
    start: ServiceStart,
    grace: i64,
    of: HashMap<Who, Presence>,
    last: (i64, LineRef),
    /// The service is stopping: from here on no participant leaves.
    stopping: bool,
    /// Its journal could not be written, a lab stopped its writer, or its clock was set back, so it is unknown when
    /// participants should have left.
    is_unsure: bool,
}

/// The farewells of one journal.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    watch: Option<Watch>,
    faults: Vec<Farewell>,
    checked: u64,
    /// Whether a service started without stating its grace period.
    without_grace: bool,
    /// Whether it is unknown when participants of some process should have left.
    is_unsure: bool,
}

impl Watch {
    fn at(&mut self, line: LineRef, at: i64) {
        self.is_unsure |= at < self.last.0.saturating_sub(JITTER_MICROS);
        if !self.stopping {
            self.last = (self.last.0.max(at), line);
        }
    }

    /// The fault of a participant that comes back although it should have left by the record before.
    fn back(&self, who: Who, (now, line): (i64, LineRef)) -> Option<Farewell> {
        let (since, at) = match self.of.get(&who) {
            Some(Presence { open: 0, since: Some(at), has_left: false, line }) => (*line, *at),
            None if (1..=self.start.sequence).contains(&who.0) => (self.start.line, self.start.at),
            _ => return None,
        };
        let (after, allowed) = (now.saturating_sub(at), self.grace.saturating_add(LATE_MICROS));
        let fault = FarewellFault::Never;
        let is_late = !self.is_unsure && !self.stopping && after > allowed;
        is_late.then_some(Farewell { who, fault, after, since, line, at: at.saturating_add(allowed) })
    }

    /// How many participants are checked.
    fn checked(&self) -> u64 {
        if self.is_unsure { 0 } else { self.of.len() as u64 }
    }

    /// The participants that should have left by the last record.
    fn overdue(&self, members: &HashMap<Who, (u64, Option<u64>)>) -> Vec<Farewell> {
        let (now, line) = self.last;
        let allowed = self.grace.saturating_add(LATE_MICROS);
        let late = |at: i64| !self.is_unsure && now.saturating_sub(at) > allowed;
        let fault = |who, since, at: i64| Farewell {
            who,
            fault: FarewellFault::Never,
            after: now.saturating_sub(at),
            since,
            line,
            at: at.saturating_add(allowed),
        };
        let vanished = self.of.iter().filter_map(|(who, presence)| {
            let at = presence.since.filter(|at| presence.open == 0 && !presence.has_left && late(*at))?;
            Some(fault(*who, presence.line, at))
        });
        let ServiceStart { sequence, at, line, .. } = self.start;
        let was_here = |(joined, left): (u64, Option<u64>)| {
            (1..=sequence).contains(&joined) && left.is_none_or(|left| left > sequence)
        };
        let absent =
            members.iter().filter(|(who, member)| late(at) && was_here(**member) && !self.of.contains_key(who));
        let mut overdue: Vec<_> = vanished.chain(absent.map(|(who, _)| fault(*who, line, at))).collect();
        overdue.sort_unstable_by_key(|farewell| farewell.who);
        overdue
    }
}

impl Farewells {
    /// A process of the service has ended.
    pub(super) fn end(&mut self, members: &HashMap<Who, (u64, Option<u64>)>) {
        if let Some(watch) = self.watch.take() {
            self.is_unsure |= watch.is_unsure;
            self.checked += watch.checked();
            self.faults.extend(watch.overdue(members));
        }
    }

    pub(super) fn start(&mut self, start: ServiceStart) {
        self.without_grace |= start.settings.grace.is_none();
        self.watch = start.settings.grace.map(|grace| Watch {
            start,
            grace,
            of: HashMap::default(),
            last: (start.at, start.line),
            stopping: false,
            is_unsure: false,
        });
    }

    /// Adds a record of the service.
    pub(super) fn take(
        &mut self,
        line: LineRef,
        record: &LogRecord<'_>,
        members: Option<&HashMap<Who, (u64, Option<u64>)>>,
    ) {
        let Some(watch) = &mut self.watch else { return };
        if watch.start.line.file != line.file {
            return self.end(members.unwrap_or(&HashMap::default()));
        }
        let before = watch.last;
        // Such a record was written at the next start, after the process had ended.
        if !record.recovered {
            watch.at(line, record.at);
        }
        let who = || Who::of(LogRecord::text(&record.participant_id));
        let reason = LogRecord::text(&record.reason);
        watch.is_unsure |= matches!(reason, "JOURNAL_UNAVAILABLE" | "JOURNAL_FAILED" | "REPLICA_FAILED")
            || LogRecord::text(&record.faults).contains("writer stopped");
        match &*record.event {
            "client_connected" => {
                self.faults.extend(watch.back(who(), before));
                let new = Presence { open: 0, since: None, has_left: false, line };
                let presence = watch.of.entry(who()).or_insert(new);
                (presence.open, presence.since, presence.line) = (presence.open.saturating_add(1), None, line);
            }
            "client_disconnected" => {
                if let Some(presence) = watch.of.get_mut(&who()) {
                    presence.open = presence.open.saturating_sub(1);
                    let is_over = presence.open == 0 && !matches!(reason, "LEFT" | "SHUTTING_DOWN");
                    (presence.since, presence.line) = (is_over.then_some(record.at), line);
                }
            }
            "leave_broadcast" => self.left(line, record, who()),
            "server_stopping" => watch.stopping = true,
            _ => {}
        }
    }

    fn left(&mut self, line: LineRef, record: &LogRecord<'_>, who: Who) {
        let Some(watch) = &mut self.watch else { return };
        let was_here = who.0 <= watch.start.sequence;
        let known = watch.of.get(&who).copied();
        watch.of.entry(who).or_insert(Presence { open: 0, since: None, has_left: false, line }).has_left = true;
        if record.recovered || record.reason.as_deref() != Some(LeaveReason::Disconnected.as_str()) {
            return;
        }
        let (since, at) = match known {
            Some(Presence { has_left: true, .. }) => return,
            Some(Presence { open: 1.., line: since, .. }) => {
                let fault = FarewellFault::Connected;
                return self.faults.push(Farewell { who, fault, after: 0, since, line, at: record.at });
            }
            Some(Presence { since: Some(at), line: since, .. }) => (since, at),
            None if was_here => (watch.start.line, watch.start.at),
            _ => return,
        };
        let after = record.at.saturating_sub(at);
        let fault = match after {
            _ if watch.is_unsure => return,
            _ if after < watch.grace.saturating_sub(EARLY_MICROS) => FarewellFault::Early,
            _ if after > watch.grace.saturating_add(LATE_MICROS) => FarewellFault::Late,
            _ => return,
        };
        self.faults.push(Farewell { who, fault, after, since, line, at: record.at });
    }

    /// Records were lost: until the next start it is unknown which participants had a stream.
    pub(super) fn lose(&mut self) {
        self.watch = None;
    }

    /// How many participants were checked, and the faults.
    pub(super) fn found(&self, members: &HashMap<Who, (u64, Option<u64>)>) -> (u64, Vec<Farewell>) {
        let watched = self.watch.iter();
        let mut faults = self.faults.clone();
        faults.extend(watched.clone().flat_map(|watch| watch.overdue(members)));
        let mut reported = std::collections::HashSet::new();
        faults.retain(|farewell| reported.insert(farewell.who));
        (self.checked + watched.map(Watch::checked).sum::<u64>(), faults)
    }

    /// Whether it is unknown when participants of some process should have left.
    pub(super) fn is_unsure(&self) -> bool {
        self.is_unsure || self.watch.as_ref().is_some_and(|watch| watch.is_unsure)
    }

    /// Whether a service started without stating its grace period.
    pub(super) fn is_without_grace(&self) -> bool {
        self.without_grace
    }
}
