//! Publishes one batch at a time, until it is known to be applied.
//!
//! An acknowledgement by the servers settles nothing: it may be lost although the batch was stored, and other batches
//! may come before an acknowledged one. So a batch is published again until this replica's own reader has brought it
//! back; the state machine applies it once.

use std::time::Duration;

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::error::ReplicaError;
use super::log::CommandLog;
use super::reader::LogNews;
use super::setup;

/// How soon the batch is published again after a failure.
const RETRY: Duration = Duration::from_millis(100);
/// How soon it is published again after an acknowledgement, if the reader has not brought it back.
const UNSEEN: Duration = Duration::from_secs(3);
/// How long without an acknowledgement before the connection is given up for one to another server. A server that is
/// cut off from the others answers nothing, or that the stream has no leader, for as long as that lasts.
const TIME_PER_CONNECTION: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
struct Proposal {
    message: Bytes,
    /// The last message that had been applied when the batch was made; the batch comes after it.
    after: u64,
}

/// Publishes to the log.
#[derive(Debug)]
pub struct Publisher(watch::Sender<Option<Proposal>>);

impl Publisher {
    /// Starts the task that publishes.
    pub(super) fn start(log: CommandLog, faults: mpsc::Sender<LogNews>) -> Self {
        let (sender, proposals) = watch::channel(None);
        tokio::spawn(run(log, proposals, faults));
        Self(sender)
    }

    /// Publishes a message, in place of the one before, until it is settled.
    pub fn propose(&self, message: impl Into<Bytes>, after: u64) {
        self.0.send_replace(Some(Proposal { message: message.into(), after }));
    }

    /// The reader has brought the message back.
    pub fn settled(&self) {
        self.0.send_replace(None);
    }
}

async fn run(log: CommandLog, mut proposals: watch::Receiver<Option<Proposal>>, faults: mpsc::Sender<LogNews>) {
    // Since when acknowledgements have been missing on this connection.
    let mut failing: Option<Instant> = None;
    loop {
        let proposal = proposals.borrow_and_update().clone();
        let Some(Proposal { message, after }) = proposal else {
            if proposals.changed().await.is_err() {
                return;
            }
            continue;
        };
        let since = Instant::now();
        let attempt = async {
            let pause = match publish(&log, message).await {
                Ok(stored) if stored <= after => {
                    let _ = faults.send(LogNews::Fault(ReplicaError::Shortened { stored, applied: after })).await;
                    UNSEEN
                }
                Ok(_) => {
                    #[cfg(test)]
                    let _ = faults.send(LogNews::Acknowledged).await;
                    failing = None;
                    UNSEEN
                }
                Err(error) => {
                    tracing::debug!(%error, "a batch was not acknowledged");
                    if failing.get_or_insert(since).elapsed() > TIME_PER_CONNECTION {
                        failing = None;
                        let _ = log.context().client().force_reconnect().await;
                    }
                    RETRY
                }
            };
            sleep(pause).await;
        };
        tokio::select! {
            changed = proposals.changed() => if changed.is_err() { return },
            () = attempt => {}
        }
    }
}

/// Publishes once. Returns the position at which the stream has stored it.
async fn publish(log: &CommandLog, message: Bytes) -> Result<u64, PublishError> {
    let publish = PublishMessage::build().payload(message).expected_stream(log.name());
    let stored = log.context().send_publish(setup::subject(log.name()), publish).await?.await?;
    Ok(stored.sequence)
}
