//! Decides which processes share a lifeline: a restarted process continues on the lifeline of its participant.

use std::collections::{HashMap, HashSet};

use super::{Arrow, Chart, Moment, Point, Role};

/// A process, as far as its log has been read.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) lane: usize,
    file: u32,
    /// The first and the last point.
    pub(super) first: Option<usize>,
    pub(super) last: Option<usize>,
    /// Its points from before its epoch was known.
    pub(super) waiting: Vec<usize>,
    /// A request to join that has not been answered.
    pub(super) join: Option<usize>,
    /// Whether its last record says that it ended.
    pub(super) stopped: bool,
    pub(super) epoch: usize,
    /// The lifeline of the process whose session it continues.
    pub(super) continues: Option<usize>,
    /// For an unanswered resume, the event after which it continues.
    pub(super) after: Option<u64>,
    /// The lifeline of the replica where it has its stream.
    pub(super) replica: Option<usize>,
}

impl Process {
    pub(super) fn new(lane: usize, file: u32) -> Self {
        let (first, last, waiting, join) = (None, None, Vec::new(), None);
        let (continues, after, replica) = (None, None, None);
        Self { lane, file, first, last, waiting, join, stopped: false, epoch: 0, continues, after, replica }
    }
}

/// Marks where processes were killed, and moves each process that continues another to the other's lifeline if the
/// other had ended by then. `expired` has the lifelines of participants whose grace period ended.
pub(super) fn join_processes(chart: &mut Chart, processes: &[Process], expired: &HashSet<usize>) {
    let before = predecessors(chart, processes);
    let place = mark_killed(chart, processes, &before, expired);
    let lines = lifelines(chart, &before);
    // A point without a time of its own, such as a start, comes after the previous process's last point.
    for point in chart.points.iter_mut().filter(|point| point.role.is_aside()) {
        let end = lines.end_before.get(point.lane).copied().flatten();
        point.moment = end.map_or(point.moment, |end| point.moment.max(end));
    }
    let last: HashMap<usize, usize> =
        processes.iter().filter_map(|process| Some((process.lane, process.last?))).collect();
    for process in processes.iter().filter(|process| lines.root[process.lane] == process.lane) {
        let from = process.continues.and_then(|before| last.get(&before));
        if let (Some(from), Some(to)) = (from, process.first) {
            chart.continuations.push(Arrow { from: place[*from], to: place[to] });
        }
    }
    move_to(chart, &lines.root);
}

/// For each lifeline, its predecessor: that of the process whose session it continues, or of the last process of the
/// same name in its file. A service that starts without its journal continues on its own lifeline, unless both processes
/// ran at once.
fn predecessors(chart: &Chart, processes: &[Process]) -> Vec<Option<usize>> {
    let mut before = vec![None; chart.lanes.len()];
    let mut newest: HashMap<(u32, &str), &Process> = HashMap::new();
    let at = |point: Option<usize>| point.map(|point| chart.points[point].at);
    for process in processes {
        let lane = &chart.lanes[process.lane];
        let in_file =
            (!lane.name.is_empty()).then(|| newest.insert((process.file, &lane.name), process)).flatten();
        let in_file = in_file.filter(|before| !lane.service || at(before.last) <= at(process.first));
        before[process.lane] = process.continues.or(in_file.map(|before| before.lane));
    }
    before
}

/// Marks killed processes. They have no record of their end, and either belong to the service, or their participant
/// expired, or another process continued them. Returns the new index of each point.
fn mark_killed(
    chart: &mut Chart,
    processes: &[Process],
    before: &[Option<usize>],
    expired: &HashSet<usize>,
) -> Vec<usize> {
    let file: HashMap<usize, u32> = processes.iter().map(|process| (process.lane, process.file)).collect();
    // Whether the next process is in the same file.
    let followed: HashMap<usize, bool> = processes
        .iter()
        .filter_map(|next| Some((before[next.lane]?, next.file)))
        .map(|(lane, next)| (lane, file.get(&lane) == Some(&next)))
        .collect();
    let mut ends: HashMap<usize, &str> = HashMap::new();
    for Process { lane, last, .. } in processes.iter().filter(|process| !process.stopped) {
        let Some(last) = *last else { continue };
        match followed.get(lane) {
            Some(true) => drop(ends.insert(last, "the process was killed")),
            None if !chart.lanes[*lane].service && !expired.contains(lane) => {}
            Some(false) | None => drop(ends.insert(last, "its log ends here")),
        }
    }
    let mut place = Vec::with_capacity(chart.points.len());
    let mut points = Vec::with_capacity(chart.points.len() + ends.len());
    for (index, point) in std::mem::take(&mut chart.points).into_iter().enumerate() {
        place.push(points.len());
        let crash = ends.get(&index).map(|words| Point {
            role: Role::Crash,
            words: (*words).to_owned(),
            event: None,
            ..point.clone()
        });
        points.push(point);
        points.extend(crash);
    }
    chart.points = points;
    for arrow in &mut chart.arrows {
        *arrow = Arrow { from: place[arrow.from], to: place[arrow.to] };
    }
    place
}

/// Which lifelines are merged.
struct Lifelines {
    /// For each lifeline, the one that it is part of.
    root: Vec<usize>,
    /// For each lifeline that continues another, where that one ends.
    end_before: Vec<Option<Moment>>,
}

fn lifelines(chart: &Chart, before: &[Option<usize>]) -> Lifelines {
    let lanes = chart.lanes.len();
    // When the first point with its own time happened, and when the last point did.
    let (mut begin, mut end) = (vec![None::<Moment>; lanes], vec![None::<Moment>; lanes]);
    for point in &chart.points {
        if !point.role.is_aside() {
            begin[point.lane] = Some(begin[point.lane].map_or(point.moment, |known| known.min(point.moment)));
        }
        end[point.lane] = end[point.lane].max(Some(point.moment));
    }
    let mut lines = Lifelines { root: (0..lanes).collect(), end_before: vec![None; lanes] };
    for lane in 0..lanes {
        let Some(earlier) = before[lane].map(|earlier| lines.root[earlier]) else { continue };
        let has_ended = end[earlier].is_some() && begin[lane].is_none_or(|begin| Some(begin) > end[earlier]);
        if earlier < lane && has_ended {
            (lines.root[lane], lines.end_before[lane]) = (earlier, end[earlier]);
            end[earlier] = end[earlier].max(end[lane]);
        }
    }
    lines
}

/// Moves everything on a lifeline to the one that it is part of, and renumbers the remaining ones.
fn move_to(chart: &mut Chart, root: &[usize]) {
    let mut number = vec![0; root.len()];
    let mut kept = Vec::new();
    for (lane, of) in std::mem::take(&mut chart.lanes).into_iter().enumerate() {
        if root[lane] == lane {
            number[lane] = kept.len();
            kept.push(of);
        }
    }
    chart.lanes = kept;
    let moved = |lane: usize| root.get(lane).map_or(lane, |root| number[*root]);
    chart.points.iter_mut().for_each(|point| point.lane = moved(point.lane));
    chart.events.iter_mut().for_each(|event| event.author = moved(event.author));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::trace::diagram::{Builder, Role};
    use crate::trace::record::{LineRef, LogRecord};

    /// How many lifelines are drawn for services that write to one file, and how many processes are shown as killed. Each
    /// record is its epoch and its event.
    fn lifelines(records: &[(&str, &str)]) -> (usize, usize) {
        let mut builder = Builder::new();
        for ((epoch, event), line) in records.iter().zip(1..) {
            let text = json!({"timestamp": format!("2026-01-01T00:00:{line:02}Z"), "level": "INFO", "component": "server",
                "event": event, "epoch": epoch, "sequence": 1, "logical_time": 3, "sent_logical_time": 1, "kind": "joined",
                "participant_id": "p1", "display_name": "anna", "content": "…"})
            .to_string();
            builder.take(LineRef { file: 0, line }, &LogRecord::parse(&text).unwrap()).unwrap();
        }
        let chart = builder.finish();
        let killed =
            chart.points.iter().filter(|point| point.role == Role::Crash && point.words.contains("killed"));
        (chart.lanes.iter().filter(|lane| lane.service).count(), killed.count())
    }

    #[test]
    fn a_service_that_keeps_no_journal_has_one_lifeline_and_two_services_have_two() {
        let (start, stop, join) = ("server_started", "server_stopped", "join_broadcast");
        let restarted = [("a", start), ("a", join), ("a", stop), ("b", start), ("b", join), ("c", start)];
        assert_eq!(lifelines(&restarted), (1, 1));
        assert_eq!(lifelines(&[("a", start), ("b", start), ("a", join), ("b", join)]), (2, 0));
    }
}
