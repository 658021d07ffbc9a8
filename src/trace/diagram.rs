//! Space-time diagrams: a lifeline for every process, its events as points by logical time, and messages as
//! arrows between them.
//!
//! A [`Builder`] turns logs into a [`Chart`], with the causal model that the verifier uses; [`svg`], [`mermaid`] and
//! [`shiviz`] render it.

mod build;
pub mod mermaid;
mod processes;
mod replica_logs;
mod replicas;
mod shades;
pub mod shiviz;
pub mod svg;

pub use build::Builder;
pub use shades::Shade;

use std::collections::HashMap;

use super::record::LoggedKind;

/// The lifeline of a process, and of the processes that continued its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub name: String,
    /// Whether it belongs to the service.
    pub service: bool,
    /// Whether it has a log; otherwise only the service's records show it.
    pub has_log: bool,
}

/// The meaning of a point on a lifeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Start,
    /// A process ends in an orderly way.
    Stop,
    /// A process ends for an unknown reason.
    Crash,
    Break,
    /// A process sends a request.
    Send,
    /// An attempt whose fate is unknown: no event carries its time.
    Lost,
    /// The service gets a request.
    Receive,
    /// The service puts an event into the order and broadcasts it.
    Broadcast,
    /// A replica applies an event that another one received, and sends it to the participants attached to it.
    Apply,
    Deliver,
    Answer,
    /// The session resumes after a break.
    Resume,
}

impl Role {
    /// Whether it leaves the clock alone: it has the time of the point before it.
    pub fn is_aside(self) -> bool {
        matches!(self, Self::Start | Self::Stop | Self::Crash | Self::Break)
    }
}

/// The index of an epoch, and a logical time in that epoch.
pub type Moment = (usize, u64);

/// Something that happened in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub lane: usize,
    /// When, by logical time.
    pub moment: Moment,
    /// When, by its machine's clock, in microseconds since 1970.
    pub at: i64,
    pub role: Role,
    pub words: String,
    /// The event that it belongs to, by its index in the chart.
    pub event: Option<usize>,
}

/// A message from one process to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// The point where it was sent.
    pub from: usize,
    /// The point where it was received.
    pub to: usize,
}

/// How many of the messages that a message crossed are shown, at most.
pub const CROSSINGS_SHOWN: usize = 6;
/// How many events before a message are searched for messages that it crossed. A writer who is further behind crosses
/// everything since, and a picture of every such pair would grow with the square of the conversation.
pub const CROSSINGS_SEARCHED: usize = 500;

/// An event of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartEvent {
    /// When it was broadcast.
    pub moment: Moment,
    /// Its position in the order.
    pub sequence: u64,
    /// The time in the request.
    pub sent: u64,
    pub kind: LoggedKind,
    /// The lifeline of the participant that joined, left or wrote.
    pub author: usize,
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: String,
    /// Whether it is a leave because the grace period ended.
    pub expired: bool,
    /// The last event that the writer of a message had seen. `None` if the client did not state it and sent 0.
    pub seen: Option<u64>,
    /// The nearest earlier messages that its writer had not seen, at most [`CROSSINGS_SHOWN`]: neither message was
    /// written with knowledge of the other.
    pub crossed: Vec<usize>,
    /// How many more there are among the [`CROSSINGS_SEARCHED`] events before it.
    pub crossed_more: usize,
    /// Whether some later message was written before its writer had seen this one.
    pub was_crossed: bool,
}

/// Everything that a picture shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// The lifelines, the service's first.
    pub lanes: Vec<Lane>,
    /// The points; those of one lifeline in program order.
    pub points: Vec<Point>,
    pub arrows: Vec<Arrow>,
    /// From the end of a process to the start of the process that continues its session, if the two overlap in time and
    /// so cannot share a lifeline.
    pub continuations: Vec<Arrow>,
    /// The conversation, in order.
    pub events: Vec<ChartEvent>,
    /// The faults of a lab, in the order in which they were set.
    pub shades: Vec<Shade>,
    /// How many records the logs report as lost.
    pub lost: u64,
}

/// Which part of a chart to show.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Nothing before this logical time.
    pub from: Option<u64>,
    /// Nothing after this logical time.
    pub to: Option<u64>,
    /// Only the participants with these names; all if there are none.
    pub only: Vec<String>,
}

impl Chart {
    /// The lifelines from left to right: in the order in which the processes appeared, those of the same name side by
    /// side, and the service in the middle, so that no arrow is long.
    #[must_use]
    pub fn columns(&self) -> Vec<usize> {
        let is_service = |lane: &usize| self.lanes[*lane].service;
        let (services, mut others): (Vec<_>, Vec<_>) = (0..self.lanes.len()).partition(is_service);
        let name = |lane: usize| self.lanes.get(lane).map(|lane| &lane.name);
        let mut arrivals = HashMap::new();
        for (index, event) in self.events.iter().enumerate() {
            arrivals.entry(name(event.author)).or_insert(index);
        }
        let arrival = |lane: usize| arrivals.get(&name(lane)).copied().unwrap_or(usize::MAX);
        others.sort_by_cached_key(|lane| (arrival(*lane), name(*lane), *lane));
        if services.len() > 1 {
            return self.around_replicas(&services, &others);
        }
        let mut half = others.len().div_ceil(2);
        while half < others.len() && half > 0 && name(others[half]) == name(others[half - 1]) {
            half += 1;
        }
        [&others[..half], &services, &others[half..]].concat()
    }

    /// Places each participant beside the replica where it began.
    fn around_replicas(&self, services: &[usize], others: &[usize]) -> Vec<usize> {
        let homes = self.homes();
        let mut columns = Vec::with_capacity(self.lanes.len());
        for service in services {
            let own: Vec<_> = others.iter().copied().filter(|lane| homes.get(*lane) == Some(service)).collect();
            let (left, right) = own.split_at(own.len().div_ceil(2));
            columns.extend([left, &[*service], right].concat());
        }
        columns
    }

    /// For each lifeline, the service's lifeline that it sent to first.
    fn homes(&self) -> Vec<usize> {
        let first = self.lanes.iter().position(|lane| lane.service).unwrap_or(0);
        let mut homes = vec![None; self.lanes.len()];
        let sends = self.arrows.iter().filter(|arrow| self.points[arrow.to].role == Role::Receive);
        for Arrow { from, to } in sends {
            homes[self.points[*from].lane].get_or_insert(self.points[*to].lane);
        }
        homes.into_iter().map(|home| home.unwrap_or(first)).collect()
    }

    /// The requested part of this chart.
    #[must_use]
    pub fn part(&self, part: &Part) -> Self {
        let lane_shown = |lane: &Lane| lane.service || part.only.is_empty() || part.only.contains(&lane.name);
        let in_time = |time: u64| part.from.is_none_or(|from| time >= from) && part.to.is_none_or(|to| time <= to);
        let shown_in_time = |shade: &Shade| {
            part.to.is_none_or(|to| shade.from.1 <= to)
                && part.from.zip(shade.to).is_none_or(|(from, end)| end.1 >= from)
        };
        let lanes = Filtered::of(&self.lanes, lane_shown);
        let events = Filtered::of(&self.events, |event| in_time(event.moment.1));
        let shown = |point: &Point| in_time(point.moment.1) && lanes.place[point.lane].is_some();
        let points = Filtered::of(&self.points, shown);
        let arrow = |arrow: &Arrow| Some(Arrow { from: points.place[arrow.from]?, to: points.place[arrow.to]? });
        let arrows = |all: &[Arrow]| all.iter().filter_map(arrow).collect();
        let mut chart = Self {
            arrows: arrows(&self.arrows),
            continuations: arrows(&self.continuations),
            lanes: lanes.kept,
            points: points.kept,
            events: events.kept,
            shades: self.shades.iter().filter(|shade| shown_in_time(shade)).cloned().collect(),
            lost: self.lost,
        };
        for point in &mut chart.points {
            point.lane = lanes.place[point.lane].unwrap_or(0);
            point.event = point.event.and_then(|event| events.place[event]);
        }
        for event in &mut chart.events {
            (event.crossed_more, event.was_crossed) = (0, false);
            event.crossed.clear();
            event.author = lanes.place.get(event.author).copied().flatten().unwrap_or(usize::MAX);
        }
        chart.mark_crossings();
        chart
    }

    /// Two messages crossed if the writer of the later one had not seen the earlier one.
    fn mark_crossings(&mut self) {
        for later in 0..self.events.len() {
            let event = &self.events[later];
            let (author, epoch) = (event.author, event.moment.0);
            let Some(seen) = event.seen.filter(|_| event.kind == LoggedKind::Message) else { continue };
            let unseen = (0..later).rev().take(CROSSINGS_SEARCHED).take_while(|earlier| {
                let earlier = &self.events[*earlier];
                earlier.moment.0 == epoch && earlier.sequence > seen
            });
            let is_crossed = |earlier: &usize| {
                let earlier = &self.events[*earlier];
                earlier.kind == LoggedKind::Message && earlier.author != author
            };
            let mut crossed: Vec<usize> = unseen.filter(is_crossed).collect();
            crossed.iter().for_each(|earlier| self.events[*earlier].was_crossed = true);
            let more = crossed.len().saturating_sub(CROSSINGS_SHOWN);
            crossed.truncate(CROSSINGS_SHOWN);
            (self.events[later].crossed, self.events[later].crossed_more) = (crossed, more);
        }
    }
}

/// The elements of a list that are kept, and the new index of each.
struct Filtered<T> {
    kept: Vec<T>,
    place: Vec<Option<usize>>,
}

impl<T: Clone> Filtered<T> {
    fn of(all: &[T], keep: impl Fn(&T) -> bool) -> Self {
        let (mut kept, mut place) = (Vec::new(), Vec::new());
        for one in all {
            place.push(keep(one).then_some(kept.len()));
            kept.extend(keep(one).then(|| one.clone()));
        }
        Self { kept, place }
    }
}
