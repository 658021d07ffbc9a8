//! Several services that act as one: replicas that decide by a common log of commands (specification, chapter 15, and
//! docs/replicas.md).
//!
//! The log is a stream of NATS JetStream. Each replica packs incoming requests into batches ([`encoding`]), publishes
//! them ([`publisher`]), reads all batches back in the log's order ([`reader`]), and applies them to its copy
//! ([`applier`]). Nothing here decides anything: [`Cluster`](crate::chat::Cluster) does.

mod access;
mod applier;
mod encoding;
mod error;
#[cfg(test)]
mod faults;
mod log;
mod publisher;
mod reader;
mod setup;
mod start;

pub use access::{Settings, check_named_once, parse_server};
pub use applier::{AppliedBatch, Applier};
pub use encoding::{BATCH_BYTES_MAX, encoded_len};
pub use error::{ReplicaError, SetupFault};
pub use log::CommandLog;
pub use publisher::Publisher;
pub use reader::{Entry, LogNews};
pub use start::{Identity, MESSAGES_TOGETHER, ReplicaParts, copy};
