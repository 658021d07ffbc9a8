//! A participant's stream: a task that reads the feed from its own position and hands batches to the
//! connection, one at a time.
//!
//! Between the two is a slot for one batch, not a queue. While the connection takes nothing the task waits
//! at the slot, and nobody else notices: the feed is not held, and what leaves its window is read from the
//! journal later.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::deliveries::DeliveredUpTo;
use super::feed::{FeedEntry, FeedReader, Found, within_batch};
use super::presence::PresenceCursor;
use super::slot::{self, Delivery, Sender};
use crate::chat::{ParticipantId, Sequence};
use crate::journal::{Epoch, History};
use crate::server::lab::control::Lab;
use crate::server::lab::gate::{Passage, StreamGate};
use crate::server::ops::context::ServerContext;
use crate::wire::{Frame, Rejection};

/// How many events and changes of presence a stream takes at a time.
const BATCH_FRAMES: usize = 256;
/// How many events a stream reads from the journal at a time. It holds them alone while its client takes nothing, so it
/// keeps what fits into one batch of bytes and reads the rest again.
const JOURNAL_EVENTS: usize = 64;

/// What every stream needs.
#[derive(Clone)]
pub struct StreamContext {
    pub reader: FeedReader,
    /// What has left the tail.
    pub history: Arc<dyn History>,
    pub epoch: Epoch,
    /// How long a stream can be quiet before it gets a heartbeat.
    pub heartbeat: Duration,
    /// How long it may take nothing.
    pub stall: Duration,
    /// What all parts of the service share.
    pub server: ServerContext,
    /// Faults for this participant, in a service that has a lab.
    pub lab: Option<Lab>,
}

/// Why a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The participant has left.
    Left,
    /// The connection is gone.
    Disconnected,
    /// The service ended it.
    Rejected(Rejection),
}

/// The task's side of a stream.
pub struct Stream {
    context: StreamContext,
    participant: ParticipantId,
    position: Sequence,
    delivered: DeliveredUpTo,
    /// The position at which the replay ends; none once CaughtUp has been sent.
    catches_up_at: Option<Sequence>,
    presence: PresenceCursor,
    /// When it last handed something over.
    handed_over: Instant,
    heartbeat: Pin<Box<Sleep>>,
    slot: Sender,
    /// None without a lab.
    gate: Option<StreamGate>,
}

/// Whether there is more to come.
enum More {
    Yes,
    No,
}

impl Stream {
    /// A stream that continues after `position` and is caught up at `head`.
    pub fn new(
        context: StreamContext,
        participant: ParticipantId,
        position: Sequence,
        head: Sequence,
        delivered: DeliveredUpTo,
    ) -> (Self, Delivery) {
        let (slot, delivery) = slot::new();
        let presence = PresenceCursor::new(participant, head);
        let (catches_up_at, handed_over) = (Some(head), Instant::now());
        let gate = context.lab.as_ref().map(|lab| StreamGate::new(lab, participant));
        let heartbeat = Box::pin(sleep(context.heartbeat));
        (
            Self {
                context,
                participant,
                position,
                delivered,
                catches_up_at,
                presence,
                handed_over,
                heartbeat,
                slot,
                gate,
            },
            delivery,
        )
    }

    /// Serves the stream until it ends, and says why to both sides. It is cut off when another stream replaces it and,
    /// as the token is a child of that, when the service stops: one token, because each is asked at every wake-up.
    pub async fn run(mut self, welcome: Frame, cut_off: CancellationToken) -> StreamEnd {
        let (closed, stopping) = (self.slot.closed(), self.context.server.stopping.clone());
        let ended = tokio::select! {
            biased;
            () = closed => StreamEnd::Disconnected,
            () = cut_off.cancelled() => StreamEnd::Rejected(
                if stopping.is_cancelled() { Rejection::ShuttingDown } else { Rejection::Replaced },
            ),
            ended = self.deliver(welcome) => ended,
        };
        self.slot.end(match &ended {
            StreamEnd::Rejected(rejection) => Err(rejection.clone()),
            StreamEnd::Left | StreamEnd::Disconnected => Ok(()),
        });
        ended
    }

    async fn deliver(&mut self, welcome: Frame) -> StreamEnd {
        if self.gate.is_some()
            && let Err(end) = self.wait_while_silent().await
        {
            return end;
        }
        let mut step = self.hand_over(vec![welcome]).await;
        loop {
            match step {
                Ok(More::Yes) if self.gate.is_some() => step = self.gated_step().await,
                Ok(More::Yes) => step = self.step(BATCH_FRAMES).await,
                Ok(More::No) => return StreamEnd::Left,
                Err(end) => return end,
            }
        }
    }

    /// What the lab lets pass now. It does not touch a participant that has left.
    fn look(&mut self) -> Passage {
        let (head, is_active) = self.context.reader.look(self.participant);
        match &mut self.gate {
            Some(gate) if is_active => gate.look(self.position, head, Instant::now()),
            _ => Passage::Open,
        }
    }

    /// The Welcome, too, is lost on a broken network.
    async fn wait_while_silent(&mut self) -> Result<More, StreamEnd> {
        while self.gate.as_mut().is_some_and(StreamGate::is_silent) {
            self.context.reader.look(self.participant);
            self.wait_silently().await?;
        }
        Ok(More::Yes)
    }

    /// A step as far as the lab lets pass. While the lab holds something back the stream waits here and not at the
    /// slot, so its reader does not count as stalled.
    async fn gated_step(&mut self) -> Result<More, StreamEnd> {
        match self.look() {
            Passage::Open => self.step(BATCH_FRAMES).await,
            Passage::UpTo(limit) if limit > self.position => {
                let most = usize::try_from(limit.0 - self.position.0).unwrap_or(BATCH_FRAMES);
                self.step(most.min(BATCH_FRAMES)).await
            }
            Passage::UpTo(_) => self.idle().await,
            Passage::Silent => self.wait_silently().await,
            Passage::Notice(frame) => self.hand_over(vec![frame]).await,
            Passage::Broken => Err(StreamEnd::Rejected(Rejection::LabDisconnected)),
        }
    }

    /// Takes what follows the position, `most` events at most.
    async fn step(&mut self, most: usize) -> Result<More, StreamEnd> {
        match self.context.reader.after(self.position, &mut self.presence, most) {
            Found::News { entries, presence } => self.send(entries, presence).await,
            Found::Lagged => {
                let head = self.context.reader.head();
                let events = self
                    .context
                    .history
                    .read(self.position, JOURNAL_EVENTS.min(most))
                    .await
                    .map_err(unreadable)?;
                if events.is_empty() {
                    return Err(unreadable("it lacks events that have been told"));
                }
                // The journal may be a batch ahead of the feed.
                let told = events.iter().take_while(|event| event.sequence <= head);
                let entries = within_batch(told.map(FeedEntry::from)).collect();
                // While it waits, a stream holds no more than its batch.
                drop(events);
                self.send(entries, Vec::new()).await
            }
            Found::Nothing => self.idle().await,
        }
    }

    /// Waits for news, and sends what is due without them.
    async fn idle(&mut self) -> Result<More, StreamEnd> {
        let mut due = Vec::new();
        self.note_caught_up(&mut due);
        if !due.is_empty() {
            return self.hand_over(due).await;
        }
        self.wait().await
    }

    /// Waits for news, or for the time of a heartbeat. The timer stays armed through the events of a lively
    /// conversation: when it fires, it is set to where the last of them has moved the heartbeat.
    async fn wait(&mut self) -> Result<More, StreamEnd> {
        let due = self.handed_over + self.context.heartbeat;
        tokio::select! {
            biased;
            changed = self.context.reader.changed() => match changed {
                true => Ok(More::Yes),
                false => Err(StreamEnd::Rejected(Rejection::ShuttingDown)),
            },
            () = gate_changed(&mut self.gate), if self.gate.is_some() => Ok(More::Yes),
            () = self.heartbeat.as_mut() => {
                if Instant::now() >= due {
                    self.heartbeat.as_mut().reset(Instant::now() + self.context.heartbeat);
                    return self.hand_over(vec![Frame::heartbeat(self.position)]).await;
                }
                self.heartbeat.as_mut().reset(due);
                Ok(More::Yes)
            }
        }
    }

    /// Waits for news without any heartbeat.
    async fn wait_silently(&mut self) -> Result<More, StreamEnd> {
        tokio::select! {
            is_open = self.context.reader.changed() => match is_open {
                true => Ok(More::Yes),
                false => Err(StreamEnd::Rejected(Rejection::ShuttingDown)),
            },
            () = gate_changed(&mut self.gate) => Ok(More::Yes),
        }
    }

    /// Sends entries up to the participant's own Left, with the mark where the replay is over, and what
    /// follows them.
    async fn send(&mut self, entries: Vec<FeedEntry>, presence: Vec<Frame>) -> Result<More, StreamEnd> {
        let mut frames = Vec::with_capacity(entries.len() + 1 + presence.len());
        let mut more = More::Yes;
        let first = self.position.next();
        for entry in entries {
            if entry.left == Some(self.participant) {
                more = More::No;
                break;
            }
            self.note_caught_up(&mut frames);
            self.position = entry.sequence;
            frames.push(entry.frame);
        }
        self.note_caught_up(&mut frames);
        if matches!(more, More::Yes) {
            frames.extend(presence);
        }
        if frames.is_empty() {
            return Ok(more);
        }
        self.hand_over(frames).await?;
        if self.position >= first {
            let (delivered, head) = (self.position.0 - first.0 + 1, self.context.reader.head());
            self.context.server.metrics.deliveries.inc_by(delivered);
            self.context.server.metrics.feed_lag.observe(head.0.saturating_sub(self.position.0) as f64);
            self.delivered.set(self.position);
        }
        Ok(more)
    }

    fn note_caught_up(&mut self, frames: &mut Vec<Frame>) {
        if self.catches_up_at.is_some_and(|head| self.position >= head) {
            self.catches_up_at = None;
            frames.push(Frame::caught_up(self.position));
        }
    }

    async fn hand_over(&mut self, frames: Vec<Frame>) -> Result<More, StreamEnd> {
        let stall = self.context.stall;
        match timeout(stall, self.slot.send(frames)).await {
            Ok(Ok(())) => {
                self.handed_over = Instant::now();
                Ok(More::Yes)
            }
            Ok(Err(slot::ConnectionClosed)) => Err(StreamEnd::Disconnected),
            Err(_) => Err(StreamEnd::Rejected(Rejection::SlowConsumer { stall })),
        }
    }
}

/// Waits until the lab lets something else pass; without a lab, for ever.
async fn gate_changed(gate: &mut Option<StreamGate>) {
    match gate {
        Some(gate) => gate.changed().await,
        None => std::future::pending().await,
    }
}

fn unreadable(error: impl fmt::Display) -> StreamEnd {
    tracing::error!(%error, "a stream cannot read the journal");
    StreamEnd::Rejected(Rejection::JournalUnavailable)
}
