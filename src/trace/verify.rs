//! The rules V1 to V15 over the logs of all processes (specification, chapter 8).
//!
//! The service's records become the journal. It is kept, at about 170 bytes an event, because the records of clients and
//! pages come later and are compared with it. Those are checked one by one, against the journal and the earlier state
//! of their session, and then dropped: a session keeps only what is not settled yet. Every rule takes one pass.

mod holes;
mod journals;
mod real_time;
mod sent;
mod sessions;
mod step_context;
mod steps;

use super::model::{Act, Model, Step};
use super::record::{Component, LineRef, LogRecord};
use super::report::{Report, Rule, RuleReport};
use super::shared::SharedFiles;
use step_context::StepContext;

/// Records that cannot be checked in the order in which they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The journal has to be known first.
    #[error("a record of the service came after records of other processes")]
    OutOfOrder,
    /// A delivery does not name its recipient, so the lines of one process have to be contiguous.
    #[error("the records of several processes are mixed up in one file")]
    Interleaved,
}

/// Checks records, and reports at the end which rules held.
#[derive(Debug)]
pub struct Checker {
    model: Model,
    rules: Vec<RuleReport>,
    shared: SharedFiles,
    records: u64,
    others_began: bool,
}

impl Default for Checker {
    fn default() -> Self {
        let (model, rules) = (Model::new(), Rule::ALL.map(RuleReport::new).into());
        Self { model, rules, shared: SharedFiles::default(), records: 0, others_began: false }
    }
}

impl Checker {
    /// A checker that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one record. Those of a file come in its order, and those of the service before all others.
    ///
    /// # Errors
    /// [`InputError`], after which this checker can no longer be used.
    pub fn take(&mut self, line: LineRef, record: &LogRecord<'_>) -> Result<(), InputError> {
        self.records += 1;
        if record.component == Component::Server {
            if self.others_began {
                return Err(InputError::OutOfOrder);
            }
            match record.lost() {
                Some(lost) => {
                    self.shared.with_loss(line, record).into_iter().for_each(|log| self.model.lose(log, lost));
                }
                None => self.model.server(self.shared.in_log(line, record), record),
            }
            return Ok(());
        }
        if !std::mem::replace(&mut self.others_began, true) {
            self.model.service_is_read();
        }
        let step = self.model.client(line, record);
        if step.is_of_another {
            return Err(InputError::Interleaved);
        }
        self.complete_journal(&step, record);
        self.look_at(&step);
        self.model.settle(&step);
        Ok(())
    }

    /// Notes that a file, or a line in it, is cut off: the log of any service in it may lack records.
    pub fn torn(&mut self, file: u32) {
        self.shared.logs_in(file).for_each(|log| self.model.torn(log));
    }

    /// Checks what only whole logs can show, and reports.
    pub fn finish(mut self) -> Report {
        if !self.others_began {
            self.model.service_is_read();
        }
        for journal in &self.model.journals {
            journals::check(journal, &mut self.rules);
        }
        if self.model.journals.is_empty() {
            self.rules.iter_mut().for_each(|rule| rule.lack("no log of the service was given".into()));
        }
        sessions::check(&self.model, &mut self.rules);
        for rule in &mut self.rules {
            rule.close();
            let lines = rule.violations.iter_mut().flat_map(|violation| &mut violation.lines);
            lines.for_each(|line| *line = self.shared.in_file(*line));
        }
        Report {
            records: self.records,
            events: self.model.journals.iter().map(|journal| journal.known()).sum(),
            epochs: self.model.journals.len(),
            journals: self.model.journals.iter().filter(|journal| journal.is_known()).count(),
            sessions: self.model.sessions.iter().filter(|session| !session.is_continued).count(),
            clocks: self.model.clocks(),
            rules: self.rules,
        }
    }

    /// An event without a record of the service is taken from its first delivery.
    fn complete_journal(&mut self, step: &Step<'_>, record: &LogRecord<'_>) {
        let (Act::Delivered { sequence, .. }, Some(session)) = (&step.act, step.session) else { return };
        let index = self.model.sessions[session].journal;
        if matches!(self.model.journals[index].lookup(*sequence), super::model::Lookup::Unrecorded) {
            let at = self.model.by_service(step.line, step.at);
            self.model.journals[index].fill_in(*sequence, (step.line, at), record);
        }
    }

    fn look_at(&mut self, step: &Step<'_>) {
        let Self { model, rules, .. } = self;
        let Some(log) = model.log(step.line.file) else { return };
        steps::v7_log(model, log, step, &mut rules[Rule::V7 as usize]);
        let Some(index) = step.session else { return };
        let (join, join_at, queued) = (log.join, log.join_at, log.queued(&step.act));
        let context = StepContext { join, join_at, queued, ..StepContext::new(model, index, step) };
        for (rule, check) in steps::CHECKS {
            check(&context, &mut rules[rule as usize]);
        }
        let (note, edge) = (steps::EventNote::of(&context), real_time::edge(&context));
        if let Some(note) = note {
            note.put(&mut model.journals[model.sessions[index].journal]);
        }
        match edge {
            Some(real_time::Edge::Sent { at, recorded }) => model.sent(step.line.file, at, recorded),
            Some(real_time::Edge::Received { recorded }) => model.received(step.line.file, step.at, recorded),
            None => {}
        }
    }
}
#[cfg(test)]
mod tests;
