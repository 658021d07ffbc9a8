//! The log of a client or page: steps in program order.

use foldhash::HashMap;

use crate::trace::record::{Component, Kind, LineRef, Record, Text, Who, digest};

use super::entry::REQUESTED;
use super::session::{Mark, Session};

/// What a participant's process did or met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act<'r> {
    /// The process began.
    Started,
    /// It asked to join, or to go on after a position.
    JoinSent {
        /// The time in the request.
        sent: u64,
        /// Where it goes on, if it does.
        resume: Option<u64>,
    },
    /// A stream has begun.
    Connected {
        /// Whether a session goes on.
        resumed: bool,
        /// The newest event by the Welcome.
        head: u64,
        /// That event's time.
        logical_time: u64,
    },
    /// A text was submitted: what its writer had been delivered is fixed, whenever it is sent.
    PublishQueued {
        /// Stands for the message id.
        message: u64,
        /// The last event delivered before.
        seen: u64,
    },
    /// Send(message_id, t, seen, text).
    PublishSent {
        /// Stands for the message id.
        message: u64,
        /// t.
        sent: u64,
        /// The last event delivered before the text was submitted.
        seen: u64,
        /// Stands for the text.
        content: u64,
    },
    /// Ack(message_id, sequence, L); of a leave where there is no message.
    Acknowledged {
        /// Stands for the message id.
        message: Option<u64>,
        /// Where the event is.
        sequence: u64,
        /// Its time.
        logical_time: u64,
    },
    /// The last try of a publish was refused, for a reason that leaves no doubt.
    Refused {
        /// Stands for the message id.
        message: u64,
    },
    /// It asked to leave.
    LeaveSent {
        /// The time in the request.
        sent: u64,
    },
    /// Deliver(sequence, L, content).
    Delivered {
        /// The event's position.
        sequence: u64,
        /// Its time.
        logical_time: u64,
        /// What happened.
        kind: Kind,
        /// Whose event it is.
        author: Who,
        /// Stands for the content.
        content: u64,
        /// What people see.
        text: &'r str,
        /// Stands for the message id; 0 for none.
        message: u64,
        /// What else it says, where it does.
        more: Particulars<'r>,
    },
    /// The stream is no more.
    Disconnected {
        /// Because the participant has left.
        left: bool,
    },
    /// The process ended in peace.
    Stopped,
    /// Records are not in the log, as it says itself.
    Lost {
        /// How many.
        count: u64,
        /// Whether the process began in them.
        from_start: bool,
    },
    /// Anything else.
    Other,
}

/// What the record of a delivery may say beyond what every one says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Particulars<'r> {
    /// The author's name.
    pub name: Option<&'r str>,
    /// Of a message: the time in its request.
    pub sent: Option<u64>,
    /// Of a message: what its writer had seen.
    pub seen: Option<u64>,
    /// Of a leave: whether it was asked for.
    pub requested: Option<bool>,
}

impl<'r> Particulars<'r> {
    fn of(record: &'r Record<'_>) -> Self {
        let is = |kind| record.kind == Some(kind);
        Self {
            name: record.display_name.as_deref(),
            sent: record.sent_logical_time.filter(|_| is(Kind::Message)),
            seen: record.seen_sequence.filter(|_| is(Kind::Message)),
            requested: record.reason.as_deref().filter(|_| is(Kind::Left)).map(|reason| reason == REQUESTED),
        }
    }
}

impl Act<'_> {
    /// Whether only the participant that the process is can do this, and by it begins no session.
    fn is_own(&self) -> bool {
        matches!(
            self,
            Self::JoinSent { .. }
                | Self::PublishQueued { .. }
                | Self::PublishSent { .. }
                | Self::Acknowledged { .. }
                | Self::LeaveSent { .. }
        )
    }
}

/// One record of a client or page, in its context.
#[derive(Clone, Debug)]
pub struct Step<'r> {
    /// Where it stands.
    pub line: LineRef,
    /// Microseconds since 1970.
    pub at: i64,
    /// Whose log it is.
    pub component: Component,
    /// Whose step it is; none before a process has a session.
    pub session: Option<usize>,
    /// The process's own clock after it.
    pub local: Option<u64>,
    /// What happened.
    pub act: Act<'r>,
    /// It is of another participant than the process is, though that has not begun another session: the file
    /// has the lines of several processes, and none of them in an order of its own.
    pub is_of_another: bool,
}

/// A file of steps: one process after another.
#[derive(Debug, Default)]
pub struct ClientLog {
    /// The session that the present process is in.
    current: Option<usize>,
    /// The last session of each participant in each journal.
    known: HashMap<(usize, Who), usize>,
    /// The process's clock, with the record that says so.
    pub clock: Option<Mark>,
    /// The same before records were lost: it is the clock still, if the same session goes on after them.
    clock_before: Option<Mark>,
    /// How many records were lost before those of the session that comes next.
    lost: u64,
    /// The sessions that a process might go on with.
    open: Vec<usize>,
    /// A request to join that has not been answered.
    pub join: Option<Mark>,
    /// What was submitted and has not been acknowledged, by what stands for the message id.
    queued: HashMap<u64, Queued>,
    /// When the last record was made.
    at: Option<i64>,
    /// The machine's clock was set back while a process ran.
    pub set_back: bool,
}

/// A text that was submitted.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// What its writer had been delivered, by the record.
    pub seen: u64,
    /// The record.
    pub line: LineRef,
    /// The participant that it was submitted as, and its journal; none where there was none at the time.
    member: Option<(usize, Who)>,
}

impl Queued {
    /// Whether it was submitted as this session's participant.
    pub fn is_of(&self, session: &Session) -> bool {
        session.who.is_some_and(|who| self.member == Some((session.journal, who)))
    }
}

/// Less than this is no step of a clock, in microseconds: records of one process may overtake each other a little.
const STEP_MICROS: i64 = 100_000;

impl ClientLog {
    pub(super) fn step<'r>(
        &mut self,
        sessions: &mut Vec<Session>,
        journal: Option<usize>,
        line: LineRef,
        record: &'r Record<'_>,
    ) -> Step<'r> {
        let (act, known) = (act(record), sessions.len());
        if matches!(act, Act::Started | Act::Lost { from_start: true, .. }) {
            (self.clock, self.clock_before, self.join, self.at) = (None, None, None, None);
        }
        if act == Act::Started {
            (self.current, self.lost) = (None, 0);
        }
        self.set_back |= self.at.is_some_and(|at| record.at < at.saturating_sub(STEP_MICROS));
        self.at = Some(record.at);
        // Of a delivery the participant is the author; of everything else it is the log's own.
        let own = if matches!(act, Act::Delivered { .. }) { None } else { record.participant_id.as_deref() };
        let before = self.current;
        let session = match (journal, own.map(Who::of)) {
            (Some(journal), who) => Some(self.session(sessions, journal, who, line, &act, record)),
            (None, _) => None,
        };
        let is_known = |session| session < known;
        let is_of_another = act.is_own() && session.is_some_and(is_known) && before.is_some() && session != before;
        let (at, component, local) = (record.at, record.component, record.local_time);
        Step { line, at, component, session, local, act, is_of_another }
    }

    /// The record by which a text was submitted, of a send of it.
    pub fn queued(&self, act: &Act<'_>) -> Option<Queued> {
        let (Act::PublishQueued { message, .. } | Act::PublishSent { message, .. }) = act else { return None };
        self.queued.get(message).copied()
    }

    fn session(
        &mut self,
        sessions: &mut Vec<Session>,
        journal: usize,
        who: Option<Who>,
        line: LineRef,
        act: &Act<'_>,
        record: &Record<'_>,
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
            sessions.push(Session::new(journal, line, None, whole));
            let index = sessions.len() - 1;
            sessions[index].lost_before = std::mem::take(&mut self.lost);
            self.open.push(index);
            index
        });
        if let Some(whose) = who {
            let before = self.known.insert((journal, whose), index);
            if sessions[index].who.is_none() {
                sessions[index].who = who;
                self.go_on(sessions, before, index);
            }
            if sessions[index].name.is_empty() {
                sessions[index].name = Record::text(&record.display_name).into();
            }
        }
        if matches!(act, Act::Connected { .. }) || self.current.is_none() {
            self.current = Some(index);
        }
        index
    }

    /// A session that is known by now may be one that was interrupted by a hole in the log.
    fn go_on(&mut self, sessions: &mut [Session], before: Option<usize>, index: usize) {
        let (earlier, after) = sessions.split_at_mut(index);
        let before = before.and_then(|before| earlier.get_mut(before)).filter(|before| before.lost_after > 0);
        if let (Some(before), Some(session)) = (before, after.first_mut()) {
            session.inherit(before);
            if let Some(clock) = self.clock_before.take()
                && self.clock.is_none_or(|now| now.value < clock.value)
            {
                self.clock = Some(clock);
            }
        }
    }

    pub(super) fn settle(&mut self, sessions: &mut [Session], step: &Step<'_>) {
        if let Some(value) = step.local {
            self.clock = Some(Mark { value, line: step.line });
        }
        match step.act {
            Act::JoinSent { sent, .. } => self.join = Some(Mark { value: sent, line: step.line }),
            Act::Connected { .. } => self.join = None,
            Act::PublishQueued { message, seen } => {
                let session = step.session.and_then(|session| sessions.get(session));
                let member = session.and_then(|session| Some((session.journal, session.who?)));
                let queued = Queued { seen, line: step.line, member };
                // The first fixes it. As another participant it may be submitted again.
                let first = self.queued.entry(message).or_insert(queued);
                if first.member != member {
                    *first = queued;
                }
            }
            Act::Acknowledged { message: Some(message), .. } => drop(self.queued.remove(&message)),
            Act::Lost { count, .. } => {
                // What comes after it is read as if the log began there.
                self.clock_before = self.clock.take().or(self.clock_before);
                (self.current, self.join) = (None, None);
                self.lost = self.lost.saturating_add(count);
                self.open.drain(..).for_each(|session| sessions[session].lose(count));
            }
            _ => {}
        }
    }
}

/// Whether a refusal for this reason says that nothing was done. Of others, that of a proxy say, nobody knows.
fn is_certain(reason: &str) -> bool {
    matches!(
        reason,
        "TEXT_EMPTY"
            | "TEXT_TOO_LONG"
            | "MESSAGE_ID_TOO_LONG"
            | "MALFORMED"
            | "SESSION_UNKNOWN"
            | "SECRET_REQUIRED"
            | "HOST_NOT_ALLOWED"
            | "ORIGIN_NOT_ALLOWED"
            | "CLOCK_OUT_OF_RANGE"
            | "SEQUENCE_OUT_OF_RANGE"
            | "RATE_LIMITED"
    )
}

fn act<'r>(record: &'r Record<'_>) -> Act<'r> {
    read(record).unwrap_or(Act::Other)
}

fn read<'r>(record: &'r Record<'_>) -> Option<Act<'r>> {
    let hash = |text: &Option<Text<'_>>| match Record::text(text) {
        "" => 0,
        text => digest(text),
    };
    let connected = |resumed| -> Option<Act<'r>> {
        Some(Act::Connected { resumed, head: record.sequence?, logical_time: record.logical_time? })
    };
    let acknowledged = |message| -> Option<Act<'r>> {
        Some(Act::Acknowledged { message, sequence: record.sequence?, logical_time: record.logical_time? })
    };
    Some(match &*record.event {
        "client_started" => Act::Started,
        "join_sent" => Act::JoinSent { sent: record.sent_logical_time?, resume: record.sequence },
        "connected" => connected(false)?,
        "resumed" => connected(true)?,
        "publish_queued" => Act::PublishQueued { message: hash(&record.message_id), seen: record.seen_sequence? },
        "publish_sent" => Act::PublishSent {
            message: hash(&record.message_id),
            sent: record.sent_logical_time?,
            seen: record.seen_sequence.unwrap_or(0),
            content: digest(Record::text(&record.content)),
        },
        "publish_acknowledged" => acknowledged(Some(hash(&record.message_id)))?,
        "leave_acknowledged" => acknowledged(None)?,
        "publish_refused" if is_certain(Record::text(&record.reason)) => {
            Act::Refused { message: hash(&record.message_id) }
        }
        "leave_sent" => Act::LeaveSent { sent: record.sent_logical_time? },
        "event_delivered" => Act::Delivered {
            sequence: record.sequence?,
            logical_time: record.logical_time?,
            kind: record.kind?,
            author: Who::of(Record::text(&record.participant_id)),
            content: digest(Record::text(&record.content)),
            text: Record::text(&record.content),
            message: hash(&record.message_id),
            more: Particulars::of(record),
        },
        "disconnected" => Act::Disconnected { left: record.reason.as_deref() == Some("LEFT") },
        "client_stopped" => Act::Stopped,
        "records_lost" => Act::Lost { count: record.lost()?, from_start: record.from_start },
        _ => return None,
    })
}
