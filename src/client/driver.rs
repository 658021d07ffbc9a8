//! The task that keeps a participant connected: it reads the stream, sends what is waiting, and reconnects when the
//! connection breaks.

mod reconnect;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::check::ProtocolFault;
use super::connect::{RECONNECT_LONGEST, WAIT_LONGEST, backoff, connect, refused_for};
use super::connection::{Failure, Link};
use super::error::{JoinError, LeaveError};
use super::listing::ListRequest;
use super::outgoing::{InFlightRequest, Outgoing, Reply, ReplyOutcome};
use super::session::{Session, Welcomed};
use super::shared::SharedSession;
use super::state::StateFile;
use super::{Options, Receipt, Update};
use crate::chat::Sequence;
use crate::wire::pb::join_response::Frame;
use crate::wire::{Reason, pb};

/// How long a stream has to last before the pauses are short again. A Welcome alone does not shorten them: a
/// service can fail right after each.
const STREAM_PROVEN: Duration = Duration::from_secs(1);

/// Commands of the program to the driver. Publishing has a queue of its own.
#[derive(Debug)]
pub(super) enum DriverCommand {
    Leave {
        answer: Option<oneshot::Sender<Result<Receipt, LeaveError>>>,
    },
    /// Stop waiting for answers.
    GiveUp,
    List(ListRequest),
}

/// Why the driver stops.
enum Exit {
    /// The participant has left, or gave up waiting to hear that it has.
    Left,
    /// It failed for good.
    Failed(JoinError),
}

pub(super) struct Driver {
    options: Arc<Options>,
    shared: SharedSession,
    commands: mpsc::Receiver<DriverCommand>,
    outgoing: Outgoing,
    /// A request to list earlier events.
    list: Option<ListRequest>,
    link: Option<Link>,
    /// When the last stream was lost.
    offline: Instant,
    /// How many requests to resume were given up without an answer. Each may be on its way yet, and its late
    /// arrival replaces the stream that was opened after it.
    unanswered: u32,
    /// The pauses before the next tries to reconnect.
    delays: ExponentialBackoff,
    /// The last stream was dropped over what the service said in it.
    has_refused: bool,
}

impl Driver {
    /// Joins for the first time, or resumes the session of a process that has ended.
    pub(super) async fn join(
        options: Options,
        commands: mpsc::Receiver<DriverCommand>,
    ) -> Result<(Self, SharedSession, Welcomed), JoinError> {
        let state = options.state.as_ref().map(StateFile::share);
        let mut session = Session::resuming(options.display_name.clone(), state);
        session.wall_clock_skew_milliseconds = options.wall_clock_skew_milliseconds;
        let (mut over, mut unanswered, was_kept) = (None, 0, session.is_kept());
        let mut connected = connect(&options, &mut session, &mut unanswered).await;
        if let Err(Failure::SessionOver(why)) = connected {
            over = Some(why);
            session.disconnected(None, why.as_str());
            session.forget();
            unanswered = 0;
            connected = connect(&options, &mut session, &mut unanswered).await;
            if refused_for(&connected, Reason::ClockOutOfRange) {
                session.restart();
                connected = connect(&options, &mut session, &mut unanswered).await;
            }
        }
        let (link, welcomed) = match connected {
            Ok(connected) => connected,
            Err(failure) => {
                let error = match failure {
                    Failure::Fatal(error) | Failure::Mismatch(error) => error,
                    Failure::Lost { status: Some(status), .. } if Reason::of(&status).is_some() => {
                        JoinError::refused(&status)
                    }
                    Failure::Lost { why, .. } => JoinError::Unreachable { address: options.server, why },
                    Failure::Protocol(fault) => JoinError::Protocol(fault),
                    // Only a session that was to be resumed can fail like this.
                    Failure::SessionOver(reason) => JoinError::Failed(reason.as_str().into()),
                };
                session.stopped(Some(&error.as_record()));
                return Err(error);
            }
        };
        let shared = SharedSession::new(session);
        if was_kept && !welcomed.resumed {
            // It may also have begun another membership without saying so.
            let why = over.unwrap_or(Reason::SessionUnknown);
            shared.push(Update::JoinedAnew { why, roster: welcomed.roster.clone() });
        }
        if welcomed.resumed {
            shared.resumed(None, welcomed.missed);
        }
        let (outgoing, options) = (Outgoing::new(options.patience), Arc::new(options));
        let (list, link, offline) = (None, Some(link), Instant::now());
        let driver = Self {
            options,
            shared: shared.clone(),
            commands,
            outgoing,
            list,
            link,
            offline,
            unanswered,
            delays: backoff(),
            has_refused: false,
        };
        Ok((driver, shared, welcomed))
    }

    /// Runs until the participant has left, or has failed for good.
    pub(super) async fn run(mut self) {
        let exit = loop {
            let link = match self.link.take() {
                Some(link) => link,
                None => match self.reconnect().await {
                    Ok(link) => link,
                    Err(exit) => break exit,
                },
            };
            let opened = Instant::now();
            if let Err(exit) = self.online(link).await {
                break exit;
            }
            // The pauses grow, too, for a service that breaks the protocol now and then.
            if opened.elapsed() >= STREAM_PROVEN && !self.has_refused {
                self.delays = backoff();
            }
            self.has_refused = false;
            self.offline = Instant::now();
        };
        self.outgoing.close();
        match exit {
            Exit::Left => self.shared.end(None, None),
            Exit::Failed(error) => {
                let reason = error.as_record();
                self.shared.end(Some(Update::Ended(error)), Some(reason));
            }
        }
    }

    /// Serves an open stream. Returns when it is lost, so that another is opened.
    async fn online(&mut self, mut link: Link) -> Result<(), Exit> {
        let mut in_flight: Option<InFlightRequest> = None;
        // The stream of a participant that has left ends, and may do so before the answer to its Leave comes.
        let mut complete = false;
        loop {
            if complete && in_flight.is_none() {
                return Err(Exit::Left);
            }
            self.send_next(&mut in_flight, &link);
            let room = self.shared.has_room();
            if !room {
                // We are applying backpressure, so the silence is ours.
                link.heard = Instant::now();
            }
            let shared = self.shared.clone();
            let (pause, deadline) = (self.outgoing.pause, self.deadline());
            let failure = tokio::select! {
                biased;
                reply = resolve(&mut in_flight) => {
                    in_flight = None;
                    match self.on_reply(reply) {
                        Some(failure) => failure,
                        None => continue,
                    }
                }
                frame = link.stream.message(), if room && !complete => match frame {
                    Ok(Some(frame)) => {
                        link.heard = Instant::now();
                        match self.receive(frame) {
                            Ok(()) => continue,
                            Err(fault) => Failure::Protocol(fault),
                        }
                    }
                    Ok(None) => {
                        complete = true;
                        continue;
                    }
                    Err(status) => self.ended(status),
                },
                () = shared.taken(), if !room => continue,
                () = shared.submitted(), if in_flight.is_none() => continue,
                () = self.attend() => continue,
                () = at(pause) => {
                    self.outgoing.pause = None;
                    continue;
                }
                () = at(deadline) => {
                    if in_flight.is_some() {
                        self.outgoing.mark_outcome_unknown();
                    }
                    return Err(Exit::Left);
                }
                () = sleep_until(link.heard + link.silence), if !complete => Failure::lost("the service has fallen silent"),
            };
            if in_flight.is_some() {
                self.outgoing.mark_outcome_unknown();
            }
            return self.broken(failure);
        }
    }

    /// Sends what is next, where nothing is on its way.
    fn send_next(&mut self, in_flight: &mut Option<InFlightRequest>, link: &Link) {
        let mut state = self.shared.lock();
        if in_flight.is_none() {
            *in_flight = self.outgoing.send_next(&mut state, &link.stub);
        }
        if let Some(list) = self.list.take() {
            let read = list.send(&link.stub, state.session.token(), self.shared.clone(), self.options.patience);
            tokio::spawn(read);
        }
        let not_kept = state.session.not_kept();
        drop(state);
        if let Some(why) = not_kept {
            self.shared.push(Update::NotKept { why });
        }
    }

    fn on_reply(&mut self, reply: Reply) -> Option<Failure> {
        let outcome = self.outgoing.on_reply(reply, &mut self.shared.lock().session);
        match outcome {
            ReplyOutcome::Next => return None,
            ReplyOutcome::Broken(failure) => return Some(failure),
            ReplyOutcome::Wait(delay, why) => {
                let delay = delay.min(WAIT_LONGEST);
                self.outgoing.pause = Some(Instant::now() + delay);
                self.shared.push(Update::Waiting { delay, why });
            }
            ReplyOutcome::TryAgain(delay) => {
                self.outgoing.pause = Some(Instant::now() + delay.min(WAIT_LONGEST));
            }
        }
        None
    }

    /// The service has ended the stream. The one that replaced it may be this client's own, by a request that it had
    /// given up.
    fn ended(&mut self, status: Status) -> Failure {
        if self.unanswered > 0 && Reason::of(&status) == Some(Reason::Replaced) {
            self.unanswered -= 1;
            let why = "a request of this client that had been given up arrived late".into();
            return Failure::Lost { why, status: Some(status), retry_after: Duration::ZERO };
        }
        Failure::of(status, true)
    }

    /// A stream has ended: reports that, and decides whether to try another.
    fn broken(&mut self, failure: Failure) -> Result<(), Exit> {
        match failure {
            Failure::Lost { why, status, .. } => {
                self.shared.lock().session.disconnected(status.as_ref(), &why);
                self.shared.push(Update::Offline { why });
                Ok(())
            }
            Failure::Protocol(fault) => {
                self.has_refused = true;
                let why = in_words(&fault);
                self.shared.lock().session.disconnected(None, &why);
                self.shared.push(Update::Offline { why });
                Ok(())
            }
            Failure::SessionOver(reason) => {
                self.shared.lock().session.disconnected(None, reason.as_str());
                self.session_over()
            }
            Failure::Fatal(error) | Failure::Mismatch(error) => {
                let reason = error.reason().map_or("REFUSED", Reason::as_str);
                self.shared.lock().session.disconnected(None, reason);
                Err(Exit::Failed(error))
            }
        }
    }

    /// A participant that was leaving has left.
    fn session_over(&mut self) -> Result<(), Exit> {
        let mut state = self.shared.lock();
        state.deliver_all();
        if let Some(leave) = &mut self.outgoing.leave {
            leave.resolve(Err(LeaveError::Ended));
            state.session.over();
            return Err(Exit::Left);
        }
        self.outgoing.session_over(&state.session);
        Ok(())
    }

    fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(RECONNECT_LONGEST)
    }

    /// Waits for something, and takes the program's commands meanwhile.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Exit> {
        let mut future = pin!(future);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                output = future.as_mut() => return Ok(output),
                () = self.attend() => {}
                () = at(deadline) => return Err(Exit::Left),
            }
        }
    }

    /// When to stop waiting to hear that the participant has left.
    fn deadline(&self) -> Option<Instant> {
        self.outgoing.leave.as_ref().map(|leave| leave.deadline)
    }

    /// Takes one command of the program. This can happen at any time, also while a message waits for the connection.
    async fn attend(&mut self) {
        match self.commands.recv().await {
            Some(DriverCommand::Leave { answer }) => self.outgoing.leave(answer),
            Some(DriverCommand::GiveUp) => self.outgoing.give_up(),
            // A newer request replaces an older one, which fails.
            Some(DriverCommand::List(list)) => self.list = Some(list),
            // All handles have been dropped.
            None if self.outgoing.leave.is_none() => self.outgoing.leave(None),
            None => std::future::pending().await,
        }
    }

    fn receive(&mut self, response: pb::JoinResponse) -> Result<(), ProtocolFault> {
        match response.frame {
            Some(Frame::Event(event)) => {
                let event = self.shared.lock().session.receive(event)?;
                self.shared.push(Update::Event(event));
            }
            Some(Frame::Presence(presence)) => {
                let update = self.shared.lock().session.presence(presence);
                update.into_iter().for_each(|update| self.shared.push(update));
            }
            // Transport, not events: no clock ticks.
            Some(Frame::CaughtUp(caught_up)) => {
                self.shared.lock().session.caught_up(Sequence(caught_up.sequence))?;
            }
            Some(Frame::Heartbeat(heartbeat)) => {
                self.shared.lock().session.heartbeat(Sequence(heartbeat.head_sequence))?;
            }
            Some(Frame::LabNotice(notice)) => self.shared.push(Update::Lab { faults: notice.faults }),
            // A frame of a kind that a later version has added (A11).
            None => {}
            Some(Frame::Welcome(_)) => return Err(ProtocolFault::SecondWelcome),
        }
        Ok(())
    }
}

/// Why a stream was dropped, for people.
fn in_words(fault: &ProtocolFault) -> String {
    format!("the service broke the protocol: {fault}")
}

async fn resolve(in_flight: &mut Option<InFlightRequest>) -> Reply {
    match in_flight {
        Some(in_flight) => in_flight.await,
        None => std::future::pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
