//! How fast one participant may publish and read earlier events, and how fast one address may join.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::chat::ParticipantId;
use crate::wire::Rejection;

/// When so many keys are remembered, those that have been quiet for a while are forgotten.
const KEYS_REMEMBERED: usize = 20_000;

/// How fast a participant may resume and list earlier events. Either costs more than it takes to ask for it: a
/// resume is on record, and a page comes from the journal.
pub const READ_RATE: Rate = Rate { per_second: 10, burst: 100 };

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a second; 0 for no limit.
    pub per_second: u32,
    /// How many at once, after a pause; at least 1.
    pub burst: u32,
}

/// The rates of one service.
pub struct Rates {
    publishes: Option<Limiter<ParticipantId>>,
    joins: Option<Limiter<IpAddr>>,
    reads: Option<Limiter<ParticipantId>>,
}

impl Rates {
    /// These rates.
    pub fn new(publishes: Rate, joins: Rate) -> Self {
        Self { publishes: Limiter::new(publishes), joins: Limiter::new(joins), reads: Limiter::new(READ_RATE) }
    }

    /// Counts a publish.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn publish(&self, participant: ParticipantId) -> Result<(), Rejection> {
        self.publishes.as_ref().map_or(Ok(()), |limiter| limiter.count(&participant))
    }

    /// Counts a resume or a page of earlier events.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn read(&self, participant: ParticipantId) -> Result<(), Rejection> {
        self.reads.as_ref().map_or(Ok(()), |limiter| limiter.count(&participant))
    }

    /// Counts a join.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn join(&self, address: IpAddr) -> Result<(), Rejection> {
        self.joins.as_ref().map_or(Ok(()), |limiter| limiter.count(&address))
    }
}

/// So many for each of many.
pub struct Limiter<K: Clone + Eq + Hash>(DefaultKeyedRateLimiter<K>);

impl<K: Clone + Eq + Hash> Limiter<K> {
    /// None where there is no limit.
    pub fn new(rate: Rate) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(rate.per_second)?);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        Some(Self(RateLimiter::keyed(quota.allow_burst(burst))))
    }

    /// Counts one for a key.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn count(&self, key: &K) -> Result<(), Rejection> {
        if self.0.len() > KEYS_REMEMBERED {
            self.0.retain_recent();
        }
        self.0.check_key(key).map_err(|not_until| {
            let retry_after = not_until.wait_time_from(DefaultClock::default().now());
            Rejection::RateLimited { retry_after }
        })
    }
}
