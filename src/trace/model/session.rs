//! A session, as a log describes it.

use std::collections::BTreeMap;

use foldhash::HashMap;

use crate::trace::record::{Component, LineRef, Who};

use super::step::{Act, Step};

/// How long a publish may wait for its answer: the request time of the service, in microseconds.
pub const ANSWER_MICROS: i64 = 30_000_000;

/// A position or a time, with the record that states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub value: u64,
    /// The record.
    pub line: LineRef,
}

impl Mark {
    fn raise(mark: &mut Option<Self>, value: u64, line: LineRef) {
        if mark.is_none_or(|mark| mark.value < value) {
            *mark = Some(Self { value, line });
        }
    }
}

/// A publish that has been sent and not acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// What its writer had seen, as it states.
    pub seen: u64,
    /// The time in its last attempt.
    pub last_time: u64,
    /// Whether its last attempt was refused, or given up by its client.
    pub refused: bool,
}

/// A publish that has had no answer since its stream began.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Its first attempt since then.
    pub line: LineRef,
    /// When that was, by the clock of its process.
    pub at: i64,
    /// A number that stands for the message id.
    message: u64,
    /// The first event that was delivered after it became overdue, and when.
    pub late: Option<(u64, i64)>,
}

/// Events that had not been delivered when a later one was.
#[derive(Clone, Copy, Debug)]
pub struct Skip {
    /// The last of them.
    pub last: u64,
    /// The delivery before the gap.
    pub before: Mark,
    pub after: Mark,
    /// When that was, by the clock of its process.
    pub at: i64,
}

/// What a log has shown of a session so far. Settled parts are forgotten.
#[derive(Debug, Default)]
pub struct LoggedSession {
    pub file: u32,
    /// The journal, by its index in the model.
    pub journal: usize,
    /// The participant; `None` if the log's beginning is cut off and no record has named it yet.
    pub who: Option<Who>,
    pub name: Box<str>,
    /// Whether the session's beginning is in the log.
    pub whole: bool,
    /// The first record of the session.
    pub begins: LineRef,
    /// The delivered event that is furthest in the order.
    pub position: Option<Mark>,
    /// The last event that was delivered, which differs if deliveries went back.
    pub latest: Option<Mark>,
    /// The events up to the position that were not delivered, by the first event of each gap.
    pub skipped: BTreeMap<u64, Skip>,
    /// The newest event that it knows of, by a delivery or an acknowledgement.
    pub known: Option<Mark>,
    /// The greatest time in any of its deliveries, acknowledgements or requests.
    pub time: Option<Mark>,
    /// The publishes that were sent, by the number that stands for the message id.
    pub sent: HashMap<u64, Sent>,
    /// The oldest publish that waits for its answer.
    pub waiting: Option<Waiting>,
    /// The acknowledgement of its leave.
    pub left: Option<LineRef>,
    /// The record that the service no longer knows it, so that it has left in the order.
    pub unknown: Option<LineRef>,
    /// When its stream closed; `None` while it is open.
    pub offline: Option<i64>,
    /// Whether its stream broke since it last began.
    pub broken: bool,
    /// Its last record in the log.
    pub last: LineRef,
    /// When that record was made.
    pub last_at: i64,
    /// Whether its process ended in an orderly way.
    pub stopped: bool,
    /// How many records were lost right before its first one here. If a session continues after lost records, the part
    /// after them counts as another session in the same file.
    pub lost_before: u64,
    /// How many records were lost right after its last one here.
    pub lost_after: u64,
    /// Whether this session continues as another one in the file, after lost records.
    pub is_continued: bool,
}

impl LoggedSession {
    pub(super) fn new(journal: usize, line: LineRef, who: Option<Who>, whole: bool) -> Self {
        let (file, begins, last, last_at) = (line.file, line, line, i64::MIN);
        Self { file, journal, who, whole, begins, last, last_at, ..Self::default() }
    }

    /// Continues a session after lost records: what was known before them is still known.
    pub(super) fn carry_over(&mut self, before: &mut Self) {
        before.is_continued = true;
        self.lost_before = self.lost_before.max(before.lost_after);
        before.lost_after = self.lost_before;
        for (mark, known) in [(&mut self.known, before.known), (&mut self.time, before.time)] {
            if let Some(Mark { value, line }) = known {
                Mark::raise(mark, value, line);
            }
        }
        for (message, sent) in before.sent.drain() {
            self.sent.insert(message, sent);
        }
    }

    /// Records were lost that may be its own.
    pub(super) fn lose(&mut self, count: u64) {
        let is_over = self.stopped && self.left.is_some();
        if !is_over {
            self.lost_after = count.max(1);
            self.whole = false;
        }
    }

    /// Whether its progress is unknown because records were lost.
    pub fn is_unsure(&self) -> bool {
        self.lost_after > 0 || (self.lost_before > 0 && self.position.is_none())
    }

    /// How many of its publishes have had no answer.
    pub fn unanswered(&self) -> usize {
        self.sent.values().filter(|sent| !sent.refused).count()
    }

    /// Its participant, as shown to people.
    pub fn title(&self) -> String {
        match self.who {
            Some(who) if self.name.is_empty() => who.to_string(),
            Some(who) => format!("{} ({who})", self.name),
            None => "a participant whose log lacks its beginning".into(),
        }
    }

    /// The gap that this event is in, with the first event of the gap.
    pub fn skip(&self, sequence: u64) -> Option<(u64, Skip)> {
        let (first, skip) = self.skipped.range(..=sequence).next_back()?;
        (sequence <= skip.last).then_some((*first, *skip))
    }

    fn delivered(&mut self, now: Mark, at: i64) {
        self.latest = Some(now);
        let before = match self.position {
            Some(before) if before.value >= now.value => return self.came_late(now.value),
            before => before,
        };
        self.position = Some(now);
        if let Some(before) = before.filter(|before| now.value - before.value > 1) {
            self.skipped.insert(before.value + 1, Skip { last: now.value - 1, before, after: now, at });
        }
    }

    fn came_late(&mut self, sequence: u64) {
        let Some((first, skip)) = self.skip(sequence) else { return };
        self.skipped.remove(&first);
        if first < sequence {
            self.skipped.insert(first, Skip { last: sequence - 1, ..skip });
        }
        if sequence < skip.last {
            self.skipped.insert(sequence + 1, skip);
        }
    }

    pub(super) fn settle(&mut self, step: &Step<'_>) {
        let line = step.line;
        (self.last, self.last_at) = (line, step.at);
        self.stopped = step.act == Act::Stopped;
        match step.act {
            Act::JoinSent { sent, .. } | Act::LeaveSent { sent } => Mark::raise(&mut self.time, sent, line),
            Act::Connected { logical_time, .. } => {
                Mark::raise(&mut self.time, logical_time, line);
                (self.offline, self.waiting, self.broken) = (None, None, false);
            }
            Act::PublishSent { message, sent, seen, .. } => {
                Mark::raise(&mut self.time, sent, line);
                let first = Sent { seen, last_time: sent, refused: false };
                let known = self.sent.entry(message).or_insert(first);
                (known.last_time, known.refused) = (sent, false);
                self.waiting.get_or_insert(Waiting { line, at: step.at, message, late: None });
            }
            Act::Acknowledged { message, sequence, logical_time } => {
                Mark::raise(&mut self.time, logical_time, line);
                Mark::raise(&mut self.known, sequence, line);
                match message {
                    Some(message) => {
                        self.sent.remove(&message);
                        self.answered(message);
                    }
                    None => {
                        self.left = Some(line);
                        // A page that did not wait for the answer did not read its stream to the end.
                        self.broken |= step.component == Component::Browser && self.offline.is_some();
                    }
                }
            }
            Act::Refused { message, .. } => {
                if let Some(sent) = self.sent.get_mut(&message) {
                    sent.refused = true;
                }
                self.answered(message);
            }
            Act::Delivered { sequence, logical_time, .. } => {
                Mark::raise(&mut self.time, logical_time, line);
                Mark::raise(&mut self.known, sequence, line);
                self.delivered(Mark { value: sequence, line }, step.at);
                let overdue = |waiting: &&mut Waiting| {
                    waiting.late.is_none() && step.at.saturating_sub(waiting.at) > ANSWER_MICROS
                };
                if let Some(waiting) = self.waiting.as_mut().filter(overdue) {
                    waiting.late = Some((sequence, step.at));
                }
            }
            Act::Disconnected { left, unknown } => {
                (self.offline, self.waiting) = (Some(step.at), None);
                self.unknown = self.unknown.or(unknown.then_some(line));
                self.broken |= !left;
            }
            Act::Stopped => {
                self.offline.get_or_insert(step.at);
            }
            Act::Started
            | Act::PublishQueued { .. }
            | Act::EventRefused { .. }
            | Act::Lost { .. }
            | Act::Other => {}
        }
    }

    fn answered(&mut self, message: u64) {
        self.waiting = self.waiting.filter(|waiting| waiting.message != message);
    }
}
