/** A page under test, with a simulated service: only the inputs that a service would cause. */

import { sentence } from "../src/core/machine/check.js";
import type { ChatEvent, EventKind } from "../src/core/event.js";
import { advance } from "../src/core/machine/machine.js";
import type { Failure, Reason } from "../src/core/machine/refusal.js";
import { INITIAL, type Session, type State } from "../src/core/machine/state.js";
import type { RecordEvent, RecordFields } from "../src/core/record.js";
import type { Input, Output } from "../src/core/machine/step.js";

/** The page under test, with all its outputs. */
export class Page {
  state: State;
  outputs: Output[] = [];
  at = 1_000_000;

  constructor(state: State = INITIAL) {
    this.state = state;
  }

  /** Takes a step, and returns its outputs. */
  feed(input: Input): readonly Output[] {
    const { state, outputs } = advance(this.state, input, { at: this.at, chance: 1 });
    this.state = state;
    this.outputs.push(...outputs);
    return outputs;
  }

  /** Lets time pass. */
  wait(milliseconds: number): readonly Output[] {
    this.at += milliseconds;
    return this.feed({ type: "tick" });
  }

  /** Asks to join, is given a connection, and is welcomed; its own Joined comes at once. */
  join(name = "alice", options: { id?: string; epoch?: string; head?: bigint; time?: bigint } = {}): Session {
    this.feed({ type: "join", name, secret: "" });
    this.feed({ type: "slot", granted: true });
    return this.welcome(options);
  }

  /** The service welcomes a new participant. */
  welcome({ id = "p1", epoch = "e1", head = 1n, time = 3n } = {}): Session {
    this.feed({ type: "wake" });
    const roster = [{ id, name: this.state.name }];
    this.frame({
      type: "welcome",
      welcome: {
        token: `token-${id}`,
        participantId: id,
        epoch,
        head,
        logicalTime: time,
        resumed: false,
        roster,
        heartbeatMs: 15_000,
        limits: { text: 128, name: 32 },
      },
    });
    this.event(head, time, { type: "joined" }, id);
    this.frame({ type: "caught-up", sequence: head });
    const { session } = this.state;
    if (session === null) throw new Error("no session");
    return session;
  }

  /** The service resumes the page's session. */
  resumed(head: bigint, time: bigint): void {
    const session = this.state.session;
    if (session === null) throw new Error("no session");
    const roster = [{ id: session.participantId, name: session.name }];
    this.frame({
      type: "welcome",
      welcome: {
        token: session.token,
        participantId: session.participantId,
        epoch: session.epoch,
        head,
        logicalTime: time,
        resumed: true,
        roster,
        heartbeatMs: 15_000,
        limits: { text: 128, name: 32 },
      },
    });
  }

  /** The stream brings a frame. */
  frame(frame: Extract<Input, { type: "frame" }>["frame"]): readonly Output[] {
    return this.feed({ type: "frame", attempt: this.state.attempt, frame });
  }

  /** The stream brings an event. */
  event(sequence: bigint, time: bigint, kind: EventKind, id = "p9", content?: string): readonly Output[] {
    return this.frame({ type: "event", event: event(sequence, time, kind, id, content) });
  }

  /** The stream ends. */
  ended(failure: Failure | null): readonly Output[] {
    return this.feed({ type: "ended", attempt: this.state.attempt, failure });
  }

  /** The records of the log with this event name. */
  records<E extends RecordEvent>(name: E): RecordFields[E][] {
    return this.outputs.flatMap((output) =>
      output.do === "record" && output.record.event === name ? [output.record.fields as RecordFields[E]] : [],
    );
  }

  /** The calls of this kind. */
  calls<K extends Output["do"]>(kind: K): Extract<Output, { do: K }>[] {
    return this.outputs.filter((output): output is Extract<Output, { do: K }> => output.do === kind);
  }
}

/** An event. */
export function event(sequence: bigint, time: bigint, kind: EventKind, id = "p9", content?: string): ChatEvent {
  const event = {
    sequence,
    logicalTime: time,
    content: "",
    author: { id, name: id },
    recordedAt: null,
    receipt: null,
    chainHash: `${sequence}`,
    kind,
  };
  return { ...event, content: content ?? (kind.type === "message" ? `event ${sequence}` : sentence(event)) };
}

/** The kind of a message event. */
export function message(messageId = "", sent = 0n, seen = 0n): EventKind {
  return { type: "message", messageId, sentLogicalTime: sent, seenSequence: seen, sentAt: null };
}

/** A refusal. */
export function refusal(reason: Reason, retryAfterMs: number | null = null): Failure {
  return { reason, network: false, message: reason, figures: {}, retryAfterMs };
}

/** A lost connection. */
export const LOST: Failure = { reason: null, network: true, message: "Failed to fetch", figures: {}, retryAfterMs: null };
