//! The journal of an epoch, as the service's records state it.

mod broadcasts;
mod connections;
mod handed;
mod lab;
mod names;
mod order;
mod presence;
mod replicas;
mod run;
mod streams;

use std::collections::BTreeSet;

use foldhash::HashMap;

use crate::trace::record::{LineRef, LogRecord, Who};

use super::event::{CopyConflict, Irregular, LoggedEvent, Lookup, PreviousEpoch, is_of_join};
use handed::Connections;
pub use handed::Handed;
use lab::HeldBack;
use names::Names;
use order::Order;
use presence::Farewells;
pub use presence::{Farewell, FarewellFault};
use replicas::Replicas;
pub use run::{ServiceRun, ServiceStart};
use streams::{StreamGap, Streams};

/// e(1) … e(n) of one epoch.
#[derive(Debug, Default)]
pub struct LoggedJournal {
    pub epoch: Box<str>,
    order: Order,
    head: u64,
    /// The runs of the service, in the order in which they were read.
    pub runs: Vec<ServiceRun>,
    /// How many events of further copies were compared.
    pub compared: u64,
    /// How many broadcast records there are.
    pub broadcasts: u64,
    names: Names,
    /// The positions of the Joined and Left of each participant.
    pub members: HashMap<Who, (u64, Option<u64>)>,
    /// The event of each session's message id.
    pub by_message: HashMap<(Who, u64), u64>,
    /// V1's evidence.
    pub irregular: Vec<Irregular>,
    /// V5's evidence.
    pub repeated: Vec<(u64, u64)>,
    /// V13's evidence.
    pub conflicts: Vec<CopyConflict>,
    /// The epochs that it continues.
    pub previous: Vec<PreviousEpoch>,
    streams: Streams,
    farewells: Farewells,
    connections: Connections,
    held_back: HeldBack,
    /// When a request of each participant was last refused; an empty id stands for requests of unknown participants.
    refused: HashMap<Who, i64>,
    /// By log of the service, when each process in it ended, or when it had a hole.
    ends: HashMap<u32, Vec<i64>>,
    /// How many records the logs of the service report as lost.
    pub lost: u64,
    /// The logs of the service that are cut off, while no record states what was lost.
    torn: BTreeSet<u32>,
    /// Whether the clock of the service's machine was set back, so that its times cannot be compared with others.
    pub is_set_back: bool,
    replicas: Replicas,
}

impl LoggedJournal {
    pub(super) fn new(epoch: &str) -> Self {
        Self { epoch: epoch.into(), ..Self::default() }
    }

    /// The position of the newest event.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Whether any log of the service has records of this journal.
    pub fn is_known(&self) -> bool {
        !self.runs.is_empty()
    }

    /// e(sequence).
    pub fn lookup(&self, sequence: u64) -> Lookup<'_> {
        match self.order.get(sequence) {
            Some(event) => Lookup::Known(event),
            None if (1..=self.head).contains(&sequence) || self.may_continue() => Lookup::Unrecorded,
            None => Lookup::Beyond,
        }
    }

    /// Whether the service's log has the journal's end: its last run was stopped in an orderly way.
    fn is_closed(&self) -> bool {
        // A run that says nothing about the journal may be a later one.
        let are_placed = self.runs.iter().all(|run| run.newest.is_some());
        are_placed && self.runs.iter().max_by_key(|run| run.place()).is_some_and(|run| run.stopped)
    }

    /// Every start of the service on this journal.
    pub fn starts(&self) -> impl Iterator<Item = &ServiceStart> {
        self.runs.iter().filter_map(|run| run.start.as_ref())
    }

    /// Whether there may be events after the last one that is known.
    fn may_continue(&self) -> bool {
        !self.torn.is_empty() || !self.is_known() || self.runs.iter().any(ServiceRun::has_lost)
    }

    /// e(sequence), if it is known.
    pub fn event(&self, sequence: u64) -> Option<&LoggedEvent> {
        self.order.get(sequence)
    }

    /// All events that are known, in order.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = (u64, &LoggedEvent)> {
        self.order.iter()
    }

    /// How many events are known.
    pub fn known(&self) -> u64 {
        self.order.known()
    }

    /// How many events happened that the service's logs have no record of.
    pub fn missing(&self) -> u64 {
        self.head - self.order.known()
    }

    /// The name that an event refers to by its index.
    pub fn name(&self, index: u32) -> &str {
        self.names.get(index)
    }

    /// A participant, as shown to people.
    pub fn title(&self, who: Who) -> String {
        let joined = self.members.get(&who).and_then(|(joined, _)| self.event(*joined));
        joined.map_or_else(|| who.to_string(), |event| format!("{} ({who})", self.name(event.name)))
    }

    /// Batches that do not continue any stream of their participant.
    pub fn stream_gaps(&self) -> Vec<StreamGap> {
        self.streams.stream_gaps()
    }

    /// The join of a participant.
    pub fn joined(&self, who: Who) -> Option<(u64, &LoggedEvent)> {
        let (joined, _) = *self.members.get(&who)?;
        Some((joined, self.event(joined)?))
    }

    /// The leave of a participant.
    pub fn left(&self, who: Who) -> Option<(u64, &LoggedEvent)> {
        let left = self.members.get(&who)?.1?;
        Some((left, self.event(left)?))
    }

    /// Whether a start of the service does not state the grace period.
    pub fn is_without_grace(&self) -> bool {
        self.farewells.is_without_grace()
    }

    /// Whether it is unknown when participants should have left, since the service could not write or its clock was set.
    pub fn is_unsure_of_farewells(&self) -> bool {
        self.farewells.is_unsure()
    }

    /// An event, to be completed with what its writer's log shows.
    pub fn event_mut(&mut self, sequence: u64) -> Option<&mut LoggedEvent> {
        self.order.get_mut(sequence)
    }

    /// Since when no lab has held a participant's deliveries back; `None` if one still does.
    pub fn free_since(&self, who: Who) -> Option<i64> {
        self.held_back.free_since(who)
    }

    /// Whether a request of a participant may rightly have had no answer since then: it may have been refused, which
    /// its own log need not show, or a lab made it fail.
    pub fn may_have_refused(&self, who: Who, since: i64) -> bool {
        let refused = |who| self.refused.get(&who).is_some_and(|at| *at >= since);
        self.held_back.any() || refused(who) || refused(Who::of(""))
    }

    /// Fills in an event that the service's logs lack, from a delivery, which was recorded at this time of the
    /// service's clock as far as that is known.
    pub fn fill_in(&mut self, sequence: u64, (line, at): (LineRef, i64), record: &LogRecord<'_>) {
        if let Some(event) = self.read(line, record) {
            self.place(sequence, LoggedEvent { at, filled_in: true, ..event });
        }
    }

    /// The process that wrote the last record of a log has ended.
    pub(super) fn process_ended(&mut self, log: u32) {
        if let Some(run) = self.runs.iter().rfind(|run| run.file == log) {
            self.connections.process_ended(log);
            self.ends.entry(log).or_default().push(run.ends);
        }
    }

    /// The last line of a log is cut off, or lines are missing in it.
    pub(super) fn tear(&mut self, log: u32) {
        self.torn.insert(log);
    }

    /// `count` records of a log were lost.
    pub(super) fn lose(&mut self, log: u32, count: u64) {
        self.process_ended(log);
        self.lost = self.lost.saturating_add(count);
        // The line that is cut off is one of them.
        self.torn.remove(&log);
        self.streams.lose(log);
        self.farewells.lose();
        if let Some(run) = self.runs.iter_mut().rfind(|run| run.file == log) {
            run.lose(count);
        }
    }

    pub(super) fn take(&mut self, line: LineRef, record: &LogRecord<'_>) {
        if let Some(name) = record.replica.as_deref() {
            self.replicas.take(name, line, record);
        }
        match &*record.event {
            "server_started" => self.started(line, record),
            "epoch_changed" => {
                let (last, after) = (record.last_sequence.unwrap_or(0), record.sequence.unwrap_or(0));
                self.previous.push(PreviousEpoch {
                    epoch: LogRecord::text(&record.previous_epoch).into(),
                    last,
                    after,
                });
                self.started(line, record);
            }
            "join_broadcast" | "leave_broadcast" | "message_broadcast" => self.broadcast(line, record),
            "client_connected" => self.connected(line, record),
            "client_disconnected" => {
                let was_last = self.connections.end(line, record.at, who(record));
                if was_last {
                    self.streams.end(line.file, who(record));
                }
            }
            "request_refused" if is_of_join(LogRecord::text(&record.reason)) => {}
            "request_refused" if record.replica.is_some() => {
                self.replicas.refused.push((who(record), record.at, line.file));
            }
            "request_refused" => drop(self.refused.insert(who(record), record.at)),
            "fault_changed" => self.held_back.take(line.file, who(record), record),
            "event_delivered" => self.delivered(line, record),
            "server_stopping" => {
                self.run(line, record).stopping = Some(record.at);
            }
            "server_stopped" => {
                // A service whose journal failed does not know what is in it.
                let run = self.run(line, record);
                run.stopped = record.reason.is_none();
                run.newest = record.sequence.or(run.newest);
                self.head = self.head.max(record.sequence.unwrap_or(0));
            }
            _ => {}
        }
        // A Left that is in another file may not have been read yet.
        let whole = self.missing() == 0;
        self.farewells.take(line, record, whole.then_some(&self.members));
        let run = self.run(line, record);
        let is_set_back = !record.recovered && run.is_later_than(record);
        run.take(line, record);
        self.is_set_back |= is_set_back;
        if *record.event == *"server_stopping" {
            self.process_ended(line.file);
        }
    }

    /// The current run in a log.
    fn run(&mut self, line: LineRef, record: &LogRecord<'_>) -> &mut ServiceRun {
        let index = self.runs.iter().rposition(|run| run.file == line.file).unwrap_or_else(|| {
            self.runs.push(ServiceRun::new(line, record));
            self.runs.len() - 1
        });
        &mut self.runs[index]
    }

    fn started(&mut self, line: LineRef, record: &LogRecord<'_>) {
        self.process_ended(line.file);
        self.held_back.started(line.file, record.at);
        self.streams.start(line.file);
        // A service that starts has read its journal, and states where it ends.
        self.torn.remove(&line.file);
        if record.replica.is_none() && record.sequence.is_some_and(|found| found >= self.head) {
            self.torn.clear();
        }
        // The participants at its start are known if all events up to then are.
        let members = if self.missing() == 0 { self.members.clone() } else { HashMap::default() };
        self.farewells.end(&members);
        let run = ServiceRun::started(line, record);
        match run.start.filter(|_| &*record.event == "server_started") {
            Some(_) if record.replica.is_some() => self.connections.start_of_replica(),
            Some(start) => self.farewells.start(start),
            None => {}
        }
        self.runs.push(run);
        self.head = self.head.max(record.sequence.unwrap_or(0));
    }

    fn connected(&mut self, line: LineRef, record: &LogRecord<'_>) {
        let (who, after) = (who(record), record.sequence);
        self.connections.begin(line, record.at, who, after.unwrap_or(0));
        if let Some(after) = after {
            self.streams.begin(line, who, after);
        }
    }

    fn delivered(&mut self, line: LineRef, record: &LogRecord<'_>) {
        let (Some(first), Some(last)) = (record.first_sequence, record.last_sequence) else { return };
        // In version 1, a record is about one stream.
        let one = record.participant_id.as_deref().into_iter();
        self.run(line, record).tells_deliveries = true;
        for who in one.chain(record.participant_ids.iter().map(|id| &**id)).map(Who::of) {
            let batch = Handed { line, at: record.at, first, last };
            self.connections.batch(who, batch);
            self.streams.batch(who, batch);
        }
    }

    /// Events that the service handed to a participant's stream although they are not between its join and its leave.
    pub fn strayed(&self) -> Vec<(Who, Handed)> {
        let has_end = self.is_closed() && !self.may_continue();
        self.connections.strayed(&self.members, has_end.then_some(self.head))
    }

    /// Events that the service handed to streams that had ended, with the records of the ends.
    pub fn after_end(&self) -> &[(Who, Handed, LineRef)] {
        &self.connections.after_end
    }
}

fn who(record: &LogRecord<'_>) -> Who {
    Who::of(LogRecord::text(&record.participant_id))
}
