//! The domain: what a conversation is and how it develops. Pure: no I/O, no async, no system clock, no generated types;
//! every result is a function of its arguments alone.
//!
//! Values are parsed once and then trusted: a [`MessageText`] or a [`DisplayName`] is always
//! valid. [`Conversation`] is the state machine that decides; nothing else does.

mod clock;
mod cluster;
mod conversation;
mod dedup;
mod event;
mod limits;
mod message;
mod name;
mod refusal;
mod sequence;

pub use clock::{CLOCK_LEAP_MAX, LamportClock, LogicalTime};
#[cfg(test)]
pub use cluster::ReplicaFault;
pub use cluster::{
    Applied, Attached, Attachment, Batch, Cluster, ClusterCommand, Departure, Fate, GoneReplica, Incarnation,
    Outcome, Replica,
};
pub use conversation::{Command, Conversation, Decision, Divergence, Member, MemberState, SnapshotFault};
pub use dedup::{MESSAGE_IDS_REMEMBERED, RememberedPublish};
pub use event::{
    Event, EventKind, LeaveReason, Participant, ParticipantId, Receipt, SessionKey, membership_sentence,
};
pub use limits::{
    COMBINING_MARKS_MAX, MESSAGE_ID_BYTES_MAX, NAME_CHARACTERS_GIVEN_MAX, NAME_CHARACTERS_MAX, TEXT_CHARACTERS_MAX,
};
pub use message::{MessageId, MessageText};
pub use name::{DisplayName, NameKey};
pub use refusal::{NameFault, Refusal};
pub use sequence::Sequence;
