//! The messages of the log, as protocol buffers.
//!
//! Fields are only ever added. A message of a newer format stops a replica that does not know it: skipping a message
//! that others apply would make its state differ from theirs.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};

use crate::chat::{
    Batch, ClusterCommand, Command, DisplayName, Incarnation, LogicalTime, MessageId, MessageText, ParticipantId,
    Sequence, SessionKey,
};
use crate::journal::{Chain, LogDigest};

/// The most bytes of commands in a batch. The stream takes messages of up to 1 MiB.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;

/// The format that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What a replica had applied when it made a batch. Every other replica compares it with what it applied itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The last message of the log.
    pub position: u64,
    /// The digest of the log up to it.
    pub digest: LogDigest,
    /// The chain of the newest event there.
    pub chain: Chain,
}

/// A message of the log.
#[derive(Clone, Debug)]
pub enum LogMessage {
    /// The first message, which names the conversation.
    Genesis {
        /// The epoch of all replicas.
        epoch: String,
    },
    /// A batch, with what its replica had applied by then. A Start has none.
    Batch {
        /// The batch.
        batch: Batch,
        /// What its replica had applied.
        prefix: Option<Prefix>,
    },
}

/// A message that cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No replica wrote it: all skip it.
    #[error("it is not a message of a replica")]
    Foreign,
    /// A newer program wrote it.
    #[error("it has format {0}, and the newest that this program knows is {FORMAT}")]
    Newer(u32),
}

#[derive(Clone, PartialEq, Message)]
struct PbMessage {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(oneof = "PbKind", tags = "2, 3")]
    kind: Option<PbKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum PbKind {
    #[prost(string, tag = "2")]
    Genesis(String),
    #[prost(message, tag = "3")]
    Batch(PbBatch),
}

#[derive(Clone, PartialEq, Message)]
struct PbBatch {
    #[prost(uint64, tag = "1")]
    from: u64,
    #[prost(uint64, tag = "2")]
    number: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "3")]
    at: u64,
    #[prost(message, optional, tag = "4")]
    prefix: Option<PbPrefix>,
    #[prost(message, repeated, tag = "5")]
    commands: Vec<PbCommand>,
}

#[derive(Clone, PartialEq, Message)]
struct PbPrefix {
    #[prost(uint64, tag = "1")]
    position: u64,
    #[prost(bytes = "vec", tag = "2")]
    digest: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    chain: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PbCommand {
    #[prost(oneof = "PbWhat", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    what: Option<PbWhat>,
}

#[derive(Clone, PartialEq, Oneof)]
enum PbWhat {
    #[prost(message, tag = "1")]
    Start(PbStart),
    #[prost(message, tag = "2")]
    Stop(PbNothing),
    #[prost(message, tag = "3")]
    Beat(PbNothing),
    #[prost(message, tag = "4")]
    Join(PbJoin),
    #[prost(message, tag = "5")]
    Attach(PbAttach),
    #[prost(message, tag = "6")]
    Detach(PbGeneration),
    #[prost(message, tag = "7")]
    Expire(PbGeneration),
    #[prost(message, tag = "8")]
    Gone(PbGone),
    #[prost(message, tag = "9")]
    Publish(PbPublish),
    #[prost(message, tag = "10")]
    Leave(PbLeave),
}

#[derive(Clone, PartialEq, Message)]
struct PbNothing {}

#[derive(Clone, PartialEq, Message)]
struct PbStart {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(fixed64, tag = "2")]
    nonce: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbJoin {
    #[prost(string, tag = "1")]
    display_name: String,
    #[prost(bytes = "vec", tag = "2")]
    session: Vec<u8>,
    #[prost(uint64, tag = "3")]
    sent: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbAttach {
    #[prost(bytes = "vec", tag = "1")]
    session: Vec<u8>,
    #[prost(uint64, tag = "2")]
    after: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbGeneration {
    #[prost(uint64, tag = "1")]
    participant: u64,
    #[prost(uint64, tag = "2")]
    generation: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbGone {
    #[prost(uint64, tag = "1")]
    replica: u64,
    #[prost(uint64, tag = "2")]
    batch: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbPublish {
    #[prost(bytes = "vec", tag = "1")]
    session: Vec<u8>,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(string, tag = "3")]
    message_id: String,
    #[prost(uint64, tag = "4")]
    seen: u64,
    #[prost(uint64, tag = "5")]
    sent: u64,
    /// The sender's wall clock since 1970, if it is stated: seconds and nanoseconds.
    #[prost(uint64, optional, tag = "6")]
    sent_at_seconds: Option<u64>,
    #[prost(uint32, tag = "7")]
    sent_at_nanos: u32,
}

#[derive(Clone, PartialEq, Message)]
struct PbLeave {
    #[prost(bytes = "vec", tag = "1")]
    session: Vec<u8>,
    #[prost(uint64, tag = "2")]
    sent: u64,
}

/// How many bytes a command takes in a batch, at most.
pub fn encoded_len(command: &ClusterCommand) -> usize {
    /// Tag and length of an entry of the list.
    const ENTRY: usize = 6;
    PbCommand::from(command).encoded_len() + ENTRY
}

impl LogMessage {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kind = Some(match self {
            Self::Genesis { epoch } => PbKind::Genesis(epoch.clone()),
            Self::Batch { batch, prefix } => PbKind::Batch(PbBatch {
                from: batch.from.0,
                number: batch.number,
                at: nanos(batch.at),
                prefix: prefix.map(|prefix| PbPrefix {
                    position: prefix.position,
                    digest: prefix.digest.0.to_vec(),
                    chain: prefix.chain.as_bytes().to_vec(),
                }),
                commands: batch.commands.iter().map(PbCommand::from).collect(),
            }),
        });
        PbMessage { format: FORMAT, kind }.encode_to_vec()
    }

    /// Reads it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let message = PbMessage::decode(bytes).map_err(|_| Unreadable::Foreign)?;
        match message.kind {
            _ if message.format > FORMAT => Err(Unreadable::Newer(message.format)),
            Some(PbKind::Genesis(epoch)) => Ok(Self::Genesis { epoch }),
            Some(PbKind::Batch(batch)) => batch.decoded().ok_or(Unreadable::Foreign),
            None => Err(Unreadable::Foreign),
        }
    }
}

impl PbBatch {
    fn decoded(self) -> Option<LogMessage> {
        let prefix = match self.prefix {
            Some(prefix) => Some(prefix.decoded()?),
            None => None,
        };
        let commands = self.commands.into_iter().map(PbCommand::decoded).collect::<Option<_>>()?;
        let at = UNIX_EPOCH.checked_add(Duration::from_nanos(self.at))?;
        let batch = Batch { from: Incarnation(self.from), number: self.number, at, commands };
        Some(LogMessage::Batch { batch, prefix })
    }
}

impl PbPrefix {
    fn decoded(self) -> Option<Prefix> {
        let digest = LogDigest(self.digest.try_into().ok()?);
        Some(Prefix { position: self.position, digest, chain: Chain::from_bytes(self.chain.try_into().ok()?) })
    }
}

impl From<&ClusterCommand> for PbCommand {
    fn from(command: &ClusterCommand) -> Self {
        let what = match command {
            ClusterCommand::Start { name, nonce } => {
                PbWhat::Start(PbStart { name: name.to_string(), nonce: *nonce })
            }
            ClusterCommand::Stop => PbWhat::Stop(PbNothing {}),
            ClusterCommand::Beat => PbWhat::Beat(PbNothing {}),
            ClusterCommand::Join { display_name, session, sent } => {
                let display_name = display_name.as_str().to_owned();
                PbWhat::Join(PbJoin { display_name, session: session.0.to_vec(), sent: sent.0 })
            }
            ClusterCommand::Attach { session, after } => {
                PbWhat::Attach(PbAttach { session: session.0.to_vec(), after: after.0 })
            }
            ClusterCommand::Detach { participant, generation } => {
                PbWhat::Detach(PbGeneration { participant: participant.0.0, generation: *generation })
            }
            ClusterCommand::Expire { participant, generation } => {
                PbWhat::Expire(PbGeneration { participant: participant.0.0, generation: *generation })
            }
            ClusterCommand::Gone { replica, batch } => PbWhat::Gone(PbGone { replica: replica.0, batch: *batch }),
            ClusterCommand::Act(Command::Publish { session, text, message_id, seen, sent, sent_at }) => {
                let sent_at = sent_at.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default());
                PbWhat::Publish(PbPublish {
                    session: session.0.to_vec(),
                    text: text.as_str().to_owned(),
                    message_id: message_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
                    seen: seen.0,
                    sent: sent.0,
                    sent_at_seconds: sent_at.map(|at| at.as_secs()),
                    sent_at_nanos: sent_at.map_or(0, |at| at.subsec_nanos()),
                })
            }
            ClusterCommand::Act(Command::Leave { session, sent }) => {
                PbWhat::Leave(PbLeave { session: session.0.to_vec(), sent: sent.0 })
            }
            // Joins and expiries have their own commands here.
            ClusterCommand::Act(Command::Join { .. } | Command::Expire { .. }) => PbWhat::Beat(PbNothing {}),
        };
        Self { what: Some(what) }
    }
}

impl PbCommand {
    /// `None` for a command that no replica would write.
    fn decoded(self) -> Option<ClusterCommand> {
        let session = |bytes: Vec<u8>| bytes.try_into().ok().map(SessionKey);
        Some(match self.what? {
            PbWhat::Start(PbStart { name, nonce }) => ClusterCommand::Start { name: name.into(), nonce },
            PbWhat::Stop(PbNothing {}) => ClusterCommand::Stop,
            PbWhat::Beat(PbNothing {}) => ClusterCommand::Beat,
            PbWhat::Join(join) => ClusterCommand::Join {
                display_name: DisplayName::parse(&join.display_name).ok()?,
                session: session(join.session)?,
                sent: LogicalTime(join.sent),
            },
            PbWhat::Attach(attach) => {
                ClusterCommand::Attach { session: session(attach.session)?, after: Sequence(attach.after) }
            }
            PbWhat::Detach(PbGeneration { participant, generation }) => {
                ClusterCommand::Detach { participant: ParticipantId(Sequence(participant)), generation }
            }
            PbWhat::Expire(PbGeneration { participant, generation }) => {
                ClusterCommand::Expire { participant: ParticipantId(Sequence(participant)), generation }
            }
            PbWhat::Gone(PbGone { replica, batch }) => {
                ClusterCommand::Gone { replica: Incarnation(replica), batch }
            }
            PbWhat::Publish(publish) => ClusterCommand::Act(Command::Publish {
                session: session(publish.session)?,
                text: MessageText::parse(publish.text).ok()?,
                message_id: MessageId::parse(publish.message_id).ok()?,
                seen: Sequence(publish.seen),
                sent: LogicalTime(publish.sent),
                sent_at: match publish.sent_at_seconds {
                    Some(seconds) => Some(UNIX_EPOCH.checked_add(Duration::new(seconds, publish.sent_at_nanos))?),
                    None => None,
                },
            }),
            PbWhat::Leave(leave) => ClusterCommand::Act(Command::Leave {
                session: session(leave.session)?,
                sent: LogicalTime(leave.sent),
            }),
        })
    }
}

/// Times before 1970, from a clock that was never set, count as 1970.
fn nanos(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
