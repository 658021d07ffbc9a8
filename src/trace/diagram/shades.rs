//! The faults of a lab, shaded and named on the lifeline for as long as they were in force.

use super::{Chart, Moment};
use crate::log::LogRecord;

/// Faults of one participant, from one change to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shade {
    /// The participant's name: the shade is on the lifelines of that name.
    pub name: String,
    /// The last event before it.
    pub from: Moment,
    /// The last event before its end; `None` if it lasts to the end.
    pub to: Option<Moment>,
    /// The faults in words, such as `deliveries held`.
    pub words: String,
}

impl Shade {
    /// The lifelines that it is on.
    pub(super) fn lanes<'c>(&'c self, chart: &'c Chart) -> impl Iterator<Item = usize> + 'c {
        let is_its_own = |index: &usize| !chart.lanes[*index].service && chart.lanes[*index].name == self.name;
        (0..chart.lanes.len()).filter(is_its_own)
    }
}

/// Adds a `fault_changed` record of the service, at the time of its last event.
pub(super) fn take(shades: &mut Vec<Shade>, now: Moment, record: &LogRecord<'_>) {
    let (name, words) = (LogRecord::text(&record.display_name), LogRecord::text(&record.faults));
    let open = shades.iter_mut().rev().find(|shade| shade.name == name && shade.to.is_none());
    match open {
        // Held messages were released; the fault stays the same.
        Some(open) if open.words == words => return,
        Some(open) => open.to = Some(now),
        None => {}
    }
    if !words.is_empty() && !name.is_empty() {
        shades.push(Shade { name: name.into(), from: now, to: None, words: words.into() });
    }
}

/// Ends all shades when the service starts or stops: no fault outlives it.
pub(super) fn end_all(shades: &mut [Shade], now: Moment) {
    shades.iter_mut().filter(|shade| shade.to.is_none()).for_each(|shade| shade.to = Some(now));
}
