//! Why a replica cannot start, or has to stop.

use crate::journal::sqlite::REMOVE_COPY;
use crate::journal::{JournalError, RecoveryError};

/// A replica that cannot start, or has to stop.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum ReplicaError {
    /// Its configuration cannot work.
    #[error("--replicate: {0}")]
    Setup(#[from] SetupFault),
    /// Its copy cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Its copy cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The stream lacks a message that was there, or never had it.
    #[error(
        "the stream lacks message {position}, though there are later ones: messages have been deleted or lost on the \
         servers. Stop all replicas, and restore the servers from a backup"
    )]
    Gap { position: u64 },
    /// The stream has reused a position that this replica has applied.
    #[error(
        "the stream stored a message at {stored}, but this replica has applied message {applied}: messages have been lost \
         on the servers. Stop all replicas, and restore the servers from a backup"
    )]
    Shortened { stored: u64, applied: u64 },
    /// The servers acknowledged a message of this replica, and now show another one at its position.
    #[error(
        "the servers acknowledged a message of this replica at {position}, and show another one there: messages have been \
         lost on the servers. Stop all replicas, and restore the servers from a backup"
    )]
    Displaced { position: u64 },
    /// Another replica reached a different state from the same log, or read a different log.
    #[error(
        "the replica that started at position {other} had a different state after message {position}: the servers have \
         shown the two replicas different messages, or their programs decide differently. This replica stops"
    )]
    Diverged { other: u64, position: u64 },
    /// A newer program takes part.
    #[error("message {position} of the stream cannot be applied: {why}. Update this replica")]
    Newer { position: u64, why: String },
    /// Two processes have the same name.
    #[error(
        "another replica is running under the name {name}: give this one a different name with --replica-name"
    )]
    NameInUse { name: String },
}

impl ReplicaError {
    /// Whether trying again may help, as when the copy's disk is full.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Unavailable(_)))
    }
}

/// A set-up that cannot work. It is refused before anything is served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum SetupFault {
    /// No server can be reached.
    #[error("no NATS server can be reached: {why}")]
    Unreachable { why: String },
    /// A server is named twice.
    #[error("the server {server} is named twice: each server counts once")]
    NamedTwice { server: String },
    /// The servers refuse access to the replica.
    #[error("{servers}: access refused: {why}")]
    Refused { servers: String, why: String },
    /// The servers accept the replica's credentials, but deny it an operation that it needs.
    #[error("a permission is missing: {complaint}. docs/replicas.md lists those that a replica needs")]
    Forbidden { complaint: String },
    /// The account has no JetStream.
    #[error("the server {server} offers JetStream, but not to the account of these credentials")]
    AccountWithoutJetStream { server: String },
    /// The credentials cannot be read.
    #[error("the credentials {file} cannot be read: {why}")]
    Credentials { file: String, why: String },
    /// A server is too old.
    #[error(
        "the server {server} has version {found}, but replicas need at least {needed}: earlier versions can lose \
         messages"
    )]
    OldServer { server: String, found: String, needed: String },
    /// A server has no JetStream.
    #[error("the server {server} does not offer JetStream")]
    NoJetStream { server: String },
    /// The servers do not belong together.
    #[error("the servers {one} and {other} belong to different clusters: {why}")]
    TwoClusters { one: String, other: String, why: String },
    /// The stream keeps too few copies.
    #[error(
        "the stream {stream} has {replicas} replicas, but there are {servers} servers: it needs {needed} \
         (nats stream edit {stream} --replicas {needed})"
    )]
    TooFewReplicas { stream: String, replicas: usize, servers: usize, needed: usize },
    /// A setting of the stream is wrong.
    #[error("the stream {stream} has {setting} {found}, but replicas need {needed}")]
    Setting { stream: String, setting: &'static str, found: String, needed: String },
    /// The stream is not one of Chit Chat's.
    #[error("the stream {stream} contains something other than Chit Chat's commands: {why}")]
    Foreign { stream: String, why: String },
    /// The copy is of another conversation.
    #[error(
        "the journal is of epoch {copy}, but the stream {stream} is of epoch {found}: the stream was created anew, or \
         the journal belongs to another cluster. If that is intended, name another file for the journal"
    )]
    AnotherEpoch { copy: String, stream: String, found: String },
    /// The stream is shorter than the copy.
    #[error(
        "the stream {stream} ends with message {last}, but this replica has applied message {applied}: messages have been \
         lost on the servers. Nothing is served; restore the servers from a backup"
    )]
    Shorter { stream: String, last: u64, applied: u64 },
    /// The stream has another message where the copy ends.
    #[error(
        "message {position} of the stream {stream} is not the one that this replica has applied: the stream or the \
         journal has been replaced"
    )]
    Contradicts { stream: String, position: u64 },
    /// The copy contradicts itself.
    #[error(
        "the journal is damaged: its sessions do not match the participants of its events; {remedy}",
        remedy = REMOVE_COPY
    )]
    Damaged,
    /// A request was not answered, usually because a permission or a majority of the servers is missing.
    #[error("{what} failed: {why}")]
    Failed { what: &'static str, why: String },
}
