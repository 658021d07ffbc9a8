//! The service process: how its parts are put together.
//!
//! Data flows one way: wire → validated types → [`engine`] (the one writer) → journal → [`feed`] →
//! [`stream`] → wire. The socket, the configuration, the journal and the shutdown signal are handed in.

mod accept;
mod config;
mod engine;
mod feed;
mod http;
mod origin;
mod presence;
mod service;
mod stream;
mod token;

use std::io;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::chat::Conversation;
use crate::journal::{Epoch, Journal, JournalError, RecoveryError, recover};
use crate::record::record;

pub use accept::HEADER_LIST_BYTES_MAX;
pub use config::{Config, Machine};
pub use feed::FEED_WINDOW;

use engine::{Engine, EngineParts};
use feed::Feed;
use presence::Presence;
use service::Service;
use stream::StreamContext;

/// A service that cannot start or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The conversation cannot be rebuilt.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal failed for good.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The listening socket is of no use.
    #[error("the listening socket failed: {0}")]
    Listener(#[from] io::Error),
}

/// A new epoch from the machine's randomness.
pub fn new_epoch(machine: &Machine) -> Epoch {
    Epoch::new(format!("{:016x}", (machine.random)() as u64))
}

/// Recovers the conversation from a journal and goes on with it: see [`run_recovered`].
///
/// # Errors
/// [`ServerError`].
pub async fn run(
    listener: TcpListener,
    config: Config,
    journal: Box<dyn Journal>,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let conversation = recover(&*journal.history(), |_| {}).await?;
    run_recovered(listener, config, journal, conversation, shutdown).await
}

/// Runs the service on a listening socket until `shutdown` is cancelled, and then until it has drained.
/// The conversation is the one that [`recover`] made of the journal.
///
/// # Errors
/// [`ServerError`].
pub async fn run_recovered(
    listener: TcpListener,
    config: Config,
    journal: Box<dyn Journal>,
    conversation: Conversation,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let (epoch, history) = (journal.epoch(), journal.history());
    let feed = Feed::new(conversation.clone());
    let context = StreamContext {
        reader: feed.reader(),
        history: history.clone(),
        epoch: epoch.clone(),
        heartbeat: config.heartbeat,
        stall: config.stall,
        shutdown: shutdown.clone(),
    };
    let reader = feed.reader();
    record!(
        INFO,
        "server",
        "server_started",
        address = %listener.local_addr()?,
        epoch = %epoch,
        sequence = conversation.head().0,
        logical_time = conversation.logical_time().0,
    );
    let presence = Presence::new(context, config.grace, &conversation);
    let (engine, handle) = Engine::new(EngineParts {
        conversation,
        journal,
        feed,
        presence,
        participants_max: config.participants_max,
        now: config.machine.now,
        shutdown: shutdown.clone(),
    });
    let stop = shutdown.clone();
    let mut engine = tokio::spawn(async move {
        // However it ends, nothing goes on without the one writer.
        let _stop = stop.drop_guard();
        engine.run().await
    });
    let service = Service { engine: handle, reader, history, machine: config.machine, shutdown: shutdown.clone() };
    let router = http::router(service);

    let stopping = async {
        shutdown.cancelled().await;
        record!(INFO, "server", "server_stopping", epoch = %epoch);
    };
    tokio::join!(accept::serve(listener, router, &config, shutdown.clone()), stopping);
    let conversation = (&mut engine).await.map_err(io::Error::other)??;
    record!(
        INFO,
        "server",
        "server_stopped",
        epoch = %epoch,
        sequence = conversation.head().0,
        logical_time = conversation.logical_time().0,
    );
    Ok(())
}
