//! Requests to the writer, and the handle through which they are made.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::streams::stream::Stream;
use crate::chat::{Command, DisplayName, LogicalTime, ParticipantId, Receipt, Sequence, SessionKey};
use crate::server::edge::origin::Origin;
use crate::wire::Rejection;

/// How many requests are decided and committed together.
pub(super) const BATCH_REQUESTS: usize = 256;
/// How many requests can wait for the engine. Senders wait when the queue is full.
pub(super) const REQUESTS_WAITING: usize = 1024;

/// The caller of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The session's secret, for the Welcome.
    pub token: Arc<str>,
    /// The digest of the secret.
    pub session: SessionKey,
    /// Where the request comes from.
    pub origin: Origin,
}

pub(super) type Responder<T> = oneshot::Sender<Result<T, Rejection>>;

pub(super) enum EngineRequest {
    Join { caller: Caller, display_name: DisplayName, sent: LogicalTime, responder: Responder<Stream> },
    Resume { caller: Caller, epoch: String, after: Sequence, responder: Responder<Stream> },
    Act { command: Command, responder: Responder<Receipt> },
    Expire { participant: ParticipantId },
}

impl EngineRequest {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Join { responder, .. } | Self::Resume { responder, .. } => responder.is_closed(),
            Self::Act { .. } | Self::Expire { .. } => false,
        }
    }
}

/// An answer that is ready.
pub(super) enum Answered {
    Stream(Responder<Stream>, Result<Stream, Rejection>),
    Receipt(Responder<Receipt>, Result<Receipt, Rejection>),
}

impl Answered {
    /// Answers the caller. If the caller is gone, the answer is dropped, which ends the stream that it may contain.
    pub(super) fn tell(self) {
        match self {
            Self::Stream(responder, result) => drop(responder.send(result)),
            Self::Receipt(responder, result) => drop(responder.send(result)),
        }
    }
}

#[derive(Clone)]
pub struct EngineHandle {
    pub(super) requests: mpsc::Sender<EngineRequest>,
    /// Only a replica has this.
    pub(super) barriers: Option<mpsc::Sender<Responder<()>>>,
}

impl EngineHandle {
    /// Joins, and starts the participant's stream.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn join(
        &self,
        caller: Caller,
        display_name: DisplayName,
        sent: LogicalTime,
    ) -> Result<Stream, Rejection> {
        self.ask(|responder| EngineRequest::Join { caller, display_name, sent, responder }).await
    }

    /// Starts the stream of an existing session, after a position.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn resume(&self, caller: Caller, epoch: String, after: Sequence) -> Result<Stream, Rejection> {
        self.ask(|responder| EngineRequest::Resume { caller, epoch, after, responder }).await
    }

    /// Publishes or leaves.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn act(&self, command: Command) -> Result<Receipt, Rejection> {
        self.ask(|responder| EngineRequest::Act { command, responder }).await
    }

    /// For replicas: waits until this one has applied everything that any replica answered before this call. Without
    /// replicas there is nothing to wait for.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn barrier(&self) -> Result<(), Rejection> {
        let Some(barriers) = &self.barriers else { return Ok(()) };
        let (responder, response) = oneshot::channel();
        barriers.send(responder).await.map_err(|_| Rejection::ShuttingDown)?;
        response.await.unwrap_or(Err(Rejection::ShuttingDown))
    }

    /// Whether this service is a replica, which may lag behind the others.
    pub fn is_of_replica(&self) -> bool {
        self.barriers.is_some()
    }

    async fn ask<T>(&self, request: impl FnOnce(Responder<T>) -> EngineRequest) -> Result<T, Rejection> {
        let (responder, response) = oneshot::channel();
        self.requests.send(request(responder)).await.map_err(|_| Rejection::ShuttingDown)?;
        response.await.unwrap_or(Err(Rejection::ShuttingDown))
    }
}
