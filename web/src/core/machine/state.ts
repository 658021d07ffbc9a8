/** Everything the page knows. One value, replaced as a whole by each step. */

import type { ClockStep, LogicalTime } from "../clock.js";
import type { ChatEvent, Limits, Person } from "../event.js";
import type { Failure } from "./refusal.js";

/** The secret side of this page's membership. */
export interface Session {
  /** Anyone who has it can act as this participant. Never shown, never logged. */
  readonly token: string;
  /** This page's participant. */
  readonly participantId: string;
  /** The name as the service keeps it. */
  readonly name: string;
  /** The journal to which the sequences belong. */
  readonly epoch: string;
}

/** Why the page had to start a membership that the user did not ask for. */
export type AnewCause = "SESSION_UNKNOWN" | "EPOCH_CHANGED" | "SEQUENCE_OUT_OF_RANGE";

/** The state of the connection. */
export type Phase =
  | { readonly at: "out" }
  | { readonly at: "claiming" }
  | { readonly at: "waiting" }
  /** `why` says why the page was offline before, if it was. */
  | { readonly at: "connecting"; readonly tries: number; readonly since: number; readonly why: string | null }
  /** `tries` counts the failed attempts before: if this stream does not last, the pauses continue from there. */
  | { readonly at: "online"; readonly caughtUp: boolean; readonly lastFrameAt: number; readonly since: number; readonly tries: number }
  | { readonly at: "offline"; readonly tries: number; readonly retryAt: number; readonly why: string }
  /** `stream` is the state of the stream meanwhile; `left` is the time of the acknowledged Left. */
  | {
      readonly at: "leaving";
      readonly sent: boolean;
      readonly since: number;
      readonly stream: "open" | "ended" | "broken";
      readonly left: LogicalTime | null;
    };

/** Why the user is back at the join form, if there is something to say. */
export type Farewell =
  | { readonly type: "refused"; readonly failure: Failure; readonly secretGiven: boolean; readonly retryAt: number }
  | { readonly type: "left"; readonly logicalTime: LogicalTime | null }
  | { readonly type: "ended" }
  | { readonly type: "replaced" };

/** The progress of one of the user's messages. */
export type Progress =
  /**
   * To be sent, not before `retryAt`. `failure` says why an earlier try failed; `since` is the time of the first try
   * that is still unanswered.
   */
  | {
      readonly at: "queued";
      readonly retryAt: number;
      readonly tries: number;
      readonly failure: Failure | null;
      readonly since: number | null;
    }
  /** On its way: at most one message at a time. */
  | { readonly at: "sending"; readonly tries: number; readonly since: number }
  /** Acknowledged, but not yet seen in the stream. */
  | { readonly at: "accepted"; readonly sequence: bigint }
  /** Seen in the stream, but not yet acknowledged. */
  | { readonly at: "delivered" }
  /** The service refused it. */
  | { readonly at: "refused"; readonly failure: Failure }
  /** Sent at least once in a membership that has ended, with no answer. */
  | { readonly at: "unconfirmed" }
  /** Never sent, and the membership has ended. */
  | { readonly at: "held" };

/** A message of the user's own that is not yet part of the transcript. */
export interface Outgoing {
  /** The id that makes a retry harmless. */
  readonly id: string;
  /** What the user wrote. */
  readonly text: string;
  /** The last event that had been delivered to the session when the user submitted the text; 0 for none. */
  readonly seen: bigint;
  /** Whether a try was made whose outcome is unknown. */
  readonly doubt: boolean;
  /** How far it has come. */
  readonly progress: Progress;
}

/** The part of the transcript that belongs to one membership. */
export interface Segment {
  /** Counts the page's memberships: 1, 2, 3 ... */
  readonly id: number;
  /** The journal to which its sequences belong. */
  readonly epoch: string;
  /** Why it began, if the user did not ask for it. */
  readonly cause: AnewCause | null;
  /** The id of this page's participant. */
  readonly selfId: string;
  /** The sequence of the page's own Joined event, once it is known. */
  readonly joinedAt: bigint | null;
  /** Loaded on demand: what came before `live`, in order. */
  readonly past: readonly ChatEvent[];
  /** Delivered by the stream, in order. */
  readonly live: readonly ChatEvent[];
  /** Everything up to this sequence is in an earlier segment, or does not exist. */
  readonly floor: bigint;
  /** Whether a page of earlier events is being fetched. */
  readonly loading: boolean;
  /** Why the last fetch failed. */
  readonly problem: Failure | null;
}

/** How many steps of the clock are kept for display. */
export const STEPS_MAX = 5;

/** What made the clock step: a request that went out, its answer, or what the stream brought. */
export type ClockCause =
  | { readonly of: "join" | "welcome" | "leave" | "left" }
  | { readonly of: "publish" | "answer"; readonly text: string }
  | { readonly of: "event"; readonly event: ChatEvent };

/** A step of the clock, and why it was made. */
export interface Explained {
  readonly step: ClockStep;
  readonly cause: ClockCause;
}

/** Everything the page knows. */
export interface State {
  /** This page's Lamport clock. */
  readonly clock: LogicalTime;
  /** The clock's newest steps, the last one first. */
  readonly clockSteps: readonly Explained[];
  /** The state of the connection. */
  readonly phase: Phase;
  /** The name that was asked for. */
  readonly name: string;
  /** The access secret, or empty. */
  readonly secret: string;
  /** Whether the service has asked for an access secret. */
  readonly secretWanted: boolean;
  /** This page's membership. */
  readonly session: Session | null;
  /** Set while the page starts a membership that the user did not ask for. */
  readonly anew: AnewCause | null;
  /** Counts the streams that were opened, so that late frames of an abandoned one can be recognized. */
  readonly attempt: number;
  /**
   * How many requests to resume were given up without an answer. Each may still arrive, and then replaces the stream
   * that was opened after it.
   */
  readonly unanswered: number;
  /** The last sequence delivered in this membership; null before the first. */
  readonly position: bigint | null;
  /** The chain hash of that event; empty if it is not known. */
  readonly chainHash: string;
  /** Who is here. */
  readonly roster: readonly Person[];
  /** The ids of the participants whose connections are broken at the moment. */
  readonly unreachable: ReadonlySet<string>;
  /** What a teacher's lab does to this page, in the service's words; empty for nothing. */
  readonly labFaults: string;
  /** The newest event when the stream was opened: `roster` is as of that event, and the replay has to reach it. */
  readonly rosterAsOf: bigint;
  /** Whether a heartbeat was received although events are missing. */
  readonly lagging: boolean;
  /** What the service will accept. */
  readonly limits: Limits;
  /** How long a healthy stream can be quiet, in milliseconds. */
  readonly heartbeatMs: number;
  /** The user's own messages that are not yet part of the transcript, in order. */
  readonly outbox: readonly Outgoing[];
  /** The transcript, by membership; the last is the present one. */
  readonly segments: readonly Segment[];
  /** Why the user is at the join form. */
  readonly farewell: Farewell | null;
}

/** A page that has just been opened. */
export const INITIAL: State = {
  clock: 0n,
  clockSteps: [],
  phase: { at: "out" },
  name: "",
  secret: "",
  secretWanted: false,
  session: null,
  anew: null,
  attempt: 0,
  unanswered: 0,
  position: null,
  chainHash: "",
  roster: [],
  unreachable: new Set(),
  labFaults: "",
  rosterAsOf: 0n,
  lagging: false,
  limits: { text: 128, name: 32 },
  heartbeatMs: 15_000,
  outbox: [],
  segments: [],
  farewell: null,
};

/** The segment that the stream writes to. */
export function presentSegment(state: State): Segment | undefined {
  return state.segments[state.segments.length - 1];
}

/** The state with its present segment changed. */
export function withSegment(state: State, change: Partial<Segment>): State {
  const present = presentSegment(state);
  if (present === undefined) return state;
  return { ...state, segments: [...state.segments.slice(0, -1), { ...present, ...change }] };
}

/** The state after a step of its clock, with what made the clock step. */
export function withClock(state: State, step: ClockStep, cause: ClockCause): State {
  return { ...state, clock: step.after, clockSteps: [{ step, cause }, ...state.clockSteps.slice(0, STEPS_MAX - 1)] };
}
