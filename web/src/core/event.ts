/** The conversation's events, as the page knows them: the contract's types with every field present. */

import type { LogicalTime } from "./clock.js";

/** One membership: who joined, left or wrote. */
export interface Person {
  /** Unique within the epoch. */
  readonly id: string;
  /** Unique among the participants that are active at one time. */
  readonly name: string;
}

/** What happened. */
export type EventKind =
  | { readonly type: "joined" }
  | { readonly type: "left"; readonly disconnected: boolean }
  | {
      readonly type: "message";
      /** The sender's own id for the publish. */
      readonly messageId: string;
      /** The sender's clock when it sent. */
      readonly sentLogicalTime: LogicalTime;
      /** The last event that had been delivered to the sender when its user submitted the text. */
      readonly seenSequence: bigint;
      /**
       * The sender's wall clock when it sent, in milliseconds since 1970, for people only; null if it is not stated.
       */
      readonly sentAt: number | null;
    };

/** One entry of the conversation. */
export interface ChatEvent {
  /** The position within the epoch: 1, 2, 3 ... */
  readonly sequence: bigint;
  /** The Lamport time of the broadcast. */
  readonly logicalTime: LogicalTime;
  /** What to display. */
  readonly content: string;
  /** Who joined, left or wrote. */
  readonly author: Person;
  /** The service's wall clock in milliseconds, for people only. */
  readonly recordedAt: number | null;
  /** This page's own clock after the event was delivered; null if it was listed later. */
  readonly receipt: LogicalTime | null;
  /** The service's checksum over this event and all before it. */
  readonly chainHash: string;
  /** What happened. */
  readonly kind: EventKind;
  /** Other events that a log gives the same sequence, which is a mistake of the service. */
  readonly rivals?: readonly ChatEvent[];
}

/** The first frame of a stream. */
export interface Welcome {
  /** The session's secret. */
  readonly token: string;
  /** This page's participant. */
  readonly participantId: string;
  /** The journal to which the sequences belong. */
  readonly epoch: string;
  /** The newest event's sequence. */
  readonly head: bigint;
  /** The newest event's logical time. */
  readonly logicalTime: LogicalTime;
  /** Whether an existing session continues. */
  readonly resumed: boolean;
  /** Who is here as of `head`, this page included. */
  readonly roster: readonly Person[];
  /** How long a healthy stream can be quiet, in milliseconds. */
  readonly heartbeatMs: number;
  /** What the service will accept. */
  readonly limits: Limits;
}

/** What the service will accept, in characters. */
export interface Limits {
  /** The most characters of a message. */
  readonly text: number;
  /** The most characters of a display name. */
  readonly name: number;
}

/** One frame of the stream. */
export type Frame =
  | { readonly type: "welcome"; readonly welcome: Welcome }
  | { readonly type: "event"; readonly event: ChatEvent }
  | { readonly type: "caught-up"; readonly sequence: bigint }
  | { readonly type: "heartbeat"; readonly head: bigint }
  | { readonly type: "presence"; readonly participantId: string; readonly connected: boolean }
  /** What a teacher's lab does to this page, in the service's words; empty once it has ended. */
  | { readonly type: "lab-notice"; readonly faults: string }
  /** A kind of frame from a newer service. It still shows that the stream is alive. */
  | { readonly type: "unknown" };
