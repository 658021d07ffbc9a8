//! The service process, and how its parts are put together.
//!
//! Data flows one way: wire → validated types → [`engine`](core::engine) (the one writer) → journal →
//! [`feed`](core::feed) → [`stream`](core::streams::stream) → wire. The caller passes in the socket, the configuration,
//! the journal and the shutdown signal.
//!
//! | folder | what is in it |
//! |---|---|
//! | [`core`] | the conversation and each participant's stream |
//! | [`edge`] | connections |
//! | [`http`] | requests: routes, checks, the page |
//! | [`budget`] | the memory that each address may use |
//! | [`lab`] | faults that a teacher sets, in `chitchat lab` only |
//! | [`ops`] | metrics, readiness, rates, records of refusals |

mod budget;
mod config;
mod core;
mod edge;
mod http;
mod lab;
mod ops;
mod service;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::chat::Conversation;
use crate::journal::{CheckState, Epoch, History, Journal, JournalError, RecoveryError, recover};
use crate::log::{self, About, ServerRecord};
use crate::replica::{ReplicaError, ReplicaParts};
use crate::wire::PARTICIPANTS_MAX;

pub use self::core::attachments::PRESENCE_MERGE;
pub use self::core::broadcast::record_recovered_broadcast;
pub use self::core::feed::FEED_WINDOW;
pub use self::http::guard::Allowed;
pub use self::http::secret::{SECRET_CHARACTERS_MAX, SECRET_CHARACTERS_MIN, Secret, SecretFault, WRONG_SECRETS};
pub use budget::memory::CONNECTION_BYTES;
pub use config::{Config, Environment, LabConfig};
pub use edge::accept::HEADER_LIST_BYTES_MAX;
pub use edge::forwarded::{PROXY_HOPS_MAX, ProxyNetwork, ProxyNetworkFault, TrustedProxies};
pub use edge::proxy_protocol::PROXY_HEADER_BYTES_MAX;
pub use edge::tls::{Tls, TlsError};
pub use lab::faults::{DELAY_MAX, FAULT_TIME_MAX, WRITER_STOP_MAX};
pub use lab::handle::{LabHandle, LabObserver};
pub use lab::proof_fault::{PAGE_LOG_BYTES_MAX, PROOF_TIME_MAX, ProofFault};
pub use lab::queues::PUBLISHES_HELD_MAX;
pub use lab::stage::LabStage;
pub use ops::limiter::Rate;
pub use ops::rates::READ_RATE;
pub use ops::refusals::{CLAIM_BYTES_RECORDED, REFUSALS_RECORDED};

use self::core::attachments::Attachments;
use self::core::engine::{Engine, WriterParts};
use self::core::feed::Feed;
use self::core::replicated::{ReplicatedEngine, ReplicatedParts};
use self::core::requests::EngineHandle;
use self::core::shares::ParticipantShares;
use self::core::streams::fan_out::FanOut;
use self::core::streams::open_streams::OpenStreams;
use self::core::streams::stream::StreamContext;
use lab::control::Lab;
use lab::effects::writer::StoppableJournal;
use lab::service::LabApi;
use ops::context::ServerContext;
use ops::rates::Rates;
use service::{PAGES_AT_A_TIME, Service};

/// Why a service cannot start, or has failed.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The conversation cannot be rebuilt.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal failed, and cannot be used again.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The replica failed and cannot continue.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The listening socket failed.
    #[error("the listening socket failed: {0}")]
    Listener(#[from] io::Error),
}

/// A new epoch from the randomness of the environment.
pub fn new_epoch(environment: &Environment) -> Epoch {
    Epoch::new(format!("{:016x}", (environment.random)() as u64))
}

/// Recovers the conversation from a journal and serves it: see [`run_recovered`].
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
/// The conversation is the one that [`recover`] has rebuilt from the journal.
pub async fn run_recovered(
    listener: TcpListener,
    config: Config,
    journal: Box<dyn Journal>,
    conversation: Conversation,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    serve(listener, config, Deciding::Alone { journal, conversation }, shutdown).await
}

/// Runs a replica that has started, as [`run_recovered`] runs a service that decides alone.
pub async fn run_replica(
    listener: TcpListener,
    config: Config,
    replica: ReplicaParts,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    serve(listener, config, Deciding::Replica(Box::new(replica)), shutdown).await
}

/// What decides the order: this service alone, or the common log of all replicas.
enum Deciding {
    Alone { journal: Box<dyn Journal>, conversation: Conversation },
    Replica(Box<ReplicaParts>),
}

impl Deciding {
    fn journal(&self) -> (Epoch, Arc<dyn History>) {
        match self {
            Self::Alone { journal, .. } => (journal.epoch(), journal.history()),
            Self::Replica(replica) => (replica.applier.epoch(), replica.applier.history()),
        }
    }

    fn later_check(&self) -> Option<watch::Receiver<CheckState>> {
        match self {
            Self::Alone { journal, .. } => journal.later_check(),
            Self::Replica(replica) => replica.applier.later_check(),
        }
    }

    fn conversation(&self) -> Conversation {
        match self {
            Self::Alone { conversation, .. } => conversation.clone(),
            Self::Replica(replica) => replica.applier.conversation().clone(),
        }
    }
}

enum ServiceWriter {
    Alone(Box<Engine>),
    Replica(Box<ReplicatedEngine>),
}

impl ServiceWriter {
    async fn run(self) -> Result<Conversation, ServerError> {
        match self {
            Self::Alone(engine) => Ok(engine.run().await?),
            Self::Replica(engine) => Ok(engine.run().await?),
        }
    }
}

async fn serve(
    listener: TcpListener,
    config: Config,
    deciding: Deciding,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    let (epoch, _) = deciding.journal();
    let (address, start) = (listener.local_addr()?, deciding.conversation());
    // Cancelled once the shutdown has been logged, so that its consequences are logged after it.
    let stopping = CancellationToken::new();
    let is_replica = matches!(deciding, Deciding::Replica(_));
    let (memory_max, ingress_rate) = (config.memory_per_address_max, config.ingress_per_address_rate);
    let context = ServerContext::new(memory_max, ingress_rate, stopping.clone(), is_replica);
    if let Some(check) = deciding.later_check() {
        ops::journal_check::follow(check, context.clone());
    }
    let Composed { writer, router, health, lab } = compose(&config, deciding, &context);
    context.readiness.tell(&health).await;
    record_start(&config, &epoch, &start, address);
    config.started.cancel();
    drop(start);
    let abort = shutdown.clone();
    let engine = tokio::spawn(async move {
        // The service stops when the engine ends for any reason, since nothing works without it.
        let _abort = abort.drop_guard();
        writer.run().await
    });
    let stop = async {
        shutdown.cancelled().await;
        ServerRecord::ServerStopping { about: About::epoch(epoch.as_str()) }.emit();
        stopping.cancel();
    };
    let keep_lab = async {
        if let Some(lab) = lab {
            lab.keep(&context.stopping).await;
        }
    };
    let accept = edge::accept::serve(listener, router, &config, &context);
    tokio::join!(accept, context.readiness.report(health), keep_lab, stop);
    match engine.await.map_err(io::Error::other)? {
        Ok(conversation) => {
            let (sequence, logical_time) = (Some(conversation.head().0), Some(conversation.logical_time().0));
            let about = About::epoch(epoch.as_str());
            ServerRecord::ServerStopped { about, sequence, logical_time, reason: None }.emit();
            Ok(())
        }
        Err(error) => {
            let reason =
                if matches!(error, ServerError::Replica(_)) { "REPLICA_FAILED" } else { "JOURNAL_FAILED" };
            let (about, reason) = (About::epoch(epoch.as_str()), Some(reason.into()));
            ServerRecord::ServerStopped { about, sequence: None, logical_time: None, reason }.emit();
            Err(error)
        }
    }
}

/// The parts of a service, put together.
struct Composed {
    writer: ServiceWriter,
    router: Router,
    health: HealthReporter,
    lab: Option<Lab>,
}

fn compose(config: &Config, deciding: Deciding, context: &ServerContext) -> Composed {
    let ((epoch, history), conversation) = (deciding.journal(), deciding.conversation());
    let feed = Feed::new(conversation);
    let (reader, streams) = (feed.reader(), OpenStreams::new(config.heartbeat, config.stall));
    tokio::spawn(FanOut::new(&feed, streams.clone(), context.stopping.clone()).run());
    let lab = config.lab.as_ref().map(|_| Lab::new(reader.clone(), epoch.clone(), config.environment.random));
    let stream_context = StreamContext {
        reader: reader.clone(),
        streams,
        history: history.clone(),
        epoch: epoch.clone(),
        heartbeat: config.heartbeat,
        server: context.clone(),
        lab: lab.clone(),
    };
    let lab_handle = lab.clone().map(|lab| LabHandle::new(lab, reader.clone(), feed.changes(), history.clone()));
    let api = lab_handle.zip(config.lab.as_ref()).map(|(lab, config)| lab_api(lab, config));
    let (writer, handle) = writer(config, deciding, feed, stream_context);
    let rates = Rates::new(config);
    let environment = config.environment;
    let pages = Semaphore::new(PAGES_AT_A_TIME);
    let service = Service {
        engine: handle,
        reader,
        history,
        epoch,
        environment,
        rates,
        pages,
        context: context.clone(),
        lab: lab.clone(),
    };
    let (router, health) = self::http::router::router(service, api, config, context);
    Composed { writer, router, health, lab }
}

fn writer(
    config: &Config,
    deciding: Deciding,
    feed: Feed,
    streams: StreamContext,
) -> (ServiceWriter, EngineHandle) {
    let (participants_max, now) = (config.participants_max.min(PARTICIPANTS_MAX), config.environment.now);
    let shares = ParticipantShares::new(config.participants_per_address_max);
    let context = streams.server.clone();
    match deciding {
        Deciding::Alone { journal, conversation } => {
            let journal = match &streams.lab {
                Some(lab) => Box::new(StoppableJournal::new(journal, lab, context.stopping.clone())),
                None => journal,
            };
            let attachments = Attachments::new(streams, feed.clone(), config.grace, &conversation);
            let parts = WriterParts { feed, attachments, participants_max, shares, now, context };
            let (engine, handle) = Engine::new(conversation, journal, parts);
            (ServiceWriter::Alone(Box::new(engine)), handle)
        }
        Deciding::Replica(replica) => {
            // The end of a stream is reported at once: grace periods run in the common log, not here.
            let attachments = Attachments::new(streams, feed.clone(), Duration::ZERO, &Conversation::new());
            let (grace, random) = (config.grace, config.environment.random);
            let writer = WriterParts { feed, attachments, participants_max, shares, now, context };
            let parts = ReplicatedParts { replica: *replica, grace, random, writer };
            let (engine, handle) = ReplicatedEngine::new(parts);
            (ServiceWriter::Replica(Box::new(engine)), handle)
        }
    }
}

/// The lab's RPCs. Also starts the lab's stage, if it has one.
fn lab_api(lab: LabHandle, config: &LabConfig) -> LabApi {
    if let Some(stage) = &config.stage {
        stage.begin(lab.clone());
    }
    LabApi::new(lab, config.key.clone(), config.stage.clone())
}

fn record_start(config: &Config, epoch: &Epoch, conversation: &Conversation, address: SocketAddr) {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    ServerRecord::ServerStarted {
        about: About::epoch(epoch.as_str()),
        address: address.to_string().into(),
        sequence: conversation.head().0,
        logical_time: conversation.logical_time().0,
        version: env!("CARGO_PKG_VERSION").into(),
        grace_ms: millis(config.grace),
        ping_ms: millis(config.ping),
        ping_timeout_ms: millis(config.ping_timeout),
        stall_ms: millis(config.stall),
        logs_deliveries: log::keeps_deliveries(),
    }
    .emit();
}
