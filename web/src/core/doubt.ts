/**
 * Whether the connection is as good as it looks: an overdue frame shows that it is not, long before the stream breaks.
 */

import type { State } from "./machine/state.js";

/** How long a message may wait for its answer, in milliseconds. */
export const ANSWER_WAIT_MS = 3_000;

/** How much later than its time a heartbeat may be, in milliseconds. */
export const HEARTBEAT_LATE_MS = 2_000;

/** What is overdue. */
export interface Doubt {
  /** An answer to a message, or any frame of the stream. */
  readonly missing: "answer" | "frame";
  /** Since when it is awaited, in milliseconds of the monotonic clock. */
  readonly since: number;
}

/** What is overdue at this moment, while the stream has not broken; null if nothing is. */
export function doubt({ phase, outbox, heartbeatMs }: State, at: number): Doubt | null {
  if (phase.at !== "online") return null;
  for (const { progress } of outbox) {
    const since = progress.at === "sending" || progress.at === "queued" ? progress.since : null;
    if (since !== null && at - since >= ANSWER_WAIT_MS) return { missing: "answer", since };
  }
  const since = phase.lastFrameAt;
  return at - since >= heartbeatMs + HEARTBEAT_LATE_MS ? { missing: "frame", since } : null;
}
