//! A participant's stream: it reads the feed from its own position whenever the transport asks for more.
//!
//! It is polled in the task of the connection, and holds nothing between two polls: events that it has not handed over
//! are in the feed, and later in the journal. So a transport that takes nothing delays no other stream and costs no
//! memory.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::open_streams::{Idle, OpenStreams, StreamEnd, StreamLink};
use crate::chat::{Conversation, ParticipantId, Sequence};
use crate::journal::{Epoch, History, JournalError, JournalEvent};
use crate::server::core::feed::{FeedEntry, FeedReader, Found, within_batch};
use crate::server::core::presence::PresenceCursor;
use crate::server::lab::control::Lab;
use crate::server::lab::effects::gate::{Passage, StreamGate};
use crate::server::ops::context::ServerContext;
use crate::wire::{Frame, Rejection, WelcomeParts};

/// How many events and changes of presence a stream takes at a time.
const BATCH_FRAMES: usize = 256;
/// How many events a stream reads from the journal at a time. It keeps what fits into one batch of bytes and reads the
/// rest again.
const JOURNAL_EVENTS: usize = 64;

/// The context that every stream needs.
pub struct StreamContext {
    pub reader: FeedReader,
    /// All open streams.
    pub streams: OpenStreams,
    /// The events that have left the feed.
    pub history: Arc<dyn History>,
    pub epoch: Epoch,
    /// How long a stream can be quiet before it gets a heartbeat.
    pub heartbeat: Duration,
    /// The context that all parts of the service share.
    pub server: ServerContext,
    /// The lab, in a service that has one.
    pub lab: Option<Lab>,
}

/// What a Welcome is built from. It is built when the transport asks for it, outside the engine, since the roster can
/// be long.
pub struct WelcomeSeed {
    /// The session's secret.
    pub token: Arc<str>,
    /// Whether an existing session is resumed.
    pub resumed: bool,
    /// The conversation as the Welcome describes it.
    pub conversation: Conversation,
}

/// A stream, to be polled by its transport.
pub struct Stream {
    context: Arc<StreamContext>,
    link: Arc<StreamLink>,
    reader: FeedReader,
    presence: PresenceCursor,
    cursor: FeedCursor,
    /// `None` once it has been handed over.
    welcome: Option<Box<WelcomeSeed>>,
    /// The journal read in progress, and the last event that may be taken from it.
    reading: Option<(Reading, Sequence)>,
    /// `None` without a lab.
    gate: Option<Box<Gated>>,
}

type Reading = Pin<Box<dyn Future<Output = Result<Vec<JournalEvent>, JournalError>> + Send>>;

/// A gate, and the signal that it has changed.
struct Gated {
    gate: StreamGate,
    changed: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// How far a stream has come.
struct FeedCursor {
    participant: ParticipantId,
    position: Sequence,
    /// The position at which the replay ends; `None` once CaughtUp has been sent.
    catches_up_at: Option<Sequence>,
}

/// The next step of a stream.
enum StreamStep {
    /// These bytes go to the transport.
    HandOver(Bytes),
    /// There is nothing to send but heartbeats.
    Idle,
    /// The lab lets nothing pass, not even a heartbeat.
    Silent,
    /// The journal is being read.
    Reading,
    End(StreamEnd),
}

impl Stream {
    /// A stream that continues after the position of `link`, and has caught up at the Welcome's head.
    pub fn new(
        context: Arc<StreamContext>,
        link: Arc<StreamLink>,
        participant: ParticipantId,
        welcome: WelcomeSeed,
    ) -> Self {
        let head = welcome.conversation.head();
        let gate = context.lab.as_ref().map(|lab| StreamGate::new(lab, participant));
        Self {
            reader: context.reader.clone(),
            presence: PresenceCursor::new(participant, head),
            cursor: FeedCursor { participant, position: link.position(), catches_up_at: Some(head) },
            welcome: Some(Box::new(welcome)),
            reading: None,
            gate: gate.map(|gate| Box::new(Gated { gate, changed: None })),
            context,
            link,
        }
    }

    /// The next bytes, of one frame or several. `Err` is the end of the stream: `Ok` in it if the participant has left.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Result<(), Rejection>>> {
        loop {
            let chunk = match self.step(context) {
                StreamStep::HandOver(chunk) => chunk,
                StreamStep::End(end) => return ended(self.link.end(end)),
                step => match self.link.wait(context) {
                    Idle::Ended(end) => return ended(end),
                    Idle::HeartbeatDue if matches!(step, StreamStep::Idle) => {
                        Frame::heartbeat(self.cursor.position).into()
                    }
                    _ if self.has_news(context) => continue,
                    _ => return Poll::Pending,
                },
            };
            return match self.hand_over() {
                Ok(()) => Poll::Ready(Ok(chunk)),
                Err(end) => ended(end),
            };
        }
    }

    /// Whether there is news since the last step, or a change of what the lab lets pass.
    fn has_news(&mut self, context: &mut Context<'_>) -> bool {
        let gate_has_changed = match &mut self.gate {
            Some(gated) => {
                let changed = gated.changed.get_or_insert_with(|| Box::pin(gated.gate.changed()));
                changed.as_mut().poll(context).is_ready()
            }
            None => false,
        };
        gate_has_changed || self.reading.is_none() && self.reader.has_changed()
    }

    fn hand_over(&mut self) -> Result<(), StreamEnd> {
        self.context.server.commits.give_way();
        let (before, now) = (self.link.position(), self.cursor.position);
        self.link.hand_over(now)?;
        self.context.server.metrics.deliveries.inc_by(now.0 - before.0);
        Ok(())
    }

    fn step(&mut self, context: &mut Context<'_>) -> StreamStep {
        if self.reading.is_some() {
            return self.read_on(context);
        }
        if self.gate.is_some() { self.gated_step(context) } else { self.next(context, BATCH_FRAMES) }
    }

    /// A step, as far as the lab lets it pass. A participant that has left is not affected.
    fn gated_step(&mut self, context: &mut Context<'_>) -> StreamStep {
        let (head, is_active) = self.reader.look(self.cursor.participant);
        let Some(gated) = self.gate.as_mut() else { return StreamStep::Idle };
        gated.changed = None;
        let passage = match &self.welcome {
            // The Welcome, too, is lost on a broken network.
            Some(_) if gated.gate.is_silent() => Passage::Silent,
            None if is_active => gated.gate.look(self.cursor.position, head, Instant::now()),
            _ => Passage::Open,
        };
        match passage {
            Passage::Open => self.next(context, BATCH_FRAMES),
            Passage::UpTo(limit) if limit > self.cursor.position => {
                let most = usize::try_from(limit.0 - self.cursor.position.0).unwrap_or(BATCH_FRAMES);
                self.next(context, most.min(BATCH_FRAMES))
            }
            Passage::UpTo(_) => self.idle(),
            Passage::Silent => StreamStep::Silent,
            Passage::Notice(frame) => StreamStep::HandOver(frame.into()),
            Passage::Broken => StreamStep::End(StreamEnd::Rejected(Rejection::LabDisconnected)),
        }
    }

    /// Takes up to `most` events after the position.
    fn next(&mut self, context: &mut Context<'_>, most: usize) -> StreamStep {
        if let Some(seed) = self.welcome.take() {
            return StreamStep::HandOver(self.welcome_frame(&seed).into());
        }
        let Self { reader, presence, cursor, context: shared, .. } = self;
        let position = cursor.position;
        let step = reader.after(position, presence, most, |found| match found {
            Found::News { entries, presence, head } => {
                let step = cursor.advance(entries, presence);
                observe_lag(&shared.server, position, cursor.position, head);
                Ok(step)
            }
            Found::Nothing => Ok(None),
            Found::Lagged(head) => Err(head),
        });
        match step {
            Ok(Some(step)) => step,
            Ok(None) => self.idle(),
            Err(head) => {
                let history = Arc::clone(&self.context.history);
                let events = JOURNAL_EVENTS.min(most);
                self.reading = Some((Box::pin(async move { history.read(position, events).await }), head));
                self.read_on(context)
            }
        }
    }

    fn read_on(&mut self, context: &mut Context<'_>) -> StreamStep {
        let Some((reading, head)) = &mut self.reading else { return StreamStep::Idle };
        let (Poll::Ready(events), head) = (reading.as_mut().poll(context), *head) else {
            return StreamStep::Reading;
        };
        self.reading = None;
        // The journal may be a batch ahead of the feed.
        let known = |events: &Vec<JournalEvent>| events.iter().take_while(|event| event.sequence <= head).count();
        match events.map(|events| (known(&events), events)) {
            Ok((0, _)) => StreamStep::End(unreadable("it lacks events that have been delivered")),
            Ok((known, events)) => {
                let entries: Vec<_> = events[..known].iter().map(FeedEntry::from).collect();
                let (count, _) = within_batch(entries.iter().map(|entry| &entry.frame));
                let position = self.cursor.position;
                let step = self.cursor.advance(entries[..count].iter(), Vec::new());
                observe_lag(&self.context.server, position, self.cursor.position, head);
                step.unwrap_or(StreamStep::Idle)
            }
            Err(error) => StreamStep::End(unreadable(error)),
        }
    }

    /// The step when there is no news. It ends the replay of a resume that has missed nothing.
    fn idle(&mut self) -> StreamStep {
        self.cursor.caught_up().map_or(StreamStep::Idle, |frame| StreamStep::HandOver(frame.into()))
    }

    fn welcome_frame(&self, seed: &WelcomeSeed) -> Frame {
        let parts = WelcomeParts {
            session_token: &seed.token,
            participant: self.cursor.participant,
            epoch: self.context.epoch.as_str(),
            resumed: seed.resumed,
            heartbeat: self.context.heartbeat,
        };
        Frame::welcome(&parts, &seed.conversation)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link.end(StreamEnd::Disconnected);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("link", &self.link).finish_non_exhaustive()
    }
}

impl FeedCursor {
    /// Hands over entries up to the participant's own Left, with CaughtUp where the replay ends, and the presence
    /// changes that follow them. `None` if there is nothing to hand over.
    fn advance<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a FeedEntry> + Clone,
        presence: Vec<Frame>,
    ) -> Option<StreamStep> {
        let participant = self.participant;
        let ends = entries.clone().any(|entry| entry.left == Some(participant));
        let chunk = if self.catches_up_at.is_none() && presence.is_empty() && !ends {
            self.position = entries.clone().last()?.sequence;
            join(entries.map(|entry| &entry.frame))
        } else {
            let mut frames = Vec::new();
            for entry in entries.take_while(|entry| entry.left != Some(participant)) {
                frames.extend(self.caught_up());
                self.position = entry.sequence;
                frames.push(entry.frame.clone());
            }
            frames.extend(self.caught_up());
            if !ends {
                frames.extend(presence);
            }
            join(frames.iter())
        };
        match chunk {
            Some(chunk) => Some(StreamStep::HandOver(chunk)),
            None => ends.then_some(StreamStep::End(StreamEnd::Left)),
        }
    }

    fn caught_up(&mut self) -> Option<Frame> {
        self.catches_up_at.take_if(|head| self.position >= *head).map(|_| Frame::caught_up(self.position))
    }
}

/// The bytes of frames in one piece. A single frame is not copied: all streams share its bytes.
fn join<'a>(mut frames: impl Iterator<Item = &'a Frame> + Clone) -> Option<Bytes> {
    let all = frames.clone();
    let first = frames.next()?;
    let Some(second) = frames.next() else { return Some(first.clone().into()) };
    let size = first.size() + second.size() + frames.map(Frame::size).sum::<usize>();
    let mut chunk = BytesMut::with_capacity(size);
    all.for_each(|frame| chunk.extend_from_slice(frame.as_bytes()));
    Some(chunk.freeze())
}

fn ended(end: StreamEnd) -> Poll<Result<Bytes, Result<(), Rejection>>> {
    Poll::Ready(Err(match end {
        StreamEnd::Left | StreamEnd::Disconnected => Ok(()),
        StreamEnd::Rejected(rejection) => Err(rejection),
    }))
}

/// Measures how far a stream lags after it has taken some events.
fn observe_lag(server: &ServerContext, before: Sequence, position: Sequence, head: Sequence) {
    if position > before {
        server.metrics.feed_lag.observe(head.0.saturating_sub(position.0) as f64);
    }
}

fn unreadable(error: impl fmt::Display) -> StreamEnd {
    tracing::error!(%error, "a stream cannot read the journal");
    StreamEnd::Rejected(Rejection::JournalUnavailable)
}

#[cfg(test)]
pub(super) mod tests;
