//! Reads the log from a position on, in order and without a gap. On any error, gap or silence it starts again after the
//! last message that it handed over.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;

use super::error::ReplicaError;
use super::log::CommandLog;

/// How many messages wait to be applied.
pub(super) const MESSAGES_WAITING: usize = 64;
/// How many messages the servers send ahead.
const MESSAGES_AHEAD: usize = 128;
/// How often the servers send a heartbeat when there is nothing new. A silence of two intervals is an error.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long one request for messages is valid.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long the servers keep a reader that is gone.
const READER_KEPT: Duration = Duration::from_secs(30);
/// How long to wait before it starts again.
const PAUSE: Duration = Duration::from_millis(100);

/// A message of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its position.
    pub position: u64,
    /// Its contents.
    pub message: Bytes,
    /// How many messages come after it, as far as the servers knew.
    pub behind: u64,
}

/// News from the log.
#[derive(Debug)]
pub enum LogNews {
    /// The next message.
    Entry(Entry),
    /// The log can no longer be relied on.
    Fault(ReplicaError),
    /// The reader starts again, for this reason.
    Restarted(String),
    /// The servers have stored this replica's batch.
    #[cfg(test)]
    Acknowledged,
}

/// Why reading was interrupted.
enum Interruption {
    /// The messages have no receiver any more.
    Closed,
    /// Something did not work.
    Failed(String),
    /// A message was skipped.
    Gap,
}

/// Reads on after a position. `restart` makes it start again.
pub(super) fn start(log: CommandLog, after: u64, news: mpsc::Sender<LogNews>, restart: Arc<Notify>) {
    tokio::spawn(async move {
        let mut next = after + 1;
        loop {
            let why = match read(&log, &mut next, &news, &restart).await {
                Interruption::Closed => return,
                Interruption::Failed(why) => why,
                Interruption::Gap => match log.check_gap(next).await {
                    Ok(()) => "a message was skipped".into(),
                    Err(fault @ ReplicaError::Gap { .. }) => {
                        let _ = news.send(LogNews::Fault(fault)).await;
                        return;
                    }
                    Err(error) => error.to_string(),
                },
            };
            #[cfg(test)]
            super::faults::begun_anew();
            if news.send(LogNews::Restarted(why)).await.is_err() {
                return;
            }
            sleep(PAUSE).await;
        }
    });
}

async fn read(log: &CommandLog, next: &mut u64, news: &mpsc::Sender<LogNews>, restart: &Notify) -> Interruption {
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *next },
        ack_policy: AckPolicy::None,
        inactive_threshold: READER_KEPT,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let opening = async {
        let consumer = log.stream().create_consumer(config).await.map_err(|error| error.to_string())?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(MESSAGES_AHEAD)
            .expires(REQUEST_TIME)
            .heartbeat(HEARTBEAT)
            .messages();
        messages.await.map_err(|error| error.to_string())
    };
    let mut messages = tokio::select! {
        opened = opening => match opened {
            Ok(messages) => messages,
            Err(why) => return Interruption::Failed(why),
        },
        () = news.closed() => return Interruption::Closed,
    };
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = news.closed() => return Interruption::Closed,
            () = restart.notified() => return Interruption::Failed("nothing came back for too long".into()),
        };
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Interruption::Failed(error.to_string()),
            None => return Interruption::Failed("the servers ended it".into()),
        };
        let (position, behind) = match message.info() {
            Ok(info) => (info.stream_sequence, info.pending),
            Err(error) => return Interruption::Failed(error.to_string()),
        };
        if position < *next {
            continue;
        }
        if position > *next {
            return Interruption::Gap;
        }
        #[cfg(test)]
        if super::faults::is_skipped(&message.message.payload) {
            *next += 1;
            continue;
        }
        let entry = Entry { position, message: message.message.payload, behind };
        if news.send(LogNews::Entry(entry)).await.is_err() {
            return Interruption::Closed;
        }
        *next += 1;
    }
}
