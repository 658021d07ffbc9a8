/** Leaving on purpose: after what is on its way has its answer, and without waiting for ever. */

import { receive, tick } from "./clock.js";
import { out } from "./connection.js";
import type { Failure } from "./refusal.js";
import { type Session, type State, withClock } from "./state.js";
import { type Moment, type Step, record, step, then, whose } from "./step.js";

/** How long a leave waits for a publish that is on its way, in milliseconds. */
export const LEAVE_PATIENCE_MS = 3_000;

/** How long the page waits to hear that it has left, in milliseconds. */
export const LEAVE_WAIT_MS = 6_000;

/** The user wants to leave. */
export function leave(state: State, now: Moment): Step {
  if (state.phase.at === "out" || state.phase.at === "leaving") return step(state);
  if (state.session === null) return out(state, { type: "left", logicalTime: null });
  const leaving: State = { ...state, phase: { at: "leaving", sent: false, since: now.at } };
  return state.phase.at === "online" ? step(leaving) : then(step(leaving, { do: "close" }), (s) => sendLeave(s, now));
}

/** Sends the leave once nothing is on its way any more. */
export function leavingTick(state: State, now: Moment): Step {
  const { phase } = state;
  if (phase.at !== "leaving") return step(state);
  if (phase.sent) {
    return now.at >= phase.since + LEAVE_WAIT_MS ? out(state, { type: "left", logicalTime: null }) : step(state);
  }
  const busy = state.outbox.some((message) => message.progress.at === "sending");
  return busy && now.at < phase.since + LEAVE_PATIENCE_MS ? step(state) : sendLeave(state, now);
}

function sendLeave(state: State, now: Moment): Step {
  const { session } = state;
  if (session === null) return step(state);
  const clocked = withClock(state, tick(state.clock));
  return step(
    { ...clocked, phase: { at: "leaving", sent: true, since: now.at } },
    record("leave_sent", { ...whose(session), sent_logical_time: clocked.clock, local_time: clocked.clock }),
    { do: "leave", time: clocked.clock, session },
  );
}

/** The service has acknowledged the leave. */
export function left(state: State, sequence: bigint, logicalTime: bigint, session: Session): Step {
  const clocked = withClock(state, receive(state.clock, logicalTime));
  const said = record("leave_acknowledged", {
    ...whose(session),
    sequence,
    logical_time: logicalTime,
    local_time: clocked.clock,
  });
  if (clocked.phase.at !== "leaving") return step(clocked, said);
  return then(step(clocked, said), (s) => out(s, { type: "left", logicalTime }));
}

/** The leave was not acknowledged: the grace period will do what it could not. */
export function leaveFailed(state: State, failure: Failure): Step {
  if (state.phase.at !== "leaving") return step(state);
  // Whoever is unknown has already left.
  return out(state, failure.reason === "SESSION_UNKNOWN" ? { type: "ended" } : { type: "left", logicalTime: null });
}
