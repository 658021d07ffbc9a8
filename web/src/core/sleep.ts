/**
 * Notices that the computer has slept. On most systems the browser's monotonic clock stops meanwhile, so no timer is
 * late and a dead stream looks alive; the wall clock continues.
 */

/** How far the wall clock has to run ahead of the monotonic one between two looks, in milliseconds. */
export const SLEEP_MIN_MS = 5_000;

/** Compares the two clocks from one look to the next. */
export class SleepWatch {
  #lead: number;

  /** Begins with the present readings of both clocks, in milliseconds. */
  constructor(wall: number, monotonic: number) {
    this.#lead = wall - monotonic;
  }

  /**
   * Whether the computer has slept since the last look. A wall clock that was set forward looks the same, which costs
   * a resume and nothing else.
   */
  slept(wall: number, monotonic: number): boolean {
    const before = this.#lead;
    this.#lead = wall - monotonic;
    return this.#lead - before >= SLEEP_MIN_MS;
  }
}
