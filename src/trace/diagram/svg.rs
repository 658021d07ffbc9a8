//! A picture that stands alone: no script, light and dark, readable on its own.

use std::fmt::Write;

use super::layout::{Layout, ROW, TOP};
use super::marks::{KEY, half_box, shape, short, width, xml};
use super::style::{COLOURS, sheet};
use super::{Arrow, Chart, ChartEvent, Point, Role};
use crate::trace::record::LoggedKind;

/// How many letters of a name and its message the transcript shows.
const LINE_SHOWN: usize = 54;
/// How many letters of a name the transcript shows.
const NAME_SHOWN: usize = 16;
/// How wide the shade of a fault is.
const SHADE: f64 = 30.0;
/// How wide a letter of a lifeline's name is at most, in most fonts.
const LETTER: f64 = 9.2;

/// The picture.
pub fn text(chart: &Chart) -> String {
    let layout = Layout::of(chart);
    let mut picture = Picture { lane_colour: colours(chart, &layout), layout, chart, out: String::new() };
    picture.open();
    picture.axis();
    picture.shades();
    picture.lifelines();
    picture.arrows();
    picture.continuations();
    picture.points();
    picture.transcript();
    picture.names();
    picture.key();
    picture.out.push_str("</svg>\n");
    picture.out
}

/// A class for each lifeline, from left to right. Lifelines of one name have one colour.
fn colours(chart: &Chart, layout: &Layout) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut colours = vec![String::from("c"); chart.lanes.len()];
    for lane in layout.left_to_right().into_iter().filter(|lane| !chart.lanes[*lane].service) {
        let name = &chart.lanes[lane].name;
        let place = names.iter().position(|other| other == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        colours[lane] = format!("c{}", place % COLOURS);
    }
    colours
}

struct Picture<'a> {
    layout: Layout,
    chart: &'a Chart,
    out: String,
    lane_colour: Vec<String>,
}

/// Writes an element. A String takes whatever is written to it.
macro_rules! draw {
    ($picture:expr, $($format:tt)*) => {{
        let _ = writeln!($picture.out, $($format)*);
    }};
}

impl Picture<'_> {
    fn open(&mut self) {
        let Layout { width, height, .. } = self.layout;
        draw!(
            self,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-labelledby="t d">"#
        );
        let (events, lanes) = (self.chart.events.len(), self.chart.lanes.len());
        draw!(self, r#"<title id="t">Space-time diagram of {events} events in {lanes} processes</title>"#);
        let lines: Vec<String> = self.chart.events.iter().map(sentence).collect();
        draw!(self, r#"<desc id="d">{}</desc>"#, xml(&lines.join("; ")));
        draw!(self, "<style>{}</style>", sheet());
        draw!(self, r#"<rect class="paper" width="{width:.0}" height="{height:.0}"/>"#);
        draw!(self, r#"<text x="20" y="32" class="title">{events} events, {lanes} processes</text>"#);
        let lost = match self.chart.lost {
            0 => String::new(),
            lost => format!("; {lost} records are missing: the logs lost them"),
        };
        draw!(
            self,
            r#"<text x="20" y="52" class="sub">Lamport time goes down; numbers are each process's own clock{lost}</text>"#
        );
    }

    fn axis(&mut self) {
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
            draw!(self, r#"<text class="axis" x="{axis:.1}" y="{:.1}">{}</text>"#, y + 3.5, moment.1);
        }
        draw!(self, r#"<text class="axis" x="{axis:.1}" y="{:.1}">time</text>"#, TOP - 16.0);
    }

    fn lifelines(&mut self) {
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
                // One band for each process: between a crash and what the next one does there was none.
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
    fn shades(&mut self) {
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
                    draw!(self, r#"<text class="faulttext" x="{x:.1}" y="{y:.1}">{}</text>"#, xml(words));
                }
                self.out.push_str("</g>\n");
            }
        }
    }

    /// From each join to its leave, or as far as the log goes.
    fn memberships<'p>(&self, lane: usize, own: &'p [Point]) -> Vec<(&'p Point, &'p Point)> {
        let kind = |point: &Point| {
            let event = &self.chart.events[point.event?];
            (self.is_of(event, lane) && point.role != Role::Deliver).then_some(event.kind)
        };
        let mut bands: Vec<(&Point, &Point)> = Vec::new();
        let mut open = None;
        for point in own.iter().filter(|point| !point.role.is_aside() || point.role == Role::Crash) {
            match kind(point) {
                Some(LoggedKind::Joined) if open.is_none() => open = Some(bands.len()),
                _ if bands.is_empty() && open.is_none() && point.role != Role::Send => open = Some(0),
                _ => {}
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

    /// Whether an event is that of a process, or of another one of the same name that it goes on for.
    fn is_of(&self, event: &ChartEvent, lane: usize) -> bool {
        let name = |lane: usize| self.chart.lanes.get(lane).map(|lane| &lane.name);
        name(event.author) == name(lane)
    }

    fn band(&mut self, lane: usize, begin: Option<&Point>, end: Option<&Point>) {
        let (Some(begin), Some(end)) = (begin, end) else { return };
        let ((x, from), (_, to)) = (self.layout.place(begin), self.layout.place(end));
        let (from, to) = (from - 7.0, to + 7.0);
        let colour = &self.lane_colour[lane];
        draw!(self, r#"<g class="{colour}"><path class="band" d="M{x:.1} {from:.1}V{to:.1}"/>"#);
        let (left, right) = (x - 11.0, x + 11.0);
        draw!(self, r#"<path class="cap" d="M{left:.1} {from:.1}H{right:.1}M{left:.1} {to:.1}H{right:.1}"/></g>"#);
    }

    fn offline(&mut self, lane: usize, own: &[Point]) {
        for (index, point) in own.iter().enumerate().filter(|(_, point)| point.role == Role::Break) {
            let back = own[index..].iter().find(|point| matches!(point.role, Role::Resume | Role::Answer));
            let (x, from) = self.layout.place(point);
            let to = back.map_or(from + ROW, |back| self.layout.place(back).1);
            let colour = &self.lane_colour[lane];
            draw!(
                self,
                r#"<g class="{colour}"><path class="off" d="M{x:.1} {from:.1}V{to:.1}"/><path class="off2" d="M{x:.1} {from:.1}V{to:.1}"/></g>"#
            );
        }
    }

    fn colour_of(&self, event: Option<usize>) -> String {
        let author = event.and_then(|event| self.lane_colour.get(self.chart.events[event].author));
        author.cloned().unwrap_or_else(|| "c".into())
    }

    fn arrows(&mut self) {
        for Arrow { from, to } in &self.chart.arrows {
            let (begin, end) = (&self.chart.points[*from], &self.chart.points[*to]);
            let (line, head) = match end.role {
                Role::Receive => ("send", "head"),
                Role::Answer | Role::Resume => ("back", "backhead"),
                _ => ("tell", "tellhead"),
            };
            let colour = self.colour_of(begin.event.or(end.event));
            let ((x1, y1), (x2, y2)) = (self.layout.place(begin), self.layout.place(end));
            let x1 =
                if begin.role == Role::Broadcast { x1 + half_box(begin.moment.1).copysign(x2 - x1) } else { x1 };
            let length = (x2 - x1).hypot(y2 - y1).max(1.0);
            let (dx, dy) = ((x2 - x1) / length, (y2 - y1) / length);
            let (tx, ty) = (x2 - dx * 5.0, y2 - dy * 5.0);
            let (bx, by) = (tx - dx * 7.0, ty - dy * 7.0);
            draw!(
                self,
                r#"<g class="{colour}"><path class="{line}" d="M{x1:.1} {y1:.1}L{bx:.1} {by:.1}"/><path class="{head}" d="M{tx:.1} {ty:.1}L{:.1} {:.1}L{:.1} {:.1}Z"/></g>"#,
                bx - dy * 2.8,
                by + dx * 2.8,
                bx + dy * 2.8,
                by - dx * 2.8
            );
        }
    }

    /// From a process that ended to the one that continues its session.
    fn continuations(&mut self) {
        for Arrow { from, to } in &self.chart.continuations {
            let (begin, end) = (&self.chart.points[*from], &self.chart.points[*to]);
            let ((x1, y1), (x2, y2)) = (self.layout.place(begin), self.layout.place(end));
            let (colour, turn) = (&self.lane_colour[begin.lane], (x2 - x1) / 2.0);
            draw!(
                self,
                r#"<g class="{colour}"><path class="off2" d="M{x1:.1} {y1:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}"/></g>"#,
                x1 + turn,
                x2 - turn
            );
        }
    }

    fn points(&mut self) {
        let mut came_from = vec![None; self.chart.points.len()];
        for arrow in &self.chart.arrows {
            came_from[arrow.to] = Some(self.layout.place(&self.chart.points[arrow.from]).0);
        }
        for (index, point) in self.chart.points.iter().enumerate() {
            let (x, y) = self.layout.place(point);
            let own = matches!(point.role, Role::Send | Role::Lost | Role::Answer | Role::Resume)
                || point.event.is_none();
            let colour = if own { self.lane_colour[point.lane].clone() } else { self.colour_of(point.event) };
            let words =
                xml(&format!("{}: {} at {}", self.chart.lanes[point.lane].name, point.words, point.moment.1));
            draw!(
                self,
                r#"<g class="{colour}"><title>{words}</title>{}"#,
                shape(point.role, point.moment.1, x, y)
            );
            let crossed = self.crossed(point);
            if crossed {
                draw!(self, r#"<circle class="cross" cx="{x:.1}" cy="{y:.1}" r="8.5"/>"#);
            }
            self.time(point, crossed, came_from[index]);
            self.out.push_str("</g>\n");
        }
    }

    /// A point's time: where the arrows are not.
    fn time(&mut self, point: &Point, crossed: bool, came_from: Option<f64>) {
        let ((x, y), time) = (self.layout.place(point), point.moment.1);
        if point.role.is_aside() {
            return;
        }
        if point.role == Role::Broadcast {
            draw!(self, r#"<text class="inbox" x="{x:.1}" y="{:.1}">{time}</text>"#, y + 3.6);
            return;
        }
        let arrows = if point.role == Role::Receive { came_from } else { Some(self.service_x()) };
        let away = if crossed { 13.0 } else { 10.0 };
        let (class, x) =
            if arrows.is_some_and(|arrows| arrows > x) { ("time before", x - away) } else { ("time", x + away) };
        draw!(self, r#"<text class="{class}" x="{x:.1}" y="{:.1}">{time}</text>"#, y + 3.5);
    }

    fn service_x(&self) -> f64 {
        self.chart.lanes.iter().position(|lane| lane.service).map_or(0.0, |lane| self.layout.x(lane))
    }

    /// Whether a point is the send of a message that crossed another.
    fn crossed(&self, point: &Point) -> bool {
        let Some(event) = point.event.filter(|_| point.role == Role::Send) else { return false };
        let event = &self.chart.events[event];
        event.was_crossed || !event.crossed.is_empty()
    }

    fn transcript(&mut self) {
        let x = self.layout.transcript();
        for (index, event) in self.chart.events.iter().enumerate() {
            let y = self.layout.y(event.moment);
            let colour = self.colour_of(Some(index));
            let time = event.moment.1;
            let room = LINE_SHOWN - width(&event.name).min(NAME_SHOWN);
            let (name, content) = (short(&event.name, NAME_SHOWN), short(&event.content, room));
            let said = match (event.kind, event.expired) {
                (LoggedKind::Message, _) => format!(r#"<tspan class="said {colour}">{name}:</tspan> {content}"#),
                (LoggedKind::Joined, _) => format!(r#"<tspan class="quiet">{name} joined</tspan>"#),
                (LoggedKind::Left, false) => format!(r#"<tspan class="quiet">{name} left</tspan>"#),
                (LoggedKind::Left, true) => {
                    format!(r#"<tspan class="quiet">{name} left: its connection was gone</tspan>"#)
                }
            };
            draw!(
                self,
                r#"<text x="{x:.1}" y="{:.1}"><tspan class="stamp">[{time}]</tspan> {said}</text>"#,
                y + 4.0
            );
            let crossed: Vec<_> = event.crossed.iter().map(|other| self.chart.events[*other].moment).collect();
            for (depth, other) in crossed.iter().enumerate() {
                let from = self.layout.y(*other);
                let out = x - 10.0 - 5.0 * (depth.min(4) as f64 + 1.0);
                draw!(
                    self,
                    r#"<path class="cross" d="M{:.1} {from:.1}H{out:.1}V{y:.1}H{:.1}"/>"#,
                    x - 5.0,
                    x - 5.0
                );
            }
            if !crossed.is_empty() {
                let unseen: Vec<_> = crossed.iter().rev().map(|moment| format!("[{}]", moment.1)).collect();
                let more = match event.crossed_more {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                draw!(
                    self,
                    r#"<text class="crosstext" x="{x:.1}" y="{:.1}">⇄ written before seeing {}{more}</text>"#,
                    y + 17.0,
                    unseen.join(" ")
                );
            }
        }
    }

    fn names(&mut self) {
        let half = self.layout.lane_width.min(140.0) / 2.0 - 4.0;
        for (index, lane) in self.chart.lanes.iter().enumerate() {
            let (x, colour) = (self.layout.x(index), &self.lane_colour[index]);
            let name = short(&lane.name, (half * 2.0 / LETTER) as usize);
            if !lane.has_log {
                draw!(self, r#"<text class="nolog" x="{x:.1}" y="{:.1}">no log</text>"#, TOP - 19.0);
            }
            for y in self.layout.names() {
                let (left, top, width) = (x - half, y - 15.0, half * 2.0);
                draw!(
                    self,
                    r#"<g class="{colour}"><title>{}</title><rect class="paper" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="22" rx="11"/><rect class="pill" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="22" rx="11"/><text class="name" x="{x:.1}" y="{:.1}">{name}</text></g>"#,
                    xml(&lane.name),
                    y + 0.5
                );
            }
        }
    }

    fn key(&mut self) {
        let y = self.layout.height - 20.0;
        let mut x = 24.0;
        for (role, words) in KEY {
            let (wide, sample) = if role == Role::Broadcast {
                (
                    half_box(9),
                    format!(r#"<text class="inbox" x="{:.1}" y="{:.1}">9</text>"#, x + half_box(9) - 8.0, y - 0.4),
                )
            } else {
                (8.0, String::new())
            };
            draw!(
                self,
                r#"<g class="c">{}{sample}<text class="key" x="{:.1}" y="{y:.1}">{words}</text></g>"#,
                shape(role, 9, x + wide - 8.0, y - 4.0),
                x + wide * 2.0 - 4.0
            );
            x += wide * 2.0 + 20.0 + words.chars().count() as f64 * 7.0;
        }
    }
}

fn sentence(event: &ChartEvent) -> String {
    let time = event.moment.1;
    match event.kind {
        LoggedKind::Message => format!("[{time}] {}: {}", event.name, event.content),
        _ => format!("[{time}] {}", event.content),
    }
}
