//! Messages as arrows, and the points where they begin and end.

use std::fmt::Write;

use super::Picture;
use super::fit::{Extent, Font};
use super::marks::{half_box, shape, xml};
use crate::trace::diagram::{Arrow, Point, Role};

/// The fonts of times: beside a point, and in the box of an event.
const TIME: Font = Font::new(9.5);
const IN_BOX: Font = Font::bold(10.0);

impl Picture<'_> {
    pub(super) fn arrows(&mut self) {
        for Arrow { from, to } in &self.chart.arrows {
            let (begin, end) = (&self.chart.points[*from], &self.chart.points[*to]);
            let (line, head) = match end.role {
                Role::Receive => ("send", "head"),
                Role::Answer | Role::Resume | Role::Apply => ("back", "backhead"),
                _ => ("tell", "tellhead"),
            };
            let color = self.color_of(begin.event.or(end.event));
            let ((x1, y1), (x2, y2)) = (self.layout.place(begin), self.layout.place(end));
            let edge = |point: &Point, x: f64, towards: f64| match point.role {
                Role::Broadcast | Role::Apply => x + half_box(point.moment.1).copysign(towards - x),
                _ => x,
            };
            let (x1, x2) = (edge(begin, x1, x2), edge(end, x2, x1));
            let length = (x2 - x1).hypot(y2 - y1).max(1.0);
            let (dx, dy) = ((x2 - x1) / length, (y2 - y1) / length);
            let (tx, ty) = (x2 - dx * 5.0, y2 - dy * 5.0);
            let (bx, by) = (tx - dx * 7.0, ty - dy * 7.0);
            draw!(
                self,
                r#"<g class="{color}"><path class="{line}" d="M{x1:.1} {y1:.1}L{bx:.1} {by:.1}"/><path class="{head}" d="M{tx:.1} {ty:.1}L{:.1} {:.1}L{:.1} {:.1}Z"/></g>"#,
                bx - dy * 2.8,
                by + dx * 2.8,
                bx + dy * 2.8,
                by - dx * 2.8
            );
        }
    }

    /// From a process that ended to the one that continues its session.
    pub(super) fn continuations(&mut self) {
        for Arrow { from, to } in &self.chart.continuations {
            let (begin, end) = (&self.chart.points[*from], &self.chart.points[*to]);
            let ((x1, y1), (x2, y2)) = (self.layout.place(begin), self.layout.place(end));
            let (color, turn) = (&self.lane_color[begin.lane], (x2 - x1) / 2.0);
            draw!(
                self,
                r#"<g class="{color}"><path class="off2" d="M{x1:.1} {y1:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}"/></g>"#,
                x1 + turn,
                x2 - turn
            );
        }
    }

    pub(super) fn points(&mut self) {
        let mut came_from = vec![None; self.chart.points.len()];
        for arrow in &self.chart.arrows {
            came_from[arrow.to] = Some(self.layout.place(&self.chart.points[arrow.from]).0);
        }
        for (index, point) in self.chart.points.iter().enumerate() {
            let (x, y) = self.layout.place(point);
            let own = matches!(point.role, Role::Send | Role::Lost | Role::Answer | Role::Resume)
                || point.event.is_none();
            let color = if own { self.lane_color[point.lane].clone() } else { self.color_of(point.event) };
            let words =
                xml(&format!("{}: {} at {}", self.chart.lanes[point.lane].name, point.words, point.moment.1));
            draw!(self, r#"<g class="{color}"><title>{words}</title>{}"#, shape(point.role, point.moment.1, x, y));
            let crossed = self.crossed(point);
            if crossed {
                draw!(self, r#"<circle class="cross" cx="{x:.1}" cy="{y:.1}" r="8.5"/>"#);
            }
            self.time(point, crossed, came_from[index]);
            self.out.push_str("</g>\n");
        }
    }

    /// Writes a point's time on the side without arrows.
    fn time(&mut self, point: &Point, crossed: bool, came_from: Option<f64>) {
        let ((x, y), time) = (self.layout.place(point), point.moment.1.to_string());
        if point.role.is_aside() {
            return;
        }
        if point.role == Role::Broadcast {
            let fit = Extent::of(&time, IN_BOX).within(half_box(point.moment.1) * 2.0 - 4.0);
            draw!(self, r#"<text class="inbox" x="{x:.1}" y="{:.1}"{fit}>{time}</text>"#, y + 3.6);
            return;
        }
        if point.role == Role::Apply {
            let fit = Extent::of(&time, IN_BOX).within(half_box(point.moment.1) * 2.0 - 4.0);
            let y = y + 3.6;
            draw!(
                self,
                r#"<text class="said" style="font-size:10px;text-anchor:middle" x="{x:.1}" y="{y:.1}"{fit}>{time}</text>"#
            );
            return;
        }
        let arrows = if point.role == Role::Receive { came_from } else { Some(self.service_x(point.lane)) };
        let away = if crossed { 13.0 } else { 10.0 };
        // Two lifelines may each have a time in the space between them.
        let fit = Extent::of(&time, TIME).within(self.layout.lane_width / 2.0 - away);
        let (class, x) =
            if arrows.is_some_and(|arrows| arrows > x) { ("time before", x - away) } else { ("time", x + away) };
        draw!(self, r#"<text class="{class}" x="{x:.1}" y="{:.1}"{fit}>{time}</text>"#, y + 3.5);
    }
}
