/**
 * Vector clocks of a recorded run (Fidge and Mattern, 1988): for each event, how many events of each participant are in
 * its past, itself included. One event could have caused another if and only if its vector is nowhere larger. Lamport's time
 * promises one direction only: a cause has the smaller time, but so may an event that had nothing to do with it.
 *
 * They are computed from what causality.ts knows, and so from messages that say what their writers had seen.
 */

import { knownOf, saysWhatWasSeen } from "../causality/causality.js";
import type { ChatEvent, Person } from "../event.js";

/** An entry of a vector. */
export interface Count {
  readonly person: Person;
  readonly events: number;
}

/** The vector clocks of all events of a run, each computed on demand. */
export class Vectors {
  /** The sequences of each participant's events, in order, by id. */
  readonly #own = new Map<string, { readonly person: Person; readonly sequences: bigint[] }>();
  /** By an event's sequence: the sequence up to which everything is in its past. */
  readonly #known = new Map<bigint, bigint>();
  readonly #events: readonly ChatEvent[];
  readonly #sequences: readonly bigint[];

  /** The vectors of these events, which are in order. */
  constructor(events: readonly ChatEvent[]) {
    this.#events = events;
    this.#sequences = events.map(({ sequence }) => sequence);
    const before = new Map<string, bigint>();
    for (const event of events) {
      const { author, sequence } = event;
      const known = knownOf(event, before.get(author.id) ?? 0n);
      before.set(author.id, known);
      this.#known.set(sequence, known);
      const own = this.#own.get(author.id);
      if (own === undefined) this.#own.set(author.id, { person: author, sequences: [sequence] });
      else own.sequences.push(sequence);
    }
  }

  /** The vector of an event: the entries that are not 0, in the order of joining. */
  of(event: ChatEvent): Count[] {
    const known = this.#known.get(event.sequence) ?? 0n;
    const counts = [...this.#own.values()].map(({ person, sequences }) => ({
      person,
      events: upTo(sequences, person.id === event.author.id ? event.sequence : known),
    }));
    return counts.filter(({ events }) => events > 0);
  }

  /** Whether the vector of the first is nowhere larger than that of the second. */
  precedes(first: ChatEvent, second: ChatEvent): boolean {
    const later = new Map(this.of(second).map(({ person, events }) => [person.id, events]));
    return first.sequence !== second.sequence && this.of(first).every(({ person, events }) => events <= (later.get(person.id) ?? 0));
  }

  /**
   * The nearest earlier message that is concurrent with this one, among this many events: Lamport's times order the
   * two, but the vectors do not. Null if there is none.
   */
  indistinct(event: ChatEvent, searched: number): ChatEvent | null {
    if (!saysWhatWasSeen(event)) return null;
    const known = this.#known.get(event.sequence) ?? 0n;
    const last = upTo(this.#sequences, event.sequence) - 1;
    for (let at = last - 1; at >= 0 && at > last - 1 - searched; at -= 1) {
      const other = this.#events[at]!;
      if (other.sequence <= known) return null;
      if (saysWhatWasSeen(other) && other.author.id !== event.author.id) return other;
    }
    return null;
  }
}

/** How many of these sequences, which are in order, are not larger than `sequence`. */
function upTo(sequences: readonly bigint[], sequence: bigint): number {
  let [low, high] = [0, sequences.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sequences[middle]! <= sequence) low = middle + 1;
    else high = middle;
  }
  return low;
}
