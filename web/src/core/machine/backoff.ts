/** How long to wait before trying again. */

/** The longest wait before the first retry, in milliseconds. */
export const RETRY_FIRST_MS = 200;

/** The longest wait before any retry, in milliseconds: well within the usual grace period. */
export const RETRY_MAX_MS = 10_000;

/**
 * The wait before the next attempt, after `tries` failed ones: exponential with a ceiling, and jittered over its upper
 * half, so that pages do not all come back at once after a restart. `chance` is a random number from 0 to 1.
 */
export function backoff(tries: number, chance: number): number {
  const longest = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries, 16));
  return Math.round(longest * (0.5 + chance / 2));
}
