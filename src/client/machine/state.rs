//! The parts of the machine's state.

use std::fmt;
use std::time::{Duration, Instant};

use crate::chat::Sequence;
use crate::client::event::ParticipantInfo;

/// The settings, which do not change.
#[derive(Debug)]
pub(in crate::client) struct ClientSettings {
    /// The participant's display name.
    pub(in crate::client) display_name: String,
    /// The addresses of the service, of which one is used at a time. There is at least one.
    pub(in crate::client) servers: Vec<String>,
    /// How long to keep trying to join if the service cannot be reached.
    pub(in crate::client) wait: Duration,
    /// How long a stream's first frame, or the answer to a leave, may take.
    pub(in crate::client) patience: Duration,
}

/// The session that an earlier process has kept.
pub(in crate::client) struct KeptSession {
    pub(in crate::client) token: String,
    pub(in crate::client) epoch: String,
    pub(in crate::client) participant_id: String,
    pub(in crate::client) clock: u64,
    /// The last event that was recorded, and the last that the program has processed.
    pub(in crate::client) position: Sequence,
    pub(in crate::client) shown: Sequence,
    /// That event's chain hash; empty if it is not known.
    pub(in crate::client) chain_hash: Vec<u8>,
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not in the conversation yet, or no longer.
    Out,
    /// A connection is being made.
    Dialling,
    /// A request to join is on its way.
    Connecting { since: Instant },
    /// The stream is open. It counts as broken if it is silent for `silence_max`. It is complete once the service has
    /// ended it normally, which may be before the answer to a leave arrives.
    Online { since: Instant, silent_since: Instant, silence_max: Duration, complete: bool },
    /// Waits for the next attempt.
    Offline { retry_at: Instant },
}

/// State that exists until the participant has joined for the first time.
#[derive(Debug)]
pub(super) struct FirstJoin {
    pub(super) began: Instant,
    /// A request was sent but not answered: it may arrive late, and would hold the name for the grace period.
    pub(super) asked: bool,
    /// Why the latest attempts failed, at most one for each server.
    pub(super) tried: Vec<crate::client::JoinError>,
}

/// The state of a leave that the program has asked for.
#[derive(Debug)]
pub(super) struct Leaving {
    /// When to give up. Each message that is answered before the leave moves it.
    pub(super) deadline: Instant,
    /// The program has already been given its outcome.
    pub(super) answered: bool,
}

/// One membership, as its Welcome states it.
pub(super) struct Membership {
    pub(super) token: String,
    pub(super) epoch: String,
    pub(super) me: ParticipantInfo,
}

impl fmt::Debug for Membership {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("epoch", &self.epoch).field("me", &self.me).finish_non_exhaustive()
    }
}

/// The causal context of a message: the events that had been delivered to its writer when it was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CausalContext {
    /// The membership to which `seen` belongs; it means nothing in another.
    pub(super) membership: u64,
    pub(super) seen: Sequence,
}

/// A message that has not been answered.
#[derive(Debug)]
pub(in crate::client) struct Outgoing {
    pub(in crate::client) id: String,
    pub(super) text: String,
    /// What had been delivered to its writer when it was submitted.
    pub(super) context: CausalContext,
    /// An attempt may have reached the service, although no answer has reached us.
    pub(super) outcome_unknown: bool,
    /// How many times in a row it failed without a reason.
    pub(super) failures: u32,
}

/// A request for earlier events.
#[derive(Debug)]
pub(in crate::client) struct ListRequest {
    /// Identifies this request.
    pub(in crate::client) ticket: u64,
    /// The event before which they end.
    pub(in crate::client) before: Sequence,
    pub(in crate::client) count: u32,
}
