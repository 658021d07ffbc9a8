//! The positions of things in a picture.

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::diagram::{Chart, Moment, Point};

/// The height of a row, which is one moment.
pub(super) const ROW: f64 = 19.0;
/// The space above the first moment.
pub(super) const TOP: f64 = 120.0;
/// The width of the time axis, left of the first lifeline, for times of up to [`DIGITS`] digits.
const LEFT: f64 = 58.0;
const DIGITS: u32 = 5;
/// How much wider it is for each further digit.
const DIGIT: f64 = 6.6;
/// The width of the transcript, right of the last lifeline.
const TRANSCRIPT: f64 = 470.0;
/// The width of the key, at the bottom.
const KEY: f64 = 1060.0;
/// How much wider the key is if there are replicas.
const KEY_REPLICAS: f64 = 190.0;
/// The space below the last moment.
const BOTTOM: f64 = 92.0;
/// After how many rows the names are repeated, so that they are never far away.
const ROWS_NAMED: usize = 48;
/// The height of repeated names.
const NAMES: f64 = 40.0;
/// Names are not repeated within this many rows of the end, which has them anyway.
const ROWS_LEFT: usize = 20;
/// How many names are repeated at most: with very many lifelines they would grow with the square of the run.
const NAMES_REPEATED_MAX: usize = 20_000;

/// The position of everything in a chart.
pub(super) struct Layout {
    /// The right end of the times on the axis.
    pub(super) axis: f64,
    /// The x coordinate of each lifeline.
    x: Vec<f64>,
    /// For each lifeline, how far a point that does not move the clock is below its moment: further on the service's,
    /// whose events are in boxes.
    aside: Vec<f64>,
    rows: BTreeMap<Moment, usize>,
    /// The picture's size.
    pub(super) width: f64,
    pub(super) height: f64,
    /// The distance between two lifelines.
    pub(super) lane_width: f64,
    /// Right of the last lifeline.
    lanes_end: f64,
}

impl Layout {
    /// Time runs downward. Every moment at which something happened has a row; other moments have none.
    pub(super) fn of(chart: &Chart) -> Self {
        let lanes = chart.lanes.len();
        let lane_width = (1040.0 / lanes.max(1) as f64).clamp(98.0, 168.0);
        let mut moments: BTreeSet<Moment> = chart.points.iter().map(|point| point.moment).collect();
        // A row before each event leaves room for the text of the one above it.
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

    /// The y coordinate of the last row at or before this moment; of the first row if there is none.
    pub(super) fn y_up_to(&self, moment: Moment) -> f64 {
        self.row(self.rows.range(..=moment).next_back().map_or(0, |(_, row)| *row))
    }

    fn row(&self, row: usize) -> f64 {
        let named = (row / ROWS_NAMED).min(self.names_between());
        TOP + ROW * row as f64 + NAMES * named as f64
    }

    /// How many times the names are shown between top and bottom.
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

    /// A point's place. A point that does not move the clock is a little below its moment.
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
