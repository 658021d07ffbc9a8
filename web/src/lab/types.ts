/** What the lab's panel knows: the messages of LabService in the page's own types. */

import type { ChatEvent, Person } from "../core/event.js";

/** A way between a participant and the service. */
export type Way = "deliveries" | "publishes";

/** What is done to one way. */
export interface Impairment {
  readonly hold: boolean;
  readonly cut: boolean;
  readonly delayMs: number;
  readonly jitterMs: number;
}

/** What is done to a participant. */
export interface Fault {
  readonly deliveries: Impairment;
  readonly publishes: Impairment;
  readonly pause: boolean;
}

/** Nothing is done to a way. */
export const UNIMPAIRED: Impairment = { hold: false, cut: false, delayMs: 0, jitterMs: 0 };

/** How a companion behaves. */
export type CompanionKind = "echo" | "chatterbox" | "answerer" | "slow" | "wrong-clock" | "actor";

/** What is known of a participant that the service's process plays. */
export interface Companion {
  readonly kind: CompanionKind;
  /** Its Lamport clock. */
  readonly clock: bigint;
  /** The last event that has been delivered to it. */
  readonly delivered: bigint;
}

/** A participant as the lab sees it. */
export interface LabPerson {
  readonly person: Person;
  readonly fault: Fault | null;
  readonly endsInMs: number | null;
  /** The last event before its faults. */
  readonly before: bigint;
  readonly deliveriesHeld: number;
  readonly publishesHeld: number;
  readonly companion: Companion | null;
  /** The next events that releases let through to it: the first few of what is held. */
  readonly next: readonly ChatEvent[];
  /** The texts that it has sent and that the lab holds, in the order of their arrival; empty for a leave. */
  readonly sent: readonly string[];
}

/** The lab at one moment. */
export interface LabState {
  readonly people: readonly LabPerson[];
  /** For how much longer the writer is stopped; null if it is not. */
  readonly writerStoppedMs: number | null;
  readonly run: ScenarioRun | null;
}

/** A scenario that can be played. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly watch: string;
  readonly hasPerson: boolean;
}

/** What a scenario does. */
export type ScenarioState = "playing" | "waits-for-advance" | "waits-for-person" | "finished" | "stopped" | "failed";

/** A question at the end of a scenario. */
export interface Question {
  readonly ask: string;
  readonly answers: readonly { readonly text: string; readonly right: boolean; readonly why: string }[];
}

/** A scenario that is played or has been played. */
export interface ScenarioRun {
  /** Which of the lab's runs it is. */
  readonly number: number;
  readonly scenario: Scenario;
  readonly steps: readonly string[];
  readonly done: number;
  readonly state: ScenarioState;
  readonly person: string;
  readonly problem: string;
  readonly question: Question | null;
}

/** Whether a scenario is still being played. */
export function isPlaying({ state }: ScenarioRun): boolean {
  return state === "playing" || state === "waits-for-advance" || state === "waits-for-person";
}
