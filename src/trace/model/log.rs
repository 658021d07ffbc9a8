//! The log of a client or page: steps in program order.

use foldhash::HashMap;

use crate::trace::record::{LineRef, LogRecord, Who, digest};

use super::clock::ProcessClock;
use super::session::{LoggedSession, Mark};
use super::step::{Act, Step, act};

/// A file of steps: one process after another.
#[derive(Debug, Default)]
pub struct ClientLog {
    /// The session of the current process.
    current: Option<usize>,
    /// The last session of each participant in each journal.
    known: HashMap<(usize, Who), usize>,
    /// The process's clock, with the record that states it.
    pub clock: Option<Mark>,
    /// The same before records were lost: it is still the clock if the same session continues after them.
    clock_before: Option<Mark>,
    /// How many records were lost before those of the session that comes next.
    lost: u64,
    /// How many were lost before the current process started: a session that it resumes may have begun among them.
    lost_earlier: u64,
    /// The sessions that a process may continue.
    open: Vec<usize>,
    /// A request to join that has not been answered.
    pub join: Option<Mark>,
    /// When that was made.
    pub join_at: i64,
    /// Texts that were submitted and not yet acknowledged, by the number that stands for the message id.
    queued: HashMap<u64, Queued>,
    /// The system clock of each of its processes.
    pub processes: Vec<ProcessClock>,
    /// Whether the current process has had no answer to a request to join yet.
    is_new: bool,
    /// The run of the last record: a number that stands for its id, 0 if it has none.
    run: u64,
    /// The states of the other runs in the file, if their lines are mixed.
    runs: HashMap<u64, ProcessState>,
}

/// The state of one start of a process. Sessions outlive it.
#[derive(Debug, Default)]
struct ProcessState {
    current: Option<usize>,
    clock: Option<Mark>,
    join: Option<Mark>,
    join_at: i64,
    is_new: bool,
}

/// A text that was submitted.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// What had been delivered to its writer, according to the record.
    pub seen: u64,
    pub line: LineRef,
    /// The participant that it was submitted as, and its journal; `None` if there was none at the time.
    member: Option<(usize, Who)>,
}

impl Queued {
    /// Whether it was submitted as this session's participant.
    pub fn is_of(&self, session: &LoggedSession) -> bool {
        session.who.is_some_and(|who| self.member == Some((session.journal, who)))
    }
}

impl ClientLog {
    pub(super) fn step<'r>(
        &mut self,
        sessions: &mut Vec<LoggedSession>,
        journal: Option<usize>,
        line: LineRef,
        record: &'r LogRecord<'_>,
    ) -> Step<'r> {
        let has_turned = self.turn_to(record.run.as_deref().map_or(0, digest));
        let (act, known) = (act(record), sessions.len());
        let is_next = matches!(act, Act::Started | Act::Lost { from_start: true, .. });
        if is_next {
            (self.clock, self.clock_before, self.join) = (None, None, None);
        }
        let is_mixed = self.run == 0 && self.is_new && matches!(act, Act::Delivered { .. });
        match act {
            Act::Started => {
                (self.current, self.is_new) = (None, true);
                self.lost_earlier = self.lost_earlier.saturating_add(std::mem::take(&mut self.lost));
            }
            Act::Connected { .. } | Act::Lost { .. } => self.is_new = false,
            _ => {}
        }
        self.read_clock(line, is_next || has_turned, record.at);
        // In a delivery the participant is the author; in all other records it is the log's own.
        let own = if matches!(act, Act::Delivered { .. }) { None } else { record.participant_id.as_deref() };
        let before = self.current;
        let session = match (journal, own.map(Who::of)) {
            (Some(journal), who) => Some(self.session(sessions, journal, who, line, &act, record)),
            (None, _) => None,
        };
        let is_known = |session| session < known;
        // With a run, it is a late answer to the process's previous session.
        let is_other = self.run == 0 && before.is_some() && session != before;
        let is_of_another = is_mixed || is_other && act.is_own() && session.is_some_and(is_known);
        let (at, component, local) = (record.at, record.component, record.local_time);
        Step { line, at, component, session, before, local, act, is_of_another }
    }

    /// Switches to the run of the next record. Returns whether the last record was of another run.
    fn turn_to(&mut self, run: u64) -> bool {
        // A record of lost records may be the first one of its process.
        if run == self.run || self.run == 0 {
            self.run = run;
            return false;
        }
        let next = self.runs.remove(&run).unwrap_or_default();
        let (current, clock, join) = (self.current, self.clock, self.join);
        let before = ProcessState { current, clock, join, join_at: self.join_at, is_new: self.is_new };
        self.runs.insert(self.run, before);
        (self.run, self.current, self.clock) = (run, next.current, next.clock);
        (self.join, self.join_at, self.is_new) = (next.join, next.join_at, next.is_new);
        true
    }

    fn read_clock(&mut self, line: LineRef, is_next: bool, at: i64) {
        match self.processes.last_mut() {
            Some(clock) if !is_next => clock.at(at),
            Some(before) => {
                let clock = before.next(line.line, at);
                self.processes.push(clock);
            }
            None => self.processes.push(ProcessClock::new(line.line, at)),
        }
    }

    /// The record by which the text of a send was submitted.
    pub fn queued(&self, act: &Act<'_>) -> Option<Queued> {
        let (Act::PublishQueued { message, .. } | Act::PublishSent { message, .. }) = act else { return None };
        self.queued.get(message).copied()
    }

    fn session(
        &mut self,
        sessions: &mut Vec<LoggedSession>,
        journal: usize,
        who: Option<Who>,
        line: LineRef,
        act: &Act<'_>,
        record: &LogRecord<'_>,
    ) -> usize {
        let current = self.current.filter(|current| sessions[*current].journal == journal);
        let known = match (current, who) {
            (Some(current), None) => Some(current),
            (Some(current), Some(who)) if sessions[current].who.is_none_or(|whose| whose == who) => Some(current),
            (_, who) => who
                .and_then(|who| self.known.get(&(journal, who)).copied())
                .filter(|known| sessions[*known].lost_after == 0),
        };
        let index = known.unwrap_or_else(|| {
            let whole = matches!(act, Act::Connected { resumed: false, .. });
            sessions.push(LoggedSession::new(journal, line, None, whole));
            let index = sessions.len() - 1;
            sessions[index].lost_before = std::mem::take(&mut self.lost);
            if matches!(act, Act::JoinSent { resume: Some(_), .. }) {
                let earlier = std::mem::take(&mut self.lost_earlier);
                sessions[index].lost_before = sessions[index].lost_before.saturating_add(earlier);
            }
            self.open.push(index);
            index
        });
        if let Some(whose) = who {
            let before = self.known.insert((journal, whose), index);
            if sessions[index].who.is_none() {
                sessions[index].who = who;
                self.continue_session(sessions, before, index);
            }
            if sessions[index].name.is_empty() {
                sessions[index].name = LogRecord::text(&record.display_name).into();
            }
        }
        if matches!(act, Act::Connected { .. }) || self.current.is_none() {
            self.current = Some(index);
        }
        index
    }

    /// A session whose participant is now known may continue one that lost records interrupted.
    fn continue_session(&mut self, sessions: &mut [LoggedSession], before: Option<usize>, index: usize) {
        let (earlier, after) = sessions.split_at_mut(index);
        let before = before.and_then(|before| earlier.get_mut(before)).filter(|before| before.lost_after > 0);
        if let (Some(before), Some(session)) = (before, after.first_mut()) {
            session.carry_over(before);
            if let Some(clock) = self.clock_before.take()
                && self.clock.is_none_or(|now| now.value < clock.value)
            {
                self.clock = Some(clock);
            }
        }
    }

    pub(super) fn settle(&mut self, sessions: &mut [LoggedSession], step: &Step<'_>) {
        if let Some(value) = step.local {
            self.clock = Some(Mark { value, line: step.line });
        }
        match step.act {
            Act::JoinSent { sent, .. } => {
                (self.join, self.join_at) = (Some(Mark { value: sent, line: step.line }), step.at);
            }
            Act::Connected { .. } => self.join = None,
            Act::PublishQueued { message, seen } => {
                let session = step.session.and_then(|session| sessions.get(session));
                let member = session.and_then(|session| Some((session.journal, session.who?)));
                let queued = Queued { seen, line: step.line, member };
                // The first record counts, unless the text is submitted again as another participant.
                let first = self.queued.entry(message).or_insert(queued);
                if first.member != member {
                    *first = queued;
                }
            }
            Act::Acknowledged { message: Some(message), .. } => drop(self.queued.remove(&message)),
            Act::Lost { count, .. } => {
                // The records after it are read as if the log began there.
                self.clock_before = self.clock.take().or(self.clock_before);
                (self.current, self.join) = (None, None);
                self.lost = self.lost.saturating_add(count);
                self.open.drain(..).for_each(|session| sessions[session].lose(count));
            }
            _ => {}
        }
    }
}
