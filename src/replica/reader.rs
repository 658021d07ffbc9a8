//! Reads the log from a position on, in order and without a gap. On any error, gap or silence it starts again after the
//! last message that it handed over.
//!
//! A message of this replica need not be read back: the servers' acknowledgement states its position, and it is handed over
//! in its turn. While the servers deliver nothing, the few messages before it are fetched one by one.

mod merging;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::Stream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;

use super::error::ReplicaError;
use super::log::CommandLog;
use merging::{Comparison, Merging};

/// How many messages can wait to be applied.
pub(super) const MESSAGES_WAITING: usize = 64;
/// How many messages the servers send ahead.
const MESSAGES_AHEAD: usize = 128;
/// How often the servers send a heartbeat when there is nothing new. A silence of two intervals is an error.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long one request for messages is valid.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long the servers keep a reader that is gone.
const READER_KEPT: Duration = Duration::from_secs(30);
/// How long to wait before the reader starts again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the servers may take to provide a reader.
const OPENING_TIME: Duration = Duration::from_secs(1);
/// If at most this many messages are missing before an acknowledged one, they are fetched one by one.
const MESSAGES_FETCHED: u64 = 64;
/// How long fetching a message may take.
const FETCH_TIME: Duration = Duration::from_millis(500);

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

/// A message of this replica that the servers have stored.
#[derive(Debug)]
pub(super) struct Acknowledged {
    pub(super) position: u64,
    pub(super) message: Bytes,
}

/// Why reading was interrupted.
enum Interruption {
    /// The receiver of the messages is gone.
    Closed,
    /// Reading failed, for this reason.
    Failed(String),
    /// A message was skipped.
    Gap,
    /// The message at this position is not the one that the servers had acknowledged.
    Displaced(u64),
}

/// The parts of a reader.
pub(super) struct ReaderParts {
    pub(super) log: CommandLog,
    /// Reading begins after this message.
    pub(super) after: u64,
    pub(super) news: mpsc::Sender<LogNews>,
    /// Messages of this replica, as the servers acknowledge them.
    pub(super) acknowledged: mpsc::Receiver<Acknowledged>,
    /// Makes the reader start again.
    pub(super) restart: Arc<Notify>,
}

/// Begins to read.
pub(super) fn start(parts: ReaderParts) {
    let ReaderParts { log, after, news, acknowledged, restart } = parts;
    let reader = Reader { log, news, acknowledged, restart, merging: Merging::after(after), has_been_open: false };
    tokio::spawn(reader.run());
}

struct Reader {
    log: CommandLog,
    news: mpsc::Sender<LogNews>,
    acknowledged: mpsc::Receiver<Acknowledged>,
    restart: Arc<Notify>,
    merging: Merging,
    /// Whether the servers have ever provided a reader. A replica does not start without one.
    has_been_open: bool,
}

impl Reader {
    async fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            let why = match self.read(pause).await {
                Interruption::Closed => return,
                Interruption::Failed(why) => why,
                Interruption::Displaced(position) => {
                    return self.end(ReplicaError::Displaced { position }).await;
                }
                Interruption::Gap => match self.log.check_gap(self.merging.next()).await {
                    Ok(()) => "a message was skipped".into(),
                    Err(fault @ ReplicaError::Gap { .. }) => return self.end(fault).await,
                    Err(error) => error.to_string(),
                },
            };
            #[cfg(test)]
            super::faults::note_restart();
            if self.news.send(LogNews::Restarted(why)).await.is_err() {
                return;
            }
            pause = PAUSE;
        }
    }

    async fn end(self, fault: ReplicaError) {
        let _ = self.news.send(LogNews::Fault(fault)).await;
    }

    async fn read(&mut self, pause: Duration) -> Interruption {
        let mut messages = match self.open(pause).await {
            Ok(messages) => messages,
            Err(interruption) => return interruption,
        };
        self.has_been_open = true;
        if let Err(interruption) = self.hand_over_acknowledged().await {
            return interruption;
        }
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                Some(Acknowledged { position, message }) = self.acknowledged.recv() => {
                    self.merging.acknowledge(position, message);
                    match self.hand_over_acknowledged().await {
                        Ok(()) => continue,
                        Err(interruption) => return interruption,
                    }
                }
                () = self.news.closed() => return Interruption::Closed,
                () = self.restart.notified() => {
                    return Interruption::Failed("no message came back for too long".into());
                }
            };
            let message = match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Interruption::Failed(error.to_string()),
                None => return Interruption::Failed("the servers ended the delivery".into()),
            };
            let (position, behind) = match message.info() {
                Ok(info) => (info.stream_sequence, info.pending),
                Err(error) => return Interruption::Failed(error.to_string()),
            };
            let entry = Entry { position, message: message.message.payload, behind };
            if let Err(interruption) = self.deliver(entry).await {
                return interruption;
            }
        }
    }

    /// Asks the servers to deliver the next messages. Meanwhile it hands over acknowledged ones.
    async fn open(&mut self, pause: Duration) -> Result<Stream, Interruption> {
        self.merging.restart();
        let opening = open(self.log.clone(), self.merging.next(), pause);
        tokio::pin!(opening);
        loop {
            if self.has_been_open {
                self.fetch().await?;
                self.hand_over_acknowledged().await?;
            }
            tokio::select! {
                opened = &mut opening => return opened.map_err(Interruption::Failed),
                Some(Acknowledged { position, message }) = self.acknowledged.recv() => {
                    self.merging.acknowledge(position, message);
                }
                () = self.news.closed() => return Err(Interruption::Closed),
            }
        }
    }

    /// Fetches the messages before an acknowledged one, if only a few are missing.
    async fn fetch(&mut self) -> Result<(), Interruption> {
        while self.merging.lacks_at_most(MESSAGES_FETCHED) && !self.merging.lacks_at_most(0) {
            let position = self.merging.next();
            let Ok(Some(message)) = timeout(FETCH_TIME, self.log.message_now(position)).await else { break };
            self.deliver(Entry { position, message, behind: 0 }).await?;
        }
        Ok(())
    }

    /// Takes a message from the servers.
    async fn deliver(&mut self, entry: Entry) -> Result<(), Interruption> {
        match self.merging.deliver(entry.position, &entry.message) {
            Comparison::Next => self.hand_over(entry).await?,
            Comparison::Known => return Ok(()),
            Comparison::Gap => return Err(Interruption::Gap),
            Comparison::Another => return Err(Interruption::Displaced(entry.position)),
        }
        self.hand_over_acknowledged().await
    }

    async fn hand_over_acknowledged(&mut self) -> Result<(), Interruption> {
        while let Some((position, message)) = self.merging.take() {
            self.hand_over(Entry { position, message, behind: 0 }).await?;
        }
        Ok(())
    }

    async fn hand_over(&self, entry: Entry) -> Result<(), Interruption> {
        #[cfg(test)]
        if super::faults::is_skipped(&entry.message) {
            return Ok(());
        }
        self.news.send(LogNews::Entry(entry)).await.map_err(|_| Interruption::Closed)
    }
}

/// Creates a reader on the servers, which delivers the messages from a position on.
async fn open(log: CommandLog, next: u64, pause: Duration) -> Result<Stream, String> {
    sleep(pause).await;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next },
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
    timeout(OPENING_TIME, opening).await.unwrap_or_else(|_| Err("the servers provided no reader in time".into()))
}
