/** The frames of a stream. */

import { faultOfCaughtUp, faultOfEvent, faultOfHeartbeat, faultOfWelcome, isBehind } from "./check.js";
import { receive } from "../clock.js";
import { ended, welcomed } from "./connection.js";
import type { ChatEvent, Frame, Person } from "../event.js";
import { leavingStreamEnded } from "./leaving.js";
import { noteDelivered } from "./outbox.js";
import type { RecordFields } from "../record.js";
import { broken } from "./refusal.js";
import { type Segment, type Session, type State, presentSegment, withClock, withSegment } from "./state.js";
import { type Moment, type Step, record, step, whose } from "./step.js";

/** The most events of one membership that are kept. */
export const EVENTS_MAX = 1_500;

/** A frame of the current stream. */
export function framed(state: State, frame: Frame, now: Moment): Step {
  const { phase, session } = state;
  if (phase.at === "connecting") {
    if (frame.type === "unknown" || frame.type === "lab-notice") return step(state);
    if (frame.type !== "welcome") return garbled(state, "a frame before the welcome", now);
    const fault = faultOfWelcome(frame.welcome, session, state.position);
    return fault === null ? welcomed(state, frame.welcome, now) : garbled(state, fault, now);
  }
  if ((phase.at !== "online" && phase.at !== "leaving") || session === null) return step(state);
  const alive: State = phase.at === "online" ? { ...state, phase: { ...phase, lastFrameAt: now.at } } : state;
  switch (frame.type) {
    case "unknown":
      return step(alive);
    case "heartbeat": {
      const position = state.position ?? 0n;
      const fault = faultOfHeartbeat(frame.head, position, state.lagging);
      return fault === null ? step({ ...alive, lagging: isBehind(frame.head, position) }) : garbled(alive, fault, now);
    }
    case "presence":
      return step({ ...alive, unreachable: withPresence(state.unreachable, frame.participantId, frame.connected) });
    case "lab-notice":
      return step({ ...alive, labFaults: frame.faults });
    case "caught-up": {
      const fault = faultOfCaughtUp(frame.sequence, state.position ?? 0n, state.rosterAsOf);
      if (fault !== null) return garbled(alive, fault, now);
      return step(alive.phase.at === "online" ? { ...alive, phase: { ...alive.phase, caughtUp: true } } : alive);
    }
    case "event":
      return delivered(alive, session, frame.event, now);
    case "welcome":
      return garbled(alive, "a second welcome", now);
  }
}

/** A stream that breaks the contract is dropped; the next one resumes. */
function garbled(state: State, message: string, now: Moment): Step {
  const failure = broken(message);
  return state.phase.at === "leaving" ? leavingStreamEnded(state, failure) : ended(state, failure, now);
}

function delivered(state: State, session: Session, event: ChatEvent, now: Moment): Step {
  const ownJoined = event.kind.type === "joined" && event.author.id === session.participantId;
  const fault = faultInStream(state, event, ownJoined);
  if (fault !== null) {
    const expected = state.position === null ? {} : { expected_sequence: state.position + 1n };
    const refused = record("event_refused", { ...whose(session), sequence: event.sequence, ...expected, reason: fault });
    const next = garbled(state, fault, now);
    return { state: next.state, outputs: [refused, ...next.outputs] };
  }
  const clocked = withClock(state, receive(state.clock, event.logicalTime), { of: "event", event });
  const shown = withSegment(clocked, appended(clocked, { ...event, receipt: clocked.clock }, ownJoined));
  const next: State = {
    ...shown,
    position: event.sequence,
    lagging: false,
    chainHash: event.chainHash,
    roster: event.sequence > state.rosterAsOf ? withChange(state.roster, event) : state.roster,
    unreachable: event.kind.type === "left" ? withPresence(state.unreachable, event.author.id, true) : state.unreachable,
    outbox: noteDelivered(shown.outbox, event, session),
  };
  return step(next, record("event_delivered", deliveredFields(session, event, next.clock)));
}

/** Why an event cannot be the next one; null if it can. */
function faultInStream(state: State, event: ChatEvent, ownJoined: boolean): string | null {
  // A membership begins with its own Joined.
  if (state.position === null && !ownJoined) return "a first event that is not the join of this page";
  if (state.position !== null && event.sequence !== state.position + 1n) return "an event that is not the next";
  const live = state.position === null ? [] : (presentSegment(state)?.live ?? []);
  return faultOfEvent(event, live[live.length - 1]?.logicalTime ?? 0n);
}

/** The segment with one more event. Beyond the bound its oldest third is dropped, and can be loaded again. */
function appended(state: State, event: ChatEvent, ownJoined: boolean): Partial<Segment> {
  const segment = presentSegment(state);
  const past = segment?.past ?? [];
  const live = [...(segment?.live ?? []), event];
  const excess = past.length + live.length > EVENTS_MAX ? Math.ceil(EVENTS_MAX / 3) : 0;
  return {
    past: past.slice(excess),
    live: live.slice(Math.max(0, excess - past.length)),
    ...(ownJoined ? { joinedAt: event.sequence } : {}),
  };
}

/** The unreachable participants after a change. One that has left is removed, as if it were connected. */
function withPresence(unreachable: ReadonlySet<string>, id: string, connected: boolean): ReadonlySet<string> {
  if (unreachable.has(id) !== connected) return unreachable;
  const changed = new Set(unreachable);
  if (connected) changed.delete(id);
  else changed.add(id);
  return changed;
}

function withChange(roster: readonly Person[], event: ChatEvent): readonly Person[] {
  switch (event.kind.type) {
    case "joined":
      return [...roster.filter((person) => person.id !== event.author.id), event.author];
    case "left":
      return roster.filter((person) => person.id !== event.author.id);
    case "message":
      return roster;
  }
}

function deliveredFields(session: Session, event: ChatEvent, clock: bigint): RecordFields["event_delivered"] {
  return {
    epoch: session.epoch,
    participant_id: event.author.id,
    display_name: event.author.name,
    sequence: event.sequence,
    logical_time: event.logicalTime,
    local_time: clock,
    kind: event.kind.type,
    content: event.content,
    ...(event.kind.type === "message"
      ? {
          sent_logical_time: event.kind.sentLogicalTime,
          seen_sequence: event.kind.seenSequence,
          ...(event.kind.sentAt === null ? {} : { sent_at: new Date(event.kind.sentAt).toISOString() }),
          message_id: event.kind.messageId,
        }
      : {}),
    ...(event.kind.type === "left" ? { reason: event.kind.disconnected ? "DISCONNECTED" : "REQUESTED" } : {}),
  };
}
