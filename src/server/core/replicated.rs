//! The writer of a replica, in place of the [`engine`](super::engine). It decides nothing itself. It proposes the
//! requests that have arrived to the common log as one batch, applies all batches in the log's order, and answers a
//! request when its batch has been applied here. "Persist, then publish" holds here, too.
//!
//! One batch is in flight at a time; requests that arrive meanwhile form the next one, which is sent as soon as the
//! batch before it has come back, while that one's effects are written to the copy. A batch is sent again until it
//! comes back; thanks to its number it counts once even if it is stored twice.

mod dissent;
#[cfg(test)]
mod faulty;
mod members;
mod propose;
mod settle;
mod timers;
mod waiting;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::attachments::Attachments;
use super::engine::WriterParts;
use super::feed::Feed;
use super::requests::{BATCH_REQUESTS, EngineHandle, EngineRequest, REQUESTS_WAITING, Responder};
use super::shares::ParticipantShares;
use crate::chat::{ClusterCommand, Conversation, Incarnation, ParticipantId};
use crate::journal::Epoch;
use crate::replica::{
    AppliedBatch, Applier, Entry, Identity, LogNews, MESSAGES_TOGETHER, Publisher, ReplicaError, ReplicaParts,
    SetupFault,
};
use crate::server::ops::context::ServerContext;
use members::Obstacle;
use timers::{Graces, LastWrites};
use waiting::{Packing, Waiter, Waiting};

/// How often it checks what is due.
const TICK: Duration = Duration::from_millis(100);
/// How long a batch may be in flight before the requests that wait for it are refused, and nothing more is accepted.
/// The batch itself stays in flight.
pub const PROPOSAL_TIME: Duration = Duration::from_secs(5);
/// How long it may be in flight before the streams are ended, too, so that clients try another replica.
pub const CUT_OFF_TIME: Duration = Duration::from_secs(15);
/// How soon a failed write to the copy is tried again.
const COPY_RETRY: Duration = Duration::from_secs(1);
/// How long a replica may take to announce that it stops.
const FAREWELL_TIME: Duration = Duration::from_secs(3);
/// How many times a replica loses its name to another process before it gives up.
const NAME_LOSSES_MAX: u32 = 3;

/// The parts of a replica's writer.
pub struct ReplicatedParts {
    /// The replica, already started.
    pub replica: ReplicaParts,
    /// The grace period: how long a participant without a stream stays.
    pub grace: Duration,
    /// A source of random bits, for the nonce by which a start is recognized.
    pub random: fn() -> u128,
    /// The parts that it shares with a writer that decides alone.
    pub writer: WriterParts,
}

/// A batch that is in flight, or has come back and is being recorded.
struct Proposed {
    from: Incarnation,
    number: u64,
    since: Instant,
    has_come_back: bool,
    waiters: Vec<Waiter>,
    /// The outcome that this replica expects.
    #[cfg(test)]
    guessed: Vec<crate::chat::Outcome>,
}

impl Proposed {
    /// Whether this batch is the proposed one. A Start has no number, so its nonce decides.
    fn is(&self, batch: &AppliedBatch, nonce: u64) -> bool {
        let is_start = batch.start.as_ref().is_some_and(|(_, found)| *found == nonce);
        (self.from, self.number) == (batch.from, batch.number) && (batch.from != Incarnation::NONE || is_start)
    }

    fn give_up(&mut self) {
        self.waiters.iter_mut().for_each(Waiter::give_up);
    }
}

/// The writer of a replica.
pub struct ReplicatedEngine {
    requests: mpsc::Receiver<EngineRequest>,
    barriers: mpsc::Receiver<Responder<()>>,
    applier: Applier,
    publisher: Publisher,
    news: mpsc::Receiver<LogNews>,
    restart: Arc<Notify>,
    identity: Identity,
    name_losses: u32,
    epoch: Epoch,
    feed: Feed,
    attachments: Attachments,
    grace: Duration,
    participants_max: usize,
    shares: ParticipantShares,
    now: fn() -> SystemTime,
    random: fn() -> u128,
    context: ServerContext,
    waiting: Waiting,
    /// Oldest first. The last one is in flight, unless it has come back.
    proposed: VecDeque<Proposed>,
    /// The participants whose streams are attached here, with the generation of the attachment.
    local: HashMap<ParticipantId, u64>,
    /// Streams that have ended here, before the log has their Detach.
    ended: BTreeMap<ParticipantId, u64>,
    graces: Graces,
    last_writes: LastWrites,
    beat_at: Instant,
    /// Messages that have been read but not applied yet.
    entries: Vec<Entry>,
    retry_at: Instant,
    is_cut_off: bool,
    /// Whether it has begun its [`farewell`](Self::farewell), after which it proposes nothing but its Stop.
    is_leaving: bool,
}

impl ReplicatedEngine {
    /// A writer and a handle to it.
    pub fn new(parts: ReplicatedParts) -> (Self, EngineHandle) {
        let ReplicatedParts { replica, grace, random, writer } = parts;
        let WriterParts { feed, attachments, participants_max, shares, now, context } = writer;
        let ReplicaParts { applier, publisher, news, restart, identity } = replica;
        let (requests, arriving) = mpsc::channel(REQUESTS_WAITING);
        let (barriers, arriving_barriers) = mpsc::channel(REQUESTS_WAITING);
        context.metrics.participants.set(applier.conversation().active() as i64);
        let start = Instant::now();
        let mut engine = Self {
            requests: arriving,
            barriers: arriving_barriers,
            epoch: applier.epoch(),
            applier,
            publisher,
            news,
            restart,
            identity,
            name_losses: 0,
            feed,
            attachments,
            grace,
            participants_max,
            shares,
            now,
            random,
            context,
            waiting: Waiting::default(),
            proposed: VecDeque::new(),
            local: HashMap::new(),
            ended: BTreeMap::new(),
            graces: Graces::default(),
            last_writes: LastWrites::new(start),
            beat_at: start,
            entries: Vec::new(),
            retry_at: start,
            is_cut_off: false,
            is_leaving: false,
        };
        let all: Vec<_> = engine.applier.cluster().attachments().collect();
        engine.note_attachments(all.into_iter().map(|(participant, attachment)| (participant, Some(attachment))));
        (engine, EngineHandle { requests, barriers: Some(barriers) })
    }

    /// Runs until every handle has been dropped and every stream has ended.
    ///
    /// # Errors
    /// [`ReplicaError`], after which nothing more is accepted.
    pub async fn run(mut self) -> Result<Conversation, ReplicaError> {
        let ended = self.work().await;
        if let Err(ReplicaError::Diverged { .. }) = ended {
            self.dissent().await;
        }
        ended?;
        self.attachments.finish().await;
        if timeout(FAREWELL_TIME, self.farewell()).await.is_err() {
            tracing::warn!("could not announce the stop of this replica; the others will notice its silence");
        }
        Ok(self.applier.conversation().clone())
    }

    /// Runs until every handle has been dropped.
    async fn work(&mut self) -> Result<(), ReplicaError> {
        self.record_members();
        let mut arrived = Vec::with_capacity(BATCH_REQUESTS);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.propose();
            let has_room = self.waiting.len() < REQUESTS_WAITING;
            tokio::select! {
                count = self.requests.recv_many(&mut arrived, BATCH_REQUESTS), if has_room => {
                    if count == 0 {
                        return Ok(());
                    }
                    arrived.drain(..).for_each(|request| self.admit(request));
                }
                Some(responder) = self.barriers.recv(), if has_room => {
                    self.wait(ClusterCommand::Beat, Waiter::Barrier(responder));
                }
                news = self.news.recv(), if self.entries.is_empty() => self.take(news).await?,
                participant = self.attachments.next_expiry(), if !self.context.stopping.is_cancelled() => {
                    if let Some(generation) = self.local.remove(&participant) {
                        self.ended.insert(participant, generation);
                    }
                }
                _ = tick.tick() => self.tick().await?,
            }
        }
    }

    /// Takes news from the log, and everything else that has arrived.
    async fn take(&mut self, news: Option<LogNews>) -> Result<(), ReplicaError> {
        let gone = || SetupFault::Failed { what: "reading the stream", why: "its reader has stopped".into() };
        let mut next = Some(news.ok_or_else(gone)?);
        while let Some(news) = next {
            match news {
                LogNews::Entry(entry) => self.entries.push(entry),
                LogNews::Fault(fault) => return Err(fault),
                #[cfg(test)]
                LogNews::Acknowledged => self.answer_early(),
                LogNews::Restarted(why) => {
                    tracing::warn!("restarting the log reader after {}: {why}", self.applier.place().position);
                    self.context.metrics.log_restarts.inc();
                }
            }
            next = if self.entries.len() < MESSAGES_TOGETHER { self.news.try_recv().ok() } else { None };
        }
        self.apply().await
    }

    async fn apply(&mut self) -> Result<(), ReplicaError> {
        let Some(last) = self.entries.last() else { return Ok(()) };
        let behind = last.behind;
        self.applier.draft(&self.entries)?;
        self.note_come_back();
        self.propose_meanwhile();
        let handed_over = Instant::now();
        let applied = self.context.commits.observe(self.applier.record()).await;
        match applied {
            Ok((batches, committed)) => {
                self.entries.clear();
                self.context.metrics.log_position.set(self.applier.place().position as i64);
                self.context.metrics.log_behind.set(behind as i64);
                self.settle(batches, &committed)
            }
            Err(error) if error.may_pass() => {
                if self.set_unavailable(Obstacle::CopyNotWritten) {
                    tracing::error!(%error, "the copy of the log could not be written");
                }
                self.retry_at = handed_over + COPY_RETRY;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Handles what is due.
    async fn tick(&mut self) -> Result<(), ReplicaError> {
        let now = Instant::now();
        if !self.entries.is_empty() && now >= self.retry_at {
            self.apply().await?;
        }
        let Some(oldest) = self.proposed.front() else { return Ok(()) };
        let in_flight = now.duration_since(oldest.since);
        if in_flight > PROPOSAL_TIME {
            self.proposed.iter_mut().for_each(Proposed::give_up);
            self.waiting.give_up();
            if self.set_unavailable(Obstacle::CutOff) {
                tracing::error!(
                    "what this replica proposes does not come back from the log: requests are refused for now"
                );
                self.restart.notify_one();
            }
        }
        if in_flight > CUT_OFF_TIME && !self.is_cut_off {
            tracing::error!("this replica is cut off from the log and is ending its streams");
            self.end_streams();
        }
        Ok(())
    }

    /// Ends all streams here. Their clients resume at the next working replica that they find.
    fn end_streams(&mut self) {
        self.is_cut_off = true;
        self.attachments.cut_off();
        self.ended.extend(self.local.drain());
    }

    /// Starts again with a new nonce: the other replicas have removed this one, so no session is attached to
    /// it anymore.
    fn start_anew(&mut self) {
        self.end_streams();
        self.ended.clear();
        self.proposed.drain(..).for_each(|mut proposed| proposed.give_up());
        self.waiting.give_up();
        self.set_unavailable(Obstacle::TakenForGone);
        self.identity.incarnation = Incarnation::NONE;
        self.identity.nonce = (self.random)() as u64;
    }

    /// Announces that this replica stops, so that the grace periods of its sessions begin at once.
    async fn farewell(&mut self) -> Result<(), ReplicaError> {
        self.waiting.give_up();
        self.is_leaving = true;
        let mut is_announced = false;
        loop {
            if self.proposed.is_empty() {
                if is_announced {
                    return Ok(());
                }
                let Some(replica) = self.applier.cluster().replica(self.identity.incarnation) else {
                    return Ok(());
                };
                let (mut packing, number) = (Packing::default(), replica.batch + 1);
                packing.push(ClusterCommand::Stop, Waiter::NoCaller);
                self.send(self.identity.incarnation, number, packing);
                is_announced = true;
            }
            let news = self.news.recv().await;
            self.take(news).await?;
        }
    }
}
