/** From the generated messages to the page's own types. */

import { type Duration, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { credibleHeartbeat, credibleWait } from "../core/machine/check.js";
import type { ChatEvent, EventKind, Frame, Person, Welcome } from "../core/event.js";
import { type Failure, REASONS, type Reason } from "../core/machine/refusal.js";
import { type Event, type JoinResponse, LeaveReason, type Welcome as WireWelcome } from "../gen/chitchat/v1/chitchat_pb.js";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";

/** The error domain of the service. */
const DOMAIN = "chitchat";

/** The furthest from 1970 that a JavaScript date can be, in milliseconds. */
const DATE_MAX_MS = 8.64e15;

/** Converts a frame. */
export function toFrame(response: JoinResponse): Frame {
  const { frame } = response;
  switch (frame.case) {
    case "welcome":
      return { type: "welcome", welcome: toWelcome(frame.value) };
    case "event":
      return { type: "event", event: toEvent(frame.value) };
    case "caughtUp":
      return { type: "caught-up", sequence: frame.value.sequence };
    case "heartbeat":
      return { type: "heartbeat", head: frame.value.headSequence };
    case "presence":
      return { type: "presence", participantId: frame.value.participantId, connected: frame.value.connected };
    case "labNotice":
      return { type: "lab-notice", faults: frame.value.faults };
    case undefined:
      return { type: "unknown" };
  }
}

/** Converts an event. */
export function toEvent(event: Event): ChatEvent {
  return {
    sequence: event.sequence,
    logicalTime: event.logicalTime,
    content: event.content,
    author: toAuthor(event),
    recordedAt: toWallClock(event.recordedAt),
    receipt: null,
    chainHash: toHex(event.chainHash),
    kind: toKind(event),
  };
}

/** The event's author. An event without a kind gets an empty one, so that it is refused. */
function toAuthor({ participant, kind }: Event): Person {
  if (participant === undefined || kind.case === undefined) return { id: "", name: "" };
  return { id: participant.participantId, name: participant.displayName };
}

/** A wall clock time in milliseconds since 1970; null if there is none, or no date can show it. */
function toWallClock(time: Timestamp | undefined): number | null {
  const at = time === undefined ? Number.NaN : timestampMs(time);
  return Math.abs(at) <= DATE_MAX_MS ? at : null;
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of a chain hash in hexadecimal. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

function toKind({ kind }: Event): EventKind {
  switch (kind.case) {
    case "joined":
      return { type: "joined" };
    case "left":
      return { type: "left", disconnected: kind.value.reason === LeaveReason.DISCONNECTED };
    case "message": {
      const { messageId, sentLogicalTime, seenSequence, sentAt } = kind.value;
      return { type: "message", messageId, sentLogicalTime, seenSequence, sentAt: toWallClock(sentAt) };
    }
    case undefined:
      return { type: "message", messageId: "", sentLogicalTime: 0n, seenSequence: 0n, sentAt: null };
  }
}

function toWelcome(welcome: WireWelcome): Welcome {
  return {
    token: welcome.sessionToken,
    participantId: welcome.participantId,
    epoch: welcome.epoch,
    head: welcome.headSequence,
    logicalTime: welcome.logicalTime,
    resumed: welcome.resumed,
    roster: welcome.participants.map((person) => ({ id: person.participantId, name: person.displayName })),
    heartbeatMs: credibleHeartbeat(toMillis(welcome.heartbeatInterval)),
    limits: {
      text: welcome.limits?.textCharactersMax || 128,
      name: welcome.limits?.nameCharactersMax || 32,
    },
  };
}

function toMillis(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/** Converts what a call threw. The reason is the contract's, if the error carries one. */
export function toFailure(thrown: unknown): Failure {
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === DOMAIN);
  const retry = error.findDetails(RetryInfoSchema)[0];
  const reason = REASONS.find((known: Reason) => known === info?.reason) ?? null;
  return {
    reason,
    network: reason === null && !FINAL.has(error.code),
    message: error.rawMessage,
    figures: info?.metadata ?? {},
    retryAfterMs: retry === undefined ? null : credibleWait(toMillis(retry.retryDelay)),
  };
}

/** Codes that are an answer, from the service or from a proxy. All others may just mean a bad connection. */
const FINAL: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
  Code.Unauthenticated,
]);
