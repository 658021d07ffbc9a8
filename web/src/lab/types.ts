/** What the lab's panel knows: the messages of LabService in the page's own types. */

import type { ChatEvent, Person } from "../core/event.js";

/** A direction between a participant and the service. */
export type Way = "deliveries" | "publishes";

/** The fault of one direction. */
export interface Impairment {
  readonly hold: boolean;
  readonly cut: boolean;
  readonly delayMs: number;
  readonly jitterMs: number;
}

/** The faults of a participant. */
export interface Fault {
  readonly deliveries: Impairment;
  readonly publishes: Impairment;
  readonly pause: boolean;
}

/** A direction without a fault. */
export const UNIMPAIRED: Impairment = { hold: false, cut: false, delayMs: 0, jitterMs: 0 };

/** How a companion behaves. */
export type CompanionKind = "echo" | "chatterbox" | "answerer" | "slow" | "wrong-clock" | "actor";

/** What is known of a companion: a participant that the service plays. */
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
  /** The sequence of the last event before its faults began. */
  readonly before: bigint;
  readonly deliveriesHeld: number;
  readonly publishesHeld: number;
  readonly companion: Companion | null;
  /** The first few of its held events, in the order of release. */
  readonly next: readonly ChatEvent[];
  /** The texts of its held requests, in the order of arrival; empty for a leave. */
  readonly sent: readonly string[];
}

/** The lab at one moment. */
export interface LabState {
  readonly people: readonly LabPerson[];
  /** How much longer the writer is stopped; null if it is not. */
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

/** How far a scenario has come. */
export type ScenarioState = "playing" | "waits-for-advance" | "waits-for-person" | "finished" | "stopped" | "failed";

/** A question at the end of a scenario. */
export interface Question {
  readonly ask: string;
  readonly answers: readonly { readonly text: string; readonly right: boolean; readonly why: string }[];
}

/** One run of a scenario. */
export interface ScenarioRun {
  /** The run's number in this lab. */
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
