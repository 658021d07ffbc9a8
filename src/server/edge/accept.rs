//! The accept loop. It closes connections that send nothing, limits their number, and pings them; no ready-made server
//! does all three.

use std::convert::Infallible;
use std::io::{
    self,
    ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset},
};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::ServiceExt;

use super::connection_limits::{ConnectionLimits, ConnectionPermit};
use super::connection_task::{ConnectionTask, Signal, StreamExecutor, Turn};
use super::forwarded::TrustedProxies;
use super::ingress::{Pace, Paced};
use super::origin::{Peer, limited_address};
use super::proxy_protocol;
use super::tls::Tls;
use crate::server::budget::memory::AddressBudget;
use crate::server::budget::request_charge::{self, Charged};
use crate::server::budget::response_body::WatchedBody;
use crate::server::budget::watchdog::{ConnectionWatch, Watchdog};
use crate::server::config::Config;
use crate::server::ops::context::ServerContext;

/// The largest header list of a request, in bytes.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// How many bytes of one HTTP/2 stream can wait to be sent. The rest stays in the feed.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// How many bytes of requests can wait to be read: of one HTTP/2 stream, and of a connection. A request has
/// a few KiB at most.
const STREAM_WINDOW_BYTES: u32 = 32 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024;
/// How long a connection whose TLS handshake has failed may take to close cleanly.
const LINGER: Duration = Duration::from_secs(1);
/// How long to wait when the system cannot provide another socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until shutdown, then for at most the drain limit.
pub async fn serve(listener: TcpListener, router: Router, config: &Config, context: &ServerContext) {
    let abandoned = CancellationToken::new();
    let acceptor = Acceptor {
        listener,
        router,
        config,
        context,
        limits: ConnectionLimits::new(
            config.connections_max,
            config.connections_per_address_max,
            context.budgets.clone(),
        ),
        watchdog: Watchdog::new(config.stall, context.metrics.responses_reset.clone()),
        abandoned: abandoned.clone(),
    };
    let (connections, late) = (TaskTracker::new(), TaskTracker::new());
    let watchdog = acceptor.watchdog.clone();
    let _watching = AbortOnDropHandle::new(tokio::spawn(async move { watchdog.run().await }));
    tokio::select! {
        () = context.stopping.cancelled() => {}
        never = acceptor.accept_loop(&connections) => match never {},
    }
    connections.close();
    late.close();
    // Connections that arrive during the drain are answered with SHUTTING_DOWN, and are not waited for.
    let drained = tokio::select! {
        drained = timeout(config.drain, connections.wait()) => drained,
        never = acceptor.accept_loop(&late) => match never {},
    };
    drop(acceptor);
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "cutting off connections that did not end in time");
    }
    abandoned.cancel();
    connections.wait().await;
    late.wait().await;
}

/// Accepts connections.
struct Acceptor<'a> {
    listener: TcpListener,
    router: Router,
    config: &'a Config,
    context: &'a ServerContext,
    limits: ConnectionLimits,
    watchdog: Watchdog,
    /// Cuts off all connections.
    abandoned: CancellationToken,
}

impl Acceptor<'_> {
    /// Accepts connections and serves each in its own task.
    async fn accept_loop(&self, connections: &TaskTracker) -> Infallible {
        let mut failing = false;
        loop {
            match self.accept().await {
                Ok((stream, remote, permit)) => {
                    failing = false;
                    self.open(connections, stream, remote, permit);
                }
                // The peer closed the connection before it was accepted.
                Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused) => {}
                Err(error) => {
                    // Reported once, however many retries fail.
                    if !failing {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    failing = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn open(
        &self,
        connections: &TaskTracker,
        stream: TcpStream,
        remote: SocketAddr,
        mut permit: ConnectionPermit,
    ) {
        // A proxy's own address does not count, and its connection may carry the requests of many clients.
        let proxy = self.config.trusted_proxies.contains(remote.ip());
        if !proxy && !permit.count_for(limited_address(remote.ip())) {
            tracing::debug!(%remote, "too many connections from one address, or too much memory in use for it");
            return;
        }
        if let Err(error) = set_options(&stream, self.config) {
            tracing::debug!(%remote, %error, "cannot set the options of a connection");
        }
        let closed = self.abandoned.child_token();
        let connection = Connection {
            remote,
            context: self.context.clone(),
            trusted: self.config.trusted_proxies.clone(),
            watch: self.watchdog.connection(closed.clone()),
            proxies: proxy.then(|| self.config.trusted_proxies.clone()),
            tls: self.config.tls.as_ref().map(Tls::acceptor),
            router: self.router.clone(),
            options: HttpOptions::of(self.config),
            closed,
            stopping: self.context.stopping.clone(),
            pace: (!proxy).then(|| self.context.ingress.connection(limited_address(remote.ip()))).flatten(),
            permit,
        };
        let open = self.context.metrics.connections.clone();
        connections.spawn(async move {
            open.inc();
            // Boxed, so that the state of the start, such as a TLS handshake, is freed before the connection is served.
            if let Some(conversing) = Box::pin(connection.begin(stream)).await {
                conversing.await;
            }
            open.dec();
        });
    }

    /// Waits for a permit first: while there is none, connections wait in the system's backlog.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, ConnectionPermit)> {
        let permit = self.limits.wait().await?;
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer, permit))
    }
}

/// Events are small and must arrive at once. A peer that vanished silently must be noticed, even while data is in
/// flight, and over HTTP/1.1, which has no pings.
fn set_options(stream: &TcpStream, config: &Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.ping.saturating_add(config.ping_timeout)))?;
    // The system counts these in whole seconds.
    let [time, interval] = [config.ping, config.ping_timeout].map(|time| time.max(Duration::from_secs(1)));
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time).with_interval(interval))
}

/// The configuration of HTTP.
#[derive(Clone, Copy, Debug)]
struct HttpOptions {
    first_request: Duration,
    ping: Duration,
    ping_timeout: Duration,
    streams_max: u32,
}

impl HttpOptions {
    fn of(config: &Config) -> Self {
        let Config { first_request, ping, ping_timeout, streams_max, .. } = *config;
        Self { first_request, ping, ping_timeout, streams_max }
    }

    fn builder(self, executor: StreamExecutor) -> auto::Builder<StreamExecutor> {
        let mut builder = auto::Builder::new(executor);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.first_request)
            .max_buf_size(HEADER_LIST_BYTES_MAX as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping)
            .keep_alive_timeout(self.ping_timeout)
            .max_concurrent_streams(self.streams_max)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES);
        builder
    }
}

/// Serves HTTP on a connection until it ends.
type Conversing = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Connection {
    /// The other end, or the client that the PROXY protocol names.
    remote: SocketAddr,
    /// The trusted proxies, if the peer is one of them and may send a PROXY header.
    proxies: Option<TrustedProxies>,
    context: ServerContext,
    trusted: TrustedProxies,
    watch: Arc<ConnectionWatch>,
    tls: Option<TlsAcceptor>,
    router: Router,
    options: HttpOptions,
    /// Cancelled to close the connection at once: its peer reads nothing, or the drain limit is over.
    closed: CancellationToken,
    stopping: CancellationToken,
    /// How fast it is read. The connection of a proxy, which many clients share, has no limit.
    pace: Option<Arc<Pace>>,
    /// Held for as long as the connection lives.
    permit: ConnectionPermit,
}

/// Closes a connection so that its peer can read the last bytes, such as a TLS alert: closing a socket with unread
/// bytes resets the connection, and the reset overtakes data in flight.
async fn close_gracefully(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Watches how fast the transport takes a response, and charges its client's address for the bytes not yet taken.
fn watched(
    mut response: Response,
    watch: &Arc<ConnectionWatch>,
    connection: Arc<AddressBudget>,
) -> Response<WatchedBody> {
    let (budget, overhead) = match response.extensions_mut().remove() {
        Some(Charged { budget, overhead }) => (budget, Some(overhead)),
        None => (connection, None),
    };
    response.map(|body| WatchedBody::new(body, watch.response(budget), overhead))
}

impl Connection {
    /// The steps before the first request. Returns the rest of the connection's life, or `None` if it has ended.
    async fn begin(mut self, stream: TcpStream) -> Option<Conversing> {
        let Some(proxies) = self.proxies.take() else { return self.begin_client(stream).await };
        let proxy = self.remote;
        match self.in_time(proxy_protocol::accept(stream)).await {
            Some(Ok((client, stream))) => {
                if let Some(client) = client.filter(|client| !proxies.contains(client.ip())) {
                    let address = limited_address(client.ip());
                    if !self.permit.count_for(address) {
                        tracing::debug!(%client, %proxy, "too many connections from one address");
                        return None;
                    }
                    self.pace = self.context.ingress.connection(address);
                }
                self.remote = client.unwrap_or(proxy);
                return self.begin_client(stream).await;
            }
            Some(Err(error)) => tracing::debug!(%proxy, %error, "a proxy's connection cannot be used"),
            None => tracing::debug!(%proxy, "a proxy's connection sent nothing in time"),
        }
        None
    }

    /// Awaits a step before the first request, unless it takes too long or the connection is to be closed.
    async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = timeout(self.options.first_request, future) => done.ok(),
            () = self.closed.cancelled() => None,
        }
    }

    async fn begin_client(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Option<Conversing> {
        let stream = Paced::new(stream, self.pace.clone());
        let Some(tls) = self.tls.take() else { return Some(self.converse(stream)) };
        match self.in_time(tls.accept(stream).into_fallible()).await {
            Some(Ok(stream)) => return Some(self.converse(stream)),
            Some(Err((error, stream))) => {
                tracing::debug!(peer = %self.remote, %error, "a TLS handshake failed");
                let _ = timeout(LINGER, close_gracefully(stream)).await;
            }
            None => tracing::debug!(peer = %self.remote, "a TLS handshake took too long"),
        }
        None
    }

    /// Serves HTTP. Not an async function: its future would keep the arguments in addition to the values made from
    /// them.
    fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Conversing {
        let Self { remote, context, trusted, watch, router, options, closed, stopping, pace, permit, .. } = self;
        let budget = context.budgets.of(limited_address(remote.ip()));
        let requested = Arc::new(Notify::new());
        let first = requested.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            first.notify_one();
            request.extensions_mut().insert(Peer(remote));
            let admitted = request_charge::admit(&context, &trusted, remote, pace.as_deref(), request);
            let (router, watch, budget) = (router.clone(), watch.clone(), budget.clone());
            // Boxed, so that a long-lived stream does not keep the memory of its request.
            Box::pin(async move {
                let response = match admitted {
                    Ok(request) => router.oneshot(request).await.unwrap_or_else(|never| match never {}),
                    Err(refusal) => *refusal,
                };
                Ok::<_, Infallible>(watched(response, &watch, budget))
            })
        });
        let mut task = ConnectionTask::new();
        let builder = options.builder(task.executor());
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service).into_owned());
        // A connection that arrives during the drain gets one answer.
        let late = stopping.is_cancelled();
        if !late {
            task.watch(async move {
                stopping.cancelled_owned().await;
                Signal::Drain
            });
        }
        task.watch(async move {
            closed.cancelled_owned().await;
            Signal::Close
        });
        task.watch(async move {
            match timeout(options.first_request, requested.notified()).await {
                Ok(()) => Signal::Requested,
                Err(_) => Signal::Silent,
            }
        });
        Box::pin(async move {
            let _permit = permit;
            loop {
                match task.drive(connection.as_mut()).await {
                    Turn::Ended(Ok(())) => return,
                    Turn::Ended(Err(error)) => return tracing::debug!(%remote, %error, "a connection ended"),
                    Turn::Signal(Signal::Silent) => {
                        return tracing::debug!(%remote, "a connection made no request in time");
                    }
                    Turn::Signal(Signal::Close) => return tracing::debug!(%remote, "a connection was closed"),
                    Turn::Signal(Signal::Requested) if !late => {}
                    Turn::Signal(Signal::Requested | Signal::Drain) => connection.as_mut().graceful_shutdown(),
                }
            }
        })
    }
}
