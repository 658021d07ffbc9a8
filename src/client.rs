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
//! Data flows one way: wire → [`session`] (the Lamport clock, the position, the log records) → updates; what
//! the user wants goes back as a command to the [`driver`], which keeps the connection, resumes it, and
//! sends one publish at a time.

mod connect;
mod connection;
mod driver;
mod error;
mod event;
mod outgoing;
mod roster;
mod session;
pub mod show;
mod state;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::chat::{LogicalTime, Sequence};
use crate::wire::Reason;

pub use error::{JoinError, LeaveError, PublishError};
pub use event::{Event, Kind, Member};
pub use state::{StateError, StateFile};

use driver::{Command, Driver};
use state::Shared;

/// How many updates can wait for the program; the stream waits with them.
const UPDATES_WAITING: usize = 256;
/// How many commands can wait for the connection.
const COMMANDS_WAITING: usize = 64;

/// Where to join, and as whom.
pub struct Options {
    /// The service's URL.
    pub server: String,
    /// What people shall call the participant.
    pub display_name: String,
    /// What the service asks its participants to know, where it asks.
    pub secret: Option<String>,
    /// A certificate in PEM that is trusted beside the system's, for `https://`.
    pub certificate_authority: Option<Vec<u8>>,
    /// For how long a service that cannot be reached yet is tried again.
    pub wait: Duration,
    /// How long a connection, a stream's first frame or an answer may take.
    pub patience: Duration,
    /// Where the session is kept, so that another process can go on with it should this one be killed. A
    /// message that had not been answered by then is not kept.
    pub state: Option<StateFile>,
}

impl Options {
    /// No secret, the system's certificates, no second try, the usual patience, nothing kept.
    pub fn new(server: impl Into<String>, display_name: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            display_name: display_name.into(),
            secret: None,
            certificate_authority: None,
            wait: Duration::ZERO,
            patience: Duration::from_secs(10),
            state: None,
        }
    }
}

/// What happens to a participant.
#[derive(Clone, Debug)]
pub enum Update {
    /// An event of the conversation: all of them, in order, once.
    Event(Event),
    /// The connection is lost; the client tries again by itself, and messages wait.
    Offline {
        /// What was lost, for people.
        why: String,
    },
    /// The session goes on; what was missed follows.
    Back,
    /// The session that another process began goes on here; what was missed follows.
    Continued {
        /// How many events that is.
        missed: u64,
    },
    /// The state file cannot be written any more, and is gone where it could be removed: should this
    /// process be killed, the next one joins anew.
    NotKept {
        /// Why not.
        why: String,
    },
    /// The session could not go on, so this is a new participant with the same name.
    JoinedAnew {
        /// SESSION_UNKNOWN or EPOCH_CHANGED, or SEQUENCE_OUT_OF_RANGE.
        why: Reason,
        /// Who is here, in order of joining.
        roster: Vec<Member>,
    },
    /// Another participant has lost its connection and may come back, or is back. A hint: not an event, in no
    /// log, and no clock ticks. After [`Back`](Self::Back), [`Continued`](Self::Continued) and
    /// [`JoinedAnew`](Self::JoinedAnew) all count as connected until this says otherwise.
    Presence {
        /// Who.
        participant: Member,
        /// Whether it is connected now.
        connected: bool,
    },
    /// The service asked to wait before the message is sent again.
    Waiting {
        /// For how long.
        delay: Duration,
        /// RATE_LIMITED, for instance.
        why: Reason,
    },
    /// The participant could not go on. Nothing follows.
    Ended(JoinError),
}

/// Where a message ended up in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its event's position.
    pub sequence: Sequence,
    /// Its event's time.
    pub logical_time: LogicalTime,
}

/// Checks a service's URL without connecting to it.
///
/// # Errors
/// [`JoinError::Address`].
pub fn check_address(url: &str) -> Result<(), JoinError> {
    connection::parse_address(url).map(drop)
}

/// Joins the conversation. Records of all that follows are emitted as the design says, under
/// [`record::TARGET`](crate::record::TARGET).
///
/// # Errors
/// [`JoinError`]: nothing is tried twice before the participant has joined, except that one with a session to go
/// on with tries to reach the service for 30 s, and others for as long as [`Options::wait`] says.
pub async fn join(options: Options) -> Result<(Chat, Updates), JoinError> {
    let (updates_sender, updates) = mpsc::channel(UPDATES_WAITING);
    let (commands, commands_receiver) = mpsc::channel(COMMANDS_WAITING);
    let state = options.state.as_ref().map(StateFile::share);
    let (driver, welcome) = Driver::join(options, commands_receiver, updates_sender.clone()).await?;
    tokio::spawn(async move {
        if let Err(failed) = tokio::spawn(driver.run()).await {
            // Whoever looks on is told, even of a fault of our own. Nobody looking is no fault.
            let _ = updates_sender.send(Update::Ended(JoinError::Failed(failed.to_string()))).await;
        }
    });
    Ok((
        Chat { commands, me: welcome.me, roster: welcome.roster },
        Updates { updates, state, joined: 1, given: None },
    ))
}

/// A participant's voice. Its clones speak for the same participant; when the last is dropped, it leaves.
#[derive(Clone, Debug)]
pub struct Chat {
    commands: mpsc::Sender<Command>,
    me: Member,
    roster: Vec<Member>,
}

impl Chat {
    /// Who joined. After [`Update::JoinedAnew`] the participant has another id.
    pub fn me(&self) -> &Member {
        &self.me
    }

    /// Who was here when it joined, in order of joining, itself included.
    pub fn roster(&self) -> &[Member] {
        &self.roster
    }

    /// Publishes a message, and waits for as long as it takes to know what became of it. Messages are sent
    /// one at a time, in the order in which they were given.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, text: impl Into<String>) -> Result<Receipt, PublishError> {
        let (answer, answered) = oneshot::channel();
        let publish = Command::Publish { text: text.into(), answer };
        self.commands.send(publish).await.map_err(|_| PublishError::Ended)?;
        answered.await.map_err(|_| PublishError::Ended)?
    }

    /// Leaves, after what was given to publish before. The updates end when everything up to the end has
    /// been delivered.
    ///
    /// # Errors
    /// [`LeaveError`].
    pub async fn leave(self) -> Result<Receipt, LeaveError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Leave { answer: Some(answer) }).await.map_err(|_| LeaveError::Ended)?;
        answered.await.map_err(|_| LeaveError::Ended)?
    }
}

/// What happens to a participant, in order.
#[derive(Debug)]
pub struct Updates {
    updates: mpsc::Receiver<Update>,
    state: Option<Shared>,
    /// The membership that the updates speak of, counted from 1.
    joined: u64,
    /// The event that the program has and may not have dealt with.
    given: Option<Sequence>,
}

impl Updates {
    /// The next update; none once the participant has left or could not go on. A program that does not ask
    /// holds up its own stream, and nobody else's. Who asks has dealt with the update before: after a crash
    /// it does not come again.
    pub async fn next(&mut self) -> Option<Update> {
        if let (Some(sequence), Some(state)) = (self.given.take(), &self.state) {
            state.shown(self.joined, sequence);
        }
        let update = self.updates.recv().await;
        match &update {
            Some(Update::Event(event)) => self.given = Some(event.sequence),
            Some(Update::JoinedAnew { .. }) => self.joined += 1,
            _ => {}
        }
        update
    }
}
