//! The operator's settings. Every limit has a name, a unit and a default here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::edge::forwarded::TrustedProxies;
use super::edge::tls::Tls;
use super::http::guard::Allowed;
use super::http::page::mistakes::GalleryPages;
use super::http::secret::Secret;
use super::lab::stage::LabStage;
use super::ops::limiter::Rate;

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a participant whose stream broke may take to resume before it counts as having left.
    pub grace: Duration,
    /// How long a stream can be quiet before a heartbeat is sent in it.
    pub heartbeat: Duration,
    /// How long a stream may go unread before it is closed with SLOW_CONSUMER.
    pub stall: Duration,
    /// How often an HTTP/2 connection is pinged, to find a frozen or unplugged peer.
    pub ping: Duration,
    /// How long the answer to a ping may take before the connection is closed.
    pub ping_timeout: Duration,
    /// How long a connection may take to make its first request.
    pub first_request: Duration,
    /// How long a request may take to arrive in full and be answered.
    pub request_time: Duration,
    /// How long open connections may take to end at shutdown.
    pub drain: Duration,
    /// How many participants may be active at a time, but never more than
    /// [`PARTICIPANTS_MAX`](crate::wire::PARTICIPANTS_MAX).
    pub participants_max: usize,
    /// How many of them may have joined from one address.
    pub participants_per_address_max: usize,
    /// How many connections may be open at a time.
    pub connections_max: usize,
    /// How many of them may come from one address, so that no single host can shut out all others.
    pub connections_per_address_max: usize,
    /// How many bytes the service holds at most for one address: for its requests, the unread part of its responses,
    /// and its connections.
    pub memory_per_address_max: usize,
    /// How fast the service reads from one address, in KiB. A request counts
    /// [`REQUEST_COST_BYTES`](super::edge::ingress::REQUEST_COST_BYTES) more, a connection
    /// [`CONNECTION_COST_BYTES`](super::edge::ingress::CONNECTION_COST_BYTES).
    pub ingress_per_address_rate: Rate,
    /// How many requests and streams may be open at a time on one HTTP/2 connection.
    pub streams_max: u32,
    /// How fast a participant may publish.
    pub publish_rate: Rate,
    /// How fast all participants of one address together may publish.
    pub publish_per_address_rate: Rate,
    /// How fast an address may join; a resume does not count.
    pub join_rate: Rate,
    /// How fast all participants of one address together may resume and list earlier events.
    pub read_per_address_rate: Rate,
    /// The names and origins that browsers may use beyond this machine's own.
    pub allowed: Allowed,
    /// The proxies that are trusted to state a client's address.
    pub trusted_proxies: TrustedProxies,
    /// The access secret.
    pub secret: Option<Secret>,
    /// The lab, in a service that has one.
    pub lab: Option<LabConfig>,
    /// The gallery of mistakes that the page replays, by name; `None` if the service has no gallery.
    pub gallery: Option<GalleryPages>,
    /// The certificate, if connections are encrypted.
    pub tls: Option<Tls>,
    /// The wall clock and the randomness of the machine.
    pub environment: Environment,
    /// Cancelled by the service when it has started.
    pub started: CancellationToken,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            ping: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            participants_max: 10_000,
            participants_per_address_max: 200,
            connections_max: 20_000,
            connections_per_address_max: 500,
            memory_per_address_max: 60 * 1024 * 1024,
            ingress_per_address_rate: Rate { per_second: 2048, burst: 4096 },
            streams_max: 128,
            publish_rate: Rate { per_second: 20, burst: 60 },
            publish_per_address_rate: Rate { per_second: 100, burst: 500 },
            join_rate: Rate { per_second: 50, burst: 500 },
            read_per_address_rate: Rate { per_second: 50, burst: 1000 },
            allowed: Allowed::default(),
            trusted_proxies: TrustedProxies::default(),
            secret: None,
            lab: None,
            gallery: None,
            tls: None,
            environment: Environment::default(),
            started: CancellationToken::new(),
        }
    }
}

impl Config {
    /// Without the limits per address, for a service behind a gateway that has such limits, and for load tests.
    pub fn without_address_limits(self) -> Self {
        Self {
            participants_per_address_max: usize::MAX,
            connections_per_address_max: usize::MAX,
            memory_per_address_max: usize::MAX,
            ingress_per_address_rate: Rate::UNLIMITED,
            publish_per_address_rate: Rate::UNLIMITED,
            join_rate: Rate::UNLIMITED,
            read_per_address_rate: Rate::UNLIMITED,
            ..self
        }
    }
}

/// The configuration of the lab.
#[derive(Clone, Debug, Default)]
pub struct LabConfig {
    /// The key that callers have to present; `None` if everybody may call.
    pub key: Option<Secret>,
    /// Its companions and scenarios, if it has any.
    pub stage: Option<Arc<dyn LabStage>>,
}

/// The system's clock and randomness, passed in so that a test can replace them.
#[derive(Clone, Copy, Debug)]
pub struct Environment {
    /// The wall clock, for `recorded_at`.
    pub now: fn() -> SystemTime,
    /// 128 unpredictable bits, for session tokens and epochs.
    pub random: fn() -> u128,
}

impl Default for Environment {
    fn default() -> Self {
        Self { now: SystemTime::now, random: operating_system_random }
    }
}

fn operating_system_random() -> u128 {
    let mut bytes = [0; 16];
    // Without randomness there are no secrets, and a service without secrets must not run.
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    u128::from_le_bytes(bytes)
}
