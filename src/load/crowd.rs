//! The course of a run: all join, some publish, everybody leaves.

mod publisher_thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use super::check::Faults;
use super::connection::Service;
use super::error::{CallFailure, LoadError};
use super::participant::{PATIENCE, Participant};
use super::process::WatchedProcess;
use super::reader::ReaderOutcome;
use super::run::Run;
use super::summary::{Latencies, ServerUse, Summary, per_second, rounded};
use super::{Measured, Phase, Plan, Progress};
use publisher_thread::PublisherThread;

/// How often the coordinator checks whether the slowest reader has caught up.
const LOOK: Duration = Duration::from_millis(5);
/// How often it reports progress, for which it visits all readers.
const REPORT: Duration = Duration::from_millis(500);
/// How many leave at a time.
const LEAVES_IN_PARALLEL: usize = 256;

/// All participants of a run.
pub struct Crowd {
    run: Arc<Run>,
    service: Arc<Service>,
    /// In the order of their numbers once all have joined.
    participants: Vec<Arc<Participant>>,
    /// `None` before the run.
    publisher_thread: Option<PublisherThread>,
    began: Instant,
}

/// When publishing began and ended, and the processor time of the service before and after.
struct Published {
    first: Instant,
    acknowledged: Instant,
    cpu: Option<[Duration; 2]>,
}

/// The result of a task. If the task panicked, so does the run.
fn returned<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

impl Crowd {
    pub fn new(run: Run, service: Service) -> Self {
        let (run, service) = (Arc::new(run), Arc::new(service));
        Self { run, service, participants: Vec::new(), publisher_thread: None, began: Instant::now() }
    }

    /// All join, publish and read.
    pub async fn measure(&mut self, progress: Progress<'_>) -> Result<Measured, LoadError> {
        let server = self.run.plan.server;
        let resident = || server.map(WatchedProcess::resident_kib).transpose();
        let before = resident()?;
        let thread = PublisherThread::start().map_err(LoadError::Thread)?;
        // The thread runs until all have left.
        let publishing = self.publisher_thread.insert(thread).handle().clone();
        self.began = Instant::now();
        self.join(progress, &publishing).await?;
        let joined = self.began.elapsed();
        let last_join = self.participants.iter().map(|participant| participant.joined_at).max().unwrap_or(0);
        self.wait_for(last_join, &mut |_| {}).await;
        let caught_up = self.began.elapsed();
        sleep(self.run.plan.settle).await;
        let memory = before.zip(resident()?).map(|(before, after)| [before, after]);
        let published = self.publish(progress, &publishing).await?;
        Ok(self.summarize([joined, caught_up], memory, &published))
    }

    async fn join(&mut self, progress: Progress<'_>, publishing: &Handle) -> Result<(), LoadError> {
        let Plan { participants: total, publishers, .. } = self.run.plan;
        let (mut joining, mut next) = (JoinSet::new(), 0);
        loop {
            while next < total && joining.len() < self.run.plan.joins_in_parallel {
                let join = Participant::join(Arc::clone(&self.run), Arc::clone(&self.service), next);
                match next < publishers {
                    true => joining.spawn_on(join, publishing),
                    false => joining.spawn(join),
                };
                next += 1;
            }
            let Some(joined) = joining.join_next().await else { break };
            self.participants.push(Arc::new(returned(joined)?));
            progress(Phase::Joining, self.participants.len() as u64, total as u64);
        }
        self.participants.sort_unstable_by_key(|participant| participant.index);
        Ok(())
    }

    /// Publishes all messages, and waits until every reader has them or nothing more arrives.
    async fn publish(&self, progress: Progress<'_>, thread: &Handle) -> Result<Published, LoadError> {
        let plan = &self.run.plan;
        let cpu = || plan.server.map(WatchedProcess::cpu).transpose();
        let (cpu_before, first, next) = (cpu()?, Instant::now(), Arc::new(AtomicU64::new(0)));
        let mut publishing = JoinSet::new();
        for publisher in self.participants.iter().take(plan.publishers) {
            for _ in 0..plan.in_flight {
                let (publisher, next) = (Arc::clone(publisher), Arc::clone(&next));
                publishing.spawn_on(async move { publisher.publish(&next, first).await }, thread);
            }
        }
        let (streams, total) = (plan.streams, self.deliveries_expected());
        let mut report = |crowd: &Self| {
            if streams {
                progress(Phase::Delivering, crowd.deliveries(), total);
            }
        };
        let mut failed = None;
        while !publishing.is_empty() {
            tokio::select! {
                Some(ended) = publishing.join_next() => {
                    if let Err(error) = returned(ended) {
                        failed.get_or_insert(error);
                        // The others wait for their answers: a service mistakes many requests that are cancelled at
                        // once for an attack, and closes the connection.
                        next.store(plan.messages, Ordering::Relaxed);
                    }
                }
                () = sleep(REPORT) => report(self),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let acknowledged = Instant::now();
        self.wait_for(self.run.last_acknowledged(), &mut report).await;
        let cpu = cpu_before.zip(cpu()?).map(|(before, after)| [before, after]);
        Ok(Published { first, acknowledged, cpu })
    }

    /// Waits until all readers have everything up to this sequence, or until nothing has arrived for a while.
    async fn wait_for(&self, sequence: u64, report: &mut (dyn FnMut(&Self) + Send)) {
        if !self.run.plan.streams {
            return;
        }
        // A reader that has caught up stays caught up, so only the first that has not must be checked.
        let (mut slowest, mut last) = (0, (0, 0));
        let (mut progressed, mut reported) = (Instant::now(), Instant::now());
        while let Some(participant) = self.participants.get(slowest) {
            let position = participant.reader.position();
            if position >= sequence || participant.reader.has_ended() {
                slowest += 1;
                continue;
            }
            let now = Instant::now();
            if last != (slowest, position) {
                (last, progressed) = ((slowest, position), now);
            } else if now.duration_since(progressed) > PATIENCE {
                return;
            }
            if now.duration_since(reported) > REPORT {
                reported = now;
                report(self);
            }
            sleep(LOOK).await;
        }
    }

    fn deliveries(&self) -> u64 {
        self.participants.iter().map(|participant| participant.reader.messages()).sum()
    }

    fn deliveries_expected(&self) -> u64 {
        let plan = &self.run.plan;
        if plan.streams { plan.participants as u64 * plan.messages } else { 0 }
    }

    fn summarize(&self, joins: [Duration; 2], memory: Option<[u64; 2]>, published: &Published) -> Measured {
        let (plan, last) = (&self.run.plan, self.run.last_acknowledged());
        let readers: Vec<ReaderOutcome> = match plan.streams {
            true => self.participants.iter().map(|participant| participant.reader.outcome(last)).collect(),
            false => Vec::new(),
        };
        let mut faults = compare(&readers, plan.messages);
        faults.altered += self.participants.first().map_or(0, |first| first.reader.misplaced());
        let deliveries = readers.iter().map(|reader| reader.transcript.messages()).sum();
        let last_delivery = readers.iter().filter_map(|reader| reader.last_message_at).max();
        let delivering = last_delivery.map_or(Duration::ZERO, |last| last.duration_since(published.first));
        let publishing = published.acknowledged.duration_since(published.first);
        let ended: Vec<_> = readers.iter().filter_map(|reader| reader.ended.clone()).collect();
        let used = memory.zip(published.cpu);
        let summary = Summary {
            participants: plan.participants,
            publishers: plan.publishers,
            in_flight: plan.in_flight,
            interval_ms: plan.interval.map(|interval| rounded(interval.as_secs_f64() * 1e3)),
            text_characters: plan.text_characters,
            messages: plan.messages,
            join_seconds: rounded(joins[0].as_secs_f64()),
            caught_up_seconds: rounded(joins[1].as_secs_f64()),
            deliveries,
            deliveries_expected: self.deliveries_expected(),
            deliveries_per_second: per_second(deliveries, delivering),
            publishes_per_second: per_second(plan.messages, publishing),
            publish_ms: Latencies::of(&self.run.publish_latencies()),
            delivery_ms: Latencies::of(&self.run.delivery_latencies()),
            faults,
            streams_ended: ended.len() as u64,
            server: used.map(|(memory, cpu)| ServerUse::new(cpu, memory, plan, deliveries)),
        };
        Measured { summary, first_end: ended.into_iter().next() }
    }

    /// All participants leave. First all streams are closed, so that no participant is sent the leaves of the others.
    /// Returns why the first that failed to leave did so.
    pub async fn leave(&self, progress: Progress<'_>) -> Option<CallFailure> {
        self.participants.iter().for_each(|participant| participant.reader.stop());
        let (mut leaving, mut failed) = (JoinSet::new(), None);
        for (left, participant) in self.participants.iter().enumerate() {
            if leaving.len() >= LEAVES_IN_PARALLEL {
                failed = failed.or(leaving.join_next().await.and_then(returned));
            }
            let participant = Arc::clone(participant);
            leaving.spawn(async move { participant.leave().await.err() });
            progress(Phase::Leaving, left as u64 + 1, self.participants.len() as u64);
        }
        while let Some(left) = leaving.join_next().await {
            failed = failed.or(returned(left));
        }
        failed
    }
}

/// The faults of all readers: each reader's own, and differences from the first reader.
fn compare(readers: &[ReaderOutcome], messages: u64) -> Faults {
    let mut faults = Faults::default();
    let Some(first) = readers.first() else { return faults };
    for reader in readers {
        faults.add(&reader.faults);
        let transcript = reader.transcript;
        // A message that is repeated under another sequence is one too many, although the sequences are in order.
        faults.doubled += transcript.messages().saturating_sub(messages);
        // A reader with missing messages is counted already.
        let is_comparable = transcript.messages() == first.transcript.messages();
        faults.altered += u64::from(is_comparable && transcript != first.transcript);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::check::Transcript;
    use super::*;

    fn reader(frames: &[&str], faults: Faults) -> ReaderOutcome {
        let mut transcript = Transcript::default();
        frames.iter().for_each(|frame| transcript.push(frame.as_bytes()));
        ReaderOutcome { transcript, faults, last_message_at: None, ended: None }
    }

    /// All readers get the same bytes in the same order (S4): a reader with other bytes is found even if its counts are
    /// right.
    #[test]
    fn readers_are_compared() {
        let none = Faults::default();
        let check = |readers: &[ReaderOutcome], expected| assert_eq!(compare(readers, 2), expected);
        check(&[], none);
        check(&[reader(&["a", "b"], none), reader(&["a", "b"], none)], none);
        check(&[reader(&["a", "b"], none), reader(&["b", "a"], none)], Faults { altered: 1, ..none });
        check(&[reader(&["a", "b"], none), reader(&["a", "x"], none)], Faults { altered: 1, ..none });
        let lacking = Faults { missing: 1, ..none };
        check(&[reader(&["a", "b"], none), reader(&["a"], lacking)], lacking);
        check(&[reader(&["a", "b", "b"], none)], Faults { doubled: 1, ..none });
    }
}
