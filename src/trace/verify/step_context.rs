//! The context in which a rule checks a step: the step, its session as it was before, and the journal.

use crate::trace::model::{Act, LoggedEvent, LoggedJournal, LoggedSession, Lookup, Mark, Model, Queued, Step};
use crate::trace::record::LineRef;
use crate::trace::report::{BeyondClaim, RuleReport};

/// A step, and what it is checked against.
pub(super) struct StepContext<'a> {
    pub(super) model: &'a Model,
    pub(super) journal: &'a LoggedJournal,
    pub(super) session: &'a LoggedSession,
    /// The session's index in the model.
    pub(super) index: usize,
    pub(super) step: &'a Step<'a>,
    /// The event that the step's publish became, if it became one.
    pub(super) becomes: Option<(u64, &'a LoggedEvent)>,
    /// The request to join that has not been answered, if there is one in the log.
    pub(super) join: Option<Mark>,
    /// When that was made, by the clock of its process.
    pub(super) join_at: i64,
    /// For a send, or a text that is submitted again: the record by which it was first submitted.
    pub(super) queued: Option<Queued>,
}

impl<'a> StepContext<'a> {
    pub(super) fn new(model: &'a Model, index: usize, step: &'a Step<'a>) -> Self {
        let session = &model.sessions[index];
        let journal = model.journal_of(session);
        let becomes = match (&step.act, session.who) {
            (Act::PublishSent { message, .. } | Act::Refused { message, .. }, Some(who)) => {
                let sequence = journal.by_message.get(&(who, *message)).copied();
                sequence.and_then(|sequence| Some((sequence, journal.event(sequence)?)))
            }
            _ => None,
        };
        Self { model, journal, session, index, step, becomes, join: None, join_at: 0, queued: None }
    }

    /// When the step happened, by the service's clock as far as that is known.
    pub(super) fn at(&self) -> i64 {
        self.model.by_service(self.step.line, self.step.at)
    }

    /// The previous epoch of the process, with its last record there; `None` if it is the same one.
    pub(super) fn epoch_before(&self) -> Option<(&'a str, LineRef)> {
        let before = &self.model.sessions[self.step.before?];
        let journal = self.model.journal_of(before);
        (before.journal != self.session.journal).then_some((&*journal.epoch, before.last))
    }

    /// Whether the step is the first attempt of a publish. If records were lost or cut off, the first attempt may be
    /// among them. Then the attempt that became the event counts, since everything that followed from the event came
    /// later.
    pub(super) fn is_first_try(&self) -> bool {
        let Act::PublishSent { message, .. } = &self.step.act else { return false };
        !self.session.sent.contains_key(message)
            && ((self.session.whole && self.session.lost_before == 0) || self.became_event())
    }

    /// The event that the step mentions. `None` if the service's logs lack it, which is noted on the rule. `sentence`
    /// describes the violation if the event is beyond the last one that they have.
    pub(super) fn event(
        &self,
        sequence: u64,
        rule: &mut RuleReport,
        sentence: impl FnOnce(u64) -> String,
    ) -> Option<&'a LoggedEvent> {
        match self.journal.lookup(sequence) {
            Lookup::Known(event) => return Some(event),
            Lookup::Unrecorded => rule.unrecorded(sequence),
            Lookup::Beyond => {
                let (session, at, line) = (self.index, self.step.at, self.step.line);
                let claim =
                    || BeyondClaim { session, sequence, at, line, sentence: sentence(self.journal.head()) };
                rule.beyond(claim, session);
            }
        }
        None
    }

    /// Whether the step is the attempt of a publish that became an event.
    pub(super) fn became_event(&self) -> bool {
        let (Act::PublishSent { sent, seen, .. }, Some((_, event))) = (&self.step.act, self.becomes) else {
            return false;
        };
        (event.sent, event.seen) == (*sent, *seen)
    }
}
