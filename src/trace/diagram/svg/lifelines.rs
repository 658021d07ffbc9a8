//! Lifelines: memberships, times offline, and the faults of a lab.

use std::fmt::Write;

use super::Picture;
use super::fit::{Extent, Font};
use super::layout::{ROW, TOP};
use super::marks::xml;
use crate::trace::diagram::{ChartEvent, Point, Role};
use crate::trace::record::LoggedKind;

/// How wide the shade of a fault is.
const SHADE: f64 = 30.0;
/// The font of the fault's name beside it.
const FAULT: Font = Font::new(9.0);

impl Picture<'_> {
    pub(super) fn lifelines(&mut self) {
        let bottom = self.layout.bottom();
        let mut points = vec![Vec::new(); self.chart.lanes.len()];
        self.chart.points.iter().for_each(|point| points[point.lane].push(point.clone()));
        for (lane, own) in points.into_iter().enumerate() {
            let x = self.layout.x(lane);
            draw!(self, r#"<path class="gone" d="M{x:.1} {:.1}V{bottom:.1}"/>"#, TOP - 14.0);
            if let [first, .., last] = &own[..] {
                let (from, to) = (self.layout.place(first).1 - 14.0, self.layout.place(last).1);
                draw!(self, r#"<path class="life" d="M{x:.1} {from:.1}V{to:.1}"/>"#);
            }
            if self.chart.lanes[lane].service {
                // One band for each process, with a gap between a crash and the next start.
                for (index, process) in own.chunk_by(|_, next| next.role != Role::Start).enumerate() {
                    let begin = process.get(index.min(1)).or(process.first());
                    self.band(lane, begin, process.last());
                }
                continue;
            }
            for (begin, end) in self.memberships(lane, &own) {
                self.band(lane, Some(begin), Some(end));
            }
            self.offline(lane, &own);
        }
    }

    /// Where a lab's faults were in force.
    pub(super) fn shades(&mut self) {
        for shade in &self.chart.shades {
            let from = self.layout.y_up_to(shade.from) + ROW * 0.4;
            let to = shade.to.map_or(self.layout.bottom() - ROW, |to| self.layout.y_up_to(to) + ROW * 0.6);
            for lane in shade.lanes(self.chart) {
                let (left, height) = (self.layout.x(lane) - SHADE / 2.0, (to - from).max(ROW));
                let words = xml(&format!("{}, by the lab: {}", shade.name, shade.words));
                draw!(
                    self,
                    r#"<g><title>{words}</title><rect class="fault" x="{left:.1}" y="{from:.1}" width="{SHADE}" height="{height:.1}"/>"#
                );
                for (line, words) in shade.words.split(", ").enumerate() {
                    let (x, y) = (left + SHADE + 3.0, from + 9.0 + 10.0 * line as f64);
                    let fit = Extent::of(words, FAULT).within(self.layout.lane_width - SHADE);
                    draw!(self, r#"<text class="faulttext" x="{x:.1}" y="{y:.1}"{fit}>{}</text>"#, xml(words));
                }
                self.out.push_str("</g>\n");
            }
        }
    }

    /// From each join to its leave, or to the end of the log.
    fn memberships<'p>(&self, lane: usize, own: &'p [Point]) -> Vec<(&'p Point, &'p Point)> {
        let kind = |point: &Point| {
            let event = &self.chart.events[point.event?];
            (self.is_of(event, lane) && point.role != Role::Deliver).then_some(event.kind)
        };
        let mut bands: Vec<(&Point, &Point)> = Vec::new();
        let mut open = None;
        for point in own.iter().filter(|point| !point.role.is_aside() || point.role == Role::Crash) {
            let begins = kind(point) == Some(LoggedKind::Joined)
                || point.role == Role::Resume
                || bands.is_empty() && point.role != Role::Send;
            if open.is_none() && begins {
                open = Some(bands.len());
            }
            let Some(band) = open else { continue };
            match bands.get_mut(band) {
                Some(band) => band.1 = point,
                None => bands.push((point, point)),
            }
            if kind(point) == Some(LoggedKind::Left) && point.role == Role::Answer || point.role == Role::Crash {
                open = None;
            }
        }
        bands
    }

    /// Whether an event's author is this participant, even if another process of its name sent it.
    fn is_of(&self, event: &ChartEvent, lane: usize) -> bool {
        let name = |lane: usize| self.chart.lanes.get(lane).map(|lane| &lane.name);
        name(event.author) == name(lane)
    }

    fn band(&mut self, lane: usize, begin: Option<&Point>, end: Option<&Point>) {
        let (Some(begin), Some(end)) = (begin, end) else { return };
        let ((x, from), (_, to)) = (self.layout.place(begin), self.layout.place(end));
        let (from, to) = (from - 7.0, to + 7.0);
        let color = &self.lane_color[lane];
        draw!(self, r#"<g class="{color}"><path class="band" d="M{x:.1} {from:.1}V{to:.1}"/>"#);
        let (left, right) = (x - 11.0, x + 11.0);
        draw!(self, r#"<path class="cap" d="M{left:.1} {from:.1}H{right:.1}M{left:.1} {to:.1}H{right:.1}"/></g>"#);
    }

    /// Draws the times from the end of a stream, or of a process, to where the session continues.
    fn offline(&mut self, lane: usize, own: &[Point]) {
        let mut since: Option<&Point> = None;
        let mut spans = Vec::new();
        for point in own {
            match (point.role, since) {
                (Role::Break | Role::Crash, None) => since = Some(point),
                (Role::Resume, Some(begin)) => {
                    spans.push((begin, Some(point)));
                    since = None;
                }
                (Role::Answer, Some(begin)) => {
                    // A process that joins anew does not continue an earlier one.
                    spans.extend((begin.role == Role::Break).then_some((begin, Some(point))));
                    since = None;
                }
                _ => {}
            }
        }
        spans.extend(since.filter(|begin| begin.role == Role::Break).map(|begin| (begin, None)));
        for (begin, end) in spans {
            let (x, from) = self.layout.place(begin);
            let to = end.map_or(from + ROW, |end| self.layout.place(end).1);
            let color = &self.lane_color[lane];
            draw!(
                self,
                r#"<g class="{color}"><path class="off" d="M{x:.1} {from:.1}V{to:.1}"/><path class="off2" d="M{x:.1} {from:.1}V{to:.1}"/></g>"#
            );
        }
    }
}
