//! One participant's stream, read by a task of its own on a connection of its own.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use h2::RecvStream;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::Status;

use super::check::{Faults, OrderCheck, Transcript};
use super::connection::{Driver, refused};
use super::error::CallFailure;
use super::run::Run;
use super::scan::{Malformed, Messages, Scanned, Welcome, decode_event, scan};
use crate::wire::pb::event::Kind;

/// A reader decodes one message in this many, to compare it completely.
const SAMPLE_EVERY: u64 = 64;

/// The parts of a Welcome that are kept.
#[derive(Clone, Debug)]
pub struct Welcomed {
    pub session_token: String,
    /// The logical time of the newest event.
    pub logical_time: u64,
    /// The newest event.
    pub head_sequence: u64,
}

/// The reading side of a participant; clones share it.
#[derive(Clone, Debug)]
pub struct Reader(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    run: Arc<Run>,
    index: usize,
    stream: Option<RecvStream>,
    messages: Messages,
    welcome: Option<oneshot::Sender<Welcomed>>,
    /// `None` until the Welcome has said where the stream begins.
    order: Option<OrderCheck>,
    transcript: Transcript,
    /// Messages that differ from what was sent, among those that were decoded.
    altered: u64,
    /// For the first reader: the sequence of each message, in the order of arrival.
    places: Vec<(u64, u64)>,
    last_message_at: Option<Instant>,
    ended: Option<Arc<CallFailure>>,
}

/// The state of a reader at the end of a run.
#[derive(Debug)]
pub struct ReaderOutcome {
    /// The messages of this run that arrived, each counted once, and their bytes.
    pub transcript: Transcript,
    pub faults: Faults,
    /// When the last message arrived.
    pub last_message_at: Option<Instant>,
    /// Why its stream ended before the run did.
    pub ended: Option<Arc<CallFailure>>,
}

impl Reader {
    /// A reader without a stream, and the receiver of its Welcome.
    pub fn new(run: Arc<Run>, index: usize) -> (Self, oneshot::Receiver<Welcomed>) {
        let (welcome, welcomed) = oneshot::channel();
        let state = State {
            run,
            index,
            stream: None,
            messages: Messages::default(),
            welcome: Some(welcome),
            order: None,
            transcript: Transcript::default(),
            altered: 0,
            places: Vec::new(),
            last_message_at: None,
            ended: None,
        };
        (Self(Arc::new(Mutex::new(state))), welcomed)
    }

    /// Reads this stream from now on.
    pub fn start(&self, stream: RecvStream) {
        let mut state = self.0.lock();
        state.stream = Some(stream);
        // Data that has already arrived does not wake the task again.
        state.read();
    }

    /// Cancels the stream, so the service stops sending.
    pub fn stop(&self) {
        let mut state = self.0.lock();
        state.stream = None;
        state.messages = Messages::default();
    }

    /// The last event that was received in order.
    pub fn position(&self) -> u64 {
        self.0.lock().order.as_ref().map_or(0, OrderCheck::position)
    }

    /// How many messages of this run have been received.
    pub fn messages(&self) -> u64 {
        self.0.lock().transcript.messages()
    }

    /// Whether the stream has ended, though the run has not.
    pub fn has_ended(&self) -> bool {
        self.0.lock().ended.is_some()
    }

    /// Why the stream ended, if it has.
    pub fn ended(&self) -> Option<Arc<CallFailure>> {
        self.0.lock().ended.clone()
    }

    /// Its final state, if everything up to `last` should have been received.
    pub fn outcome(&self, last: u64) -> ReaderOutcome {
        let state = self.0.lock();
        let mut faults = state.order.as_ref().map(|order| order.faults(last)).unwrap_or_default();
        faults.altered += state.altered;
        ReaderOutcome {
            transcript: state.transcript,
            faults,
            last_message_at: state.last_message_at,
            ended: state.ended.clone(),
        }
    }

    /// For the first reader: how many messages have another sequence than the service acknowledged.
    pub fn misplaced(&self) -> u64 {
        let state = self.0.lock();
        // A repeated message is counted as doubled.
        let mut seen = HashSet::new();
        let firsts = state.places.iter().filter(|(_, message)| seen.insert(*message));
        let is_elsewhere = |(sequence, message): &&(u64, u64)| {
            state.run.sequence_of(*message).is_some_and(|acknowledged| acknowledged != *sequence)
        };
        firsts.filter(is_elsewhere).count() as u64
    }
}

/// The task of a connection: moves bytes, and lets the reader take them in the same step.
pub struct ReaderTask {
    pub driver: Driver,
    /// The reader of its stream.
    pub reader: Reader,
}

impl Future for ReaderTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let ended = Pin::new(&mut self.driver).poll(context);
        let mut state = self.reader.0.lock();
        state.read();
        match ended {
            Poll::Pending => Poll::Pending,
            Poll::Ready(ended) => {
                if let (Err(error), true) = (ended, state.stream.is_some()) {
                    state.end(error.into());
                }
                Poll::Ready(())
            }
        }
    }
}

impl State {
    /// Takes everything that has arrived. It needs no waker: it is called whenever its connection was polled, which is
    /// the only source of data. So a delivery costs one wake-up, not two.
    fn read(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        let now = Instant::now();
        let context = &mut Context::from_waker(Waker::noop());
        loop {
            match stream.poll_data(context) {
                Poll::Pending => break self.stream = Some(stream),
                Poll::Ready(Some(Ok(chunk))) => {
                    let taken = stream.flow_control().release_capacity(chunk.len()).map_err(CallFailure::from);
                    self.messages.push(chunk);
                    if let Err(failure) = taken.and(self.take_messages(now).map_err(CallFailure::from)) {
                        return self.end(failure);
                    }
                }
                Poll::Ready(Some(Err(error))) => return self.end(error.into()),
                Poll::Ready(None) => match stream.poll_trailers(context) {
                    Poll::Pending => break self.stream = Some(stream),
                    Poll::Ready(Ok(trailers)) => {
                        let status = trailers.map_or(Ok(()), |trailers| refused(&trailers));
                        let unexpected =
                            || Status::unknown("the stream ended, though the participant has not left");
                        return self.end(status.err().unwrap_or_else(unexpected).into());
                    }
                    Poll::Ready(Err(error)) => return self.end(error.into()),
                },
            }
        }
    }

    fn end(&mut self, failure: CallFailure) {
        self.ended.get_or_insert(Arc::new(failure));
        self.stream = None;
        // Wakes the task that waits for the Welcome.
        self.welcome = None;
    }

    fn take_messages(&mut self, now: Instant) -> Result<(), Malformed> {
        while let Some(frame) = self.messages.next_message()? {
            match scan(&frame)? {
                Scanned::Welcome(welcome) => self.welcome(welcome)?,
                Scanned::Event { sequence, message_id } => {
                    let order = self.order.as_mut().ok_or(Malformed)?;
                    let message = message_id.and_then(|id| self.run.message(id));
                    if let (true, Some(message)) = (order.see(sequence), message) {
                        self.take_message(message, sequence, &frame, now);
                    }
                }
                Scanned::Other => {}
            }
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: Welcome<'_>) -> Result<(), Malformed> {
        // The stream begins with the participant's own Joined (A1), whose sequence is in its id (A4).
        let first =
            std::str::from_utf8(welcome.participant_id).ok().and_then(|id| id.strip_prefix('p')?.parse().ok());
        let session_token = String::from_utf8(welcome.session_token.into()).map_err(|_| Malformed)?;
        self.order = Some(OrderCheck::starting_at(first.ok_or(Malformed)?));
        if let Some(waiting) = self.welcome.take() {
            let (logical_time, head_sequence) = (welcome.logical_time, welcome.head_sequence);
            // Without a receiver, the run has been abandoned.
            let _ = waiting.send(Welcomed { session_token, logical_time, head_sequence });
        }
        Ok(())
    }

    fn take_message(&mut self, message: u64, sequence: u64, frame: &[u8], now: Instant) {
        // Each reader samples different messages.
        let is_sampled = (self.transcript.messages() + self.index as u64).is_multiple_of(SAMPLE_EVERY);
        if is_sampled && !self.is_as_sent(message, frame) {
            self.altered += 1;
        }
        self.transcript.push(frame);
        self.last_message_at = Some(now);
        if self.index == 0 {
            self.places.push((sequence, message));
        }
        match self.run.latency(message, now) {
            Some(latency) => self.run.shard(self.index).saturating_record(latency),
            // Delivered before it was sent, so it is not this run's.
            None => self.altered += 1,
        }
    }

    fn is_as_sent(&self, message: u64, frame: &[u8]) -> bool {
        decode_event(frame).is_ok_and(|event| {
            event.content == self.run.text(message) && matches!(event.kind, Some(Kind::Message(_)))
        })
    }
}
