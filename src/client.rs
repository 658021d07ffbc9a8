//! The client library: one participant, kept connected.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use chitchat::client::{self, Options, Update};
//!
//! let (chat, mut updates) = client::join(Options::new("http://127.0.0.1:50051", "alice")).await?;
//! chat.publish("hello").await?;
//! while let Some(update) = updates.next().await {
//!     if let Update::Event(event) = update {
//!         println!("[{}] {}", event.logical_time, event.content);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The [`machine`] has all rules about the clock, the position, resuming and retrying. It is pure: inputs go in, each
//! with its time, and outputs come out. The [`driver`] carries the outputs out: it connects through the [`transport`],
//! reads the stream, makes the calls and keeps the timer. The program's handles feed the same machine; [`shared`] holds
//! what they share with the driver.

mod driver;
mod error;
mod event;
mod explain;
pub(crate) mod lab;
mod machine;
mod shared;
pub(crate) mod show;
mod state_file;
mod transport;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::chat::{LogicalTime, Sequence};
use crate::wire::Reason;

pub use crate::chat::Receipt;
pub use error::{JoinError, LeaveError, ListError, PublishError};
pub use event::{Event, Kind, ParticipantInfo};
pub use machine::ProtocolFault;
pub use state_file::{StateError, StateFile};

use driver::Driver;
use machine::FirstWelcome;
use shared::Shared;
use state_file::StateHandle;

/// The service to join, and how.
pub struct Options {
    /// The service's URL, or several of one conversation: the first is used, and after each lost connection the next.
    pub servers: Vec<String>,
    /// The participant's display name.
    pub display_name: String,
    /// The access secret, if the service requires one.
    pub secret: Option<String>,
    /// A PEM certificate to trust in addition to the system's, for `https://`.
    pub certificate_authority: Option<Vec<u8>>,
    /// How long to keep trying if the service cannot be reached.
    pub wait: Duration,
    /// How long a connection, a stream's first frame or an answer may take.
    pub patience: Duration,
    /// The file that keeps the session, so that another process can resume it if this one is killed. Unanswered
    /// messages are not kept.
    pub state: Option<StateFile>,
    /// Added to the wall-clock time that its messages state, to show what happens when clocks are wrong. Negative for a
    /// clock that is behind.
    pub wall_clock_skew_milliseconds: i64,
}

impl Options {
    /// The defaults: no secret, the system's certificates, no retry, 10 s of patience, no kept session. Separate
    /// several URLs with commas.
    pub fn new(server: impl Into<String>, display_name: impl Into<String>) -> Self {
        Self {
            servers: server.into().split(',').map(str::to_owned).collect(),
            display_name: display_name.into(),
            secret: None,
            certificate_authority: None,
            wait: Duration::ZERO,
            patience: Duration::from_secs(10),
            state: None,
            wall_clock_skew_milliseconds: 0,
        }
    }
}

/// What happens to a participant.
#[derive(Clone, Debug)]
pub enum Update {
    /// The next event of the conversation. Every event arrives once, in order.
    Event(Event),
    /// The connection is lost. The client reconnects on its own; messages wait until then.
    Offline {
        /// Why, for people.
        why: String,
    },
    /// The session is resumed; the missed events follow.
    Back {
        /// How long it was offline.
        after: Duration,
        /// What was missed meanwhile.
        missed: Missed,
    },
    /// The session of an earlier process is resumed; the missed events follow.
    Continued {
        /// The last event before the missed ones. Earlier events can be listed up to it.
        after: Sequence,
        /// What was missed meanwhile.
        missed: Missed,
    },
    /// The state file can no longer be written, and has been removed if possible: if this process is killed, the next
    /// one joins as a new participant.
    NotKept {
        /// Why.
        why: String,
    },
    /// The session could not be resumed, so this is a new participant with the same name.
    JoinedAnew {
        /// SESSION_UNKNOWN, EPOCH_CHANGED or SEQUENCE_OUT_OF_RANGE.
        why: Reason,
        /// The active participants, in order of joining.
        roster: Vec<ParticipantInfo>,
    },
    /// Another participant has lost its connection and may come back, or is back. This is a hint, not an event: it is
    /// not logged, and no clock ticks. After [`Back`](Self::Back), [`Continued`](Self::Continued) and
    /// [`JoinedAnew`](Self::JoinedAnew), all participants count as connected until a hint says otherwise.
    Presence {
        /// The other participant.
        participant: ParticipantInfo,
        /// Whether it is connected now.
        connected: bool,
    },
    /// A teacher's lab (`chitchat lab`) has changed the faults that it injects into this participant. This is a hint,
    /// not an event: no clock ticks.
    Lab {
        /// The faults, in the service's words, such as `deliveries held`; empty once they have ended.
        faults: String,
    },
    /// The service asked the client to wait before it sends the message again.
    Waiting {
        /// For how long.
        delay: Duration,
        /// RATE_LIMITED, for instance.
        why: Reason,
    },
    /// The participant failed. Nothing follows.
    Ended(JoinError),
}

/// What a participant missed while it was not connected. Its own events, which it receives only now, do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// How many events.
    pub events: u64,
    /// How many of them are messages. `None` if there are too many to count before reporting them; `events` then
    /// includes the participant's own.
    pub messages: Option<u64>,
}

/// Checks a service's URL without connecting to it.
///
/// # Errors
/// [`JoinError::Address`].
pub fn check_address(url: &str) -> Result<(), JoinError> {
    transport::parse_address(url).map(drop)
}

/// Joins the conversation. Every step is logged (specification, chapter 9) with the target
/// [`log::TARGET`](crate::log::TARGET).
///
/// # Errors
/// [`JoinError`]. Until the participant has joined, only connecting is retried: for [`Options::wait`], and for at least
/// 30 s if there is a session to resume.
pub async fn join(options: Options) -> Result<(Chat, Updates), JoinError> {
    let state = options.state.as_ref().map(StateFile::share);
    let (driver, shared, FirstWelcome { me, roster, anew }) = Driver::join(options).await?;
    let watched = shared.clone();
    tokio::spawn(async move {
        if let Err(failed) = tokio::spawn(driver.run()).await {
            // Even a panic of the driver is reported to the program.
            watched.failed(failed.to_string());
        }
    });
    let handle = Arc::new(Handle(shared.clone()));
    Ok((Chat { handle, me, roster, anew }, Updates { shared, state, joined: 1, given: None }))
}

/// A handle to publish and leave. Clones share one participant, which leaves when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Chat {
    handle: Arc<Handle>,
    me: ParticipantInfo,
    roster: Vec<ParticipantInfo>,
    anew: Option<Reason>,
}

/// What the clones of a [`Chat`] have in common.
#[derive(Debug)]
struct Handle(Shared);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.leave(None);
    }
}

impl Chat {
    /// The participant as it first joined. After [`Update::JoinedAnew`] it has a different id.
    pub fn me(&self) -> &ParticipantInfo {
        &self.me
    }

    /// Stops the participant as if its process had been killed: it does not leave, nothing more is recorded, and a
    /// session in a state file can be resumed. The caller then drops its runtime.
    pub(crate) fn abandon(&self) {
        self.handle.0.abandon();
    }

    /// The current time of its Lamport clock.
    pub fn logical_time(&self) -> LogicalTime {
        self.handle.0.logical_time()
    }

    /// The participants that were active when it joined, in order of joining, itself included.
    pub fn roster(&self) -> &[ParticipantInfo] {
        &self.roster
    }

    /// Why the kept session of an earlier process could not be resumed, if there was one. The first update then is
    /// [`Update::JoinedAnew`].
    pub fn joined_anew(&self) -> Option<Reason> {
        self.anew
    }

    /// Publishes a message. The result resolves to its outcome. Messages are sent one at a time, in the order of the
    /// calls. Up to 1,024 can wait to be sent; beyond that, they are sent in the order in which the results are first
    /// awaited.
    ///
    /// This call fixes what the writer had seen: the last event that the program has [taken](Updates::next). Waiting
    /// and retrying do not change it.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(&self, text: impl Into<String>) -> Publishing {
        let (answer, answered) = oneshot::channel();
        let shared = self.handle.0.clone();
        let waiting = shared.submit(text.into(), answer);
        Publishing(Box::pin(async move {
            if let Some((message, waiter)) = waiting {
                shared.enqueue_later(message, waiter).await;
            }
            answered.await.map_err(|_| PublishError::Ended)?
        }))
    }

    /// Lists the last events before the given one, for instance before the participant's own join: at most 1,000, in
    /// order. Listing is not a delivery: it moves no clock and is not logged, and [`Event::local_time`] is 0.
    pub async fn list_before(&self, sequence: Sequence, count: u32) -> Result<Vec<Event>, ListError> {
        let (answer, answered) = oneshot::channel();
        self.handle.0.list(sequence, count, answer);
        answered.await.map_err(|_| ListError::Ended)?
    }

    /// Leaves, once all earlier publishes are acknowledged. It gives up if nothing is acknowledged for
    /// [`Options::patience`]. The updates end when everything up to the leave has been delivered.
    pub async fn leave(self) -> Result<Receipt, LeaveError> {
        let (answer, answered) = oneshot::channel();
        self.handle.0.leave(Some(answer));
        answered.await.map_err(|_| LeaveError::Ended)?
    }

    /// Ends without waiting for answers: messages that are not acknowledged resolve as not sent or unconfirmed.
    pub(crate) fn give_up(&self) {
        self.handle.0.give_up();
    }
}

/// Resolves to the outcome of a message, which is sent even if this is dropped, unless the queue is full.
#[must_use = "whether the message is delivered is known only when this is awaited"]
pub struct Publishing(Pin<Box<dyn Future<Output = Result<Receipt, PublishError>> + Send>>);

impl std::fmt::Debug for Publishing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publishing")
    }
}

impl Future for Publishing {
    type Output = Result<Receipt, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

/// The updates of a participant, in order. If this is dropped, the participant stays, and events still count as
/// delivered.
#[derive(Debug)]
pub struct Updates {
    shared: Shared,
    state: Option<StateHandle>,
    /// The membership that the updates belong to, counted from 1.
    joined: u64,
    /// The event that the program took last, and has not acknowledged yet.
    given: Option<Sequence>,
}

impl Updates {
    /// The next update; `None` once the participant has left or failed. An event is delivered, and recorded, when this
    /// returns it: only messages that are published afterwards count as written with knowledge of it. A program that
    /// does not call this delays only its own stream. Calling it acknowledges the previous update: after a crash it is
    /// not delivered again.
    pub async fn next(&mut self) -> Option<Update> {
        if let (Some(sequence), Some(state)) = (self.given.take(), &self.state) {
            state.shown(self.joined, sequence);
        }
        let update = self.shared.next().await;
        match &update {
            Some(Update::Event(event)) => self.given = Some(event.sequence),
            Some(Update::JoinedAnew { .. }) => self.joined += 1,
            _ => {}
        }
        update
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        self.shared.unread();
    }
}
