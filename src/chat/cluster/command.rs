//! The commands that replicas write to their common log.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::chat::{Command, DisplayName, LogicalTime, ParticipantId, Sequence, SessionKey};

/// One start of one replica: the position of its Start in the log. No two starts have the same position, and no delayed
/// batch can bring back a start that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The value for a replica that has not started yet.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message of the log: the commands of one replica that had arrived by the time it was sent.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The replica; [`Incarnation::NONE`] for its Start.
    pub from: Incarnation,
    /// Its number among the replica's batches: 1, 2, 3 …
    pub number: u64,
    /// The replica's wall clock, for people.
    pub at: SystemTime,
    /// Its commands, in order.
    pub commands: Vec<ClusterCommand>,
}

/// A command of a replica.
#[derive(Clone, Debug)]
pub enum ClusterCommand {
    /// A replica starts. It is alone in its batch.
    Start {
        /// The name that its operator gave it.
        name: Arc<str>,
        /// A random number by which it recognizes its own start.
        nonce: u64,
    },
    /// The replica stops in an orderly way.
    Stop,
    /// The replica is alive. This also serves as a barrier: once it is applied, so is everything before it.
    Beat,
    /// A new participant, attached to the replica.
    Join {
        /// Its display name.
        display_name: DisplayName,
        /// Its session.
        session: SessionKey,
        /// The sender's Lamport clock in the request.
        sent: LogicalTime,
    },
    /// A session is attached to the replica, and no longer to any other.
    Attach {
        /// The session.
        session: SessionKey,
        /// The last event that its client has.
        after: Sequence,
    },
    /// A stream of the replica has ended.
    Detach {
        /// The participant whose stream it was.
        participant: ParticipantId,
        /// The generation of the stream's attachment.
        generation: u64,
    },
    /// The grace period of a participant is over. Void if its session has been attached since.
    Expire {
        /// The participant.
        participant: ParticipantId,
        /// The generation that was detached.
        generation: u64,
    },
    /// A replica has been silent for too long. Void if it has written meanwhile.
    Gone {
        /// The silent replica.
        replica: Incarnation,
        /// The number of its last batch that the proposer has applied.
        batch: u64,
    },
    /// A publish or a leave.
    Act(Command),
}
