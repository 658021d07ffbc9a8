//! A [Mermaid](https://mermaid.js.org) sequence diagram, which code hosts render.

use std::collections::HashMap;
use std::fmt::Write;

use super::{Chart, Point, Role};
use crate::terminal::acts_on_terminal;
use crate::trace::record::LoggedKind;

/// The most characters that code hosts render: Mermaid's default limit.
pub const CHARACTERS_MAX: usize = 50_000;

/// The diagram. Mermaid's arrows are level, so an event is shown when it is broadcast: first the request, with the
/// sender's time; then the event, with its time; then each delivery, with the event's time and the recipient's.
pub fn text(chart: &Chart) -> String {
    let mut text = String::from("sequenceDiagram\n");
    let mut say = |line: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {line}");
    };
    for lane in chart.columns() {
        say(format!("participant P{lane} as {}", escaped(&chart.lanes[lane].name)));
    }
    let arrows = ArrowIndex::by(chart);
    let mut order: Vec<usize> = (0..chart.points.len()).collect();
    // The replica that received an event broadcasts it before the others apply it.
    let key = |index: &usize| (chart.points[*index].moment, chart.points[*index].role == Role::Apply, *index);
    order.sort_by_key(key);
    let mut shades = chart.shades.iter().peekable();
    for index in order {
        let point = &chart.points[index];
        while let Some(shade) = shades.next_if(|shade| shade.from < point.moment) {
            for lane in shade.lanes(chart) {
                say(format!("Note over P{lane}: the lab, {}", escaped(&shade.words)));
            }
        }
        let lane = point.lane;
        match point.role {
            Role::Broadcast => broadcast(chart, index, &arrows, &mut say),
            Role::Apply => apply(chart, index, &arrows, &mut say),
            Role::Crash => say(format!("Note over P{lane}: ✕ {}", escaped(&point.words))),
            Role::Break | Role::Resume | Role::Start if point.role != Role::Start || chart.lanes[lane].service => {
                say(format!("Note over P{lane}: {}", escaped(&point.words)));
            }
            Role::Lost => say(format!("P{lane}-xP{lane}: {} {}", point.moment.1, escaped(&point.words))),
            _ => {}
        }
    }
    text
}

/// The arrows, by where they begin and end.
struct ArrowIndex {
    /// For each event, the lifeline that requested it.
    asked: HashMap<usize, usize>,
    /// For each broadcast, where it was delivered.
    delivered: HashMap<usize, Vec<usize>>,
    /// For each event that a replica applied, the lifeline of the replica that received it.
    received: HashMap<usize, usize>,
}

impl ArrowIndex {
    fn by(chart: &Chart) -> Self {
        let mut arrows = Self { asked: HashMap::new(), delivered: HashMap::new(), received: HashMap::new() };
        for arrow in &chart.arrows {
            let (from, to) = (&chart.points[arrow.from], &chart.points[arrow.to]);
            match (to.role, to.event) {
                (Role::Receive, Some(event)) => drop(arrows.asked.insert(event, from.lane)),
                (Role::Apply, _) => drop(arrows.received.insert(arrow.to, from.lane)),
                (Role::Deliver, _) => arrows.delivered.entry(arrow.from).or_default().push(arrow.to),
                _ => {}
            }
        }
        arrows
    }
}

/// Another replica reads an event from the common log, and sends it to the participants attached to it.
fn apply(chart: &Chart, index: usize, arrows: &ArrowIndex, say: &mut impl FnMut(String)) {
    let Point { lane, moment: (_, time), .. } = chart.points[index];
    if let Some(from) = arrows.received.get(&index) {
        say(format!("P{from}-)P{lane}: {time}"));
    }
    for to in arrows.delivered.get(&index).into_iter().flatten().map(|to| &chart.points[*to]) {
        say(format!("P{lane}-->>P{}: {time} → {}", to.lane, to.moment.1));
    }
}

fn broadcast(chart: &Chart, index: usize, arrows: &ArrowIndex, say: &mut impl FnMut(String)) {
    let point = &chart.points[index];
    let (service, time) = (point.lane, point.moment.1);
    let Some(place) = point.event else { return };
    let event = &chart.events[place];
    if let Some(writer) = arrows.asked.get(&place) {
        let what = match event.kind {
            LoggedKind::Joined => "join".into(),
            LoggedKind::Left => "leave".into(),
            LoggedKind::Message => escaped(&event.content),
        };
        say(format!("P{writer}->>P{service}: {} {what}", event.sent));
    }
    let name = escaped(&event.name);
    let what = match event.kind {
        LoggedKind::Joined => format!("{name} joined"),
        LoggedKind::Left => format!("{name} left"),
        LoggedKind::Message => format!("{name}#58; {}", escaped(&event.content)),
    };
    say(format!("Note over P{service}: #91;{time}#93; {what}"));
    for to in arrows.delivered.get(&index).into_iter().flatten().map(|to| &chart.points[*to]) {
        say(format!("P{service}-->>P{}: {time} → {}", to.lane, to.moment.1));
    }
    for other in &event.crossed {
        let lane = |event: usize| arrows.asked.get(&event).copied().unwrap_or(service);
        let both = [lane(place), lane(*other)];
        let other = &chart.events[*other];
        let (from, to) = (both[0].min(both[1]), both[0].max(both[1]));
        say(format!("Note over P{from},P{to}: ⇄ #91;{}#93; and #91;{time}#93; crossed", other.moment.1));
    }
    if event.crossed_more > 0 {
        say(format!("Note over P{service}: ⇄ #91;{time}#93; crossed {} more", event.crossed_more));
    }
}

/// Escapes a text for Mermaid: characters that could be syntax are written by number.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            c if acts_on_terminal(c) => shown.push('\u{fffd}'),
            c if c.is_ascii_punctuation() && !".,!?'()-_/".contains(c) => {
                let _ = write!(shown, "#{};", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    // The word "end" would end a block.
    if shown.split(|c: char| !c.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case("end")) {
        for (word, instead) in [("end", "#101;nd"), ("End", "#69;nd"), ("END", "#69;ND"), ("eND", "#101;ND")] {
            shown = shown.replace(word, instead);
        }
    }
    if shown.trim().is_empty() { "#160;".into() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_text_becomes_syntax() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
        check("alice", "alice");
        check("a;b:c#d", "a#59;b#58;c#35;d");
        check("<b>", "#60;b#62;");
        check("a\nb\u{202e}c", "a\u{fffd}b\u{fffd}c");
        check("end", "#101;nd");
        check("", "#160;");
    }
}
