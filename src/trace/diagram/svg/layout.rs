//! Where things are in a picture.

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::diagram::{Chart, Moment, Point};

/// Between two moments.
pub(super) const ROW: f64 = 19.0;
/// Above the first moment.
pub(super) const TOP: f64 = 120.0;
/// Left of the first lifeline: the time axis, with times of this many digits,
const LEFT: f64 = 58.0;
const DIGITS: u32 = 5;
/// and more room for each digit more.
const DIGIT: f64 = 6.6;
/// The transcript, right of the last lifeline.
const TRANSCRIPT: f64 = 470.0;
/// The key, at the bottom.
const KEY: f64 = 1060.0;
/// and what it has more where there are replicas.
const KEY_REPLICAS: f64 = 190.0;
/// Below the last moment.
const BOTTOM: f64 = 92.0;
/// After this many rows the names are repeated, so that they are never far away,
const ROWS_NAMED: usize = 48;
/// where there is room for them,
const NAMES: f64 = 40.0;
/// unless the end, where they are anyway, is nearer than this.
const ROWS_LEFT: usize = 20;
/// How many names are shown again at most: with very many lifelines that would grow with the square of the run.
const NAMES_REPEATED_MAX: usize = 20_000;

/// Places for all that is in a chart.
pub(super) struct Layout {
    /// Where the times of the axis end.
    pub(super) axis: f64,
    /// Of each lifeline.
    x: Vec<f64>,
    /// How far below an event stands what happens beside the clock: further where events are in boxes.
    aside: Vec<f64>,
    rows: BTreeMap<Moment, usize>,
    /// The picture's size.
    pub(super) width: f64,
    pub(super) height: f64,
    /// Between two lifelines.
    pub(super) lane_width: f64,
    /// Right of the last lifeline.
    lanes_end: f64,
}

impl Layout {
    /// The service in the middle, so that no arrow has to go far; time goes down. Every moment at which something
    /// happened has a row, and the moments at which nothing did have none.
    pub(super) fn of(chart: &Chart) -> Self {
        let lanes = chart.lanes.len();
        let lane_width = (1040.0 / lanes.max(1) as f64).clamp(98.0, 168.0);
        let mut moments: BTreeSet<Moment> = chart.points.iter().map(|point| point.moment).collect();
        // Two events are never so close that what is said of them does not fit between them.
        moments.extend(chart.events.iter().map(|event| (event.moment.0, event.moment.1.saturating_sub(1))));
        let rows: BTreeMap<Moment, usize> = moments.into_iter().zip(0..).collect();
        let digits = rows.keys().filter_map(|moment| moment.1.checked_ilog10()).max().unwrap_or(0) + 1;
        let left = LEFT + f64::from(digits.saturating_sub(DIGITS)) * DIGIT;
        let mut x = vec![0.0; lanes];
        for (place, lane) in chart.columns().into_iter().enumerate() {
            x[lane] = left + lane_width * (place as f64 + 0.5);
        }
        let aside = chart.lanes.iter().map(|lane| ROW * if lane.service { 0.8 } else { 0.55 }).collect();
        let lanes_end = left + lane_width * lanes as f64;
        let is_one = chart.lanes.iter().filter(|lane| lane.service).count() < 2;
        let width = (lanes_end + TRANSCRIPT).max(if is_one { KEY } else { KEY + KEY_REPLICAS });
        let mut layout = Self { axis: left - 20.0, x, aside, rows, width, height: 0.0, lane_width, lanes_end };
        layout.height = layout.row(layout.rows.len()) + BOTTOM;
        layout
    }

    /// The lifelines from left to right.
    pub(super) fn left_to_right(&self) -> Vec<usize> {
        let mut lanes: Vec<usize> = (0..self.x.len()).collect();
        lanes.sort_by(|one, other| self.x[*one].total_cmp(&self.x[*other]));
        lanes
    }

    pub(super) fn x(&self, lane: usize) -> f64 {
        self.x.get(lane).copied().unwrap_or(LEFT)
    }

    pub(super) fn y(&self, moment: Moment) -> f64 {
        self.row(self.rows.get(&moment).copied().unwrap_or(0))
    }

    /// The place of the last moment that is shown up to this one; that of the first where it is before all.
    pub(super) fn y_up_to(&self, moment: Moment) -> f64 {
        self.row(self.rows.range(..=moment).next_back().map_or(0, |(_, row)| *row))
    }

    fn row(&self, row: usize) -> f64 {
        let named = (row / ROWS_NAMED).min(self.names_between());
        TOP + ROW * row as f64 + NAMES * named as f64
    }

    /// How often the names are shown between top and bottom.
    fn names_between(&self) -> usize {
        let wanted = self.rows.len().saturating_sub(ROWS_LEFT) / ROWS_NAMED;
        wanted.min(NAMES_REPEATED_MAX / self.x.len().max(1))
    }

    /// Where names are shown.
    pub(super) fn names(&self) -> Vec<f64> {
        let between = |n: usize| self.row(n * ROWS_NAMED) - ROW / 2.0 - NAMES / 2.0 + 4.0;
        let mut places = vec![TOP - 38.0];
        places.extend((1..=self.names_between()).map(between));
        places.push(self.bottom() + 16.0);
        places
    }

    /// A point's place: what happens beside the clock is a little below the event before it.
    pub(super) fn place(&self, point: &Point) -> (f64, f64) {
        let aside = if point.role.is_aside() { self.aside[point.lane] } else { 0.0 };
        (self.x(point.lane), self.y(point.moment) + aside)
    }

    /// Where the transcript begins.
    pub(super) fn transcript(&self) -> f64 {
        self.lanes_end + 46.0
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
