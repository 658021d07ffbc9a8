//! Opening the stream, and what to do when it ends: resume, join anew, or give up.

mod backoff;

use std::mem;
use std::time::Duration;

use super::check::roster::Roster;
use super::check::{CheckedWelcome, ProtocolFault};
use super::refusal::{Failure, FailureKind};
use super::state::{FirstJoin, Membership, Phase};
use super::step::{DriverCall, FirstWelcome, Keep, Moment, Output};
use super::{Machine, Receipts};
use crate::chat::{LamportClock, LogicalTime, Sequence};
use crate::client::{JoinError, Update};
use crate::log::{About, ClientRecord, WelcomeDetails};
use crate::wire::{Reason, pb};
use backoff::{STEADY, backoff};

/// How long a stream has to last before the pauses are short again. A Welcome alone does not reset them, since a
/// service can fail right after each one.
const STREAM_PROVEN: Duration = Duration::from_secs(1);
/// How long a client with a kept session tries to reach the service before it gives up: the default grace period.
const KEPT_SESSION_TRIED: Duration = Duration::from_secs(30);

/// How much silence is allowed beyond two heartbeat intervals.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);
/// The heartbeat interval that is assumed if a Welcome names none.
const HEARTBEAT_ASSUMED: Duration = Duration::from_secs(15);
/// The range of heartbeat intervals that are accepted from a service.
const HEARTBEAT_SHORTEST: Duration = Duration::from_secs(1);
const HEARTBEAT_LONGEST: Duration = Duration::from_secs(60 * 60 * 24);

impl Machine {
    /// The program wants to join.
    pub(super) fn join(&mut self, now: Moment) {
        self.record(ClientRecord::ClientStarted {
            about: About { epoch: None, participant_id: None, ..self.about() },
        });
        self.begin_trying(now);
        self.dial();
    }

    fn begin_trying(&mut self, now: Moment) {
        self.first = Some(FirstJoin { began: now.at, asked: false, tried: Vec::new() });
        self.tries = 0;
    }

    /// Connects. The request is made once there is a connection, since a request that is never sent must not advance
    /// the clock.
    fn dial(&mut self) {
        self.attempt += 1;
        self.phase = Phase::Dialling;
        self.call(DriverCall::Dial { attempt: self.attempt, server: self.server });
    }

    /// A connection was made, or could not be made.
    pub(super) fn dialled(&mut self, result: Result<(), Failure>, now: Moment) {
        match result {
            Ok(()) => self.open(now),
            Err(failure) => self.not_opened(failure, now),
        }
    }

    /// Opens a stream: a request to join, or to resume an existing membership.
    fn open(&mut self, now: Moment) {
        let sent = self.clock.tick();
        self.asked = sent;
        let resume = self.membership.as_ref().map(|membership| pb::ResumePoint {
            session_token: membership.token.clone(),
            epoch: membership.epoch.clone(),
            after_sequence: self.cursor.0,
            chain_hash: self.chain_hash.clone(),
        });
        self.record(ClientRecord::JoinSent {
            about: self.about(),
            sequence: resume.as_ref().map(|resume| resume.after_sequence),
            sent_logical_time: sent.0,
            local_time: sent.0,
        });
        self.save();
        let request = pb::JoinRequest { display_name: self.display_name.clone(), logical_time: sent.0, resume };
        self.phase = Phase::Connecting { since: now.at };
        self.call(DriverCall::Open { request });
    }

    /// The stream's first frame: the client is online.
    pub(super) fn welcomed(&mut self, welcome: CheckedWelcome, now: Moment) {
        if !welcome.resumed && self.membership.is_some() && self.anew.is_none() {
            // A service that starts a new membership in answer to a resume has forgotten the old one.
            self.anew = Some(Reason::SessionUnknown);
            if !self.end_session() {
                return;
            }
        }
        let CheckedWelcome { token, epoch, me, head, logical_time, resumed, roster, heartbeat } = welcome;
        let local_time = self.clock.receive(logical_time);
        let record = WelcomeDetails {
            about: About::epoch(epoch.clone()).participant(&me.participant_id, me.display_name.clone()),
            sequence: head.0,
            logical_time: logical_time.0,
            local_time: local_time.0,
            transport: None,
        };
        self.record(if resumed { ClientRecord::Resumed(record) } else { ClientRecord::Connected(record) });
        if resumed {
            self.save();
            self.receipts.reconnected();
        } else {
            self.memberships += 1;
            self.begin();
            self.before = self.asked;
            let (participant_id, epoch, token) = (me.participant_id.clone(), epoch.clone(), token.clone());
            self.outputs.push(Output::Keep(Keep::Begin { participant_id, epoch, token, clock: local_time }));
        }
        (self.head, self.is_lagging) = (head, false);
        self.display_name.clone_from(&me.display_name);
        self.roster = Roster::new(&roster);
        self.membership = Some(Membership { token, epoch, me: me.clone() });
        let heartbeat = heartbeat.unwrap_or(HEARTBEAT_ASSUMED).clamp(HEARTBEAT_SHORTEST, HEARTBEAT_LONGEST);
        let silence_max = 2 * heartbeat + SILENCE_MARGIN;
        self.phase = Phase::Online { since: now.at, silent_since: now.at, silence_max, complete: false };
        self.outbox.hurry();
        let away = self.lost_at.map(|lost| now.at.saturating_duration_since(lost));
        let anew = self.anew.take();
        match anew {
            Some(why) => self.push(Update::JoinedAnew { why, roster: roster.clone() }),
            None if resumed => self.resumed(away),
            None => {}
        }
        if self.first.take().is_some() {
            self.outputs.push(Output::Joined(FirstWelcome { me, roster, anew }));
        }
    }

    /// The stream has ended, or could not be opened. There is no failure if it ended normally.
    pub(super) fn ended(&mut self, failure: Option<Failure>, now: Moment) {
        match (&mut self.phase, failure) {
            (Phase::Connecting { .. }, failure) => {
                self.not_opened(failure.unwrap_or_else(|| Failure::broken(ProtocolFault::NoWelcome)), now);
            }
            (Phase::Online { complete, .. }, None) => *complete = true,
            (Phase::Online { .. }, Some(failure)) => {
                let failure = self.own_late_request(failure);
                self.broken(failure, now);
            }
            _ => {}
        }
    }

    /// The stream that replaced this one may be the client's own, from a request that it had abandoned.
    fn own_late_request(&mut self, mut failure: Failure) -> Failure {
        if self.unanswered > 0 && failure.reason == Some(Reason::Replaced) {
            self.unanswered -= 1;
            failure.kind = FailureKind::Unavailable;
            failure.message = "an earlier request of this client arrived late".into();
        }
        failure
    }

    /// The open stream can no longer be used.
    pub(super) fn broken(&mut self, failure: Failure, now: Moment) {
        let Phase::Online { since, .. } = self.phase else { return };
        self.outbox.mark_outcome_unknown();
        // A stream that broke the protocol does not reset the pauses, however long it lasted.
        if now.at >= since + STREAM_PROVEN && failure.kind != FailureKind::Protocol {
            self.tries = 0;
        }
        self.lost_at = Some(now.at);
        self.close();
        self.record(ClientRecord::Disconnected { about: self.about(), reason: failure.as_record().into() });
        if let Some(reason) = failure.ends_session() {
            // After a pause, so that a service that ends every session is not asked in a hot loop.
            if self.start_anew(reason) {
                self.offline(Duration::ZERO, now);
            }
            return;
        }
        match failure.kind {
            FailureKind::Silence | FailureKind::Unavailable | FailureKind::Protocol => {
                let wait = self.asked_wait(&failure);
                self.push(Update::Offline { why: failure.message });
                self.offline(wait, now);
            }
            FailureKind::Refused | FailureKind::Mismatch => self.over(Some(failure.error)),
        }
    }

    /// A connection could not be made, or there was no Welcome on it.
    pub(super) fn not_opened(&mut self, failure: Failure, now: Moment) {
        let was_sent = matches!(self.phase, Phase::Connecting { .. });
        self.close();
        if was_sent && failure.is_unanswered() {
            self.unanswered += u32::from(self.membership.is_some());
            self.first.iter_mut().for_each(|first| first.asked = true);
        }
        if was_sent
            && self.membership.is_some()
            && let Some(reason) = failure.ends_session()
        {
            if self.first.is_some() {
                self.record(ClientRecord::Disconnected { about: self.about(), reason: reason.as_str().into() });
                self.begin_trying(now);
            }
            self.pause = Duration::ZERO;
            if self.start_anew(reason) {
                self.dial();
            }
            return;
        }
        match self.first.take() {
            Some(first) => self.try_to_join(first, failure, now),
            None => self.try_again(failure, now),
        }
    }

    /// Before the participant has joined, only connecting is retried: for as long as the program asked for, or longer
    /// if there is a session to resume, since that survives a short outage. Each server is tried at least once.
    fn try_to_join(&mut self, mut first: FirstJoin, failure: Failure, now: Moment) {
        let servers = self.settings.servers.len();
        let is_new_clock = self.asked <= LogicalTime(1);
        let retry_after = match failure.reason {
            _ if failure.is_lost() => self.asked_wait(&failure),
            Some(Reason::NameTaken) if first.asked => STEADY,
            Some(Reason::ClockOutOfRange) if self.anew.is_some() && !is_new_clock => {
                self.restart();
                self.begin_trying(now);
                return self.dial();
            }
            _ if servers > 1 && failure.kind != FailureKind::Refused => Duration::ZERO,
            _ => return self.not_joined(failure.error),
        };
        if first.tried.len() == servers {
            first.tried.remove(0);
        }
        first.tried.push(failure.error);
        let wait = self.settings.wait;
        let tried = if self.membership.is_some() { wait.max(KEPT_SESSION_TRIED) } else { wait };
        let left = tried.saturating_sub(now.at.saturating_duration_since(first.began));
        let is_round_over = first.tried.len() == servers;
        if left.is_zero() && is_round_over {
            return self.not_joined(JoinError::of_all(first.tried));
        }
        self.first = Some(first);
        self.offline(retry_after, now);
        if let Phase::Offline { retry_at } = &mut self.phase
            && is_round_over
        {
            *retry_at = (*retry_at).min(now.at + left);
        }
    }

    fn not_joined(&mut self, error: JoinError) {
        let reason = Some(error.as_record().into());
        self.record(ClientRecord::ClientStopped { about: self.about(), reason });
        self.outputs.push(Output::NotJoined(error));
    }

    /// A participant that has joined retries without limit: it resumes, or joins anew if that is refused.
    fn try_again(&mut self, failure: Failure, now: Moment) {
        let is_news = self.pause < STEADY;
        match failure.reason {
            _ if failure.is_lost() => self.offline(self.asked_wait(&failure), now),
            _ if failure.kind == FailureKind::Mismatch => self.offline(Duration::ZERO, now),
            _ if failure.kind == FailureKind::Protocol => {
                if is_news {
                    self.push(Update::Offline { why: failure.message });
                }
                self.offline(Duration::ZERO, now);
            }
            // The name may be held by one of our own attempts that broke before it was answered.
            Some(Reason::NameTaken) if self.anew.is_some() => {
                if is_news {
                    self.push(Update::Offline { why: failure.message });
                }
                self.pause = STEADY;
                self.phase = Phase::Offline { retry_at: now.at + STEADY };
            }
            // A new journal's clock starts at 0. If ours is too far ahead of it, it restarts at 0, too (L6).
            Some(Reason::ClockOutOfRange) if self.anew.is_some() => {
                self.restart();
                self.offline(Duration::ZERO, now);
            }
            _ => self.over(Some(failure.error)),
        }
    }

    /// Drops the connection.
    pub(super) fn close(&mut self) {
        if !matches!(mem::replace(&mut self.phase, Phase::Out), Phase::Out | Phase::Offline { .. }) {
            self.call(DriverCall::Close);
        }
    }

    /// How long the service asks to wait. A wait that one server asks for does not apply to the next.
    fn asked_wait(&self, failure: &Failure) -> Duration {
        failure.retry_after.filter(|_| self.settings.servers.len() == 1).unwrap_or_default()
    }

    /// Waits, and then tries the next server.
    fn offline(&mut self, at_least: Duration, now: Moment) {
        self.pause = backoff(self.tries, now.chance);
        self.tries = self.tries.saturating_add(1);
        self.server = (self.server + 1) % self.settings.servers.len();
        self.phase = Phase::Offline { retry_at: now.at + self.pause.max(at_least) };
    }

    /// The membership cannot continue, so the next request is to join as a new participant. Returns whether there will
    /// be one: see [`end_session`](Self::end_session).
    fn start_anew(&mut self, reason: Reason) -> bool {
        let joins = self.end_session();
        if joins {
            self.membership = None;
            self.begin();
            self.anew = Some(reason);
            self.unanswered = 0;
        }
        joins
    }

    /// The session is over. Returns whether the participant joins anew: if it was leaving, it has left.
    fn end_session(&mut self) -> bool {
        self.deliver_all();
        let joins = self.leaving.is_none();
        if joins {
            self.settle();
        } else {
            self.left_without_answer();
        }
        joins
    }

    /// Resets the state of the last membership.
    fn begin(&mut self) {
        (self.position, self.cursor, self.chain_hash) = (Sequence(0), Sequence(0), Vec::new());
        (self.before, self.receipts) = (LogicalTime(0), Receipts::default());
    }

    /// Restarts with a clock at 0, as a new process would.
    fn restart(&mut self) {
        self.record(ClientRecord::ClientStopped { about: self.about(), reason: None });
        self.clock = LamportClock::default();
        self.record(ClientRecord::ClientStarted { about: self.about() });
    }

    /// Time has passed: retries if that is due, and drops a connection that has been silent for too long.
    pub(super) fn connection_tick(&mut self, now: Moment) {
        let silence = |message| Failure::silence(&self.settings.servers[self.server], message);
        match self.phase {
            Phase::Offline { retry_at } if now.at >= retry_at => self.dial(),
            Phase::Connecting { since } if now.at >= since + self.settings.patience => {
                self.not_opened(silence("the service did not answer in time"), now);
            }
            Phase::Online { silent_since, silence_max, complete: false, .. }
                if self.has_room() && now.at >= silent_since + silence_max =>
            {
                self.broken(silence("the service has fallen silent"), now);
            }
            _ => {}
        }
    }
}
