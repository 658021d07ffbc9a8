//! How long to wait before trying again.

use std::time::Duration;

/// The longest wait before the first retry.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest wait before any retry: well within the usual grace period.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The wait before the next attempt, after a number of failed ones: exponential with a ceiling, and jittered over its
/// upper half, so that clients do not all come back at once after a restart. `chance` is a random number from 0 to 1.
pub(super) fn backoff(tries: u32, chance: f64) -> Duration {
    let longest = RETRY_FIRST.saturating_mul(2_u32.pow(tries.min(16))).min(RETRY_MAX);
    longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

/// The shortest wait once waits no longer grow.
pub(super) const STEADY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_ceiling_and_are_jittered_over_their_upper_half() {
        let waits = |chance| (0..8).map(|tries| backoff(tries, chance).as_millis()).collect::<Vec<_>>();
        assert_eq!(waits(1.0), [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(waits(0.0), [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(backoff(u32::MAX, 1.0), RETRY_MAX);
        assert_eq!(RETRY_MAX.mul_f64(0.5), STEADY);
    }
}
