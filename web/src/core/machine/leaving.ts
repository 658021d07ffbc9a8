/**
 * Leaving on purpose: after the publish in flight has been answered, but without waiting forever. The stream is read to
 * its end, which comes before the page's own Left, because every event up to there is for this page, too.
 */

import { receive, tick } from "../clock.js";
import { out } from "./connection.js";
import { type Failure, logReason } from "./refusal.js";
import { type Farewell, type Session, type State, withClock } from "./state.js";
import { type Moment, type Step, record, step, then, whose } from "./step.js";

/** How long a leave waits for a publish that is on its way, in milliseconds. */
export const LEAVE_PATIENCE_MS = 3_000;

/** How long the page waits for the leave to be acknowledged, in milliseconds. */
export const LEAVE_WAIT_MS = 6_000;

/** How long the page keeps reading after it has left, until the stream ends, in milliseconds. */
export const READ_ON_MS = 3_000;

const NO_END: Failure = { reason: null, network: true, message: "the stream did not end", figures: {}, retryAfterMs: null };

/** The user wants to leave. */
export function leave(state: State, now: Moment): Step {
  if (state.phase.at === "out" || state.phase.at === "leaving") return step(state);
  if (state.session === null) return out(state, { type: "left", logicalTime: null });
  const online = state.phase.at === "online";
  const leaving: State = { ...state, phase: { at: "leaving", sent: false, since: now.at, stream: online ? "open" : "broken", left: null } };
  return online ? step(leaving) : then(step(leaving, { do: "close" }), (s) => sendLeave(s, now));
}

/** Sends the leave once nothing is on its way anymore. */
export function leavingTick(state: State, now: Moment): Step {
  const { phase } = state;
  if (phase.at !== "leaving") return step(state);
  if (phase.left !== null) {
    const { left: logicalTime } = phase;
    if (phase.stream === "open" && now.at < phase.since + READ_ON_MS) return step(state);
    return done(state, { type: "left", logicalTime });
  }
  if (phase.sent) {
    return now.at >= phase.since + LEAVE_WAIT_MS ? done(state, { type: "left", logicalTime: null }) : step(state);
  }
  const busy = state.outbox.some((message) => message.progress.at === "sending");
  return busy && now.at < phase.since + LEAVE_PATIENCE_MS ? step(state) : sendLeave(state, now);
}

function sendLeave(state: State, now: Moment): Step {
  const { session, phase } = state;
  if (session === null || phase.at !== "leaving") return step(state);
  const clocked = withClock(state, tick(state.clock), { of: "leave" });
  return step(
    { ...clocked, phase: { ...phase, sent: true, since: now.at } },
    record("leave_sent", { ...whose(session), sent_logical_time: clocked.clock, local_time: clocked.clock }),
    { do: "leave", time: clocked.clock, session },
  );
}

/** The stream has ended while the page was leaving: normally, as it does before the page's own Left, or not. */
export function leavingStreamEnded(state: State, failure: Failure | null): Step {
  const { phase, session } = state;
  if (phase.at !== "leaving" || session === null || phase.stream !== "open") return step(state);
  if (failure === null) return step({ ...state, phase: { ...phase, stream: "ended" } });
  const said = record("disconnected", { ...whose(session), reason: logReason(failure) });
  return step({ ...state, phase: { ...phase, stream: "broken" } }, said, { do: "close" });
}

/** The service has acknowledged the leave. Events that are still in the stream belong to the membership. */
export function left(state: State, sequence: bigint, logicalTime: bigint, session: Session, now: Moment): Step {
  const clocked = withClock(state, receive(state.clock, logicalTime), { of: "left" });
  const said = record("leave_acknowledged", {
    ...whose(session),
    sequence,
    logical_time: logicalTime,
    local_time: clocked.clock,
  });
  if (clocked.phase.at !== "leaving") return step(clocked, said);
  return step({ ...clocked, phase: { ...clocked.phase, left: logicalTime, since: now.at } }, said);
}

/** The leave was not acknowledged: the participant leaves when the grace period ends. */
export function leaveFailed(state: State, failure: Failure): Step {
  if (state.phase.at !== "leaving") return step(state);
  // An unknown participant has already left.
  return done(state, failure.reason === "SESSION_UNKNOWN" ? { type: "ended" } : { type: "left", logicalTime: null });
}

/** Waits for nothing more. */
function done(state: State, farewell: Farewell): Step {
  return then(giveUpStream(state), (s) => out(s, farewell));
}

/** Stops reading while the page is leaving. If the stream is still open, the log says that it was not read to its end. */
export function giveUpStream(state: State): Step {
  return leavingStreamEnded(state, NO_END);
}
