//! The task that keeps a participant connected: it reads the stream, sends what is to be sent, and when the
//! connection breaks, makes another and goes on.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;

use super::connect::{RECONNECT_LONGEST, WAIT_LONGEST, backoff, connect, refused_for};
use super::connection::{Failure, Link, dial, open};
use super::error::{JoinError, LeaveError, PublishError};
use super::event::Event;
use super::outgoing::{Flight, Outgoing, Progress};
use super::session::{Session, Welcomed};
use super::state::StateFile;
use super::{Options, Receipt, Update};
use crate::wire::pb::join_response::Frame;
use crate::wire::{Reason, pb};

/// How long a stream has to last before the pauses are short again. A Welcome alone does not shorten them: a
/// service can fail right after each.
const STREAM_PROVEN: Duration = Duration::from_secs(1);
/// How many updates the driver holds for a program that is busy, before it stops reading the stream.
const OUTBOX: usize = 64;

/// What a user wants.
#[derive(Debug)]
pub(super) enum Command {
    Publish { text: String, answer: oneshot::Sender<Result<Receipt, PublishError>> },
    Leave { answer: Option<oneshot::Sender<Result<Receipt, LeaveError>>> },
}

/// Why the driver stops.
enum Gone {
    /// The participant has left, or gave up waiting to hear that it has.
    Left,
    /// It could not go on.
    Failed(JoinError),
}

pub(super) struct Driver {
    options: Arc<Options>,
    session: Session,
    commands: mpsc::Receiver<Command>,
    updates: mpsc::Sender<Update>,
    outbox: VecDeque<Update>,
    outgoing: Outgoing,
    /// A wish to publish that waits for the message before it.
    held: Option<Command>,
    link: Option<Link>,
    /// How many requests to resume were given up without an answer. Each may be on its way yet, and its late
    /// arrival replaces the stream that was opened after it.
    unanswered: u32,
    /// The pauses before the next tries to reconnect.
    delays: ExponentialBackoff,
}

impl Driver {
    /// Joins for the first time, or goes on with the session of a process that is no more.
    pub(super) async fn join(
        options: Options,
        commands: mpsc::Receiver<Command>,
        updates: mpsc::Sender<Update>,
    ) -> Result<(Self, Welcomed), JoinError> {
        let state = options.state.as_ref().map(StateFile::share);
        let mut session = Session::resuming(options.display_name.clone(), state);
        let mut outbox = VecDeque::new();
        let mut unanswered = 0;
        let mut connected = connect(&options, &mut session, &mut unanswered).await;
        if let Err(Failure::SessionOver(why)) = connected {
            session.disconnected(None, why.as_str());
            session.forget();
            unanswered = 0;
            connected = connect(&options, &mut session, &mut unanswered).await;
            if refused_for(&connected, Reason::ClockOutOfRange) {
                session.restart();
                connected = connect(&options, &mut session, &mut unanswered).await;
            }
            if let Ok((_, welcomed)) = &connected {
                outbox.push_back(Update::JoinedAnew { why, roster: welcomed.roster.clone() });
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
                    Failure::SessionOver(reason) => JoinError::Protocol(reason.as_str().into()),
                };
                session.stopped(Some(&error.as_record()));
                return Err(error);
            }
        };
        if welcomed.resumed {
            outbox.push_back(Update::Continued { missed: welcomed.missed });
        }
        let (options, outgoing) = (Arc::new(options), Outgoing::default());
        let (held, link, delays) = (None, Some(link), backoff());
        let driver =
            Self { options, session, commands, updates, outbox, outgoing, held, link, unanswered, delays };
        Ok((driver, welcomed))
    }

    /// Works until the participant has left or cannot go on.
    pub(super) async fn run(mut self) {
        let gone = loop {
            let link = match self.link.take() {
                Some(link) => link,
                None => match self.reconnect().await {
                    Ok(link) => link,
                    Err(gone) => break gone,
                },
            };
            let opened = Instant::now();
            if let Err(gone) = self.online(link).await {
                break gone;
            }
            if opened.elapsed() >= STREAM_PROVEN {
                self.delays = backoff();
            }
        };
        let reason = match gone {
            Gone::Left => None,
            Gone::Failed(error) => {
                let reason = error.as_record();
                self.outbox.push_back(Update::Ended(error));
                Some(reason)
            }
        };
        self.session.stopped(reason.as_deref());
        self.outgoing.close();
        for update in self.outbox {
            if self.updates.send(update).await.is_err() {
                break;
            }
        }
    }

    /// Serves an open stream. Returns when it is lost, so that another is opened.
    async fn online(&mut self, mut link: Link) -> Result<(), Gone> {
        let mut flight: Option<Flight> = None;
        // The stream of a participant that has left ends, and may do so before the answer to its Leave comes.
        let mut complete = false;
        loop {
            if complete && flight.is_none() {
                return Err(Gone::Left);
            }
            if flight.is_none() {
                flight = self.outgoing.depart(&mut self.session, &link.stub, self.options.patience);
            }
            if let Some(why) = self.session.not_kept() {
                self.outbox.push_back(Update::NotKept { why });
            }
            let room = self.outbox.len() < OUTBOX;
            if !room {
                // It is not the service that is silent.
                link.heard = Instant::now();
            }
            let (pause, deadline) = (self.outgoing.pause, self.deadline());
            let failure = tokio::select! {
                biased;
                landed = resolve(&mut flight) => {
                    flight = None;
                    match self.outgoing.land(landed, &mut self.session) {
                        Progress::Next => continue,
                        Progress::Wait(delay, why) => {
                            let delay = delay.min(WAIT_LONGEST);
                            self.outgoing.pause = Some(Instant::now() + delay);
                            self.outbox.push_back(Update::Waiting { delay, why });
                            continue;
                        }
                        Progress::TryAgain(delay) => {
                            self.outgoing.pause = Some(Instant::now() + delay.min(WAIT_LONGEST));
                            continue;
                        }
                        Progress::Broken(failure) => failure,
                    }
                }
                frame = link.stream.message(), if room && !complete => match frame {
                    Ok(Some(frame)) => {
                        link.heard = Instant::now();
                        match self.receive(frame) {
                            Ok(()) => continue,
                            Err(why) => Failure::lost(why),
                        }
                    }
                    Ok(None) => {
                        complete = true;
                        continue;
                    }
                    Err(status) => self.ended(status),
                },
                () = self.attend() => continue,
                () = at(pause) => {
                    self.outgoing.pause = None;
                    continue;
                }
                () = at(deadline) => return Err(Gone::Left),
                () = sleep_until(link.heard + link.silence), if !complete => Failure::lost("the service has fallen silent"),
            };
            if flight.is_some() {
                self.outgoing.lost_sight();
            }
            return self.broken(failure);
        }
    }

    /// The service has ended the stream. Whoever took over may be this very client, by a request that it had
    /// given up.
    fn ended(&mut self, status: Status) -> Failure {
        if self.unanswered > 0 && Reason::of(&status) == Some(Reason::Replaced) {
            self.unanswered -= 1;
            let why = "a request of this client that had been given up arrived late".into();
            return Failure::Lost { why, status: Some(status), retry_after: Duration::ZERO };
        }
        Failure::of(status, true)
    }

    /// A stream is no more: says so, and settles whether another may be tried.
    fn broken(&mut self, failure: Failure) -> Result<(), Gone> {
        match failure {
            Failure::Lost { why, status, .. } => {
                self.session.disconnected(status.as_ref(), &why);
                self.outbox.push_back(Update::Offline { why });
                Ok(())
            }
            Failure::SessionOver(reason) => {
                self.session.disconnected(None, reason.as_str());
                self.session_over()
            }
            Failure::Fatal(error) | Failure::Mismatch(error) => {
                self.session.disconnected(None, error.reason().map_or("REFUSED", Reason::as_str));
                Err(Gone::Failed(error))
            }
        }
    }

    /// Whoever was leaving has left.
    fn session_over(&mut self) -> Result<(), Gone> {
        if let Some(farewell) = &mut self.outgoing.farewell {
            farewell.say(Err(LeaveError::Ended));
            self.session.over();
            return Err(Gone::Left);
        }
        self.outgoing.session_over(&self.session);
        Ok(())
    }

    /// Opens another stream, for as long as it takes: resumes, or joins anew where that is refused.
    async fn reconnect(&mut self) -> Result<Link, Gone> {
        let options = self.options.clone();
        let mut over = None;
        let mut delay = self.next_delay();
        loop {
            self.meanwhile(sleep(delay)).await?;
            let opened = match self.meanwhile(dial(&options)).await? {
                Ok(mut stub) => {
                    let request = self.session.join_request();
                    let opened = self.meanwhile(open(&mut stub, request, options.patience)).await?;
                    self.unanswered += u32::from(matches!(&opened, Err(failure) if failure.is_silence()));
                    opened.map(|(stream, welcome)| (stub, stream, welcome))
                }
                Err(failure) => Err(failure),
            };
            match opened {
                Ok((stub, stream, welcome)) => {
                    let welcomed = self.session.welcome(welcome).map_err(Gone::Failed)?;
                    self.outgoing.reconnected();
                    self.outbox.push_back(match over {
                        Some(why) if !welcomed.resumed => Update::JoinedAnew { why, roster: welcomed.roster },
                        _ => Update::Back,
                    });
                    return Ok(Link::new(stub, stream, welcomed.heartbeat));
                }
                Err(Failure::SessionOver(reason)) => {
                    over = Some(reason);
                    self.session_over()?;
                    self.session.forget();
                    self.unanswered = 0;
                    delay = Duration::ZERO;
                }
                Err(Failure::Lost { retry_after, .. }) => {
                    delay = self.next_delay().max(retry_after.min(WAIT_LONGEST));
                }
                Err(Failure::Mismatch(_)) => delay = self.next_delay(),
                // Whoever joins anew may find its name taken by a try of its own that broke before the answer.
                Err(Failure::Fatal(error)) if over.is_some() && error.reason() == Some(Reason::NameTaken) => {
                    if delay < RECONNECT_LONGEST {
                        self.outbox.push_back(Update::Offline { why: error.to_string() });
                    }
                    delay = RECONNECT_LONGEST;
                }
                // A new journal's clock begins anew. A clock that is too far ahead of it does so, too.
                Err(Failure::Fatal(error))
                    if over.is_some() && error.reason() == Some(Reason::ClockOutOfRange) =>
                {
                    self.session.restart();
                    delay = self.next_delay();
                }
                Err(Failure::Fatal(error)) => return Err(Gone::Failed(error)),
            }
        }
    }

    fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(RECONNECT_LONGEST)
    }

    /// Waits for something, and goes on listening to the user.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Gone> {
        let mut future = pin!(future);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                output = future.as_mut() => return Ok(output),
                () = self.attend() => {}
                () = at(deadline) => return Err(Gone::Left),
            }
        }
    }

    /// When to stop waiting to hear that the participant has left.
    fn deadline(&self) -> Option<Instant> {
        self.outgoing.farewell.as_ref().map(|farewell| farewell.deadline)
    }

    /// One thing for the user: an update out, or a command in.
    ///
    /// The wish to leave is taken up at any time, also while a message waits for the connection.
    async fn attend(&mut self) {
        if self.outgoing.is_idle()
            && let Some(held) = self.held.take()
        {
            return self.take_up(held);
        }
        let listening = self.held.is_none() && self.outgoing.farewell.is_none();
        let command = tokio::select! {
            permit = self.updates.reserve(), if !self.outbox.is_empty() => {
                match (permit, self.outbox.pop_front()) {
                    (Ok(permit), Some(update)) => permit.send(update),
                    // Nobody looks at the updates any more: that holds up nothing.
                    _ => self.outbox.clear(),
                }
                return;
            }
            command = self.commands.recv(), if listening => command,
            else => std::future::pending().await,
        };
        self.take_up(command.unwrap_or(Command::Leave { answer: None }));
    }

    fn take_up(&mut self, command: Command) {
        match command {
            Command::Leave { answer } => self.outgoing.leave(answer, self.options.patience),
            Command::Publish { text, answer } if self.outgoing.is_idle() => {
                self.outgoing.publish(text, &self.session, answer);
            }
            publish @ Command::Publish { .. } => self.held = Some(publish),
        }
    }

    fn receive(&mut self, response: pb::JoinResponse) -> Result<(), String> {
        match response.frame {
            Some(Frame::Event(event)) => {
                let event: Event = self.session.deliver(event)?;
                self.outbox.push_back(Update::Event(event));
            }
            Some(Frame::Presence(presence)) => self.outbox.extend(self.session.presence(presence)),
            // Transport, not events: no clock ticks. A frame without content is of a kind that only a
            // later service knows.
            Some(Frame::CaughtUp(_) | Frame::Heartbeat(_)) | None => {}
            Some(Frame::Welcome(_)) => return Err("a second Welcome came".into()),
        }
        Ok(())
    }
}

async fn resolve(flight: &mut Option<Flight>) -> super::outgoing::Landed {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
