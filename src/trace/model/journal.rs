//! The journal of an epoch, as the service's records state it.

use std::net::SocketAddr;

use foldhash::HashMap;

use crate::trace::record::{LineRef, LogRecord, LoggedKind, Who, digest};

use super::event::{
    CopyConflict, Irregular, LoggedConnection, LoggedEvent, Lookup, PreviousEpoch, REQUESTED, ServiceStart,
    is_valid,
};
use super::lab::HeldBack;
use super::order::Order;
use super::streams::{StreamGap, Streams};

/// One copy of the journal: the records of one file.
#[derive(Debug)]
struct JournalCopy {
    file: u32,
    last: Option<(u64, LineRef)>,
    /// What the next sequence has to be at least, and at most; a restart may have found more than was logged.
    next: u64,
    /// How many records it says it lacks, since the last that tells how far the journal is.
    lost: u64,
}

impl JournalCopy {
    fn new(file: u32) -> Self {
        Self { file, last: None, next: 1, lost: 0 }
    }

    /// Whether an event may be the next that it has: there is a hole no larger than it says.
    fn has_room_before(&self, sequence: u64) -> bool {
        sequence >= self.next && sequence - self.next <= self.lost
    }
}

/// e(1) … e(n) of one epoch.
#[derive(Debug)]
pub struct LoggedJournal {
    /// Its random id.
    pub epoch: Box<str>,
    order: Order,
    head: u64,
    copies: Vec<JournalCopy>,
    /// How many copies speak of it.
    pub copies_met: usize,
    /// How many events of further copies were compared.
    pub compared: u64,
    /// How many broadcast records there are.
    pub broadcasts: u64,
    /// Names, to which events refer by index.
    pub names: Vec<Box<str>>,
    name_index: HashMap<Box<str>, u32>,
    /// The Joined and Left of each participant.
    pub members: HashMap<Who, (u64, Option<u64>)>,
    /// The event of each session's message id.
    pub by_message: HashMap<(Who, u64), u64>,
    /// V1's evidence.
    pub irregular: Vec<Irregular>,
    /// V5's evidence.
    pub repeated: Vec<(u64, u64)>,
    /// V13's evidence.
    pub conflicts: Vec<CopyConflict>,
    /// Every start of the service on this journal.
    pub starts: Vec<ServiceStart>,
    /// The epochs that it goes on from.
    pub previous: Vec<PreviousEpoch>,
    /// What the service handed to a participant's stream that lies outside its membership.
    pub strayed: Vec<(LineRef, Who, u64, u64)>,
    streams: Streams,
    connections: HashMap<Who, LoggedConnection>,
    held_back: HeldBack,
    /// When each process of the service ended that has, or its log had a hole.
    ends: Vec<i64>,
    /// How many records the logs of the service say they lack.
    pub lost: u64,
    /// The last timestamp that any log has for this epoch.
    pub last_at: i64,
    /// Whether a log of the service is cut off, and nothing says yet what was lost by that.
    pub torn: bool,
    in_other_copy: bool,
    /// When the service made its last record.
    pub server_at: i64,
}

impl LoggedJournal {
    pub(super) fn new(epoch: &str) -> Self {
        Self {
            epoch: epoch.into(),
            order: Order::default(),
            head: 0,
            copies: Vec::new(),
            copies_met: 0,
            compared: 0,
            broadcasts: 0,
            names: Vec::new(),
            name_index: HashMap::default(),
            members: HashMap::default(),
            by_message: HashMap::default(),
            irregular: Vec::new(),
            repeated: Vec::new(),
            conflicts: Vec::new(),
            starts: Vec::new(),
            previous: Vec::new(),
            strayed: Vec::new(),
            streams: Streams::default(),
            connections: HashMap::default(),
            held_back: HeldBack::default(),
            ends: Vec::new(),
            lost: 0,
            last_at: i64::MIN,
            torn: false,
            in_other_copy: false,
            server_at: i64::MIN,
        }
    }

    /// The position of the newest event.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Whether any log of the service speaks of this journal.
    pub fn is_known(&self) -> bool {
        self.copies_met > 0
    }

    /// e(sequence).
    pub fn lookup(&self, sequence: u64) -> Lookup<'_> {
        match self.order.get(sequence) {
            Some(event) => Lookup::Known(event),
            None if (1..=self.head).contains(&sequence) || self.may_go_on() => Lookup::Unrecorded,
            None => Lookup::Nothing,
        }
    }

    /// Whether there may be events after the last one that is known.
    fn may_go_on(&self) -> bool {
        self.torn || !self.is_known() || self.copies.iter().any(|copy| copy.lost > 0)
    }

    /// e(sequence), where it is known.
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

    /// A name as an event refers to it.
    pub fn name(&self, index: u32) -> &str {
        self.names.get(index as usize).map_or("?", |name| name)
    }

    /// A participant, as people know it.
    pub fn title(&self, who: Who) -> String {
        let joined = self.members.get(&who).and_then(|(joined, _)| self.event(*joined));
        joined.map_or_else(|| who.to_string(), |event| format!("{} ({who})", self.name(event.name)))
    }

    /// Batches that continue no stream of their participant.
    pub fn stream_gaps(&self) -> Vec<StreamGap> {
        self.streams.stream_gaps()
    }

    /// Where a participant joined.
    pub fn joined(&self, who: Who) -> Option<(u64, &LoggedEvent)> {
        let (joined, _) = *self.members.get(&who)?;
        Some((joined, self.event(joined)?))
    }

    /// Where a participant left.
    pub fn left(&self, who: Who) -> Option<(u64, &LoggedEvent)> {
        let left = self.members.get(&who)?.1?;
        Some((left, self.event(left)?))
    }

    /// An event, to note on it what its writer's log says.
    pub fn event_mut(&mut self, sequence: u64) -> Option<&mut LoggedEvent> {
        self.order.get_mut(sequence)
    }

    /// Whether a participant is on the service's own machine, as far as is known.
    pub fn is_near(&self, who: Who) -> bool {
        self.connections.get(&who).is_some_and(|connection| connection.loopback)
    }

    /// When the service saw a participant's connection end, or saw it last; none where it is open or unknown.
    pub fn connection_ended(&self, who: Who) -> Option<i64> {
        let Some(connection) = self.connections.get(&who) else {
            // It may be in a hole of the log.
            return (self.lost > 0).then_some(i64::MIN);
        };
        // No connection outlives its process, and what became of it in a hole of the log nobody knows.
        let process = self.ends.get(connection.process).copied();
        connection.ended.into_iter().chain(process).min()
    }

    /// Since when no lab holds a participant's deliveries back; none where one does.
    pub fn free_since(&self, who: Who) -> Option<i64> {
        self.held_back.free_since(who)
    }

    /// Fills in an event that the service's logs lack, from a delivery.
    pub fn fill_in(&mut self, sequence: u64, line: LineRef, record: &LogRecord<'_>) {
        if let Some(event) = self.read(line, record) {
            self.in_other_copy = false;
            self.place(sequence, LoggedEvent { filled_in: true, ..event });
        }
    }

    pub(super) fn touch(&mut self, at: i64) {
        self.last_at = self.last_at.max(at);
    }

    pub(super) fn process_ended(&mut self) {
        self.ends.push(self.server_at);
    }

    /// Records of a file were lost: so many.
    pub(super) fn lose(&mut self, file: u32, count: u64) {
        self.process_ended();
        self.lost = self.lost.saturating_add(count);
        // A line that is cut is one of them.
        self.torn = false;
        self.streams.lose(file);
        let index = self.copy(file);
        let lost = &mut self.copies[index].lost;
        *lost = lost.saturating_add(count);
    }

    pub(super) fn take(&mut self, line: LineRef, record: &LogRecord<'_>) {
        self.touch(record.at);
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
            "client_connected" => {
                let peer = record.peer.as_deref().and_then(|peer| peer.parse::<SocketAddr>().ok());
                let loopback = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
                let connection = LoggedConnection { loopback, ended: None, process: self.ends.len() };
                self.connections.insert(who(record), connection);
                if let Some(after) = record.sequence {
                    self.streams.begin(line, who(record), after);
                }
            }
            "client_disconnected" => {
                if let Some(connection) = self.connections.get_mut(&who(record)) {
                    connection.ended = Some(record.at);
                }
            }
            "fault_changed" => self.held_back.take(who(record), record),
            "event_delivered" => self.delivered(line, record),
            "server_stopping" => {
                self.server_at = record.at;
                self.process_ended();
            }
            _ => {}
        }
        self.server_at = record.at;
    }

    fn copy(&mut self, file: u32) -> usize {
        if let Some(index) = self.copies.iter().rposition(|copy| copy.file == file) {
            return index;
        }
        self.copies.push(JournalCopy::new(file));
        self.copies_met += 1;
        self.copies.len() - 1
    }

    fn started(&mut self, line: LineRef, record: &LogRecord<'_>) {
        self.process_ended();
        self.held_back.started(record.at);
        self.streams.start(line.file);
        // It has looked into its journal, and says where that ends.
        self.torn = false;
        let (sequence, logical_time) = (record.sequence.unwrap_or(0), record.logical_time.unwrap_or(0));
        let index = self.copy(line.file);
        if sequence == 0 && self.copies[index].last.is_some() {
            // The same file holds another copy of the same journal.
            self.copies.push(JournalCopy::new(line.file));
            self.copies_met += 1;
            return;
        }
        let copy = &mut self.copies[index];
        self.starts.push(ServiceStart { line, sequence, logical_time, last: copy.last });
        (copy.next, copy.lost) = (sequence.saturating_add(1), 0);
        self.head = self.head.max(sequence);
    }

    fn broadcast(&mut self, line: LineRef, record: &LogRecord<'_>) {
        let (Some(stated), Some(event)) = (record.sequence, self.read(line, record)) else { return };
        self.broadcasts += 1;
        let index = self.copy(line.file);
        let copy = &mut self.copies[index];
        self.in_other_copy = index > 0;
        if stated != copy.next && !copy.has_room_before(stated) {
            let before = copy.last.map(|(_, line)| line);
            self.irregular.push(Irregular { line, before, expected: copy.next, stated });
        }
        copy.last = Some((stated, line));
        (copy.next, copy.lost) = (stated.saturating_add(1), 0);
        self.place(stated, event);
    }

    fn place(&mut self, sequence: u64, event: LoggedEvent) {
        if sequence == 0 {
            return;
        }
        if let Some(known) = self.order.get(sequence) {
            if self.in_other_copy {
                self.compared += 1;
                if !known.same_event(&event) {
                    self.conflicts.push(CopyConflict { sequence, one: known.line, other: event.line });
                }
            }
            return;
        }
        match event.kind {
            LoggedKind::Joined => drop(self.members.entry(event.who).or_insert((sequence, None))),
            LoggedKind::Left => {
                self.members.entry(event.who).or_insert((0, None)).1.get_or_insert(sequence);
            }
            LoggedKind::Message if event.message != 0 => {
                if let Some(first) = self.by_message.get(&(event.who, event.message)) {
                    self.repeated.push((*first, sequence));
                } else {
                    self.by_message.insert((event.who, event.message), sequence);
                }
            }
            LoggedKind::Message => {}
        }
        self.head = self.head.max(sequence);
        self.order.insert(sequence, event);
    }

    fn read(&mut self, line: LineRef, record: &LogRecord<'_>) -> Option<LoggedEvent> {
        let kind = record.kind?;
        let (name, content) = (LogRecord::text(&record.display_name), LogRecord::text(&record.content));
        let logical_time = record.logical_time?;
        let message = LogRecord::text(&record.message_id);
        Some(LoggedEvent {
            line,
            at: record.at,
            logical_time,
            sent: record.sent_logical_time.unwrap_or(0),
            who: who(record),
            name: self.intern(name),
            kind,
            content: digest(content),
            message: if message.is_empty() { 0 } else { digest(message) },
            seen: record.seen_sequence.unwrap_or(0),
            valid: is_valid(kind, name, content, logical_time),
            requested: record.reason.as_deref() == Some(REQUESTED),
            sent_by_log: false,
            first_sent: None,
            acknowledged: None,
            filled_in: false,
        })
    }

    fn intern(&mut self, name: &str) -> u32 {
        if let Some(index) = self.name_index.get(name) {
            return *index;
        }
        let index = self.names.len() as u32;
        self.names.push(name.into());
        self.name_index.insert(name.into(), index);
        index
    }

    fn delivered(&mut self, line: LineRef, record: &LogRecord<'_>) {
        let (Some(first), Some(last)) = (record.first_sequence, record.last_sequence) else { return };
        // Of version 1, a record is of one stream.
        let one = record.participant_id.as_deref().into_iter();
        for who in one.chain(record.participant_ids.iter().map(|id| &**id)).map(Who::of) {
            self.delivered_to(line, who, first, last);
        }
    }

    fn delivered_to(&mut self, line: LineRef, who: Who, first: u64, last: u64) {
        let Some((joined, left)) = self.members.get(&who).copied() else { return };
        if first < joined || (last > self.head() && !self.may_go_on()) || left.is_some_and(|left| last >= left) {
            self.strayed.push((line, who, first, last));
        } else {
            self.streams.batch(line, who, first, last);
        }
    }
}

fn who(record: &LogRecord<'_>) -> Who {
    Who::of(LogRecord::text(&record.participant_id))
}
