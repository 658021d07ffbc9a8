//! A participant of a run: joins, publishes, leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Rpc, Service};
use super::error::{CallFailure, LoadError};
use super::reader::{Reader, ReaderTask, Welcomed};
use super::run::Run;
use crate::wire::pb;

/// How long an answer may take. Long, since a service is busy when ten thousand join at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A participant that has joined.
#[derive(Debug)]
pub struct Participant {
    /// Its number, from 0.
    pub index: usize,
    run: Arc<Run>,
    service: Arc<Service>,
    requests: SendRequest<Bytes>,
    pub reader: Reader,
    session_token: String,
    clock: AtomicU64,
    /// The newest event when it joined.
    pub joined_at: u64,
    _task: AbortOnDropHandle<()>,
}

impl Participant {
    /// Connects and joins.
    pub async fn join(run: Arc<Run>, service: Arc<Service>, index: usize) -> Result<Self, LoadError> {
        let (requests, driver) = service.connect().await?;
        let (reader, welcomed) = Reader::new(Arc::clone(&run), index);
        let task = AbortOnDropHandle::new(tokio::spawn(ReaderTask { driver, reader: reader.clone() }));
        let request = pb::JoinRequest { display_name: run.display_name(index), logical_time: 1, resume: None };
        let joining = async {
            reader.start(service.open(&requests, Rpc::Join, &request).await?);
            Ok::<Option<Welcomed>, CallFailure>(welcomed.await.ok())
        };
        let failed = |failure| LoadError::Call { call: "join", number: index as u64 + 1, failure };
        let welcome = answered(joining).await.map_err(failed)?;
        let Some(welcome) = welcome else {
            return Err(LoadError::Stream(
                reader.ended().unwrap_or_else(|| Arc::new(super::scan::Malformed.into())),
            ));
        };
        if !run.plan.streams {
            reader.stop();
        }
        Ok(Self {
            index,
            run,
            service,
            requests,
            reader,
            session_token: welcome.session_token,
            clock: AtomicU64::new(welcome.logical_time + 1),
            joined_at: welcome.head_sequence,
            _task: task,
        })
    }

    /// Publishes messages, one after another, until the run has none left. `next` counts the messages taken so far;
    /// several tasks may share it, even for one participant.
    pub async fn publish(&self, next: &AtomicU64, first: Instant) -> Result<(), LoadError> {
        loop {
            let message = next.fetch_add(1, Ordering::Relaxed);
            if message >= self.run.plan.messages {
                return Ok(());
            }
            self.run.note_sent(message, self.when_due(message, first).await);
            let request = pb::PublishRequest {
                session_token: self.session_token.clone(),
                text: self.run.text(message),
                logical_time: self.clock.fetch_add(1, Ordering::Relaxed) + 1,
                message_id: self.run.message_id(message),
                seen_sequence: self.reader.position().max(self.joined_at),
                sent_at: None,
            };
            let answer = answered(self.service.call(&self.requests, Rpc::Publish, &request)).await;
            let failed = |failure| LoadError::Call { call: "publish", number: message + 1, failure };
            let answer: pb::PublishResponse = answer.map_err(failed)?;
            self.run.note_acknowledged(message, answer.sequence, Instant::now());
            self.clock.fetch_max(answer.logical_time, Ordering::Relaxed);
            self.clock.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until a message is due. Returns the time from which its latency counts. If the previous message has
    /// delayed it, that is when it was due, so that all messages that a stalled service delays are counted.
    async fn when_due(&self, message: u64, first: Instant) -> Instant {
        let now = Instant::now();
        match self.run.due(message, first) {
            Some(due) if due > now => {
                sleep_until(due).await;
                Instant::now()
            }
            Some(due) => due,
            None => now,
        }
    }

    /// Leaves. Its stream must have been [stopped](Reader::stop).
    pub async fn leave(&self) -> Result<(), CallFailure> {
        let logical_time = self.clock.load(Ordering::Relaxed) + 1;
        let request = pb::LeaveRequest { session_token: self.session_token.clone(), logical_time };
        let _: pb::LeaveResponse = answered(self.service.call(&self.requests, Rpc::Leave, &request)).await?;
        Ok(())
    }
}

async fn answered<T>(call: impl Future<Output = Result<T, CallFailure>>) -> Result<T, CallFailure> {
    timeout(PATIENCE, call).await.unwrap_or(Err(CallFailure::TimedOut(PATIENCE)))
}
