//! What a journal shows about connections; for replicas, from all of their logs together.

use foldhash::HashMap;

use super::run::{JITTER_MICROS, STEP_MICROS};
use super::{Farewell, LoggedJournal, ServiceRun};
use crate::trace::record::Who;

impl LoggedJournal {
    /// The last event that was handed to a participant's newest stream, and when that began.
    pub fn handed(&self, who: Who) -> Option<(u64, i64)> {
        self.connections.of(who).map(|connection| (connection.handed, connection.began))
    }

    /// The run of the service in which a participant's newest stream began.
    pub fn run_of(&self, who: Who) -> Option<&ServiceRun> {
        let connection = self.connections.of(who)?;
        self.runs.iter().rfind(|run| run.has(connection.line))
    }

    /// When the service saw a participant's newest stream end, or last may have seen it open.
    pub fn connection_ended(&self, who: Who) -> Option<i64> {
        let connection = self.connections.of(who)?;
        // No stream outlives its process, and its fate within a gap of the log is unknown.
        let process = self.ends.get(&connection.line.file).and_then(|ends| ends.get(connection.process)).copied();
        // Another file may continue this run, but records in between may be missing.
        let run = self.run_of(who).map(|run| run.ends);
        connection.ended.map(|ended| ended.at).into_iter().chain(process).chain(run).min()
    }

    /// How many participants were checked for leaving when they should have, and the faults.
    pub fn farewells(&self) -> (u64, Vec<Farewell>) {
        if self.is_of_replicas() {
            let is_whole = self.replicas_not_judged().is_none();
            let judge = || self.replicas.farewells(&self.runs, &self.members);
            return if is_whole { judge() } else { (0, Vec::new()) };
        }
        if self.missing() == 0 {
            self.farewells.found(&self.members)
        } else {
            self.farewells.found(&HashMap::default())
        }
    }

    /// Whether the service recorded something after a time, but no event after the last one that is known. Another replica
    /// may have recorded more, so all have to that had not stopped.
    pub fn continues_beyond(&self, at: i64) -> bool {
        if self.is_set_back {
            return false;
        }
        // If a piece of the log is missing, what follows does not show what happened in it.
        let has_end = |run: &ServiceRun| run.newest == Some(self.head);
        // Once the service has stopped, no record can still be on its way into the log.
        let is_later =
            |run: &ServiceRun| run.ends > at.saturating_add(if run.stopped { 0 } else { JITTER_MICROS });
        let continues = |run: &ServiceRun| has_end(run) && is_later(run);
        if self.replicas.any() {
            let of_each = self.replicas.by_replica(&self.runs);
            let shows = |runs: &Vec<&ServiceRun>| runs.iter().any(|run| continues(run));
            let had_stopped =
                |runs: &Vec<&ServiceRun>| runs.iter().max_by_key(|run| run.ends).is_some_and(|last| last.stopped);
            let all_show = of_each.iter().all(|runs| had_stopped(runs) || shows(runs));
            return all_show && of_each.iter().any(shows) && self.replicas.without_log().is_empty();
        }
        self.runs.iter().any(continues)
    }

    /// Whether replicas recorded this journal, so that its sessions may have moved between them.
    pub fn is_of_replicas(&self) -> bool {
        self.replicas.any()
    }

    /// The replicas whose logs were not given, although the logs of others mention them.
    pub fn replicas_without_log(&self) -> Vec<&str> {
        self.replicas.without_log()
    }

    /// Why the logs of replicas do not show when participants should have left.
    pub fn replicas_not_judged(&self) -> Option<String> {
        let without = self.replicas.without_log();
        if !without.is_empty() {
            let names = without.join(", ");
            return Some(format!("no log of replica {names} was given, and sessions move between replicas"));
        }
        if !self.replicas.notes.tells_replicas() {
            return Some("the logs of the replicas do not say which replicas there are".into());
        }
        // Without a replica, it is an export of the journal.
        let of_middle = self.runs.iter().filter(|run| run.start.is_none() && !run.is_copy);
        if let Some(name) = of_middle.filter_map(|run| self.replicas.name_of(run.file)).next() {
            return Some(format!(
                "the log of replica {name} begins in the middle, and sessions move between replicas"
            ));
        }
        (self.lost > 0 || !self.torn.is_empty() || self.missing() > 0)
            .then(|| "sessions move between replicas, and the log of one of them lacks records".into())
    }

    /// Called when all records of the service have been added. From here on the times of replicas are by the clock of
    /// the first of them, and it is known whether the service's clock was set back.
    pub(in crate::trace::model) fn align(&mut self) {
        if self.replicas.any() {
            self.align_replicas();
        }
        let as_it_happened = self.order.iter().map(|(_, event)| event).filter(|event| !event.recovered);
        let mut last = i64::MIN;
        for event in as_it_happened {
            self.is_set_back |= event.at < last.saturating_sub(STEP_MICROS);
            last = event.at;
        }
    }

    fn align_replicas(&mut self) {
        for (sequence, at) in self.replicas.align() {
            if let Some(event) = self.order.get_mut(sequence) {
                event.at = at;
            }
        }
        let replicas = &self.replicas;
        self.connections.align(|file| replicas.ahead(file));
        self.runs.iter_mut().for_each(|run| run.shift(replicas.ahead(run.file)));
        for (log, ends) in &mut self.ends {
            ends.iter_mut().for_each(|at| *at = at.saturating_sub(replicas.ahead(*log)));
        }
        for (who, at, file) in std::mem::take(&mut self.replicas.refused) {
            let at = at.saturating_sub(self.replicas.ahead(file));
            self.refused.entry(who).and_modify(|known| *known = at.max(*known)).or_insert(at);
        }
    }
}
