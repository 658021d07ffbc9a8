//! The task that carries out the [machine](super::machine)'s outputs: it connects, reads the stream, makes the calls
//! and keeps the timer. The machine makes every decision. (The page's driver is `web/src/driver.ts`.)

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};
use tonic::Streaming;

use super::Options;
use super::error::JoinError;
use super::machine::{ClientSettings, DriverCall, Failure, FirstWelcome, Input, Machine};
use super::shared::Shared;
use super::state_file::StateFile;
use super::transport::{Stub, dial, no_server};
use crate::wire::pb;

/// Drives one participant.
pub(super) struct Driver {
    options: Arc<Options>,
    shared: Shared,
    /// The connection of the current attempt.
    link: Option<Link>,
    /// The connect, publish or leave in progress. There is at most one.
    call: Option<PendingCall>,
}

type PendingCall = Pin<Box<dyn Future<Output = Done> + Send>>;

/// The result of a call.
enum Done {
    Dialled { attempt: u64, result: Result<Stub, Failure> },
    Answered(Input),
}

struct Link {
    attempt: u64,
    stub: Stub,
    stream: Incoming,
    /// The stream has delivered a frame.
    is_open: bool,
}

enum Incoming {
    /// It has not been requested yet, or has ended.
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Streaming<pb::JoinResponse>, Failure>> + Send>>),
    Open(Box<Streaming<pb::JoinResponse>>),
}

impl Driver {
    /// Joins for the first time, or resumes the session of a process that has ended.
    pub(super) async fn join(options: Options) -> Result<(Self, Shared, FirstWelcome), JoinError> {
        if options.servers.is_empty() {
            return Err(no_server());
        }
        let state = options.state.as_ref().map(StateFile::share);
        let settings = ClientSettings {
            display_name: options.display_name.clone(),
            servers: options.servers.clone(),
            wait: options.wait,
            patience: options.patience,
        };
        let machine = Machine::new(settings, state.as_ref().and_then(|state| state.kept()));
        let shared = Shared::new(machine, state);
        let mut driver = Self { options: Arc::new(options), shared: shared.clone(), link: None, call: None };
        shared.drive(Input::Join);
        loop {
            if let Some(joined) = shared.joining() {
                return joined.map(|welcome| (driver, shared, welcome));
            }
            driver.step().await;
        }
    }

    /// Runs until the participant has left, or has failed for good.
    pub(super) async fn run(mut self) {
        while !self.shared.is_over() {
            self.step().await;
        }
    }

    /// Carries out what is pending, and then waits for one input.
    async fn step(&mut self) {
        while let Some(call) = self.shared.next_call() {
            self.perform(call);
        }
        let (due, reads) = self.shared.waits_for();
        let shared = self.shared.clone();
        let input = tokio::select! {
            biased;
            done = resolve(&mut self.call) => {
                self.call = None;
                self.done(done)
            }
            input = next(&mut self.link), if reads => input,
            () = shared.changed() => return,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Input::Tick,
        };
        self.shared.drive(input);
    }

    fn perform(&mut self, call: DriverCall) {
        let (options, patience) = (self.options.clone(), self.options.patience);
        let stub = || self.link.as_ref().map(|link| link.stub.clone());
        match call {
            DriverCall::Dial { attempt, server } => {
                self.link = None;
                self.call =
                    Some(Box::pin(async move { Done::Dialled { attempt, result: dial(&options, server).await } }));
            }
            DriverCall::Open { request } => {
                if let Some(link) = &mut self.link {
                    link.stream = Incoming::Opening(Box::pin(link.stub.clone().join(request)));
                }
            }
            DriverCall::Close => (self.link, self.call) = (None, None),
            DriverCall::Publish { attempt, mut request } => {
                request.sent_at = wall_clock(self.options.wall_clock_skew_milliseconds).map(Into::into);
                self.call = stub().map(|stub| -> PendingCall {
                    Box::pin(async move {
                        let result = stub.publish(request, patience).await;
                        Done::Answered(Input::Published { attempt, result })
                    })
                });
            }
            DriverCall::Leave { attempt, request } => {
                self.call = stub().map(|stub| -> PendingCall {
                    Box::pin(async move {
                        let result = stub.leave(request, patience).await;
                        Done::Answered(Input::Left { attempt, result })
                    })
                });
            }
            DriverCall::List { ticket, request } => {
                let (Some(stub), shared) = (stub(), self.shared.clone()) else { return };
                tokio::spawn(async move {
                    let result = stub.list_events(request.clone(), patience).await;
                    shared.listed(ticket, request, result);
                });
            }
        }
    }

    fn done(&mut self, done: Done) -> Input {
        match done {
            Done::Answered(input) => input,
            Done::Dialled { attempt, result } => {
                let result = result.map(|stub| {
                    self.link = Some(Link { attempt, stub, stream: Incoming::None, is_open: false });
                });
                Input::Dialled { attempt, result }
            }
        }
    }
}

async fn resolve(call: &mut Option<PendingCall>) -> Done {
    match call {
        Some(call) => call.await,
        None => pending().await,
    }
}

/// The next input from the stream.
async fn next(link: &mut Option<Link>) -> Input {
    let Some(Link { attempt, stub, stream, is_open }) = link else { return pending().await };
    let attempt = *attempt;
    let ended = |failure| Input::Ended { attempt, failure };
    if let Incoming::Opening(opening) = stream {
        match opening.await {
            Ok(opened) => *stream = Incoming::Open(Box::new(opened)),
            Err(failure) => {
                *stream = Incoming::None;
                return ended(Some(failure));
            }
        }
    }
    let Incoming::Open(open) = stream else { return pending().await };
    match open.message().await {
        Ok(Some(response)) => {
            *is_open = true;
            return Input::Frame { attempt, frame: response.frame };
        }
        Ok(None) => *stream = Incoming::None,
        Err(status) => {
            *stream = Incoming::None;
            return ended(Some(if *is_open { stub.failure(&status) } else { stub.not_opened(&status) }));
        }
    }
    ended(None)
}

/// The system's wall clock plus this skew; `None` if that is before 1970.
fn wall_clock(skew_milliseconds: i64) -> Option<SystemTime> {
    let skew = Duration::from_millis(skew_milliseconds.unsigned_abs());
    let now = SystemTime::now();
    let stated = if skew_milliseconds < 0 { now.checked_sub(skew) } else { now.checked_add(skew) };
    stated.filter(|at| *at >= SystemTime::UNIX_EPOCH)
}
