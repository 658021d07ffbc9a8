//! A self-contained SVG picture: without scripts, for light and dark backgrounds.

/// Writes an element. Writing to a String cannot fail.
macro_rules! draw {
    ($picture:expr, $($format:tt)*) => {{
        let _ = writeln!($picture.out, $($format)*);
    }};
}

mod fit;
mod layout;
mod lifelines;
mod marks;
mod messages;
mod style;
mod words;

use std::fmt::Write;

use layout::Layout;
use marks::xml;
use style::{COLORS, sheet};

use super::{Chart, ChartEvent, Point, Role};
use crate::trace::record::LoggedKind;

pub fn text(chart: &Chart) -> String {
    let layout = Layout::of(chart);
    let (lane_color, homes) = (colors(chart, &layout), chart.homes());
    let mut picture = Picture { lane_color, homes, layout, chart, out: String::new() };
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

/// A color class for each lifeline, in order from left to right. Lifelines of the same name share a color.
fn colors(chart: &Chart, layout: &Layout) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut colors = vec![String::from("c"); chart.lanes.len()];
    for lane in layout.left_to_right().into_iter().filter(|lane| !chart.lanes[*lane].service) {
        let name = &chart.lanes[lane].name;
        let place = names.iter().position(|other| other == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        colors[lane] = format!("c{}", place % COLORS);
    }
    colors
}

struct Picture<'a> {
    layout: Layout,
    chart: &'a Chart,
    out: String,
    lane_color: Vec<String>,
    homes: Vec<usize>,
}

impl Picture<'_> {
    fn open(&mut self) {
        let Layout { width, height, .. } = self.layout;
        draw!(
            self,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-labelledby="t d">"#
        );
        let (events, lanes) = (self.chart.events.len(), self.chart.lanes.len());
        draw!(self, r#"<title id="t">Space-time diagram of {events} events on {lanes} lifelines</title>"#);
        let lines: Vec<String> = self.chart.events.iter().map(sentence).collect();
        draw!(self, r#"<desc id="d">{}</desc>"#, xml(&lines.join("; ")));
        draw!(self, "<style>{}</style>", sheet());
        draw!(self, r#"<rect class="paper" width="{width:.0}" height="{height:.0}"/>"#);
        draw!(self, r#"<text x="20" y="32" class="title">{events} events on {lanes} lifelines</text>"#);
        let lost = match self.chart.lost {
            0 => String::new(),
            1 => "; 1 record is missing from the logs".into(),
            lost => format!("; {lost} records are missing from the logs"),
        };
        draw!(
            self,
            r#"<text x="20" y="52" class="sub">Lamport time goes down; numbers are each process's own clock{lost}</text>"#
        );
    }

    fn color_of(&self, event: Option<usize>) -> String {
        let author = event.and_then(|event| self.lane_color.get(self.chart.events[event].author));
        author.cloned().unwrap_or_else(|| "c".into())
    }

    /// The x coordinate of the service to which a lifeline sends.
    fn service_x(&self, lane: usize) -> f64 {
        self.homes.get(lane).map_or(0.0, |home| self.layout.x(*home))
    }

    /// Whether a point is the send of a message that crossed another.
    fn crossed(&self, point: &Point) -> bool {
        let Some(event) = point.event.filter(|_| point.role == Role::Send) else { return false };
        let event = &self.chart.events[event];
        event.was_crossed || !event.crossed.is_empty()
    }
}

fn sentence(event: &ChartEvent) -> String {
    let time = event.moment.1;
    match event.kind {
        LoggedKind::Message => format!("[{time}] {}: {}", event.name, event.content),
        _ => format!("[{time}] {}", event.content),
    }
}
