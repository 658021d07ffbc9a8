//! The marks on a lifeline, and text escaped for XML.

use crate::terminal::escaped;
use crate::trace::diagram::Role;

/// Half the width of the box for an event's time, bounded so that it does not reach the next lifeline.
pub(super) fn half_box(time: u64) -> f64 {
    let digits = time.checked_ilog10().unwrap_or(0) + 1;
    (f64::from(digits) * 3.6).clamp(12.0, 33.0) + 3.0
}

/// What the key of a picture explains.
pub(super) const KEY: [(Role, &str); 8] = [
    (Role::Send, "sends"),
    (Role::Receive, "service receives"),
    (Role::Broadcast, "puts in order, broadcasts"),
    (Role::Deliver, "is delivered"),
    (Role::Answer, "gets the answer"),
    (Role::Break, "connection breaks"),
    (Role::Resume, "resumed"),
    (Role::Crash, "gone"),
];

/// The mark of a role. The time sets the width of a box.
pub(super) fn shape(role: Role, time: u64, x: f64, y: f64) -> String {
    match role {
        Role::Start => String::new(),
        Role::Stop => format!(r#"<path class="cap" d="M{:.1} {y:.1}h10"/>"#, x - 5.0),
        Role::Send => format!(r#"<circle class="dot" cx="{x:.1}" cy="{y:.1}" r="4.8"/>"#),
        Role::Receive | Role::Answer => format!(r#"<circle class="ring" cx="{x:.1}" cy="{y:.1}" r="3.2"/>"#),
        Role::Broadcast | Role::Apply => {
            let class = if role == Role::Broadcast { "box" } else { "ring" };
            let half = half_box(time);
            let (left, top) = (x - half, y - 7.5);
            format!(
                r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="15" rx="4"/>"#,
                half * 2.0
            )
        }
        Role::Deliver => format!(r#"<circle class="dot" cx="{x:.1}" cy="{y:.1}" r="3.4"/>"#),
        Role::Resume => format!(
            r#"<circle class="ring" cx="{x:.1}" cy="{y:.1}" r="5.5"/><circle class="dot" cx="{x:.1}" cy="{y:.1}" r="3"/>"#
        ),
        Role::Lost => format!(
            r#"<circle class="ring" cx="{x:.1}" cy="{y:.1}" r="4.8"/><path class="bad" d="M{:.1} {:.1}l5 5m0 -5l-5 5"/>"#,
            x - 2.5,
            y - 2.5
        ),
        Role::Break => format!(r#"<path class="bad" d="M{:.1} {y:.1}l4 -4l4 8l4 -4"/>"#, x - 6.0),
        Role::Crash => format!(r#"<path class="bad" d="M{:.1} {:.1}l12 12m0 -12l-12 12"/>"#, x - 6.0, y - 6.0),
    }
}

/// Text escaped for XML, with characters that would reorder or hide it made visible.
pub(super) fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in escaped(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
