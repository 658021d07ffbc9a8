//! How fast a participant, and all participants of an address together, may publish and read earlier events, and how
//! fast an address may join.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::chat::ParticipantId;
use crate::server::config::Config;
use crate::wire::Rejection;

/// When this many keys are remembered, those that have been quiet for a while are forgotten.
const KEYS_REMEMBERED: usize = 20_000;

/// The shortest wait that a refusal names.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(1);

/// How fast a participant may resume and list earlier events. Either costs more than it takes to ask for it: a
/// resume is on record, and a page comes from the journal.
pub const READ_RATE: Rate = Rate { per_second: 10, burst: 100 };

/// A number a second, and a number at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a second; 0 for no limit.
    pub per_second: u32,
    /// How many at once, after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { per_second: 0, burst: 1 };
}

/// The rates of one service.
pub struct Rates {
    publishes: SharedLimit,
    joins: Option<Limiter<IpAddr>>,
    reads: SharedLimit,
}

impl Rates {
    /// The rates that are configured.
    pub fn new(config: &Config) -> Self {
        Self {
            publishes: SharedLimit::new(config.publish_rate, config.publish_per_address_rate),
            joins: Limiter::new(config.join_rate),
            reads: SharedLimit::new(READ_RATE, config.read_per_address_rate),
        }
    }

    /// Counts a publish.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn publish(&self, participant: ParticipantId, address: IpAddr) -> Result<(), Rejection> {
        self.publishes.count(participant, address)
    }

    /// Counts a resume or a page of earlier events.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn read(&self, participant: ParticipantId, address: IpAddr) -> Result<(), Rejection> {
        self.reads.count(participant, address)
    }

    /// Counts a join.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn join(&self, address: IpAddr) -> Result<(), Rejection> {
        self.joins.as_ref().map_or(Ok(()), |limiter| limiter.count(&address))
    }
}

/// A limit for each participant, and one for all participants of an address together.
struct SharedLimit {
    of_participant: Option<Limiter<ParticipantId>>,
    of_address: Option<Limiter<IpAddr>>,
}

impl SharedLimit {
    fn new(of_participant: Rate, of_address: Rate) -> Self {
        Self { of_participant: Limiter::new(of_participant), of_address: Limiter::new(of_address) }
    }

    /// What a participant is refused does not count for its address: a hasty one holds up no neighbour.
    fn count(&self, participant: ParticipantId, address: IpAddr) -> Result<(), Rejection> {
        self.of_participant.as_ref().map_or(Ok(()), |limiter| limiter.count(&participant))?;
        self.of_address.as_ref().map_or(Ok(()), |limiter| limiter.count(&address))
    }
}

/// A limit for each of many keys.
pub struct Limiter<K: Clone + Eq + Hash> {
    keys: DefaultKeyedRateLimiter<K>,
    /// How many keys there may be before the quiet ones are looked for. Twice what was left the last time, since
    /// the search goes through all.
    search_at: AtomicUsize,
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    /// None where there is no limit.
    pub fn new(rate: Rate) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(rate.per_second)?);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let keys = RateLimiter::keyed(quota.allow_burst(burst));
        Some(Self { keys, search_at: AtomicUsize::new(KEYS_REMEMBERED) })
    }

    /// Counts one for a key.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn count(&self, key: &K) -> Result<(), Rejection> {
        if self.keys.len() > self.search_at.load(Ordering::Relaxed) {
            self.keys.retain_recent();
            self.search_at.store(KEYS_REMEMBERED.max(2 * self.keys.len()), Ordering::Relaxed);
        }
        self.keys.check_key(key).map_err(|not_until| {
            // By now the wait may be over.
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Rejection::RateLimited { retry_after: wait.max(RETRY_AFTER_MIN) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However soon the next request would be allowed, a refusal names a time to wait.
    #[test]
    fn refusals_name_a_wait() {
        let limiter = Limiter::new(Rate { per_second: 2000, burst: 1 }).unwrap();
        let refusal = std::iter::repeat_with(|| limiter.count(&())).find_map(Result::err);
        assert_eq!(refusal, Some(Rejection::RateLimited { retry_after: RETRY_AFTER_MIN }));
    }
}
