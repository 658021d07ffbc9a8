//! The service process: how its parts are put together.
//!
//! Data flows one way: wire → validated types → [`engine`](core::engine) (the one writer) → journal →
//! [`feed`](core::feed) → [`stream`](core::stream) → wire. The socket, the configuration, the journal and the shutdown
//! signal are handed in.
//!
//! | folder | what is in it |
//! |---|---|
//! | [`core`] | the conversation and each participant's stream |
//! | [`edge`] | connections |
//! | [`http`] | requests: routes, checks, the page |
//! | [`budget`] | memory that is held for an address |
//! | [`ops`] | metrics, readiness, rates, records of refusals |

mod budget;
mod config;
mod core;
mod edge;
mod http;
mod ops;
mod service;

use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::chat::Conversation;
use crate::journal::{Epoch, Journal, JournalError, RecoveryError, recover};
use crate::record::record;
use crate::wire::PARTICIPANTS_MAX;

pub use self::core::attachments::PRESENCE_MERGE;
pub use self::core::broadcast::record_recovered_broadcast;
pub use self::core::feed::FEED_WINDOW;
pub use self::http::guard::Allowed;
pub use self::http::secret::{SECRET_CHARACTERS_MAX, SECRET_CHARACTERS_MIN, Secret, SecretFault, WRONG_SECRETS};
pub use budget::memory::CONNECTION_BYTES;
pub use config::{Config, Environment};
pub use edge::accept::HEADER_LIST_BYTES_MAX;
pub use edge::forwarded::{PROXY_HOPS_MAX, ProxyNetwork, ProxyNetworkFault, TrustedProxies};
pub use edge::proxy_protocol::PROXY_HEADER_BYTES_MAX;
pub use edge::tls::{Tls, TlsError};
pub use ops::limiter::Rate;
pub use ops::rates::READ_RATE;
pub use ops::refusals::{CLAIM_BYTES_RECORDED, REFUSALS_RECORDED};

use self::core::attachments::Attachments;
use self::core::engine::{Engine, EngineParts};
use self::core::feed::Feed;
use self::core::shares::ParticipantShares;
use self::core::stream::StreamContext;
use ops::context::ServerContext;
use ops::rates::Rates;
use service::{PAGES_AT_A_TIME, Service};

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

/// A new epoch from the randomness of the environment.
pub fn new_epoch(environment: &Environment) -> Epoch {
    Epoch::new(format!("{:016x}", (environment.random)() as u64))
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
    let epoch = journal.epoch();
    let (address, start) = (listener.local_addr()?, conversation.clone());
    // Follows `shutdown`, once that is on record: what it leads to is recorded after it.
    let stopping = CancellationToken::new();
    let context =
        ServerContext::new(config.memory_per_address_max, config.ingress_per_address_rate, stopping.clone());
    let (engine, router, health) = compose(&config, journal, conversation, &context);
    context.readiness.tell(&health).await;
    record_start(&epoch, &start, address, &config);
    config.started.cancel();
    drop(start);
    let abort = shutdown.clone();
    let engine = tokio::spawn(async move {
        // However it ends, nothing goes on without the one writer.
        let _abort = abort.drop_guard();
        engine.run().await
    });
    let stop = async {
        shutdown.cancelled().await;
        record!(INFO, "server", "server_stopping", epoch = %epoch);
        stopping.cancel();
    };
    tokio::join!(edge::accept::serve(listener, router, &config, &context), context.readiness.report(health), stop);
    match engine.await.map_err(io::Error::other)? {
        Ok(conversation) => {
            record_stop(&epoch, &conversation);
            Ok(())
        }
        Err(error) => {
            record!(INFO, "server", "server_stopped", epoch = %epoch, reason = "JOURNAL_FAILED");
            Err(error.into())
        }
    }
}

/// Puts the parts together.
fn compose(
    config: &Config,
    journal: Box<dyn Journal>,
    conversation: Conversation,
    context: &ServerContext,
) -> (Engine, Router, HealthReporter) {
    let (epoch, history) = (journal.epoch(), journal.history());
    let feed = Feed::new(conversation.clone());
    let reader = feed.reader();
    let stream_context = StreamContext {
        reader: reader.clone(),
        history: history.clone(),
        epoch: epoch.clone(),
        heartbeat: config.heartbeat,
        stall: config.stall,
        server: context.clone(),
    };
    let attachments = Attachments::new(stream_context, feed.clone(), config.grace, &conversation);
    let (participants_max, now) = (config.participants_max.min(PARTICIPANTS_MAX), config.environment.now);
    let shares = ParticipantShares::new(config.participants_per_address_max);
    let context = context.clone();
    let parts = EngineParts {
        conversation,
        journal,
        feed,
        attachments,
        participants_max,
        shares,
        now,
        context: context.clone(),
    };
    let (engine, handle) = Engine::new(parts);
    let rates = Rates::new(config);
    let environment = config.environment;
    let pages = Semaphore::new(PAGES_AT_A_TIME);
    let service =
        Service { engine: handle, reader, history, epoch, environment, rates, pages, context: context.clone() };
    let (router, health) = self::http::router::router(service, config, &context);
    (engine, router, health)
}

/// The limits are part of it: `verify` needs them to judge who was away for too long (V14, V15).
fn record_start(epoch: &Epoch, conversation: &Conversation, address: SocketAddr, config: &Config) {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    record!(
        INFO,
        "server",
        "server_started",
        version = env!("CARGO_PKG_VERSION"),
        address = %address,
        epoch = %epoch,
        sequence = conversation.head().0,
        logical_time = conversation.logical_time().0,
        grace_ms = milliseconds(config.grace),
        ping_ms = milliseconds(config.ping),
        ping_timeout_ms = milliseconds(config.ping_timeout),
        stall_ms = milliseconds(config.stall),
    );
}

fn record_stop(epoch: &Epoch, conversation: &Conversation) {
    record!(
        INFO,
        "server",
        "server_stopped",
        epoch = %epoch,
        sequence = conversation.head().0,
        logical_time = conversation.logical_time().0,
    );
}
