//! The records of replicas, kept until all logs are read: only then is it known which replica received a request.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{ChartEvent, Moment};
use crate::chat::LeaveReason;
use crate::trace::record::{LineRef, LogRecord, LoggedKind, Who, digest};

/// The records of all replicas.
#[derive(Debug, Default)]
pub(super) struct ReplicaLogs {
    pub(super) all: Vec<ReplicaLog>,
    by_name: HashMap<(usize, Box<str>), usize>,
    pub(super) events: BTreeMap<(usize, u64), ReplicaEvent>,
    /// The streams of each participant, with their replicas.
    streams: HashMap<(usize, Who), Vec<StreamStart>>,
}

/// A stream of a participant, as it begins.
#[derive(Clone, Copy, Debug)]
struct StreamStart {
    /// The event before its first.
    after: u64,
    at: i64,
    replica: usize,
}

/// One replica's records, in order.
#[derive(Debug)]
pub(super) struct ReplicaLog {
    pub(super) name: Box<str>,
    pub(super) epoch: usize,
    pub(super) file: u32,
    pub(super) steps: Vec<(i64, ReplicaStep)>,
    known: HashSet<(u64, bool)>,
    turns: HashSet<(i64, bool)>,
    /// The participants with a stream here, and since when.
    open: HashMap<Who, i64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ReplicaStep {
    Start(u64),
    Stop(u64),
    Broadcast { sequence: u64, recovered: bool },
}

/// An event, from its first record.
#[derive(Debug)]
pub(super) struct ReplicaEvent {
    pub(super) event: ChartEvent,
    pub(super) who: Who,
    pub(super) message: Option<u64>,
    /// The replica that recorded it first, as it happened.
    pub(super) first: Option<usize>,
    /// The replica where its participant had its stream, and since when.
    pub(super) receiver: Option<(i64, usize)>,
}

impl ReplicaLogs {
    /// Adds a record of a replica.
    pub(super) fn take(&mut self, name: &str, epoch: usize, line: LineRef, record: &LogRecord<'_>) {
        let index = *self.by_name.entry((epoch, name.into())).or_insert_with(|| {
            self.all.push(ReplicaLog {
                name: name.into(),
                epoch,
                file: line.file,
                steps: Vec::new(),
                known: HashSet::new(),
                turns: HashSet::new(),
                open: HashMap::new(),
            });
            self.all.len() - 1
        });
        let (log, at) = (&mut self.all[index], record.at);
        let who = Who::of(LogRecord::text(&record.participant_id));
        let time = record.logical_time.unwrap_or(0);
        match &*record.event {
            "server_started" if log.turns.insert((at, true)) => {
                log.open.clear();
                log.steps.push((at, ReplicaStep::Start(time)));
            }
            "server_stopped" if log.turns.insert((at, false)) => log.steps.push((at, ReplicaStep::Stop(time))),
            "client_connected" => {
                log.open.insert(who, at);
                self.streams.entry((epoch, who)).or_default().push(StreamStart {
                    after: record.sequence.unwrap_or(0),
                    at,
                    replica: index,
                });
            }
            "client_disconnected" if LogRecord::text(&record.reason) != "REPLACED" => drop(log.open.remove(&who)),
            event if event.ends_with("_broadcast") => self.broadcast(index, who, record),
            _ => {}
        }
    }

    fn broadcast(&mut self, index: usize, who: Who, record: &LogRecord<'_>) {
        let (Some(sequence), Some(time), Some(kind)) = (record.sequence, record.logical_time, record.kind) else {
            return;
        };
        let log = &mut self.all[index];
        if !log.known.insert((sequence, record.recovered)) {
            return;
        }
        log.steps.push((record.at, ReplicaStep::Broadcast { sequence, recovered: record.recovered }));
        let (moment, open) = ((log.epoch, time), log.open.get(&who).copied());
        let event = self.events.entry((log.epoch, sequence)).or_insert_with(|| ReplicaEvent {
            event: ChartEvent::of(moment, sequence, kind, record),
            who,
            message: record.message_id.as_deref().map(digest),
            first: None,
            receiver: None,
        });
        if record.recovered {
            return;
        }
        event.first.get_or_insert(index);
        // A replica may not have noticed yet that a stream is gone, so the newest one counts.
        if let Some(since) = open.filter(|since| event.receiver.is_none_or(|(known, _)| known < *since)) {
            event.receiver = Some((since, index));
        }
    }

    /// The replica where a participant's stream began after an event; of several, the nearest in time.
    pub(super) fn stream(&self, member: (usize, Who), after: u64, at: i64) -> Option<usize> {
        let streams = self.streams.get(&member)?.iter().filter(|stream| stream.after == after);
        streams.min_by_key(|stream| stream.at.abs_diff(at)).map(|stream| stream.replica)
    }
}

impl ChartEvent {
    /// An event, from the record of its broadcast.
    pub(super) fn of(moment: Moment, sequence: u64, kind: LoggedKind, record: &LogRecord<'_>) -> Self {
        Self {
            moment,
            sequence,
            sent: record.sent_logical_time.unwrap_or(0),
            kind,
            author: usize::MAX,
            name: LogRecord::text(&record.display_name).into(),
            content: LogRecord::text(&record.content).into(),
            expired: kind == LoggedKind::Left
                && record.reason.as_deref() == Some(LeaveReason::Disconnected.as_str()),
            seen: record.seen_sequence.filter(|seen| *seen > 0),
            crossed: Vec::new(),
            crossed_more: 0,
            was_crossed: false,
        }
    }
}
