/**
 * The page's session as a state machine: a state and an input go in, a new state and outputs come out. It depends on
 * nothing else, so every rule about clocks, resuming and retrying can be tested without a browser.
 * src/client/machine.rs is its counterpart in Rust, in files of the same names; docs/architecture.md says what differs,
 * and why.
 */

import { isCredible } from "./check.js";
import { WELCOME_WAIT_MS, claim, connectionTick, ended, join, silenceMax, slept, slot, wake } from "./connection.js";
import { framed } from "./frames.js";
import { earlierFailed, earlierLoaded, loadEarlier, refill } from "./history.js";
import { LEAVE_PATIENCE_MS, LEAVE_WAIT_MS, READ_ON_MS, leave, leaveFailed, leavingStreamEnded, leavingTick, left } from "./leaving.js";
import { discard, enqueue, hurry, publishFailed, published, pump, sendAgain } from "./outbox.js";
import { broken } from "./refusal.js";
import type { State } from "./state.js";
import { type Input, type Moment, type Step, step, then } from "./step.js";

const FALSE_ANSWER = "a sequence or time that is not credible";

/** Takes one step. */
export function advance(state: State, input: Input, now: Moment): Step {
  const wasOnline = state.phase.at === "online";
  const hadJoined = state.position !== null;
  return [
    (s: State) => (!wasOnline && s.phase.at === "online" ? then(step(hurry(s)), refill) : step(s)),
    // Earlier messages, as many as fit on the screen, so that a newcomer sees what the conversation is about.
    (s: State) => (!hadJoined && s.position !== null ? loadEarlier(s) : step(s)),
    (s: State) => leavingTick(s, now),
    (s: State) => pump(s, now),
  ].reduce(then, respond(state, input, now));
}

function respond(state: State, input: Input, now: Moment): Step {
  switch (input.type) {
    case "join":
      return join(state, input.name, input.secret);
    case "resume":
      return claim(state);
    case "slot":
      return slot(state, input.granted, now);
    case "frame":
      return input.attempt === state.attempt ? framed(state, input.frame, now) : step(state);
    case "ended":
      return input.attempt === state.attempt ? streamEnded(state, input.failure, now) : step(state);
    case "tick":
      return connectionTick(state, now);
    case "wake":
      return wake(state, now);
    case "slept":
      return slept(state, now);
    case "send":
      return enqueue(state, input.id, input.text);
    case "send-again":
      return sendAgain(state, input.id, input.newId);
    case "discard":
      return discard(state, input.id);
    case "published":
      // The meaning of such an answer is unknown, so the message is sent again.
      if (!isCredible(input.sequence, input.logicalTime)) {
        return publishFailed(state, input.id, { ...broken(FALSE_ANSWER), network: true }, input.session, now);
      }
      return published(state, input.id, input.sequence, input.logicalTime, input.session);
    case "publish-failed":
      return afterPublishFailed(state, input, now);
    case "leave":
      return leave(state, now);
    case "left":
      if (!isCredible(input.sequence, input.logicalTime)) return leaveFailed(state, broken(FALSE_ANSWER));
      return left(state, input.sequence, input.logicalTime, input.session, now);
    case "leave-failed":
      return leaveFailed(state, input.failure);
    case "load-earlier":
      return loadEarlier(state);
    case "earlier":
      return earlierLoaded(state, input.segment, input.events);
    case "earlier-failed":
      return earlierFailed(state, input.segment, input.failure);
  }
}

function streamEnded(state: State, failure: Parameters<typeof ended>[1], now: Moment): Step {
  switch (state.phase.at) {
    case "connecting":
    case "online":
      return ended(state, failure, now);
    case "leaving":
      // The leave's own answer says how it went; a takeover by another page makes it pointless.
      return failure?.reason === "REPLACED" && state.unanswered === 0 ? ended(state, failure, now) : leavingStreamEnded(state, failure);
    case "out":
    case "claiming":
    case "waiting":
    case "offline":
      return step(state);
  }
}

function afterPublishFailed(state: State, input: Extract<Input, { type: "publish-failed" }>, now: Moment): Step {
  const failed = publishFailed(state, input.id, input.failure, input.session, now);
  const present = state.session?.participantId === input.session.participantId;
  if (!present || state.phase.at !== "online" || input.failure.reason !== "SESSION_UNKNOWN") return failed;
  // The membership has ended though the stream has not said so yet.
  return then(failed, (s) => ended(s, input.failure, now));
}

/** When the machine next wants a tick, in milliseconds of the monotonic clock; null for never. */
export function nextTick(state: State): number | null {
  const due: number[] = [];
  const { phase } = state;
  if (phase.at === "offline") due.push(phase.retryAt);
  if (phase.at === "connecting") due.push(phase.since + WELCOME_WAIT_MS);
  if (phase.at === "leaving") due.push(phase.since + (phase.left !== null ? READ_ON_MS : phase.sent ? LEAVE_WAIT_MS : LEAVE_PATIENCE_MS));
  if (phase.at === "online") {
    due.push(phase.lastFrameAt + silenceMax(state));
    for (const { progress } of state.outbox) {
      if (progress.at === "queued" && progress.retryAt > 0) due.push(progress.retryAt);
    }
  }
  return due.length === 0 ? null : Math.min(...due);
}
