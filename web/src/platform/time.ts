/**
 * The clocks and random numbers that are passed to the pure modules. Every delay is measured by the monotonic clock,
 * since the wall clock can be set: it serves only for the log's timestamps, and to notice that the computer has slept.
 */

import { SleepWatch } from "../core/sleep.js";
import type { Moment } from "../core/machine/step.js";

/** How far the browser's two clocks may differ before the coarse one is used, in milliseconds. */
const DRIFT_MAX_MS = 20;

/** The present moment. It counts from the page's load, so it means nothing to another load of the page. */
export function now(): Moment {
  return { at: performance.now(), chance: Math.random() };
}

const watch = new SleepWatch(Date.now(), performance.now());

/** Whether the computer has slept since the last call. */
export function hasSlept(): boolean {
  return watch.slept(Date.now(), performance.now());
}

/**
 * The wall clock in microseconds. The fine clock starts with the page and does not follow corrections or
 * sleep, so it is used only while it agrees with the coarse one.
 */
export function nowMicros(): number {
  const coarse = Date.now();
  const fine = performance.timeOrigin + performance.now();
  return Math.round((Math.abs(fine - coarse) < DRIFT_MAX_MS ? fine : coarse) * 1000);
}

/** A random id. Written out, because `crypto.randomUUID` exists in secure contexts only. */
export function randomId(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
