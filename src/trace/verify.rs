//! The rules V1 to V14 over the logs of all processes (DESIGN, Rules that `verify` checks).
//!
//! The service's records make the journal, which stays, at some hundred bytes an event. The records of the
//! others are looked at one by one as they pass, against the journal and against what their session was like
//! before: memory is bounded by the journal and by what is not settled. Every rule is one pass or a sort.

mod journals;
mod real_time;
mod sessions;
mod steps;

use super::model::{Act, Model, Step};
use super::record::{Component, LineRef, Record};
use super::report::{Report, Rule, RuleReport};

/// A record of the service came after one of another process. The journal has to be known first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of the service came after records of others")]
pub struct OutOfOrder;

/// Reads records, and in the end says which rules held.
#[derive(Debug)]
pub struct Checker {
    model: Model,
    rules: Vec<RuleReport>,
    records: u64,
    others_began: bool,
}

impl Default for Checker {
    fn default() -> Self {
        Self { model: Model::new(), rules: Rule::ALL.map(RuleReport::new).into(), records: 0, others_began: false }
    }
}

impl Checker {
    /// A checker that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one record. Those of a file come in its order, and those of the service before all others.
    ///
    /// # Errors
    /// [`OutOfOrder`], after which this checker is of no more use.
    pub fn take(&mut self, line: LineRef, record: &Record<'_>) -> Result<(), OutOfOrder> {
        self.records += 1;
        if record.component == Component::Server {
            if self.others_began {
                return Err(OutOfOrder);
            }
            self.model.server(line, record);
            return Ok(());
        }
        self.others_began = true;
        let step = self.model.client(line, record);
        self.complete_journal(&step, record);
        self.look_at(&step);
        self.model.settle(&step);
        Ok(())
    }

    /// Says that a file is cut off, or has lines that are.
    pub fn torn(&mut self, file: u32) {
        self.model.torn(file);
    }

    /// Checks what only the whole can show, and reports.
    pub fn finish(mut self) -> Report {
        for journal in &self.model.journals {
            journals::check(journal, &mut self.rules);
        }
        sessions::check(&mut self.model, &mut self.rules);
        self.rules.iter_mut().for_each(RuleReport::close);
        Report {
            records: self.records,
            events: self.model.journals.iter().map(|journal| journal.known()).sum(),
            epochs: self.model.journals.len(),
            journals: self.model.journals.iter().filter(|journal| journal.is_known()).count(),
            sessions: self.model.sessions.len(),
            rules: self.rules,
        }
    }

    /// What the service has no record of is taken from the first that it was delivered to.
    fn complete_journal(&mut self, step: &Step<'_>, record: &Record<'_>) {
        let (Act::Delivered { sequence, .. }, Some(session)) = (&step.act, step.session) else { return };
        let journal = &mut self.model.journals[self.model.sessions[session].journal];
        if matches!(journal.lookup(*sequence), super::model::Lookup::Unrecorded) {
            journal.fill_in(*sequence, step.line, record);
        }
    }

    fn look_at(&mut self, step: &Step<'_>) {
        let Self { model, rules, .. } = self;
        steps::v7_log(model.log(step.line.file), step, &mut rules[Rule::V7 as usize]);
        let Some(index) = step.session else { return };
        let view = steps::View::new(model, index, step);
        for (rule, check) in steps::CHECKS {
            check(&view, &mut rules[rule as usize]);
        }
        if let Some(note) = steps::Note::of(&view) {
            note.put(&mut model.journals[model.sessions[index].journal]);
        }
    }
}
