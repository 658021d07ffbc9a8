//! The writer of a replica, in place of the [`engine`](super::engine). It decides nothing itself. It proposes the
//! requests that have arrived to the common log as one batch, applies all batches in the log's order, and answers a
//! request when the batch with it has been applied here. "Persist, then publish" holds as it does without replicas.
//!
//! One batch is on its way at a time; what arrives meanwhile is the next one, which is sent while what the one before led to
//! is written to the copy. Its number makes a batch that is stored twice count once, so it is sent until it comes back.

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
use timers::{Graces, Signs};
use waiting::{Packing, Waiter, Waiting};

/// How often it checks what is due.
const TICK: Duration = Duration::from_millis(100);
/// How long a batch may be on its way before the requests that wait for it are refused, and nothing more is accepted.
/// The batch itself stays on its way.
pub const PROPOSAL_TIME: Duration = Duration::from_secs(5);
/// How long before the streams are ended, too, so that clients try another replica.
pub const CUT_OFF_TIME: Duration = Duration::from_secs(15);
/// How soon a copy that could not be written is tried again.
const COPY_RETRY: Duration = Duration::from_secs(1);
/// How long a replica that stops may take to announce it.
const FAREWELL_TIME: Duration = Duration::from_secs(3);
/// How often a replica restarts its copy because another process has taken its name, before it gives up.
const NAME_LOSSES_MAX: u32 = 3;

/// The parts of a replica's writer.
pub struct ReplicatedParts {
    /// The replica, as it has started.
    pub replica: ReplicaParts,
    /// How long a participant without a stream stays.
    pub grace: Duration,
    /// Random bits, for the number by which a start is recognized.
    pub random: fn() -> u128,
    /// The parts that it shares with a writer that decides alone.
    pub writer: WriterParts,
}

/// A batch that is on its way, or has come back and is being recorded.
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
    /// Whether this is it. A Start has no number yet.
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
    /// The last one is on its way, unless it has come back.
    proposed: VecDeque<Proposed>,
    /// The streams that are attached here, by generation.
    local: HashMap<ParticipantId, u64>,
    /// Streams that have ended here, which is not in the log yet.
    ended: BTreeMap<ParticipantId, u64>,
    graces: Graces,
    signs: Signs,
    beat_at: Instant,
    /// Messages that have been read but not applied yet.
    entries: Vec<Entry>,
    retry_at: Instant,
    is_cut_off: bool,
    /// Whether it has begun to say farewell, and proposes nothing else any more.
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
            signs: Signs::new(start),
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
            tracing::warn!("the stop of this replica could not be published to the log; the others will notice");
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

    /// Takes news from the log, with everything that has arrived since.
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
                    tracing::warn!("reading the log restarts after {}: {why}", self.applier.place().position);
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
        let applied = self.applier.record().await;
        self.context.metrics.commit_seconds.observe(handed_over.elapsed().as_secs_f64());
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
        let on_its_way = now.duration_since(oldest.since);
        if on_its_way > PROPOSAL_TIME {
            self.proposed.iter_mut().for_each(Proposed::give_up);
            self.waiting.give_up();
            if self.set_unavailable(Obstacle::CutOff) {
                tracing::error!(
                    "the log does not bring back what this replica proposes: it accepts nothing for now"
                );
                self.restart.notify_one();
            }
        }
        if on_its_way > CUT_OFF_TIME && !self.is_cut_off {
            tracing::error!("this replica is cut off from the log, and ends its streams");
            self.end_streams();
        }
        Ok(())
    }

    /// Ends all streams here. Their clients resume when they find a replica that works.
    fn end_streams(&mut self) {
        self.is_cut_off = true;
        self.attachments.cut_off();
        self.ended.extend(self.local.drain());
    }

    /// The other replicas have removed this one, so no session is attached to it any more. It restarts its copy.
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
        let mut is_told = false;
        loop {
            if self.proposed.is_empty() {
                if is_told {
                    return Ok(());
                }
                let Some(replica) = self.applier.cluster().replica(self.identity.incarnation) else {
                    return Ok(());
                };
                let (mut packing, number) = (Packing::default(), replica.batch + 1);
                packing.push(ClusterCommand::Stop, Waiter::Nobody);
                self.send(self.identity.incarnation, number, packing);
                is_told = true;
            }
            let news = self.news.recv().await;
            self.take(news).await?;
        }
    }
}
