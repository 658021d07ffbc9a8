/** Opening the stream, and what to do when it ends: resume, join anew, or show the form again. */

import { backoff } from "./backoff.js";
import { receive, tick } from "../clock.js";
import type { Welcome } from "../event.js";
import { carryOver, settleOutbox } from "./outbox.js";
import { type Failure, broken, inWords, logReason } from "./refusal.js";
import { type AnewCause, type Farewell, type Phase, type Segment, type Session, type State, withClock } from "./state.js";
import { type Moment, type Output, type Step, record, step, then, whose } from "./step.js";

/** How long a stream has to last before the pauses between retries are short again, in milliseconds. */
export const STREAM_PROVEN_MS = 1_000;

/** How long an opened stream may take to welcome this page, in milliseconds. */
export const WELCOME_WAIT_MS = 15_000;

/** The user wants to join. */
export function join(state: State, name: string, secret: string): Step {
  if (state.phase.at !== "out") return step(state);
  // A session that only lacked the access secret continues. The transcript stays if the session does, or if the new
  // session is shown as its continuation.
  const session = state.session?.name === name ? state.session : null;
  const segments = session !== null || state.anew !== null ? state.segments : [];
  const kept = session === null ? { session, position: null, outbox: settleOutbox(state.outbox, "held") } : {};
  return claim({ ...state, ...kept, name, secret, segments, farewell: null });
}

/** Asks the browser for one of its connections. */
export function claim(state: State): Step {
  return step({ ...state, phase: { at: "claiming" } }, { do: "claim" });
}

/** Opens a stream: the clock ticks, because a request is sent. */
export function open(state: State, tries: number, now: Moment): Step {
  const clocked = withClock(state, tick(state.clock), { of: "join" });
  const opened: State = {
    ...clocked,
    attempt: state.attempt + 1,
    phase: { at: "connecting", tries, since: now.at, why: state.phase.at === "offline" ? state.phase.why : null },
  };
  const { session } = opened;
  return step(
    opened,
    record("join_sent", {
      ...(session === null ? { display_name: opened.name } : whose(session)),
      sent_logical_time: opened.clock,
      local_time: opened.clock,
      ...(session === null ? {} : { sequence: opened.position ?? 0n }),
    }),
    {
      do: "open",
      attempt: opened.attempt,
      name: opened.name,
      time: opened.clock,
      session,
      after: opened.position ?? 0n,
      chainHash: opened.chainHash,
    },
  );
}

/** The stream's first frame: this page takes part. */
export function welcomed(state: State, welcome: Welcome, now: Moment): Step {
  // A service that starts a new membership in answer to a resume has forgotten the old one.
  const forgotten = !welcome.resumed && state.session !== null;
  const before = forgotten ? forget(state, "SESSION_UNKNOWN") : state;
  const session: Session = {
    token: welcome.token,
    participantId: welcome.participantId,
    epoch: welcome.epoch,
    name: welcome.roster.find((person) => person.id === welcome.participantId)?.name ?? before.session?.name ?? before.name,
  };
  const clocked = withClock(before, receive(before.clock, welcome.logicalTime), { of: "welcome" });
  const welcomedState: State = {
    ...clocked,
    session,
    name: session.name,
    phase: {
      at: "online",
      caughtUp: false,
      lastFrameAt: now.at,
      since: now.at,
      tries: state.phase.at === "connecting" ? state.phase.tries : 0,
    },
    roster: welcome.roster,
    rosterAsOf: welcome.head,
    lagging: false,
    // After the replay the service reports again who cannot be reached.
    unreachable: new Set(),
    // It also reports again what its lab does to this page.
    labFaults: "",
    limits: welcome.limits,
    heartbeatMs: welcome.heartbeatMs,
    segments: welcome.resumed && clocked.segments.length > 0 ? clocked.segments : begin(clocked, session),
    position: welcome.resumed ? clocked.position : null,
    anew: null,
    secretWanted: clocked.secretWanted && clocked.secret !== "",
    farewell: null,
  };
  const fields = {
    ...whose(session),
    sequence: welcome.head,
    logical_time: welcome.logicalTime,
    local_time: welcomedState.clock,
    transport: "grpc-web",
  };
  if (welcome.resumed) return step(welcomedState, record("resumed", fields));
  return then(step(welcomedState, record("connected", fields)), (s) => carryOver(s, session));
}

/** The transcript with a new segment for a new membership, or for one that a reload had interrupted. */
function begin(state: State, session: Session): readonly Segment[] {
  const previous = state.segments[state.segments.length - 1];
  const shown = previous?.live[previous.live.length - 1]?.sequence ?? 0n;
  const segment: Segment = {
    id: (previous?.id ?? 0) + 1,
    epoch: session.epoch,
    cause: state.anew,
    selfId: session.participantId,
    joinedAt: null,
    past: [],
    live: [],
    floor: previous?.epoch === session.epoch ? shown : 0n,
    loading: false,
    problem: null,
  };
  return [...state.segments, segment];
}

/** The stream has ended, or could not be opened. `failure` is null if the service ended it normally. */
export function ended(before: State, failure: Failure | null, now: Moment): Step {
  const { phase } = before;
  if (failure === null) {
    return phase.at === "connecting"
      ? ended(before, broken("a stream that ended before its welcome"), now)
      : out(before, { type: "ended" });
  }
  const late = phase.at === "connecting" && failure.network && before.session !== null;
  const state: State = late ? { ...before, unanswered: before.unanswered + 1 } : before;
  const { session } = state;
  const said: Output = record("disconnected", {
    ...(session === null ? { display_name: state.name } : whose(session)),
    reason: logReason(failure),
  });
  const afterClose = (next: Step): Step => ({ state: next.state, outputs: [said, { do: "close" }, ...next.outputs] });
  const tries = triesBefore(phase, failure, now);
  const retry = () => afterClose(offline(state, failure, tries, now));
  switch (failure.reason) {
    case "SESSION_UNKNOWN":
    case "EPOCH_CHANGED":
    case "SEQUENCE_OUT_OF_RANGE":
      return session === null ? afterClose(refused(state, failure, now)) : afterClose(startAnew(state, failure, failure.reason, now));
    case "REPLACED":
      // The stream that replaced this one may be the page's own, from a request that it no longer waited for.
      if (state.unanswered > 0) {
        const own = networkFailure("an earlier request of this page arrived late");
        return afterClose(offline({ ...state, unanswered: state.unanswered - 1 }, own, tries, now));
      }
      return afterClose(out({ ...state, anew: null }, { type: "replaced" }));
    case "SECRET_REQUIRED":
      return afterClose(refused({ ...state, secretWanted: true }, failure, now));
    case "CONVERSATION_FULL":
    case "RATE_LIMITED":
      return session === null && state.anew === null ? afterClose(refused(state, failure, now)) : retry();
    case "NAME_INVALID":
    case "NAME_TAKEN":
    case "CLOCK_OUT_OF_RANGE":
    case "MALFORMED":
    case "TEXT_EMPTY":
    case "TEXT_TOO_LONG":
    case "MESSAGE_ID_TOO_LONG":
    case "LAB_KEY_REQUIRED":
    case "NAME_UNKNOWN":
    case "FAULT_INVALID":
    case "COMPANIONS_FULL":
    case "COMPANION_FAILED":
    case "SCENARIO_UNKNOWN":
      return afterClose(refused(state, failure, now));
    // An operator, or a change at a proxy, can fix this while the session is kept.
    case "HOST_NOT_ALLOWED":
    case "ORIGIN_NOT_ALLOWED":
    case "SLOW_CONSUMER":
    case "SHUTTING_DOWN":
    case "JOURNAL_UNAVAILABLE":
    case "LAB_DISCONNECTED":
    case null:
      return session === null && state.anew === null ? afterClose(refused(state, failure, now)) : retry();
  }
}

/**
 * The number of failed attempts, on which the next pause depends. A stream that has lasted resets it, unless it was
 * dropped because of its contents: a service can fail, or lie, right after each welcome.
 */
function triesBefore(phase: Phase, failure: Failure, now: Moment): number {
  if (phase.at === "connecting") return phase.tries;
  if (phase.at !== "online") return 0;
  const lasted = now.at >= phase.since + STREAM_PROVEN_MS && (failure.network || failure.reason !== null);
  return lasted ? 0 : phase.tries;
}

/**
 * Joins anew under the same name, because the membership cannot continue: at once if a resume was refused, otherwise
 * after a pause, so that a service that ends each session is not asked in a hot loop.
 */
function startAnew(state: State, failure: Failure, cause: AnewCause, now: Moment): Step {
  const next = forget(state, cause);
  const { phase } = state;
  return phase.at === "connecting" ? open(next, phase.tries, now) : offline(next, failure, triesBefore(phase, failure, now), now);
}

function forget(state: State, cause: AnewCause): State {
  return {
    ...state,
    name: state.session?.name ?? state.name,
    session: null,
    position: null,
    unanswered: 0,
    anew: cause,
    outbox: settleOutbox(state.outbox, "queued"),
  };
}

/** Waits, and then tries again. */
function offline(state: State, failure: Failure, tries: number, now: Moment): Step {
  const wait = Math.max(backoff(tries, now.chance), failure.retryAfterMs ?? 0);
  const phase: Phase = { at: "offline", tries: tries + 1, retryAt: now.at + wait, why: inWords(failure) };
  return step({ ...state, phase });
}

/** Shows the form again, with the reason. */
function refused(state: State, failure: Failure, now: Moment): Step {
  const farewell: Farewell = {
    type: "refused",
    failure,
    secretGiven: state.secret !== "",
    retryAt: failure.retryAfterMs === null ? 0 : now.at + failure.retryAfterMs,
  };
  // Only a missing secret leaves the session intact; it continues once the secret is given.
  const session = failure.reason === "SECRET_REQUIRED" ? state.session : null;
  const outbox = session === null ? settleOutbox(state.outbox, "held") : state.outbox;
  return step({ ...state, session, outbox, farewell, phase: { at: "out" } }, { do: "release" });
}

/** Ends the membership on this side, and shows the form again, with the reason. */
export function out(state: State, farewell: Farewell): Step {
  const outputs: Output[] = [{ do: "close" }, { do: "release" }];
  const { phase } = state;
  // LEFT means that everything up to the end was received (V9). Any other end of the stream is in the log already.
  const readToEnd = phase.at === "leaving" ? phase.stream === "ended" : phase.at === "online" && farewell.type === "ended";
  if (readToEnd && state.session !== null) outputs.unshift(record("disconnected", { ...whose(state.session), reason: "LEFT" }));
  return step(
    {
      ...state,
      phase: { at: "out" },
      session: null,
      anew: null,
      position: null,
      roster: [],
      unreachable: new Set(),
      outbox: settleOutbox(state.outbox, "held"),
      farewell,
    },
    ...outputs,
  );
}

/** A failure that the page itself has detected. */
function networkFailure(message: string): Failure {
  return { reason: null, network: true, message, figures: {}, retryAfterMs: null };
}

/** How long the stream can be silent before it counts as broken, in milliseconds. */
export function silenceMax(state: State): number {
  return 2 * state.heartbeatMs + 5_000;
}

/** Time has passed: a retry is due, or a silence has lasted too long. */
export function connectionTick(state: State, now: Moment): Step {
  const { phase } = state;
  const silent = networkFailure("the service is silent");
  if (phase.at === "offline" && now.at >= phase.retryAt) return open(state, phase.tries, now);
  if (phase.at === "connecting" && now.at >= phase.since + WELCOME_WAIT_MS) return ended(state, silent, now);
  if (phase.at === "online" && now.at >= phase.lastFrameAt + silenceMax(state)) return ended(state, silent, now);
  return step(state);
}

/** Something suggests that an attempt would succeed now, so do not wait until the retry is due. */
export function wake(state: State, now: Moment): Step {
  return state.phase.at === "offline" ? open(state, state.phase.tries, now) : step(state);
}

/**
 * The computer was asleep, and the stream may have died silently: open a new one at once rather than wait until the
 * silence has lasted too long. Others do not notice a resume.
 */
export function slept(state: State, now: Moment): Step {
  const suspect = state.session !== null && (state.phase.at === "online" || state.phase.at === "connecting");
  return then(suspect ? ended(state, networkFailure("the machine was asleep"), now) : step(state), (s) => wake(s, now));
}

/** A granted connection opens the stream; a refused one makes the page wait for one. */
export function slot(state: State, granted: boolean, now: Moment): Step {
  if (state.phase.at !== "claiming" && state.phase.at !== "waiting") {
    return granted ? step(state, { do: "release" }) : step(state);
  }
  return granted ? open(state, 0, now) : step({ ...state, phase: { at: "waiting" } });
}
