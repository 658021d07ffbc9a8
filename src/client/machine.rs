//! A participant's client as a state machine: an input and its time go in, outputs come out. It does no I/O, and has
//! no clock and no randomness of its own, so that each rule about clocks, resuming and retrying can be tested without a
//! service. `web/src/core/machine/machine.ts` is the page's counterpart, in files of the same names;
//! `docs/architecture.md` describes the differences and their reasons.
pub(super) mod check;
mod connection;
mod frames;
mod history;
mod leaving;
mod outbox;
mod refusal;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod updates;

use std::mem;
use std::time::{Duration, Instant};

use crate::chat::{LamportClock, LogicalTime, Sequence};
use crate::log::{About, ClientRecord};
use crate::wire::Reason;

use super::event::ParticipantInfo;
use check::receipts::Receipts;
use check::roster::Roster;
use history::PendingList;
use outbox::Outbox;
use state::{FirstJoin, Leaving, Membership, Phase};
use updates::UpdateQueue;

pub use check::ProtocolFault;
pub(super) use outbox::PUBLISHES_WAITING;
pub(super) use refusal::{Failure, FailureKind};
pub(super) use state::{ClientSettings, KeptSession, ListRequest, Outgoing};
pub(super) use step::{DriverCall, FirstWelcome, Input, Keep, Moment, Output};

/// The state of a client.
#[derive(Debug)]
pub(super) struct Machine {
    settings: ClientSettings,
    phase: Phase,
    /// Counts the connections, so that late inputs of an abandoned one can be recognized.
    attempt: u64,
    /// The server of the current connection, by its index in the settings.
    server: usize,
    /// How many attempts have failed in a row, which determines the pause.
    tries: u32,
    /// The last pause between attempts, not counting any wait that the service asked for.
    pause: Duration,
    /// Set until the participant has joined for the first time.
    first: Option<FirstJoin>,
    /// Why the client joins anew, while it does so.
    anew: Option<Reason>,
    /// When the last stream was lost.
    lost_at: Option<Instant>,
    /// How many requests to resume were abandoned without an answer. Each may still arrive, and then replaces the
    /// stream that was opened after it.
    unanswered: u32,

    clock: LamportClock,
    display_name: String,
    membership: Option<Membership>,
    /// How many memberships this process has begun.
    memberships: u64,
    roster: Roster,
    /// The last event that was delivered and recorded; 0 before the first.
    position: Sequence,
    /// The last event that was received. It may still wait for the program to take it. If an earlier process was killed
    /// before it showed everything that it recorded, this is behind the position.
    cursor: Sequence,
    /// That event's chain hash; empty if it is not known.
    chain_hash: Vec<u8>,
    /// The next event's logical time must be later than this: that event's time, or that of the request to join.
    before: LogicalTime,
    /// The logical time of the newest request to join or to leave.
    asked: LogicalTime,
    /// The newest event when the stream was opened, according to its Welcome.
    head: Sequence,
    /// A heartbeat was received although events are missing.
    is_lagging: bool,

    outbox: Outbox,
    receipts: Receipts,
    leaving: Option<Leaving>,
    history: PendingList,
    updates: UpdateQueue,
    /// The outputs of the current step.
    outputs: Vec<Output>,
}

impl Machine {
    /// A participant that has not joined, or that resumes the session of an earlier process.
    pub(super) fn new(settings: ClientSettings, kept: Option<KeptSession>) -> Self {
        let mut machine = Self {
            display_name: settings.display_name.clone(),
            settings,
            phase: Phase::Out,
            attempt: 0,
            server: 0,
            tries: 0,
            pause: Duration::ZERO,
            first: None,
            anew: None,
            lost_at: None,
            unanswered: 0,
            clock: LamportClock::default(),
            membership: None,
            memberships: 0,
            roster: Roster::default(),
            position: Sequence(0),
            cursor: Sequence(0),
            chain_hash: Vec::new(),
            before: LogicalTime(0),
            asked: LogicalTime(0),
            head: Sequence(0),
            is_lagging: false,
            outbox: Outbox::default(),
            receipts: Receipts::default(),
            leaving: None,
            history: PendingList::default(),
            updates: UpdateQueue::default(),
            outputs: Vec::new(),
        };
        if let Some(kept) = kept {
            let me = ParticipantInfo {
                participant_id: kept.participant_id,
                display_name: machine.display_name.clone(),
            };
            machine.membership = Some(Membership { token: kept.token, epoch: kept.epoch, me });
            machine.clock = LamportClock::starting_at(LogicalTime(kept.clock));
            (machine.position, machine.cursor, machine.chain_hash) = (kept.position, kept.shown, kept.chain_hash);
        }
        machine
    }

    /// Takes one step.
    pub(super) fn advance(&mut self, input: Input, now: Moment) -> Vec<Output> {
        let is_present = |attempt| attempt == self.attempt;
        match input {
            Input::Join => self.join(now),
            Input::Dialled { attempt, result } if is_present(attempt) => self.dialled(result, now),
            Input::Frame { attempt, frame } if is_present(attempt) => self.frame(frame, now),
            Input::Ended { attempt, failure } if is_present(attempt) => self.ended(failure, now),
            Input::Published { attempt, result } if is_present(attempt) => self.published(result, now),
            Input::Left { attempt, result } if is_present(attempt) => self.left(result, now),
            Input::Dialled { .. }
            | Input::Frame { .. }
            | Input::Ended { .. }
            | Input::Published { .. }
            | Input::Left { .. } => {}
            Input::Tick => self.tick(now),
            Input::Submit { id, text } => self.submit(id, text),
            Input::Enqueue(message) => self.enqueue(message),
            Input::Leave => self.leave(now),
            Input::GiveUp => self.give_up(now),
            Input::List(request) => self.list(request),
            Input::Listed { ticket, request, result } => self.listed(ticket, &request, result),
            Input::Take => self.take(now),
            Input::Unread => self.unread(now),
            Input::NotKept(why) => self.push(super::Update::NotKept { why }),
            Input::Failed(why) => self.over(Some(super::JoinError::Failed(why))),
        }
        self.pump(now);
        mem::take(&mut self.outputs)
    }

    fn tick(&mut self, now: Moment) {
        self.leaving_tick(now);
        self.connection_tick(now);
    }

    /// When the machine next needs a tick; `None` if only other inputs can change anything.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Offline { retry_at } => Some(retry_at),
            Phase::Connecting { since } => Some(since + self.settings.patience),
            Phase::Online { silent_since, silence_max, complete: false, .. } if self.has_room() => {
                Some(silent_since + silence_max)
            }
            Phase::Online { .. } | Phase::Dialling | Phase::Out => None,
        };
        let retry = self.outbox.retry_at().filter(|_| matches!(self.phase, Phase::Online { .. }));
        let deadline = self.leaving.as_ref().map(|leaving| leaving.deadline);
        [due, retry, deadline].into_iter().flatten().min()
    }

    /// Adds a call for the driver to the outputs.
    fn call(&mut self, call: DriverCall) {
        self.outputs.push(Output::Call(call));
    }

    /// Adds a log record to the outputs.
    fn record(&mut self, record: ClientRecord<'static>) {
        self.outputs.push(Output::Record(record));
    }

    /// The fields that the records of its own steps have in common.
    fn about(&self) -> About<'static> {
        About {
            epoch: self.epoch().map(|epoch| epoch.to_owned().into()),
            participant_id: self.participant_id().map(|id| id.to_owned().into()),
            display_name: Some(self.display_name.clone().into()),
        }
    }

    /// Saves what a later process needs to resume. While there is no session, the last one stays saved.
    fn save(&mut self) {
        if self.membership.is_some() {
            self.outputs.push(Output::Keep(Keep::Save { position: self.position, clock: self.clock.now() }));
        }
    }

    fn token(&self) -> String {
        self.membership.as_ref().map(|membership| membership.token.clone()).unwrap_or_default()
    }

    fn epoch(&self) -> Option<&str> {
        self.membership.as_ref().map(|membership| membership.epoch.as_str())
    }

    fn participant_id(&self) -> Option<&str> {
        self.membership.as_ref().map(|membership| membership.me.participant_id.as_str())
    }
}
