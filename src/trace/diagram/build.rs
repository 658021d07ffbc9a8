//! Builds a chart from records.

use std::collections::{HashMap, HashSet};

use super::processes::{Process, join_processes};
use super::replica_logs::ReplicaLogs;
use super::{Arrow, Chart, ChartEvent, Lane, Moment, Point, Role, shades};
use crate::chat::LeaveReason;
use crate::trace::model::{Act, Model, Step};
use crate::trace::record::{LineRef, LogRecord, LoggedKind, Who, digest};
use crate::trace::shared::SharedFiles;
use crate::trace::verify::InputError;

/// Builds a [`Chart`] from records. The service's records must come first.
#[derive(Debug, Default)]
pub struct Builder {
    model: Model,
    pub(super) chart: Chart,
    /// One for each lifeline, in the order in which they appeared.
    processes: Vec<Process>,
    /// The newest process of each file and run; for the service, there is one per log.
    running: HashMap<(u32, Option<u64>), usize>,
    /// The run of the current record, as a digest of its id; 0 if it has none.
    run: u64,
    /// When the current record was made.
    pub(super) now: i64,
    /// The log whose lifeline shows the service's side of each epoch. Other logs may continue it or be copies; only
    /// their new parts are drawn.
    file_of_epoch: HashMap<usize, u32>,
    /// Each start and stop of the service: its epoch, its time by the machine's clock, whether it is a start.
    turns: HashSet<(usize, i64, bool)>,
    pub(super) events: HashMap<(usize, u64), EventPoints>,
    by_message: HashMap<(usize, Who, u64), u64>,
    /// The Joined and the Left of each participant.
    members: HashMap<(usize, Who), [Option<EventPoints>; 2]>,
    /// The events of each participant, and its lifeline once that is known.
    own: HashMap<(usize, Who), (Vec<usize>, Option<usize>)>,
    others_began: bool,
    shared: SharedFiles,
    pub(super) replicas: ReplicaLogs,
    /// The point of each event on each replica's lifeline.
    pub(super) on_replicas: HashMap<((usize, u64), usize), usize>,
}

/// The service's side of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventPoints {
    pub(super) event: usize,
    pub(super) receive: Option<usize>,
    pub(super) broadcast: usize,
    pub(super) who: Who,
}

impl Builder {
    /// A builder without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record.
    pub fn take(&mut self, line: LineRef, record: &LogRecord<'_>) -> Result<(), InputError> {
        if let Some(lost) = record.lost() {
            self.chart.lost = self.chart.lost.saturating_add(lost);
        }
        self.now = record.at;
        if record.component == crate::trace::record::Component::Server {
            if self.others_began {
                return Err(InputError::OutOfOrder);
            }
            if record.lost().is_none() {
                let line = self.shared.in_log(line, record);
                self.model.server(line, record);
                self.service(line, record);
            }
            return Ok(());
        }
        if !std::mem::replace(&mut self.others_began, true) {
            self.draw_replicas();
        }
        self.run = record.run.as_deref().map_or(0, digest);
        let step = self.model.client(line, record);
        self.other(&step, record);
        self.model.settle(&step);
        Ok(())
    }

    /// The chart of all records.
    pub fn finish(mut self) -> Chart {
        if !self.others_began {
            self.draw_replicas();
        }
        let expired: HashSet<usize> =
            self.chart.events.iter().filter(|event| event.expired).map(|event| event.author).collect();
        self.without_log();
        join_processes(&mut self.chart, &self.processes, &expired);
        self.chart.mark_crossings();
        self.chart
    }

    fn key(&self, file: u32, service: bool) -> (u32, Option<u64>) {
        (file, (!service).then_some(self.run))
    }

    /// The process that wrote the current run's records in a file.
    pub(super) fn process(&mut self, file: u32, service: bool) -> &mut Process {
        let key = self.key(file, service);
        let in_file = if service { self.shared.in_file(LineRef { file, line: 0 }).file } else { file };
        let (chart, processes) = (&mut self.chart, &mut self.processes);
        let place = *self.running.entry(key).or_insert_with(|| {
            let name = if service { "service".into() } else { String::new() };
            chart.lanes.push(Lane { name, service, has_log: true });
            processes.push(Process::new(chart.lanes.len() - 1, in_file));
            processes.len() - 1
        });
        &mut processes[place]
    }

    pub(super) fn put(&mut self, file: u32, service: bool, moment: Moment, role: Role, words: String) -> usize {
        let (point, at) = (self.chart.points.len(), self.now);
        let process = self.process(file, service);
        process.first.get_or_insert(point);
        (process.last, process.stopped) = (Some(point), role == Role::Stop);
        let lane = process.lane;
        self.chart.points.push(Point { lane, moment, at, role, words, event: None });
        point
    }

    pub(super) fn arrow(&mut self, from: usize, to: usize) {
        self.chart.points[to].event = self.chart.points[to].event.or(self.chart.points[from].event);
        self.chart.arrows.push(Arrow { from, to });
    }

    fn service(&mut self, line: LineRef, record: &LogRecord<'_>) {
        let Some(epoch) = record.epoch.as_deref().map(|epoch| self.model.journal(epoch)) else { return };
        if let Some(name) = record.replica.as_deref() {
            return self.replicas.take(name, epoch, line, record);
        }
        let file = *self.file_of_epoch.entry(epoch).or_insert(line.file);
        let time = record.logical_time.or_else(|| self.last_time(file, true)).unwrap_or(0);
        match &*record.event {
            "server_started" if self.turns.insert((epoch, record.at, true)) => {
                shades::end_all(&mut self.chart.shades, (epoch, time));
                self.service_starts(file, (epoch, time), "the service");
            }
            "server_stopped" if self.turns.insert((epoch, record.at, false)) => {
                shades::end_all(&mut self.chart.shades, (epoch, time));
                self.put(file, true, (epoch, time), Role::Stop, "the service stops".into());
            }
            "join_broadcast" | "leave_broadcast" | "message_broadcast" => self.broadcast(epoch, file, record),
            "fault_changed" if file == line.file => shades::take(&mut self.chart.shades, (epoch, time), record),
            _ => {}
        }
    }

    /// A process of the service starts. If the one before did not stop, it was killed.
    pub(super) fn service_starts(&mut self, file: u32, moment: Moment, what: &str) {
        if let Process { last: Some(last), stopped: false, .. } = *self.process(file, true) {
            let Point { moment, at, .. } = self.chart.points[last];
            let crash = self.put(file, true, moment, Role::Crash, format!("{what} was killed"));
            self.chart.points[crash].at = at;
        }
        self.put(file, true, moment, Role::Start, format!("{what} starts"));
    }

    fn last_time(&self, file: u32, service: bool) -> Option<u64> {
        let process = &self.processes[*self.running.get(&self.key(file, service))?];
        Some(self.chart.points[process.last?].moment.1)
    }

    fn broadcast(&mut self, epoch: usize, file: u32, record: &LogRecord<'_>) {
        let (Some(sequence), Some(time), Some(kind)) = (record.sequence, record.logical_time, record.kind) else {
            return;
        };
        if self.events.contains_key(&(epoch, sequence)) {
            return;
        }
        let (name, content) = (LogRecord::text(&record.display_name), LogRecord::text(&record.content));
        let expired =
            kind == LoggedKind::Left && record.reason.as_deref() == Some(LeaveReason::Disconnected.as_str());
        let event = self.chart.events.len();
        let receive = (!expired).then(|| {
            let words = format!("the service receives what {name} sent");
            self.put(file, true, (epoch, time.saturating_sub(1)), Role::Receive, words)
        });
        let broadcast =
            self.put(file, true, (epoch, time), Role::Broadcast, format!("event {sequence}: {content}"));
        for point in receive.into_iter().chain([broadcast]) {
            self.chart.points[point].event = Some(event);
        }
        let who = Who::of(LogRecord::text(&record.participant_id));
        let message = record.message_id.as_deref().map(digest);
        self.note_event((epoch, sequence), kind, message, EventPoints { event, receive, broadcast, who });
        self.chart.events.push(ChartEvent::of((epoch, time), sequence, kind, record));
    }

    /// Notes where an event is in the picture, for the arrows from its sender and to its recipients.
    pub(super) fn note_event(
        &mut self,
        place: (usize, u64),
        kind: LoggedKind,
        message: Option<u64>,
        points: EventPoints,
    ) {
        let (epoch, who) = (place.0, points.who);
        self.events.insert(place, points);
        self.own.entry((epoch, who)).or_default().0.push(points.event);
        let member = self.members.entry((epoch, who)).or_default();
        match kind {
            LoggedKind::Joined => member[0] = Some(points),
            LoggedKind::Left => member[1] = Some(points),
            LoggedKind::Message => {}
        }
        if let Some(message) = message {
            self.by_message.entry((epoch, who, message)).or_insert(place.1);
        }
    }

    fn other(&mut self, step: &Step<'_>, record: &LogRecord<'_>) {
        let file = step.line.file;
        let epoch = step.session.map(|session| self.model.sessions[session].journal);
        let who = step.session.and_then(|session| self.model.sessions[session].who);
        let Some((role, words)) = describe(step, record) else { return };
        if role == Role::Start && self.process(file, false).last.is_some() {
            // A record of version 1 does not state its run.
            self.running.remove(&self.key(file, false));
        }
        let process = self.process(file, false);
        let fresh = step.session.is_none();
        let epoch = epoch.unwrap_or(process.epoch);
        process.epoch = epoch;
        let lane = process.lane;
        if !matches!(step.act, Act::Delivered { .. }) && self.chart.lanes[lane].name.is_empty() {
            self.chart.lanes[lane].name = LogRecord::text(&record.display_name).into();
        }
        let time = step.local.or_else(|| self.last_time(file, false)).unwrap_or(0);
        let point = self.put(file, false, (epoch, time), role, words);
        if fresh {
            self.process(file, false).waiting.push(point);
        } else {
            for waiting in std::mem::take(&mut self.process(file, false).waiting) {
                self.chart.points[waiting].moment.0 = epoch;
            }
        }
        if let Some(who) = who {
            self.connect(step, point, (epoch, who));
        } else if matches!(step.act, Act::JoinSent { .. }) {
            self.process(file, false).join = Some(point);
        } else if let Act::Delivered { sequence, .. } = step.act
            && let Some(source) = self.source_of(file, epoch, sequence)
        {
            self.arrow(source, point);
        }
    }

    /// Draws the arrows that end or begin at a step.
    fn connect(&mut self, step: &Step<'_>, point: usize, (epoch, who): (usize, Who)) {
        let file = step.line.file;
        let find = |this: &Self, sequence: u64| this.events.get(&(epoch, sequence)).copied();
        match step.act {
            Act::JoinSent { resume, .. } => {
                self.process(file, false).join = Some(point);
                self.process(file, false).after = resume;
                self.continue_from(file, (epoch, who));
            }
            Act::Connected { resumed, head, .. } => {
                let join = self.process(file, false).join.take();
                let after = self.process(file, false).after.take().filter(|_| resumed);
                self.attach_to_replica(file, (epoch, who), after.unwrap_or(who.0.saturating_sub(1)));
                let [joined, _] = self.members.get(&(epoch, who)).copied().unwrap_or_default();
                if let (false, Some(join), Some(EventPoints { receive: Some(receive), event, .. })) =
                    (resumed, join, joined)
                {
                    self.chart.points[join].event = Some(event);
                    self.arrow(join, receive);
                }
                if let Some(newest) = self.source_of(file, epoch, head) {
                    self.arrow(newest, point);
                }
            }
            Act::PublishSent { message, sent, .. } => {
                let event = self.by_message.get(&(epoch, who, message)).and_then(|sequence| find(self, *sequence));
                self.send(point, event.filter(|e| self.chart.events[e.event].sent == sent));
            }
            Act::LeaveSent { sent } => {
                let [_, left] = self.members.get(&(epoch, who)).copied().unwrap_or_default();
                self.send(point, left.filter(|e| self.chart.events[e.event].sent == sent));
            }
            Act::Acknowledged { sequence, .. } | Act::Delivered { sequence, .. } => {
                if let Some(source) = self.source_of(file, epoch, sequence) {
                    self.arrow(source, point);
                }
            }
            _ => {}
        }
        self.own_events(file, epoch, who);
    }

    /// A process continues the session of an earlier process.
    fn continue_from(&mut self, file: u32, member: (usize, Who)) {
        let before = self.own.get(&member).and_then(|(_, lane)| *lane);
        let process = self.process(file, false);
        process.continues = process.continues.or(before.filter(|lane| *lane != process.lane));
    }

    fn send(&mut self, point: usize, event: Option<EventPoints>) {
        match event {
            Some(EventPoints { event, receive: Some(receive), .. }) => {
                self.chart.points[point].event = Some(event);
                self.arrow(point, receive);
            }
            _ => self.chart.points[point].role = Role::Lost,
        }
    }

    /// The events of a participant belong to its lifeline.
    fn own_events(&mut self, file: u32, epoch: usize, who: Who) {
        let lane = self.process(file, false).lane;
        let Some((events, own)) = self.own.get_mut(&(epoch, who)) else { return };
        if own.replace(lane) != Some(lane) {
            events.iter().for_each(|event| self.chart.events[*event].author = lane);
        }
    }

    /// Draws participants without a log: the service's records state the logical times at which they sent.
    fn without_log(&mut self) {
        let mut lanes: HashMap<(usize, Who), usize> = HashMap::new();
        let mut events: Vec<_> = self.events.values().copied().collect();
        events.sort_by_key(|points| points.event);
        for points in events {
            let event = self.chart.events[points.event].clone();
            if event.author != usize::MAX {
                continue;
            }
            let lane = *lanes.entry((event.moment.0, points.who)).or_insert_with(|| {
                self.chart.lanes.push(Lane { name: event.name.clone(), service: false, has_log: false });
                self.chart.lanes.len() - 1
            });
            self.chart.events[points.event].author = lane;
            let Some(receive) = points.receive else { continue };
            let moment = (event.moment.0, event.sent);
            let words = format!("{} sent this, according to the service's log", event.name);
            let (point, at) = (self.chart.points.len(), self.chart.points[receive].at);
            self.chart.points.push(Point { lane, moment, at, role: Role::Send, words, event: Some(points.event) });
            self.arrow(point, receive);
        }
    }
}

/// How a step is drawn; `None` if it is not.
fn describe(step: &Step<'_>, record: &LogRecord<'_>) -> Option<(Role, String)> {
    let content = LogRecord::text(&record.content);
    let reason = LogRecord::text(&record.reason);
    Some(match &step.act {
        Act::Started => (Role::Start, "the process starts".into()),
        Act::JoinSent { resume: None, .. } => (Role::Send, "asks to join".into()),
        Act::JoinSent { resume: Some(after), .. } => (Role::Send, format!("asks to resume after event {after}")),
        Act::Connected { resumed: false, .. } => (Role::Answer, "has joined".into()),
        Act::Connected { resumed: true, .. } => (Role::Resume, "has resumed".into()),
        Act::PublishSent { .. } => (Role::Send, format!("sends: {content}")),
        Act::Acknowledged { message: Some(_), sequence, .. } => {
            (Role::Answer, format!("its message is event {sequence}"))
        }
        Act::Acknowledged { message: None, .. } => (Role::Answer, "has left".into()),
        Act::LeaveSent { .. } => (Role::Send, "asks to leave".into()),
        Act::Delivered { sequence, .. } => (Role::Deliver, format!("gets event {sequence}: {content}")),
        Act::PublishQueued { .. }
        | Act::Disconnected { left: true, .. }
        | Act::Refused { .. }
        | Act::EventRefused { .. }
        | Act::Lost { .. }
        | Act::Other => return None,
        Act::Disconnected { left: false, .. } => (Role::Break, format!("loses its connection: {reason}")),
        Act::Stopped => (Role::Stop, "the process ends".into()),
    })
}
