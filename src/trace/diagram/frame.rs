//! Where things are in a picture.

use std::collections::BTreeMap;

use super::{Chart, Moment, Point};

/// Between two moments.
pub(super) const ROW: f64 = 19.0;
/// Above the first moment.
pub(super) const TOP: f64 = 112.0;
/// Left of the first lifeline: the time axis.
const LEFT: f64 = 58.0;
/// The transcript, right of the last lifeline.
const TRANSCRIPT: f64 = 460.0;
/// Below the last moment.
const BOTTOM: f64 = 92.0;

/// Places for all that is in a chart.
pub(super) struct Frame {
    /// Of each lifeline.
    x: Vec<f64>,
    rows: BTreeMap<Moment, usize>,
    /// The picture's size.
    pub(super) width: f64,
    pub(super) height: f64,
    /// Between two lifelines.
    pub(super) lane_width: f64,
}

impl Frame {
    /// The service in the middle, so that no arrow has to go far; time goes down. Every moment at which something
    /// happened has a row, and the moments at which nothing did have none.
    pub(super) fn of(chart: &Chart) -> Self {
        let lanes = chart.lanes.len();
        let lane_width = (1040.0 / lanes.max(1) as f64).clamp(98.0, 168.0);
        let moments: std::collections::BTreeSet<Moment> = chart.points.iter().map(|point| point.moment).collect();
        let rows: BTreeMap<Moment, usize> = moments.into_iter().zip(0..).collect();
        let mut x = vec![0.0; lanes];
        for (place, lane) in Self::columns(chart).into_iter().enumerate() {
            x[lane] = LEFT + lane_width * (place as f64 + 0.5);
        }
        let width = LEFT + lane_width * lanes as f64 + TRANSCRIPT;
        let height = TOP + ROW * rows.len() as f64 + BOTTOM;
        Self { x, rows, width, height, lane_width }
    }

    fn columns(chart: &Chart) -> Vec<usize> {
        let is_service = |lane: &usize| chart.lanes[*lane].service;
        let (services, mut others): (Vec<_>, Vec<_>) = (0..chart.lanes.len()).partition(is_service);
        let arrival = |lane: usize| chart.events.iter().position(|event| event.author == lane);
        others.sort_by_key(|lane| arrival(*lane).unwrap_or(usize::MAX));
        let half = others.len().div_ceil(2);
        [&others[..half], &services, &others[half..]].concat()
    }

    /// A lifeline's place.
    pub(super) fn x(&self, lane: usize) -> f64 {
        self.x.get(lane).copied().unwrap_or(LEFT)
    }

    /// A moment's place.
    pub(super) fn y(&self, moment: Moment) -> f64 {
        let row = self.rows.get(&moment).copied().unwrap_or(0);
        TOP + ROW * row as f64
    }

    /// A point's place: what happens beside the clock is a little below the event before it.
    pub(super) fn place(&self, point: &Point) -> (f64, f64) {
        let aside = if point.role.is_aside() { ROW * 0.55 } else { 0.0 };
        (self.x(point.lane), self.y(point.moment) + aside)
    }

    /// Where the transcript begins.
    pub(super) fn transcript(&self) -> f64 {
        self.width - TRANSCRIPT + 46.0
    }

    /// Where the lifelines end.
    pub(super) fn bottom(&self) -> f64 {
        self.height - BOTTOM + 10.0
    }

    /// All moments, in order.
    pub(super) fn moments(&self) -> impl Iterator<Item = Moment> {
        self.rows.keys().copied()
    }
}
