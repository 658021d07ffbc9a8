/**
 * The user's own messages on their way: one at a time, each retried under the same id until it is acknowledged or
 * refused. None is ever dropped silently.
 */

import { backoff } from "./backoff.js";
import { receive, tick } from "../clock.js";
import type { ChatEvent } from "../event.js";
import { type Failure, logReason } from "./refusal.js";
import { type Outgoing, type Progress, type Session, type State, withClock } from "./state.js";
import { type Moment, type Output, type Step, record, step, whose } from "./step.js";

/** How long to wait after RATE_LIMITED if the service does not say, in milliseconds. */
export const RATE_LIMIT_WAIT_MS = 500;

type Sending = Extract<Progress, { at: "sending" }>;

const FRESH: Progress = { at: "queued", retryAt: 0, tries: 0, failure: null, since: null };

/**
 * The user has submitted a message: it waits for its turn. What its writer had seen is fixed here: neither the wait
 * nor a retry raises it, since the text was written before what arrives meanwhile.
 */
export function enqueue(state: State, id: string, text: string): Step {
  const message = submitted(state, id, text);
  return step({ ...state, outbox: [...state.outbox, message] }, ...noteQueued(state.session, [message]));
}

/** The user resubmits a message that the page does not resend by itself. It is a new message, with the current view. */
export function sendAgain(state: State, id: string, newId: string): Step {
  const old = find(state, id);
  if (old === undefined || !isAtRest(old)) return step(state);
  const message = submitted(state, newId, old.text);
  const outbox = state.outbox.map((one) => (one === old ? message : one));
  return step({ ...state, outbox }, ...noteQueued(state.session, [message]));
}

function submitted(state: State, id: string, text: string): Outgoing {
  return { id, text, seen: state.position ?? 0n, doubt: false, progress: FRESH };
}

/**
 * A new session takes over the waiting messages, and those that were written while there was no session. Nothing had
 * been delivered to it when they were written, and the position of an earlier session means nothing in this one. So
 * they count as written without having seen anything.
 */
export function carryOver(state: State, session: Session): Step {
  const outbox = state.outbox.map((message) => (message.progress.at === "queued" ? { ...message, seen: 0n } : message));
  return step(
    { ...state, outbox },
    ...noteQueued(
      session,
      outbox.filter(({ progress }) => progress.at === "queued"),
    ),
  );
}

/** Records that messages were submitted to a session. Without a session they are recorded once there is one. */
function noteQueued(session: Session | null, messages: readonly Outgoing[]): Output[] {
  if (session === null) return [];
  return messages.map(({ id, text, seen }) =>
    record("publish_queued", { ...whose(session), message_id: id, seen_sequence: seen, content: text }),
  );
}

/** The user discards a message. A message that is in flight cannot be called back. */
export function discard(state: State, id: string): Step {
  const gone = (message: Outgoing) => message.id === id && (isAtRest(message) || neverSent(message));
  return step({ ...state, outbox: state.outbox.filter((message) => !gone(message)) });
}

/** Whether a message waits for the user to decide. */
export function isAtRest(message: Outgoing): boolean {
  return message.progress.at === "refused" || message.progress.at === "unconfirmed" || message.progress.at === "held";
}

/** Whether a message has certainly not reached the service, and is not on its way. */
export function neverSent(message: Outgoing): boolean {
  return message.progress.at === "queued" && !message.doubt;
}

/** Sends the next message whose turn it is. */
export function pump(state: State, now: Moment): Step {
  const { session } = state;
  if (state.phase.at !== "online" || session === null) return step(state);
  if (inFlight(state.outbox)) return step(state);
  const next = state.outbox.find((message) => message.progress.at === "queued");
  if (next === undefined || next.progress.at !== "queued" || next.progress.retryAt > now.at) return step(state);
  const sending: Outgoing = { ...next, progress: { at: "sending", tries: next.progress.tries, since: next.progress.since ?? now.at } };
  const clocked = withClock(state, tick(state.clock), { of: "publish", text: next.text });
  return step(
    replace(clocked, sending),
    record("publish_sent", {
      ...whose(session),
      message_id: next.id,
      sent_logical_time: clocked.clock,
      seen_sequence: next.seen,
      local_time: clocked.clock,
      content: next.text,
    }),
    { do: "publish", id: next.id, text: next.text, time: clocked.clock, seen: next.seen, session },
  );
}

/** Whether a publish awaits its answer. */
export function inFlight(outbox: readonly Outgoing[]): boolean {
  return outbox.some(({ progress }) => progress.at === "sending" || progress.at === "delivered");
}

/** The service has acknowledged a message. */
export function published(state: State, id: string, sequence: bigint, logicalTime: bigint, session: Session): Step {
  const clocked = withClock(state, receive(state.clock, logicalTime), { of: "answer", text: find(state, id)?.text ?? "" });
  const said = record("publish_acknowledged", {
    ...whose(session),
    message_id: id,
    sequence,
    logical_time: logicalTime,
    local_time: clocked.clock,
  });
  const message = find(clocked, id);
  if (message === undefined) return step(clocked, said);
  const shown =
    message.progress.at !== "sending" || clocked.session?.participantId !== session.participantId || sequence <= (clocked.position ?? 0n);
  return step(shown ? without(clocked, id) : replace(clocked, { ...message, progress: { at: "accepted", sequence } }), said);
}

/** A publish was not acknowledged: the service refused it, or its outcome is unknown. */
export function publishFailed(state: State, id: string, failure: Failure, session: Session, now: Moment): Step {
  const message = find(state, id);
  const unknown = isUnknown(failure);
  const text = message === undefined ? {} : { content: message.text };
  const said = unknown ? [] : [record("publish_refused", { ...whose(session), message_id: id, ...text, reason: logReason(failure) })];
  if (message === undefined) return step(state, ...said);
  if (message.progress.at === "delivered") return step(without(state, id), ...said);
  if (message.progress.at === "unconfirmed" && !unknown && !message.doubt) {
    // The membership ended while this was on its way, and now it is known not to have arrived. It was written for a
    // conversation that has moved on, so the user decides whether to submit it to this one.
    return step(replace(state, { ...message, progress: { at: "held" } }), ...said);
  }
  if (message.progress.at !== "sending") return step(replace(state, { ...message, doubt: message.doubt || unknown }), ...said);
  return step(replace(state, afterFailure(message, message.progress, failure, unknown, now)), ...said);
}

/** Whether a failed publish may have been accepted nevertheless. */
function isUnknown(failure: Failure): boolean {
  return failure.network || failure.reason === "SHUTTING_DOWN" || failure.reason === "JOURNAL_UNAVAILABLE";
}

function afterFailure(message: Outgoing, { tries, since }: Sending, failure: Failure, unknown: boolean, now: Moment): Outgoing {
  const again = (wait: number): Outgoing => ({
    ...message,
    doubt: message.doubt || unknown,
    progress: { at: "queued", retryAt: now.at + wait, tries: tries + 1, failure, since: unknown ? since : null },
  });
  if (unknown) return again(Math.max(backoff(tries, now.chance), failure.retryAfterMs ?? 0));
  if (failure.reason === "RATE_LIMITED") return again(failure.retryAfterMs ?? RATE_LIMIT_WAIT_MS);
  if (failure.reason === "SESSION_UNKNOWN") return again(0);
  return { ...message, progress: { at: "refused", failure } };
}

/** The stream is up again: messages that waited only for that are due at once. */
export function hurry(state: State): State {
  const outbox = state.outbox.map((message) =>
    message.progress.at === "queued" && message.progress.failure?.reason !== "RATE_LIMITED"
      ? { ...message, progress: { ...message.progress, retryAt: 0, since: null } }
      : message,
  );
  return { ...state, outbox };
}

/** A message that is part of the transcript needs no place in the outbox. */
export function noteDelivered(outbox: readonly Outgoing[], event: ChatEvent, session: Session): readonly Outgoing[] {
  const { kind } = event;
  if (kind.type !== "message" || event.author.id !== session.participantId) return outbox;
  return outbox.flatMap((message): Outgoing[] => {
    if (message.id !== kind.messageId) return [message];
    // Its answer is still awaited, for the log and for the next one's turn.
    return message.progress.at === "sending" ? [{ ...message, progress: { at: "delivered" } }] : [];
  });
}

/**
 * Settles the outbox when the membership ends: acknowledged messages are done, the user decides about those that may
 * have arrived, and the rest wait for the next membership or for the user.
 */
export function settleOutbox(outbox: readonly Outgoing[], rest: "queued" | "held"): readonly Outgoing[] {
  return outbox.flatMap((message): Outgoing[] => {
    switch (message.progress.at) {
      case "accepted":
      case "delivered":
        return [];
      case "sending":
        return [{ ...message, progress: { at: "unconfirmed" } }];
      case "queued":
        if (message.doubt) return [{ ...message, progress: { at: "unconfirmed" } }];
        return [{ ...message, progress: rest === "queued" ? FRESH : { at: "held" } }];
      case "refused":
      case "unconfirmed":
      case "held":
        return [message];
    }
  });
}

function find(state: State, id: string): Outgoing | undefined {
  return state.outbox.find((message) => message.id === id);
}

function replace(state: State, changed: Outgoing): State {
  return { ...state, outbox: state.outbox.map((message) => (message.id === changed.id ? changed : message)) };
}

function without(state: State, id: string): State {
  return { ...state, outbox: state.outbox.filter((message) => message.id !== id) };
}
