/** The inputs and outputs of the session's state machine. */

import type { LogicalTime } from "../clock.js";
import type { ChatEvent, Frame } from "../event.js";
import type { RecordEvent, RecordFields } from "../record.js";
import type { Failure } from "./refusal.js";
import type { Session, State } from "./state.js";

/** The moment of a step. It is passed in, since the machine has no clock and no randomness of its own. */
export interface Moment {
  /** Milliseconds of the monotonic clock: it is never set, and starts anew with each load of the page. */
  readonly at: number;
  /** A random number from 0 to 1. */
  readonly chance: number;
}

/** An input: a request of the user, a frame, an answer, the passing of time. */
export type Input =
  | { readonly type: "join"; readonly name: string; readonly secret: string }
  | { readonly type: "resume" }
  | { readonly type: "slot"; readonly granted: boolean }
  | { readonly type: "frame"; readonly attempt: number; readonly frame: Frame }
  | { readonly type: "ended"; readonly attempt: number; readonly failure: Failure | null }
  | { readonly type: "tick" }
  | { readonly type: "wake" }
  | { readonly type: "slept" }
  | { readonly type: "send"; readonly id: string; readonly text: string }
  | {
      readonly type: "published";
      readonly id: string;
      readonly sequence: bigint;
      readonly logicalTime: LogicalTime;
      readonly session: Session;
    }
  | { readonly type: "publish-failed"; readonly id: string; readonly failure: Failure; readonly session: Session }
  | { readonly type: "send-again"; readonly id: string; readonly newId: string }
  | { readonly type: "discard"; readonly id: string }
  | { readonly type: "leave" }
  | { readonly type: "left"; readonly sequence: bigint; readonly logicalTime: LogicalTime; readonly session: Session }
  | { readonly type: "leave-failed"; readonly failure: Failure; readonly session: Session }
  | { readonly type: "load-earlier" }
  | { readonly type: "earlier"; readonly segment: number; readonly events: readonly ChatEvent[] }
  | { readonly type: "earlier-failed"; readonly segment: number; readonly failure: Failure };

/** A record of the log (specification, chapter 9). */
export type LogRecord = { readonly [E in RecordEvent]: { readonly event: E; readonly fields: RecordFields[E] } }[RecordEvent];

/** Something to do: a call, a line of the log, a claim on one of the browser's connections. */
export type Output =
  | { readonly do: "claim" }
  | { readonly do: "release" }
  | {
      readonly do: "open";
      readonly attempt: number;
      readonly name: string;
      readonly time: LogicalTime;
      readonly session: Session | null;
      readonly after: bigint;
      readonly chainHash: string;
    }
  | { readonly do: "close" }
  | {
      readonly do: "publish";
      readonly id: string;
      readonly text: string;
      readonly time: LogicalTime;
      readonly seen: bigint;
      readonly session: Session;
    }
  | { readonly do: "leave"; readonly time: LogicalTime; readonly session: Session }
  | { readonly do: "list"; readonly segment: number; readonly after: bigint; readonly count: number; readonly session: Session }
  | { readonly do: "record"; readonly record: LogRecord };

/** A new state, and what is to be done, in order. */
export interface Step {
  readonly state: State;
  readonly outputs: readonly Output[];
}

/** A step with these outputs. */
export function step(state: State, ...outputs: Output[]): Step {
  return { state, outputs };
}

/** One step after another. */
export function then(first: Step, next: (state: State) => Step): Step {
  const second = next(first.state);
  return { state: second.state, outputs: [...first.outputs, ...second.outputs] };
}

/** The output that adds a record to the log. */
export function record<E extends RecordEvent>(event: E, fields: RecordFields[E]): Output {
  return { do: "record", record: { event, fields } as LogRecord };
}

/** The fields that say whose membership a record is about. */
export function whose(session: Session): { readonly epoch: string; readonly participant_id: string; readonly display_name: string } {
  return { epoch: session.epoch, participant_id: session.participantId, display_name: session.name };
}
