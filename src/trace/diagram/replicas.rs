//! The lifelines of replicas, drawn once all their logs are read. A participant's requests go to the replica where it
//! has its stream, and events come from there.

use std::collections::HashMap;

use super::build::{Builder, EventPoints};
use super::replica_logs::{ReplicaEvent, ReplicaStep};
use super::{ChartEvent, Moment, Role};
use crate::trace::record::Who;

impl Builder {
    /// Draws the replicas, once all their records are read.
    pub(super) fn draw_replicas(&mut self) {
        let mut logs = std::mem::take(&mut self.replicas);
        let events = std::mem::take(&mut logs.events);
        let mut places = HashMap::new();
        for (place, ReplicaEvent { event, .. }) in &events {
            places.insert(*place, self.chart.events.len());
            self.chart.events.push(event.clone());
        }
        let mut by_name: Vec<_> = logs.all.iter().enumerate().collect();
        by_name.sort_by_key(|(_, log)| (log.epoch, &log.name));
        for (index, log) in by_name {
            let lane = self.process(log.file, true).lane;
            self.chart.lanes[lane].name = format!("replica {}", log.name);
            for (at, step) in &log.steps {
                self.now = *at;
                match *step {
                    ReplicaStep::Start(time) => self.service_starts(log.file, (log.epoch, time), "the replica"),
                    ReplicaStep::Stop(time) => {
                        let moment = (log.epoch, time);
                        self.put(log.file, true, moment, Role::Stop, "the replica stops".into());
                    }
                    ReplicaStep::Broadcast { sequence, recovered } => {
                        let place = (log.epoch, sequence);
                        let (Some(logged), Some(event)) = (events.get(&place), places.get(&place)) else {
                            continue;
                        };
                        // A replica delivers nothing while it is away.
                        if recovered && logged.first.is_some() || self.on_replicas.contains_key(&(place, lane)) {
                            continue;
                        }
                        let receiver = logged.receiver.map(|(_, replica)| replica).or(logged.first);
                        let is_new = !self.events.contains_key(&place);
                        let is_receiver = is_new && receiver.is_none_or(|replica| replica == index);
                        self.draw_event(log.file, logged, *event, is_receiver);
                    }
                }
            }
        }
        self.link_replicas();
        self.replicas = logs;
    }

    /// Draws an event at a replica, which sends it to the participants attached to it.
    fn draw_event(&mut self, file: u32, logged: &ReplicaEvent, event: usize, is_receiver: bool) {
        let ReplicaEvent {
            event: ChartEvent { moment, sequence, kind, expired, name, content, .. },
            who,
            message,
            ..
        } = logged;
        let lane = self.process(file, true).lane;
        let place = (moment.0, *sequence);
        if !is_receiver {
            let words = format!("applies event {sequence}: {content}");
            let point = self.put(file, true, *moment, Role::Apply, words);
            self.chart.points[point].event = Some(event);
            self.on_replicas.insert((place, lane), point);
            return;
        }
        let before: Moment = (moment.0, moment.1.saturating_sub(1));
        let receive = (!expired).then(|| {
            let words = format!("the replica receives what {name} sent");
            self.put(file, true, before, Role::Receive, words)
        });
        let broadcast = self.put(file, true, *moment, Role::Broadcast, format!("event {sequence}: {content}"));
        for point in receive.into_iter().chain([broadcast]) {
            self.chart.points[point].event = Some(event);
        }
        self.on_replicas.insert((place, lane), broadcast);
        self.note_event(place, *kind, *message, EventPoints { event, receive, broadcast, who: *who });
    }

    /// Draws arrows from the replica that received an event to the others, which learn of it from the log.
    fn link_replicas(&mut self) {
        let mut links: Vec<_> = self
            .on_replicas
            .iter()
            .filter_map(|((place, _), point)| Some((self.events.get(place)?.receive?, *point)))
            .filter(|(_, point)| self.chart.points[*point].role == Role::Apply)
            .collect();
        links.sort_unstable();
        links.into_iter().for_each(|(from, to)| self.arrow(from, to));
    }

    /// Where a participant learned of an event: from the replica where its process has its stream, if that is known.
    pub(super) fn source_of(&mut self, file: u32, epoch: usize, sequence: u64) -> Option<usize> {
        let event = *self.events.get(&(epoch, sequence))?;
        let lane = self.process(file, false).replica;
        let there = lane.and_then(|lane| self.on_replicas.get(&((epoch, sequence), lane)).copied());
        Some(there.unwrap_or(event.broadcast))
    }

    /// Notes at which replica a process has its stream, which began after an event.
    pub(super) fn attach_to_replica(&mut self, file: u32, member: (usize, Who), after: u64) {
        let Some(replica) = self.replicas.stream(member, after, self.now) else { return };
        let log = self.replicas.all[replica].file;
        let lane = self.process(log, true).lane;
        self.process(file, false).replica = Some(lane);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::trace::diagram::{Builder, Chart, Role, mermaid, shiviz, svg};
    use crate::trace::gallery::{Logs, replicated};
    use crate::trace::record::{LineRef, LogRecord};

    fn chart(logs: &Logs) -> Chart {
        let mut builder = Builder::new();
        for (file, log) in (0..).zip(&logs.0) {
            for (line, record) in (1..).zip(&log.records) {
                let text = record.to_string();
                builder.take(LineRef { file, line }, &LogRecord::parse(&text).unwrap()).unwrap();
            }
        }
        builder.finish()
    }

    /// Alice and carol are at replica a, bob is at b.
    #[test]
    fn each_participant_talks_to_its_own_replica() {
        for ahead in [Duration::ZERO, Duration::from_secs(3600)] {
            let chart = chart(&replicated(ahead));
            let name = |lane: usize| &*chart.lanes[lane].name;
            let (mut deliveries, mut links) = (0, 0);
            for arrow in &chart.arrows {
                let (from, to) = (&chart.points[arrow.from], &chart.points[arrow.to]);
                let home = |name: &str| if name == "bob" { "replica b" } else { "replica a" };
                match (chart.lanes[from.lane].service, chart.lanes[to.lane].service) {
                    (true, true) => {
                        assert_eq!((from.role, to.role, from.event), (Role::Receive, Role::Apply, to.event));
                        links += 1;
                    }
                    (true, false) => {
                        assert_eq!(name(from.lane), home(name(to.lane)), "{from:?} {to:?}");
                        deliveries += 1;
                    }
                    _ => assert_eq!(name(to.lane), home(name(from.lane)), "{from:?} {to:?}"),
                }
            }
            assert!(deliveries > 30 && links == chart.events.len(), "{deliveries} {links}");
            let columns: Vec<_> = chart.columns().into_iter().map(name).collect();
            assert_eq!(columns, ["alice", "replica a", "carol", "bob", "replica b"]);
        }
    }

    #[test]
    fn replicas_that_share_a_log_have_lifelines_of_their_own() {
        let mut logs = replicated(Duration::ZERO);
        let apart = mermaid::text(&chart(&logs));
        let second = logs.0.remove(1).records;
        logs.0[0].records.extend(second);
        assert_eq!(mermaid::text(&chart(&logs)), apart);
    }

    #[test]
    fn the_text_of_a_run_over_replicas_is_the_recorded_one() {
        let chart = chart(&replicated(Duration::from_secs(3600)));
        assert_eq!(mermaid::text(&chart), include_str!("../../../tests/vectors/replicas.mmd"));
        let picture = svg::text(&chart);
        assert_eq!(picture.matches("applied by another replica").count(), 1);
        assert!(shiviz::text(&chart).unwrap().contains("replica_b {"));
    }
}
