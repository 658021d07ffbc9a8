//! A rate, and a limiter that holds each of many keys to it.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::wire::Rejection;

/// When this many keys are remembered, idle ones are forgotten.
const KEYS_REMEMBERED: usize = 20_000;

/// The shortest wait that a refusal names.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(1);

/// A number per second, and a number at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many per second; 0 for no limit.
    pub per_second: u32,
    /// How many at once, after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { per_second: 0, burst: 1 };
}

/// A limit for each of many keys.
pub struct Limiter<K: Clone + Eq + Hash> {
    keys: DefaultKeyedRateLimiter<K>,
    /// The number of keys above which idle ones are removed. At least twice as many as were left the last time, since
    /// the search goes through all keys.
    search_at: AtomicUsize,
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    /// `None`: no limit.
    pub fn new(rate: Rate) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(rate.per_second)?);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let keys = RateLimiter::keyed(quota.allow_burst(burst));
        Some(Self { keys, search_at: AtomicUsize::new(KEYS_REMEMBERED) })
    }

    /// Counts one request for a key.
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
