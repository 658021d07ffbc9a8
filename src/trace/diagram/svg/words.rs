//! The texts of a picture: the axis, the transcript, names and the key.

use std::fmt::Write;

use super::fit::{Extent, Fitted, Font};
use super::layout::{ROW, TOP};
use super::marks::{KEY, half_box, shape, xml};
use super::{Picture, sentence};
use crate::trace::diagram::{ChartEvent, Role};
use crate::trace::record::LoggedKind;

/// The fonts of the style sheet's classes.
const TEXT: Font = Font::new(12.0);
const STAMP: Font = Font::bold(12.0);
const NAME: Font = Font::bold(12.0);
const CROSSED: Font = Font::bold(10.5);
const LANE_NAME: Font = Font::bold(12.5);
const TIME: Font = Font::new(9.5);
/// The space between a text and the right edge.
const MARGIN: f64 = 14.0;
/// How wide a name in the transcript is at most.
const NAME_ROOM: f64 = 120.0;
/// How far the second line of a message is to the right of the first, and below it.
const INDENT: f64 = 14.0;
const LINE: f64 = 15.0;
/// The space left of the times on the axis.
const AXIS_MARGIN: f64 = 4.0;
/// The space between a name and the ends of its pill.
const PADDING: f64 = 7.0;

impl Picture<'_> {
    pub(super) fn axis(&mut self) {
        let (axis, right) = (self.layout.axis, self.layout.transcript() - 40.0);
        for event in &self.chart.events {
            let y = self.layout.y(event.moment);
            draw!(self, r#"<path class="guide" d="M{:.1} {y:.1}H{right:.1}"/>"#, axis + 6.0);
        }
        let mut epoch = None;
        for moment in self.layout.moments().collect::<Vec<_>>() {
            let y = self.layout.y(moment);
            if epoch.replace(moment.0).is_some_and(|before| before != moment.0) {
                let width = self.layout.width;
                let line = y - ROW * 0.5;
                draw!(
                    self,
                    r#"<path class="epoch" d="M10 {line:.1}H{width:.1}"><title>a new journal</title></path>"#
                );
            }
            let time = moment.1.to_string();
            let fit = Extent::of(&time, TIME).within(axis - AXIS_MARGIN);
            draw!(self, r#"<text class="axis" x="{axis:.1}" y="{:.1}"{fit}>{time}</text>"#, y + 3.5);
        }
        draw!(self, r#"<text class="axis" x="{axis:.1}" y="{:.1}">time</text>"#, TOP - 16.0);
    }

    pub(super) fn transcript(&mut self) {
        for (index, event) in self.chart.events.iter().enumerate() {
            let y = self.layout.y(event.moment);
            let next = self.chart.events.get(index + 1).map_or(f64::INFINITY, |next| self.layout.y(next.moment));
            let has_room = event.crossed.is_empty() && next - y > ROW * 1.5;
            self.line(index, event, y, has_room);
            self.crossings(event, y);
        }
    }

    /// Writes an event into the transcript; a long message gets two lines if there is room.
    fn line(&mut self, index: usize, event: &ChartEvent, y: f64, has_room: bool) {
        let (x, color) = (self.layout.transcript(), self.color_of(Some(index)));
        let room = self.layout.width - x - MARGIN;
        let (stamp, space) = (format!("[{}]", event.moment.1), Extent::of(" ", TEXT));
        let name = Fitted::of(&event.name, NAME, NAME_ROOM);
        let stamped = Extent::of(&stamp, STAMP).and(space);
        let stamp = format!(r#"<tspan class="stamp">{stamp}</tspan> "#);
        if event.kind != LoggedKind::Message {
            let what = match (event.kind, event.expired) {
                (LoggedKind::Joined, _) => "joined",
                (_, false) => "left",
                (_, true) => "left: its connection was gone",
            };
            let fit = stamped.and(name.extent).and(space).and(Extent::of(what, TEXT)).within(room);
            let said = format!(r#"{stamp}<tspan class="quiet">{} {what}</tspan>"#, name.xml);
            draw!(self, r#"<text x="{x:.1}" y="{:.1}"{fit}>{said}</text>"#, y + 4.0);
            return;
        }
        let before = stamped.and(name.extent).and(Extent::of(":", NAME));
        let first_room = room - before.likely - space.likely;
        let (first, second) = if has_room {
            Fitted::in_two(&event.content, TEXT, [first_room, room - INDENT])
        } else {
            (Fitted::of(&event.content, TEXT, first_room), None)
        };
        let is_cut = name.is_cut || second.as_ref().map_or(first.is_cut, |second| second.is_cut);
        if is_cut {
            draw!(self, "<g><title>{}</title>", xml(&sentence(event)));
        }
        let who = format!(r#"{stamp}<tspan class="said {color}">{}:</tspan>"#, name.xml);
        let (y, said) = (y + 4.0, &first.xml);
        if before.and(space).and(first.extent).within(room).is_empty() {
            draw!(self, r#"<text x="{x:.1}" y="{y:.1}">{who} {said}</text>"#);
        } else {
            // Two texts, so that only the one that is too wide is squeezed.
            let fits = [before.within(before.likely), first.extent.within(first_room)];
            let x_said = x + before.likely + space.likely;
            draw!(self, r#"<text x="{x:.1}" y="{y:.1}"{}>{who}</text>"#, fits[0]);
            draw!(self, r#"<text x="{x_said:.1}" y="{y:.1}"{}>{said}</text>"#, fits[1]);
        }
        if let Some(Fitted { xml, extent, .. }) = second {
            let fit = extent.within(room - INDENT);
            draw!(self, r#"<text x="{:.1}" y="{:.1}"{fit}>{xml}</text>"#, x + INDENT, y + LINE);
        }
        if is_cut {
            self.out.push_str("</g>\n");
        }
    }

    /// Links a message to those that its writer had not seen.
    fn crossings(&mut self, event: &ChartEvent, y: f64) {
        if event.crossed.is_empty() {
            return;
        }
        let x = self.layout.transcript();
        let crossed: Vec<_> = event.crossed.iter().map(|other| self.chart.events[*other].moment).collect();
        for (depth, other) in crossed.iter().enumerate() {
            let from = self.layout.y(*other);
            let (near, out) = (x - 5.0, x - 10.0 - 5.0 * (depth.min(4) as f64 + 1.0));
            draw!(self, r#"<path class="cross" d="M{near:.1} {from:.1}H{out:.1}V{y:.1}H{near:.1}"/>"#);
        }
        let unseen: Vec<_> = crossed.iter().rev().map(|moment| format!("[{}]", moment.1)).collect();
        let more = match event.crossed_more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let words = format!("⇄ written before seeing {}{more}", unseen.join(" "));
        let fit = Extent::of(&words, CROSSED).within(self.layout.width - x - MARGIN);
        draw!(self, r#"<text class="crosstext" x="{x:.1}" y="{:.1}"{fit}>{words}</text>"#, y + 17.0);
    }

    pub(super) fn names(&mut self) {
        let half = self.layout.lane_width.min(140.0) / 2.0 - 4.0;
        for (index, lane) in self.chart.lanes.iter().enumerate() {
            let (x, color) = (self.layout.x(index), &self.lane_color[index]);
            let room = (half - PADDING) * 2.0;
            let name = Fitted::of(&lane.name, LANE_NAME, room);
            let (fit, name) = (name.extent.within(room), name.xml);
            if !lane.has_log {
                draw!(self, r#"<text class="nolog" x="{x:.1}" y="{:.1}">no log</text>"#, TOP - 19.0);
            }
            for y in self.layout.names() {
                let (left, top, width) = (x - half, y - 15.0, half * 2.0);
                draw!(
                    self,
                    r#"<g class="{color}"><title>{}</title><rect class="paper" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="22" rx="11"/><rect class="pill" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="22" rx="11"/><text class="name" x="{x:.1}" y="{:.1}"{fit}>{name}</text></g>"#,
                    xml(&lane.name),
                    y + 0.5
                );
            }
        }
    }

    pub(super) fn key(&mut self) {
        let y = self.layout.height - 20.0;
        let mut x = 24.0;
        let others = (Role::Apply, "applied by another replica");
        let has_replicas = self.chart.lanes.iter().filter(|lane| lane.service).count() > 1;
        for (role, words) in KEY.into_iter().chain(has_replicas.then_some(others)) {
            let (wide, sample) = if role == Role::Apply {
                (half_box(9), String::new())
            } else if role == Role::Broadcast {
                (
                    half_box(9),
                    format!(r#"<text class="inbox" x="{:.1}" y="{:.1}">9</text>"#, x + half_box(9) - 8.0, y - 0.4),
                )
            } else {
                (8.0, String::new())
            };
            let extent = Extent::of(words, TEXT);
            let fit = extent.within(extent.likely);
            draw!(
                self,
                r#"<g class="c">{}{sample}<text class="key" x="{:.1}" y="{y:.1}"{fit}>{words}</text></g>"#,
                shape(role, 9, x + wide - 8.0, y - 4.0),
                x + wide * 2.0 - 4.0
            );
            x += wide * 2.0 + 26.0 + extent.likely;
        }
    }
}
