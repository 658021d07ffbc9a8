//! The common log: a stream of JetStream, which is found or created, and checked.

mod survey;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, Event, ReconnectToServer, Server, ServerAddr, ServerError, ServerInfo};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::access::{self, Refusals, Settings};
use super::encoding::LogMessage;
use super::error::{ReplicaError, SetupFault};
use super::setup;

/// How long an answer of the servers may take.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long a start repeats unanswered requests: a new stream, or a new leader, needs a moment.
const START_TIME: Duration = Duration::from_secs(15);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the connection is pinged. Without an answer the next server is tried.
const PING: Duration = Duration::from_secs(1);
/// Each pause before an attempt to connect is this much longer than the previous one. The first attempt has no pause.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before an attempt to connect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// An open log.
#[derive(Clone)]
pub struct CommandLog {
    context: Context,
    stream: Stream<()>,
    name: Arc<str>,
    epoch: Arc<str>,
    signals: Signals,
}

/// What a connection reports without a request.
#[derive(Clone, Debug, Default)]
struct Signals {
    /// The last error that the servers reported, usually a missing permission.
    complaint: Arc<Mutex<Option<String>>>,
    /// How many times the connection was lost.
    disconnects: watch::Sender<u64>,
}

impl Signals {
    fn note(&self, event: &Event) {
        match event {
            Event::ServerError(ServerError::Other(complaint))
                if self.complaint.lock().replace(complaint.clone()).as_ref() != Some(complaint) =>
            {
                tracing::warn!(%complaint, "a NATS server reports an error");
            }
            Event::Disconnected => self.disconnects.send_modify(|disconnects| *disconnects += 1),
            _ => {}
        }
    }

    /// The missing permission, if the servers have reported one. Trying again would not help.
    fn forbidden(&self) -> Option<SetupFault> {
        let complaint =
            self.complaint.lock().clone().filter(|complaint| complaint.contains("ermissions Violation"))?;
        Some(SetupFault::Forbidden { complaint })
    }

    /// The reason for a failure, with the servers' complaint if there is one.
    fn explain(&self, error: &dyn std::fmt::Display) -> String {
        match &*self.complaint.lock() {
            Some(complaint) => format!("{error} (the server says: {complaint})"),
            None => error.to_string(),
        }
    }
}

impl CommandLog {
    /// Finds the stream, or creates it with a new epoch, and checks it.
    pub async fn open(settings: &Settings, new_epoch: &str) -> Result<Self, SetupFault> {
        let servers = survey::survey(settings).await?;
        let signals = Signals::default();
        let client = connect(settings, &settings.servers, &signals, None).await?;
        let context = context(client);
        let name = &settings.stream;
        let stream = find_or_make(&context, name, servers, &signals).await?;
        let first = persist(|| async {
            match genesis(&stream).await.map_err(|error| error.to_string())? {
                Some(first) => Ok(first),
                None => {
                    begin(&context, name, new_epoch).await?;
                    // Another replica may have been faster.
                    let first = genesis(&stream).await.map_err(|error| error.to_string())?;
                    first.ok_or_else(|| "the message is not there yet".to_owned())
                }
            }
        });
        let first = first.await.map_err(|error| SetupFault::Failed {
            what: "finding or writing the stream's first message",
            why: signals.explain(&error),
        })?;
        let epoch = epoch_of(name, &first)?;
        let (name, epoch) = (name.as_str().into(), epoch.into());
        Ok(Self { context, stream, name, epoch, signals })
    }

    /// The missing permission, if the servers have reported one.
    pub(super) fn forbidden(&self) -> Option<SetupFault> {
        self.signals.forbidden()
    }

    /// The epoch of its conversation.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reason for a failure, with the servers' complaint if there is one.
    pub(super) fn explain(&self, why: &str) -> String {
        self.signals.explain(&why)
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn stream(&self) -> &Stream<()> {
        &self.stream
    }

    /// The current position of the last message.
    ///
    /// # Errors
    /// [`SetupFault::Failed`].
    pub async fn last(&self) -> Result<u64, SetupFault> {
        let info = persist(|| self.stream.get_info()).await;
        let info = info.map_err(|error| SetupFault::Failed {
            what: "looking up the stream",
            why: self.explain(&error.to_string()),
        })?;
        Ok(info.state.last_sequence)
    }

    /// The message at a position, if there is one.
    ///
    /// # Errors
    /// [`SetupFault::Failed`].
    pub async fn message(&self, position: u64) -> Result<Option<Bytes>, SetupFault> {
        persist(|| message(&self.stream, position)).await.map_err(|error| SetupFault::Failed {
            what: "reading the stream",
            why: self.explain(&error.to_string()),
        })
    }

    /// The same with a single attempt; also `None` if that fails.
    pub(super) async fn message_now(&self, position: u64) -> Option<Bytes> {
        message(&self.stream, position).await.ok().flatten()
    }

    /// Changes whenever the connection is lost: what was sent on it may not have arrived.
    pub(super) fn disconnects(&self) -> watch::Receiver<u64> {
        self.signals.disconnects.subscribe()
    }

    /// Checks whether a message that the stream did not deliver is missing in it although there are later ones.
    pub(super) async fn check_gap(&self, position: u64) -> Result<(), ReplicaError> {
        let (last, found) = (self.last().await?, self.message(position).await?);
        if found.is_none() && last > position { Err(ReplicaError::Gap { position }) } else { Ok(()) }
    }
}

/// Repeats an attempt for a while.
async fn persist<T, E, F>(mut attempt: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + START_TIME;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => sleep(PAUSE).await,
            done => return done,
        }
    }
}

fn context(client: Client) -> Context {
    jetstream::context::ContextBuilder::new().timeout(ANSWER_TIME).ack_timeout(ANSWER_TIME).build(client)
}

async fn connect(
    settings: &Settings,
    servers: &[ServerAddr],
    signals: &Signals,
    reconnects: Option<usize>,
) -> Result<Client, SetupFault> {
    let (signals, last) = (signals.clone(), AtomicUsize::new(usize::MAX));
    let refusals = Refusals::new(settings);
    let mut options = access::options(settings)?
        .name(format!("chitchat replica {}", settings.name))
        .connection_timeout(ANSWER_TIME)
        .request_timeout(Some(ANSWER_TIME))
        .ping_interval(PING)
        // Only the servers that the operator has named are used.
        .ignore_discovered_servers()
        .max_reconnects(reconnects)
        .reconnect_delay_callback(|attempt| {
            let failed = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
            RECONNECT_PAUSE_MAX.min(RECONNECT_PAUSE.saturating_mul(failed))
        })
        .reconnect_to_server_callback(move |pool, current| {
            let next = next_server(&pool, &current, &last);
            std::future::ready(next.map(|addr| ReconnectToServer { addr, delay: None }))
        })
        .event_callback(move |event| {
            signals.note(&event);
            refusals.note(&event);
            std::future::ready(())
        });
    // The client library ignores the user and the password in an address.
    if let Some((user, password)) = servers.iter().find_map(|server| server.username().zip(server.password())) {
        options = options.user_and_password(user.to_owned(), password.to_owned());
    }
    options.connect(servers).await.map_err(|error| access::unconnected(settings, servers, &error))
}

/// The server to try after a connection was lost or closed: the next one in the list, round robin, so that the replica
/// leaves a server that is cut off from the others. Before the first connection the client library tries all servers
/// itself.
fn next_server(pool: &[Server], current: &ServerInfo, last: &AtomicUsize) -> Option<ServerAddr> {
    if current.server_id.is_empty() {
        return None;
    }
    let first = pool.iter().position(|server| server.did_connect).unwrap_or(0);
    let next = last.load(Ordering::Relaxed).checked_add(1).unwrap_or(first + 1).checked_rem(pool.len())?;
    last.store(next, Ordering::Relaxed);
    pool.get(next).map(|server| server.addr.clone())
}

async fn find_or_make(
    context: &Context,
    name: &str,
    servers: usize,
    signals: &Signals,
) -> Result<Stream<()>, SetupFault> {
    let deadline = Instant::now() + START_TIME;
    let info = loop {
        let (what, error) = match context.get_stream(name).await {
            Ok(stream) => break stream.cached_info().clone(),
            Err(error) if is_missing(error.kind()) => {
                match context.create_stream(setup::config(name, servers)).await {
                    Ok(stream) => break stream.cached_info().clone(),
                    Err(error) => ("creating the stream", signals.explain(&error)),
                }
            }
            Err(error) => ("looking up the stream", signals.explain(&error)),
        };
        if let Some(fault) = signals.forbidden() {
            return Err(fault);
        }
        if Instant::now() >= deadline {
            return Err(SetupFault::Failed { what, why: error });
        }
        sleep(PAUSE).await;
    };
    setup::check(&info, servers)?;
    context
        .get_stream_no_info(name)
        .await
        .map_err(|error| SetupFault::Failed { what: "opening the stream", why: signals.explain(&error) })
}

fn is_missing(kind: GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn message(stream: &Stream<()>, position: u64) -> Result<Option<Bytes>, RawMessageError> {
    match stream.get_raw_message(position).await {
        Ok(message) => Ok(Some(message.payload)),
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn genesis(stream: &Stream<()>) -> Result<Option<Bytes>, RawMessageError> {
    message(stream, 1).await
}

/// Writes the first message, unless there is one.
async fn begin(context: &Context, name: &str, epoch: &str) -> Result<(), String> {
    let payload = LogMessage::Genesis { epoch: epoch.into() }.encode().into();
    let message = PublishMessage::build().payload(payload).expected_last_sequence(0).expected_stream(name);
    let sent = context.send_publish(setup::subject(name), message).await.map_err(|error| error.to_string())?;
    match sent.await {
        Err(error) if error.kind() != PublishErrorKind::WrongLastSequence => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn epoch_of(stream: &str, first: &[u8]) -> Result<String, SetupFault> {
    match LogMessage::decode(first) {
        Ok(LogMessage::Genesis { epoch }) if !epoch.is_empty() => Ok(epoch),
        Ok(_) => Err(foreign(stream, "its first message does not begin a conversation")),
        Err(error) => Err(foreign(stream, &format!("its first message cannot be used: {error}"))),
    }
}

fn foreign(stream: &str, why: &str) -> SetupFault {
    SetupFault::Foreign { stream: stream.to_owned(), why: why.to_owned() }
}
