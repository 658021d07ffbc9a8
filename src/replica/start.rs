//! The start of a replica: the copy is compared with the log and brought up to date, and the replica announces itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use super::applier::{AppliedBatch, Applier};
use super::error::{ReplicaError, SetupFault};
use super::log::CommandLog;
use super::publisher::Publisher;
use super::reader::{self, Entry, LogNews, MESSAGES_WAITING, ReaderParts};
use crate::chat::{Batch, ClusterCommand, Conversation, Fate, Incarnation};
use crate::journal::{Committed, LogPlace, ReplicaJournal};

/// How many messages are applied together.
pub const MESSAGES_TOGETHER: usize = 64;
/// How many acknowledged messages can wait for the reader. Usually there is one.
const ACKNOWLEDGEMENTS_WAITING: usize = 8;
/// How long a start waits for the next message.
const START_TIME: Duration = Duration::from_secs(15);

/// How often a wait checks for a missing permission.
const LOOK: Duration = Duration::from_millis(500);
/// After this long without a message from it, a replica with the same name is considered dead. A live replica writes at
/// least every 2 s (R6).
const NAME_TIME: Duration = Duration::from_secs(3);
/// Messages of a dead replica may still be on their way. If one arrives later than this after the first, the replica is
/// alive.
const STRAGGLER_TIME: Duration = Duration::from_secs(1);

/// Why the wait failed, if no better reason is known.
const NO_ANSWER: &str = "there was no answer in time; a permission or a majority of the servers may be missing";

/// The identity of a replica.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name that its operator gave it.
    pub name: Arc<str>,
    /// Its current start.
    pub incarnation: Incarnation,
    /// The number by which it recognizes that start.
    pub nonce: u64,
}

/// A replica that has started.
pub struct ReplicaParts {
    /// Its state and its copy.
    pub applier: Applier,
    /// Publishes to the log.
    pub publisher: Publisher,
    /// News from the log.
    pub news: mpsc::Receiver<LogNews>,
    /// Makes the reader of the log start again.
    pub restart: Arc<Notify>,
    /// Its identity.
    pub identity: Identity,
}

/// A copy that is being brought up to date with the log.
pub struct Copying {
    log: CommandLog,
    applier: Applier,
    publisher: Publisher,
    news: mpsc::Receiver<LogNews>,
    restart: Arc<Notify>,
}

/// Compares a copy with the log.
///
/// # Errors
/// [`ReplicaError`] if the copy does not match the beginning of this log.
pub async fn copy(
    log: CommandLog,
    journal: Box<dyn ReplicaJournal>,
    conversation: Conversation,
) -> Result<Copying, ReplicaError> {
    let stream = || log.name().to_owned();
    let epoch = journal.epoch();
    if epoch.as_str() != log.epoch() {
        let (copy, found) = (epoch.to_string(), log.epoch().to_owned());
        return Err(SetupFault::AnotherEpoch { copy, stream: stream(), found }.into());
    }
    let LogPlace { position, before, digest } = journal.copied().place;
    let last = log.last().await?;
    if last < position {
        return Err(SetupFault::Shorter { stream: stream(), last, applied: position }.into());
    }
    if position > 0 {
        let found = log.message(position).await?;
        if found.is_none_or(|message| before.with(&message) != digest) {
            return Err(SetupFault::Contradicts { stream: stream(), position }.into());
        }
    }
    let applier = Applier::new(journal, conversation).await?;
    let (sender, news) = mpsc::channel(MESSAGES_WAITING);
    let restart = Arc::new(Notify::new());
    let (reader, acknowledged) = mpsc::channel(ACKNOWLEDGEMENTS_WAITING);
    let publisher = Publisher::start(log.clone(), sender.clone(), reader);
    let (log_of_reader, restart_of_reader) = (log.clone(), restart.clone());
    reader::start(ReaderParts {
        log: log_of_reader,
        after: position,
        news: sender,
        acknowledged,
        restart: restart_of_reader,
    });
    Ok(Copying { log, applier, publisher, news, restart })
}

impl Copying {
    /// Applies everything that is in the log so far. `on_batch` sees what was recorded.
    pub async fn catch_up(&mut self, mut on_batch: impl FnMut(&Committed)) -> Result<(), ReplicaError> {
        let last = self.log.last().await?;
        while self.applier.place().position < last {
            self.apply_next("reading the stream", &mut on_batch).await?;
        }
        Ok(())
    }

    /// Announces the replica, and waits until that has been applied here. From then on it can publish batches.
    pub async fn join(
        mut self,
        name: Arc<str>,
        nonce: u64,
        now: std::time::SystemTime,
        mut on_batch: impl FnMut(&Committed),
    ) -> Result<ReplicaParts, ReplicaError> {
        self.check_name(&name, &mut on_batch).await?;
        let start = ClusterCommand::Start { name: name.clone(), nonce };
        let batch = Batch { from: Incarnation::NONE, number: 0, at: now, commands: vec![start] };
        self.publisher.propose(self.applier.message(batch), self.applier.place().position);
        let what = "writing to the stream";
        let deadline = Instant::now() + START_TIME;
        let incarnation = loop {
            // Batches of other replicas may keep arriving.
            if Instant::now() >= deadline {
                return Err(self.failed(what, NO_ANSWER));
            }
            let batches = self.apply_next(what, &mut on_batch).await?;
            let own = batches.iter().find(|batch| {
                batch.applied.fate == Fate::Applied
                    && batch.start.as_ref().is_some_and(|(by, number)| *by == name && *number == nonce)
            });
            if let Some(own) = own {
                break Incarnation(own.position);
            }
        };
        self.publisher.settled();
        let Self { applier, publisher, news, restart, .. } = self;
        Ok(ReplicaParts { applier, publisher, news, restart, identity: Identity { name, incarnation, nonce } })
    }

    fn failed(&self, what: &'static str, why: &str) -> ReplicaError {
        SetupFault::Failed { what, why: self.log.explain(why) }.into()
    }

    /// Refuses the name of a replica that still writes. A killed replica keeps its name until the others remove it, or
    /// until it starts again.
    async fn check_name(
        &mut self,
        name: &Arc<str>,
        on_batch: &mut impl FnMut(&Committed),
    ) -> Result<(), ReplicaError> {
        let mut first_sign = None;
        let mut deadline = Instant::now() + NAME_TIME;
        loop {
            let holder = self.applier.cluster().replicas().find(|(_, replica)| replica.name == *name);
            let Some((holder, _)) = holder else { return Ok(()) };
            let Ok(entry) = self.next_entry(deadline).await? else { return Ok(()) };
            let batches = self.apply_with_following(entry, on_batch).await?;
            if batches.iter().any(|batch| batch.from == holder && batch.applied.fate == Fate::Applied) {
                let now = Instant::now();
                if now.duration_since(*first_sign.get_or_insert(now)) > STRAGGLER_TIME {
                    return Err(ReplicaError::NameInUse { name: name.to_string() });
                }
                deadline = now + NAME_TIME;
            }
        }
    }

    /// Waits for the next message and applies it, together with those that have arrived since.
    async fn apply_next(
        &mut self,
        what: &'static str,
        on_batch: &mut impl FnMut(&Committed),
    ) -> Result<Vec<AppliedBatch>, ReplicaError> {
        match self.next_entry(Instant::now() + START_TIME).await? {
            Ok(entry) => self.apply_with_following(entry, on_batch).await,
            Err(why) => Err(self.failed(what, &why)),
        }
    }

    /// Waits for the next message until the deadline. If none comes, returns why, as far as that is known.
    async fn next_entry(&mut self, deadline: Instant) -> Result<Result<Entry, String>, ReplicaError> {
        let mut why = NO_ANSWER.to_owned();
        while Instant::now() < deadline {
            match timeout_at(deadline.min(Instant::now() + LOOK), self.news.recv()).await {
                Ok(Some(LogNews::Entry(entry))) => return Ok(Ok(entry)),
                Ok(Some(LogNews::Fault(fault))) => return Err(fault),
                Ok(Some(LogNews::Restarted(reason))) => why = reason,
                #[cfg(test)]
                Ok(Some(LogNews::Acknowledged)) => {}
                Ok(None) => break,
                Err(_) => {
                    if let Some(fault) = self.log.forbidden() {
                        return Err(fault.into());
                    }
                }
            }
        }
        Ok(Err(why))
    }

    /// Applies a message, together with those that have arrived since.
    async fn apply_with_following(
        &mut self,
        entry: Entry,
        on_batch: &mut impl FnMut(&Committed),
    ) -> Result<Vec<AppliedBatch>, ReplicaError> {
        let mut entries = vec![entry];
        while entries.len() < MESSAGES_TOGETHER
            && let Ok(LogNews::Entry(entry)) = self.news.try_recv()
        {
            entries.push(entry);
        }
        let (batches, committed) = self.applier.apply(&entries).await?;
        on_batch(&committed);
        Ok(batches)
    }
}
