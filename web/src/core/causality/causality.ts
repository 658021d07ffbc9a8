/**
 * What could have caused what, as far as the events themselves show: Lamport's "happened before" of the acts that led
 * to them. The order of the service is finer, since it also orders events that have nothing to do with each other.
 *
 * The past of an event is
 *
 * - of a message: everything up to its `seen_sequence`, which had been delivered to its writer; its writer's own
 *   earlier events; and what is in the past of those;
 * - of a Left that was asked for: its participant's earlier events, and what is in their past;
 * - of a Left because the connection was lost: everything before it. The service issues it, and the service knows
 *   everything that it has put in order;
 * - of a Joined: nothing, as far as is known.
 *
 * Only messages say what their writers had seen, and not all do. Two messages that do are called concurrent if neither
 * is in the other's past. A participant that leaves may have seen more than it ever stated, and one that joins may have
 * been here before, under another identity. So if neither of two other events is known to be in the other's past, their
 * relation is unknown, and is shown as unknown.
 *
 * Two messages crossed when they are concurrent: the later one in the order was written before its writer saw the
 * earlier one. `chitchat diagram` marks the same ones, unless a participant claims to have seen less than it claimed
 * before. The command then shows the claim, as evidence from a log. Here, a participant still knows what it once knew:
 * otherwise an event could be marked as past and concurrent at once.
 */

import type { ChatEvent } from "../event.js";

/** How many of the messages that a message crossed are named at most. */
export const CROSSED_NAMED = 6;

/**
 * How many events before a message are searched for messages that it crossed. A writer who had seen nothing for
 * longer crossed everything, and the number of such pairs grows with the square of the conversation.
 */
export const CROSSINGS_SEARCHED = 500;

/** The relation of one event to another. */
export type Relation = "same" | "past" | "future" | "concurrent" | "unknown";

/** The messages that a message crossed. */
export interface Crossed {
  /** Earlier in the order, and not seen by its writer; the nearest first. */
  readonly unseen: readonly ChatEvent[];
  /** How many there are among the events that are searched, named or not. */
  readonly unseenCount: number;
  /** Later in the order, by writers who had not seen it; the nearest first. */
  readonly by: readonly ChatEvent[];
  /** How many there are, named or not. */
  readonly byCount: number;
}

interface Entry {
  readonly event: ChatEvent;
  /** Everything up to this sequence is in its past; and its author's own events. */
  readonly known: bigint;
  readonly unseen: ChatEvent[];
  readonly by: ChatEvent[];
  unseenCount: number;
  byCount: number;
}

/**
 * Whether an event states what had been delivered to its author. One that does not is never called concurrent: a join
 * or a leave, or a message of a simple client, which leaves `seen_sequence` at 0.
 */
export function saysWhatWasSeen({ kind }: ChatEvent): boolean {
  return kind.type === "message" && kind.seenSequence > 0n;
}

/**
 * The sequence up to which everything is in the past of an event; `before` is the same for its author's previous event.
 * What an author has once known stays known, whatever a later message says.
 */
export function knownOf({ kind, sequence }: ChatEvent, before: bigint): bigint {
  switch (kind.type) {
    case "joined":
      return 0n;
    case "left":
      return kind.disconnected ? sequence - 1n : before;
    case "message": {
      // No author has seen what came after.
      const seen = kind.seenSequence < sequence ? kind.seenSequence : sequence - 1n;
      return seen > before ? seen : before;
    }
  }
}

/** The causality of a stretch of the conversation, which is followed as it grows. */
export class Causality {
  #events: readonly ChatEvent[] = [];
  readonly #entries = new Map<bigint, Entry>();
  readonly #order: Entry[] = [];
  /** What each author's newest event had in its past. */
  readonly #knownBy = new Map<string, bigint>();
  /** The events that are new, or that another event is now known to have crossed. */
  #changed = new Set<bigint>();

  /** The causality of these events. */
  static of(events: readonly ChatEvent[]): Causality {
    const causality = new Causality();
    causality.follow(events);
    return causality;
  }

  /** The events, in order. */
  get events(): readonly ChatEvent[] {
    return this.#events;
  }

  /** Follows a stretch without gaps. If it has only grown at its end, only the new events are processed. */
  follow(events: readonly ChatEvent[]): void {
    const before = this.#events;
    const grown = before.length <= events.length && before[0] === events[0] && before[before.length - 1] === events[before.length - 1];
    this.#events = events;
    if (!grown) {
      this.#entries.clear();
      this.#order.length = 0;
      this.#knownBy.clear();
    }
    for (const event of events.slice(this.#order.length)) this.#add(event);
  }

  /** The sequences of the events about which something changed since the last call. */
  takeChanged(): ReadonlySet<bigint> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** The event with this sequence, if it is in the stretch. */
  event(sequence: bigint): ChatEvent | undefined {
    return this.#entries.get(sequence)?.event;
  }

  /** Everything up to this sequence is in the past of the event; 0 if nothing is known to be. */
  known(event: ChatEvent): bigint {
    return this.#entries.get(event.sequence)?.known ?? 0n;
  }

  /** Whether the first is in the past of the second. */
  precedes(first: ChatEvent, second: ChatEvent): boolean {
    if (first.sequence >= second.sequence) return false;
    const own = first.author.id === second.author.id;
    return own || first.sequence <= this.known(second);
  }

  /** The relation of `other` to `event`. */
  relation(other: ChatEvent, event: ChatEvent): Relation {
    if (other.sequence === event.sequence) return "same";
    if (this.precedes(other, event)) return "past";
    if (this.precedes(event, other)) return "future";
    return saysWhatWasSeen(other) && saysWhatWasSeen(event) ? "concurrent" : "unknown";
  }

  /** The messages that this one crossed. */
  crossed(event: ChatEvent): Crossed | null {
    const entry = this.#entries.get(event.sequence);
    return entry === undefined || entry.unseenCount + entry.byCount === 0 ? null : entry;
  }

  #add(event: ChatEvent): void {
    const known = knownOf(event, this.#knownBy.get(event.author.id) ?? 0n);
    const entry: Entry = { event, known, unseen: [], by: [], unseenCount: 0, byCount: 0 };
    if (saysWhatWasSeen(event)) this.#cross(entry);
    this.#knownBy.set(event.author.id, known);
    this.#entries.set(event.sequence, entry);
    this.#order.push(entry);
    this.#changed.add(event.sequence);
  }

  #cross(later: Entry): void {
    const last = this.#order.length - 1;
    for (let index = last; index >= 0 && index > last - CROSSINGS_SEARCHED; index -= 1) {
      const earlier = this.#order[index];
      if (earlier === undefined || earlier.event.sequence <= later.known) return;
      if (!saysWhatWasSeen(earlier.event) || earlier.event.author.id === later.event.author.id) continue;
      later.unseenCount += 1;
      earlier.byCount += 1;
      this.#changed.add(earlier.event.sequence);
      if (later.unseen.length < CROSSED_NAMED) later.unseen.push(earlier.event);
      if (earlier.by.length < CROSSED_NAMED) earlier.by.push(later.event);
    }
  }
}
