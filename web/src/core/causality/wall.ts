/**
 * The conversation by wall clock, and where that is wrong. A wall clock can be set back, or differ on the
 * machine that takes over: then it puts an event before earlier ones.
 */

import { type Causality, type Relation, saysWhatWasSeen } from "./causality.js";
import type { ChatEvent } from "../event.js";

/** A place where the wall clock contradicts what is known. */
export interface Contradiction {
  /**
   * The relation of the earlier event to the later. `past`: an effect is put before its cause. `concurrent`: only the
   * service's order is contradicted. `unknown`: it is not known which of the two.
   */
  readonly relation: Exclude<Relation, "same" | "future">;
  /** First in the order, and further down by wall clock. */
  readonly earlier: ChatEvent;
  /** Later in the order, and further up by wall clock. */
  readonly later: ChatEvent;
}

/** A row of the conversation by wall clock. */
export interface WallRow {
  readonly event: ChatEvent;
  /** Set on the first of a run of rows that belong further up. */
  readonly contradiction: Contradiction | null;
}

/** The events by wall clock. An event without a wall clock stays after its predecessor. */
export function byWallClock(causality: Causality): WallRow[] {
  let last = 0;
  const timed = causality.events.map((event, index) => ({ event, index, at: (last = event.recordedAt ?? last) }));
  const rows = timed.sort((a, b) => a.at - b.at || a.index - b.index).map(({ event }) => event);
  return marked(rows, causality);
}

/** Of several contradictions in one place, the one with the greatest weight is shown. */
const WEIGHT: Readonly<Record<Contradiction["relation"], number>> = { past: 2, unknown: 1, concurrent: 0 };

/** Finds each place where the order goes back, and the weightiest contradiction of the rows below it with those above. */
function marked(rows: readonly ChatEvent[], causality: Causality): WallRow[] {
  const found: (Contradiction | null)[] = rows.map(() => null);
  const above = new Above(causality);
  let place = 0;
  rows.forEach((event, index) => {
    const previous = rows[index - 1];
    if (previous !== undefined && previous.sequence > event.sequence) place = index;
    const here = above.contradicts(event);
    const before = found[place] ?? null;
    if (here !== null && (before === null || WEIGHT[here.relation] > WEIGHT[before.relation])) found[place] = here;
    above.add(event);
  });
  return rows.map((event, index) => ({ event, contradiction: found[index] ?? null }));
}

/** The rows further up: what is needed of them to tell whether an event contradicts them. */
class Above {
  readonly #causality: Causality;
  readonly #newestOf = new Map<string, ChatEvent>();
  #newest: ChatEvent | null = null;
  /** The newest event that does not say what its author had seen. */
  #newestSilent: ChatEvent | null = null;
  #mostKnown: bigint = 0n;
  #knower: ChatEvent | null = null;

  constructor(causality: Causality) {
    this.#causality = causality;
  }

  add(event: ChatEvent): void {
    const known = this.#causality.known(event);
    if (known > this.#mostKnown) {
      this.#mostKnown = known;
      this.#knower = event;
    }
    if (isAfter(event, this.#newest)) this.#newest = event;
    if (!saysWhatWasSeen(event) && isAfter(event, this.#newestSilent)) this.#newestSilent = event;
    const own = this.#newestOf.get(event.author.id);
    if (own === undefined || event.sequence > own.sequence) this.#newestOf.set(event.author.id, event);
  }

  contradicts(event: ChatEvent): Contradiction | null {
    if (this.#knower !== null && event.sequence <= this.#mostKnown) return { relation: "past", earlier: event, later: this.#knower };
    const own = this.#newestOf.get(event.author.id);
    if (own !== undefined && own.sequence > event.sequence) return { relation: "past", earlier: event, later: own };
    // From here on, nothing above is known to be an effect of it. Two messages are then concurrent; for others that is
    // not known.
    const silent = saysWhatWasSeen(event) ? this.#newestSilent : this.#newest;
    if (silent !== null && silent.sequence > event.sequence) return { relation: "unknown", earlier: event, later: silent };
    if (this.#newest === null || this.#newest.sequence < event.sequence) return null;
    return { relation: "concurrent", earlier: event, later: this.#newest };
  }
}

function isAfter(event: ChatEvent, other: ChatEvent | null): boolean {
  return other === null || event.sequence > other.sequence;
}
