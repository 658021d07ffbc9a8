//! Publishes one batch at a time, until it is known to be applied.
//!
//! An acknowledgement by the servers does not settle a batch: it may be lost although the batch was stored, and batches of
//! other replicas may come before an acknowledged one. So the reader gets the batch's position, and the batch is published
//! again until the reader has handed it over; the state machine applies it only once.

use std::time::Duration;

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::error::ReplicaError;
use super::log::CommandLog;
use super::reader::{Acknowledged, LogNews};
use super::setup;

/// How soon the batch is published again after a failure.
const RETRY: Duration = Duration::from_millis(50);
/// How long to wait for the acknowledgement after a failure. A leader that has just been elected may lose a batch without
/// an error.
const ANSWER_TIME_AFTER_FAILURE: Duration = Duration::from_millis(500);
/// How soon it is published again after an acknowledgement, if the reader has not handed it over.
const UNSEEN: Duration = Duration::from_secs(3);
/// After this long without an acknowledgement, the replica connects to another server. A server that is cut off from the
/// others does not answer, or answers that the stream has no leader, for as long as that lasts.
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
    pub(super) fn start(log: CommandLog, news: mpsc::Sender<LogNews>, reader: mpsc::Sender<Acknowledged>) -> Self {
        let (sender, proposals) = watch::channel(None);
        tokio::spawn(run(log, proposals, news, reader));
        Self(sender)
    }

    /// Publishes a message until it is settled. It replaces the previous one.
    pub fn propose(&self, message: impl Into<Bytes>, after: u64) {
        self.0.send_replace(Some(Proposal { message: message.into(), after }));
    }

    /// Stops publishing the message, since the reader has handed it over.
    pub fn settled(&self) {
        self.0.send_replace(None);
    }
}

async fn run(
    log: CommandLog,
    mut proposals: watch::Receiver<Option<Proposal>>,
    news: mpsc::Sender<LogNews>,
    reader: mpsc::Sender<Acknowledged>,
) {
    let mut disconnects = log.disconnects();
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
        disconnects.mark_unchanged();
        let since = Instant::now();
        let attempt = async {
            let pause = match publish(&log, message.clone(), failing.is_some()).await {
                Ok(stored) if stored <= after => {
                    let _ = news.send(LogNews::Fault(ReplicaError::Shortened { stored, applied: after })).await;
                    UNSEEN
                }
                Ok(position) => {
                    #[cfg(test)]
                    let _ = news.send(LogNews::Acknowledged).await;
                    failing = None;
                    // A busy reader gets the message from the servers instead.
                    let _ = reader.try_send(Acknowledged { position, message });
                    UNSEEN
                }
                Err(error) => {
                    tracing::debug!(error, "a batch was not acknowledged");
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
            // The batch, or its acknowledgement, may be lost. It is published again on the next connection.
            Ok(()) = disconnects.changed() => {}
            () = attempt => {}
        }
    }
}

/// Publishes once. Returns the position at which the stream has stored it.
async fn publish(log: &CommandLog, message: Bytes, is_failing: bool) -> Result<u64, String> {
    let publish = PublishMessage::build().payload(message).expected_stream(log.name());
    let publishing = async {
        let stored = log.context().send_publish(setup::subject(log.name()), publish).await?.await?;
        Ok::<_, PublishError>(stored.sequence)
    };
    // Otherwise the context's own, longer time limit applies.
    let time = if is_failing { ANSWER_TIME_AFTER_FAILURE } else { Duration::MAX };
    match timeout(time, publishing).await {
        Ok(published) => published.map_err(|error| error.to_string()),
        Err(_) => Err("there was no answer in time".into()),
    }
}
