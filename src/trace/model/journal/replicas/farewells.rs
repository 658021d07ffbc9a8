//! When participants should have left, by the records of all replicas together (V15). Sessions move between replicas: a
//! session may have resumed at another replica, and when a replica is gone, the sessions that were attached to it are
//! detached.

use foldhash::{HashMap, HashSet};

use crate::chat::LeaveReason;
use crate::trace::record::{LineRef, LogRecord, Who};

use crate::trace::model::journal::presence::{EARLY_MICROS, Farewell, FarewellFault};
use crate::trace::model::journal::run::{ServiceRun, Settings};

/// How long after the end of the grace period a leave may come, in microseconds: each replica waits for its turn, the
/// servers of the log may elect a leader, and failed proposals are repeated.
const LATE_MICROS: i64 = 20_000_000;

/// What a record of a replica shows about its streams.
#[derive(Clone, Copy, Debug)]
enum Note {
    Started,
    /// The common log did not accept this replica's proposals.
    Unavailable,
    /// From here on this replica could propose nothing.
    Outage,
    /// It could again.
    OutageOver,
    Opened(Who),
    Closed(Who, Closing),
    Left {
        who: Who,
        disconnected: bool,
    },
    /// The replica itself takes part, with this start.
    Own(u64),
    /// A start of a replica is over.
    Gone(u64),
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// Its participant left.
    Left,
    /// Its session is attached elsewhere.
    Replaced,
    /// The replica stops. The session stays attached until the replica is gone.
    Stopping,
    Lost,
}

/// What all replicas recorded, log by log.
#[derive(Debug, Default)]
pub(crate) struct ReplicaNotes {
    all: Vec<(LineRef, i64, Note)>,
    /// The shortest and the longest grace period that a start states.
    grace: Option<(i64, i64)>,
    /// Whether the records state which replicas there are.
    tells_replicas: bool,
}

impl ReplicaNotes {
    pub(crate) fn tells_replicas(&self) -> bool {
        self.tells_replicas
    }

    pub(crate) fn take(&mut self, name: &str, line: LineRef, record: &LogRecord<'_>) {
        let who = || Who::of(LogRecord::text(&record.participant_id));
        let reason = LogRecord::text(&record.reason);
        if reason == "JOURNAL_UNAVAILABLE" {
            self.all.push((line, record.at, Note::Unavailable));
        }
        let start = record.replica_start.unwrap_or(0);
        let note = match &*record.event {
            "server_started" => {
                let grace = Settings::of(record).grace.unwrap_or(0);
                let (least, most) = self.grace.unwrap_or((grace, grace));
                self.grace = Some((least.min(grace), most.max(grace)));
                Note::Started
            }
            "replica_unavailable" => Note::Outage,
            "replica_available" => Note::OutageOver,
            "client_connected" => Note::Opened(who()),
            "client_disconnected" => Note::Closed(
                who(),
                match reason {
                    "LEFT" => Closing::Left,
                    "REPLACED" => Closing::Replaced,
                    "SHUTTING_DOWN" => Closing::Stopping,
                    _ => Closing::Lost,
                },
            ),
            "leave_broadcast" if !record.recovered => {
                Note::Left { who: who(), disconnected: reason == LeaveReason::Disconnected.as_str() }
            }
            "replica_joined" if record.of_replica.as_deref() == Some(name) => Note::Own(start),
            "replica_gone" => Note::Gone(start),
            _ => return,
        };
        self.tells_replicas |= matches!(note, Note::Own(_));
        self.all.push((line, record.at, note));
    }

    /// All notes in the order in which they happened. `ahead` returns how far the clock of a file is ahead.
    fn merged(&self, ahead: impl Fn(u32) -> i64) -> Vec<(LineRef, i64, Note)> {
        let mut last: HashMap<u32, i64> = HashMap::default();
        let mut merged = Vec::with_capacity(self.all.len());
        for (line, at, note) in &self.all {
            // A clock that was set back does not change the order within a file.
            let last = last.entry(line.file).or_insert(i64::MIN);
            *last = at.saturating_sub(ahead(line.file)).max(*last);
            merged.push((*line, *last, *note));
        }
        merged.sort_by_key(|(line, at, _)| (*at, *line));
        merged
    }

    /// Until when all logs show where sessions are, and from when to when one did not: a replica whose log ends earlier
    /// than the others' may have had more streams, until it was gone. One that has stopped had none.
    fn shown(&self, ahead: impl Fn(u32) -> i64, runs: &[Vec<&ServiceRun>]) -> (i64, Vec<(i64, i64)>) {
        let (mut own, mut gone) = (HashMap::default(), HashMap::default());
        for (line, at, note) in &self.all {
            match note {
                Note::Own(start) => drop(own.insert(line.file, *start)),
                Note::Gone(start) => {
                    let at = at.saturating_sub(ahead(line.file));
                    gone.entry(*start).and_modify(|known: &mut i64| *known = at.min(*known)).or_insert(at);
                }
                _ => {}
            }
        }
        let (mut known_until, mut unknown) = (i64::MAX, Vec::new());
        let last = runs.iter().filter_map(|of_replica| of_replica.iter().max_by_key(|run| run.ends));
        for run in last.filter(|run| !run.stopped) {
            match own.get(&run.file).and_then(|own| gone.get(own)) {
                Some(gone) => unknown.push((run.ends, *gone)),
                None => known_until = known_until.min(run.ends),
            }
        }
        (known_until, unknown)
    }

    /// How many participants were checked, and the faults. The times of the runs, those of each replica, are already by one
    /// clock.
    pub(crate) fn judge(
        &self,
        ahead: impl Fn(u32) -> i64,
        runs: &[Vec<&ServiceRun>],
        members: &HashMap<Who, (u64, Option<u64>)>,
    ) -> (u64, Vec<Farewell>) {
        let Some(grace) = self.grace else { return (0, Vec::new()) };
        let (known_until, unknown) = self.shown(&ahead, runs);
        let mut judge = Judge { grace, runs, known_until, unknown, ..Judge::default() };
        for (line, at, note) in self.merged(ahead) {
            judge.take(line, at, note);
        }
        judge.who_never_left(members);
        (judge.of.len() as u64, judge.faults)
    }
}

/// Where a participant's stream is.
#[derive(Clone, Copy, Debug)]
struct StreamPlace {
    file: u32,
    /// By which start of the replica.
    start: Option<u64>,
    /// How many streams are open: for a moment two, when one is replaced.
    open: u32,
}

#[derive(Clone, Copy, Debug)]
struct Presence {
    attached: Option<StreamPlace>,
    /// When its last stream ended, or its replica was gone; `None` if it has a stream, or if that is unknown.
    since: Option<(i64, LineRef)>,
    /// The record by which that is known.
    line: LineRef,
    has_left: bool,
}

#[derive(Debug, Default)]
struct Judge<'r> {
    grace: (i64, i64),
    /// Those of each replica.
    runs: &'r [Vec<&'r ServiceRun>],
    /// Until when all logs show where sessions are.
    known_until: i64,
    /// From when to when one of them did not.
    unknown: Vec<(i64, i64)>,
    of: HashMap<Who, Presence>,
    starts: HashMap<u32, u64>,
    gone: HashSet<u64>,
    unavailable: Vec<i64>,
    /// By file, from when to when its replica could propose nothing.
    outages: HashMap<u32, Vec<(i64, i64)>>,
    faults: Vec<Farewell>,
}

impl Judge<'_> {
    fn take(&mut self, line: LineRef, at: i64, note: Note) {
        match note {
            Note::Started => {
                self.end_outage(line.file, at);
                self.starts.remove(&line.file);
                self.detach(line, at, |attached| attached.file == line.file);
            }
            Note::Unavailable => self.unavailable.push(at),
            Note::Outage => self.outages.entry(line.file).or_default().push((at, i64::MAX)),
            Note::OutageOver => self.end_outage(line.file, at),
            Note::Own(start) => drop(self.starts.insert(line.file, start)),
            Note::Gone(start) => {
                if self.gone.insert(start) {
                    self.detach(line, at, |attached| attached.start == Some(start));
                }
            }
            Note::Opened(who) => self.opened(line, who),
            Note::Closed(who, why) => self.closed(line, at, who, why),
            Note::Left { who, disconnected } => self.left(line, at, who, disconnected),
        }
    }

    fn end_outage(&mut self, file: u32, at: i64) {
        let last = self.outages.get_mut(&file).and_then(|outages| outages.last_mut());
        if let Some((_, until)) = last.filter(|(_, until)| *until == i64::MAX) {
            *until = at;
        }
    }

    /// Detaches the sessions that are attached there.
    fn detach(&mut self, line: LineRef, at: i64, is_there: impl Fn(&StreamPlace) -> bool) {
        for presence in self.of.values_mut() {
            if presence.attached.take_if(|attached| is_there(attached)).is_some() {
                (presence.since, presence.line) = (Some((at, line)), line);
            }
        }
    }

    fn opened(&mut self, line: LineRef, who: Who) {
        let start = self.starts.get(&line.file).copied();
        let new = Presence { attached: None, since: None, line, has_left: false };
        let presence = self.of.entry(who).or_insert(new);
        let before = presence.attached.filter(|before| (before.file, before.start) == (line.file, start));
        let open = before.map_or(0, |before| before.open).saturating_add(1);
        (presence.attached, presence.since) = (Some(StreamPlace { file: line.file, start, open }), None);
        presence.line = line;
    }

    fn closed(&mut self, line: LineRef, at: i64, who: Who, why: Closing) {
        let Some(presence) = self.of.get_mut(&who) else { return };
        let is_last = match &mut presence.attached {
            Some(attached) if attached.file != line.file => return,
            Some(_) if why == Closing::Stopping => return,
            Some(attached) => {
                attached.open = attached.open.saturating_sub(1);
                attached.open == 0
            }
            // According to the records it was attached nowhere, or no record shows where.
            None => presence.since.is_none(),
        };
        if is_last {
            presence.attached = None;
            presence.since = (why == Closing::Lost).then_some((at, line));
            presence.line = line;
        }
    }

    fn left(&mut self, line: LineRef, at: i64, who: Who, disconnected: bool) {
        let new = Presence { attached: None, since: None, line, has_left: false };
        let presence = self.of.entry(who).or_insert(new);
        let (is_first, since) = (!std::mem::replace(&mut presence.has_left, true), presence.since);
        let here = presence.attached.take_if(|attached| attached.file == line.file);
        if !disconnected {
            return;
        }
        // This is judged by the records of that one replica, in their order.
        if here.is_some() {
            let (fault, since) = (FarewellFault::Connected, presence.line);
            self.faults.push(Farewell { who, fault, after: 0, since, line, at });
        } else if let Some((since, known_by)) = since.filter(|_| is_first) {
            let after = at.saturating_sub(since);
            let fault = if after < self.grace.0.saturating_sub(EARLY_MICROS) {
                FarewellFault::Early
            } else if self.run_that_forgot(since, at).is_some() {
                FarewellFault::Late
            } else {
                return;
            };
            self.faults.push(Farewell { who, fault, after, since: known_by, line, at });
        }
    }

    /// A run of a replica that should have proposed the leave of a participant gone since then, and when the leave was
    /// due.
    fn run_that_forgot(&self, since: i64, until: i64) -> Option<(&ServiceRun, i64)> {
        if self.unavailable.iter().any(|at| (since..=until).contains(at)) {
            return None;
        }
        let (allowed, until) = (self.grace.1.saturating_add(LATE_MICROS), until.min(self.known_until));
        self.runs.iter().flatten().copied().find_map(|run| {
            let mut due = run.start.map_or(run.begins, |start| start.at).max(since).saturating_add(allowed);
            // What was due while it could propose nothing is due after that, and so is what was due while it is unknown
            // which sessions a replica had.
            for (from, to) in self.outages.get(&run.file).into_iter().flatten().chain(&self.unknown) {
                if *from < due && *to > since {
                    due = due.max(to.saturating_add(allowed));
                }
            }
            (run.stopping.unwrap_or(run.ends).min(until) > due).then_some((run, due))
        })
    }

    fn who_never_left(&mut self, members: &HashMap<Who, (u64, Option<u64>)>) {
        let is_active = |who: &Who| members.get(who).is_none_or(|(_, left)| left.is_none());
        let mut vanished = Vec::new();
        for (who, presence) in self.of.iter().filter(|(who, presence)| !presence.has_left && is_active(who)) {
            let Some((since, known_by)) = presence.since else { continue };
            if let Some((run, due)) = self.run_that_forgot(since, i64::MAX) {
                let after = run.stopping.unwrap_or(run.ends).min(self.known_until).saturating_sub(since);
                let (fault, line) = (FarewellFault::Never, run.last_line);
                vanished.push(Farewell { who: *who, fault, after, since: known_by, line, at: due });
            }
        }
        vanished.sort_unstable_by_key(|farewell| farewell.who);
        self.faults.append(&mut vanished);
    }
}
