/**
 * The same events under other orders than the service's. Each of these lenses promises less than the total order, or
 * something different: it says which pairs of events it may swap, and what would go wrong with them.
 */

import { type Causality, saysWhatWasSeen } from "./causality.js";
import type { ChatEvent } from "../event.js";

/**
 * A lens. `total`: the order of the service, for everybody. `causal`: an effect comes after its causes. `fifo`: the events
 * of one sender come in its order. `arrival`: what one participant's screen would show if it showed its own messages
 * without waiting for the service. `wall`: by the senders' wall clocks.
 */
export type Lens =
  | { readonly name: "total" | "causal" | "fifo" | "wall" }
  | {
      readonly name: "arrival";
      /** Whose screen, by its id. */
      readonly reader: string;
    };

/** Two events; the first is the earlier one in the service's order. */
export type Pair = readonly [ChatEvent, ChatEvent];

/** The result of a lens. */
export interface Lensed {
  /** An order that the lens allows, as unlike the service's as is easily found. */
  readonly order: readonly ChatEvent[];
  /** The pairs that it may swap. */
  readonly swappable: readonly Pair[];
  /** Of those, the pairs whose second event is an effect of the first, which would be in the wrong order. */
  readonly wrong: readonly Pair[];
  /** The pairs that are swapped in `order`. */
  readonly swapped: readonly Pair[];
}

/** Looks at events, which are in the service's order, through a lens. */
export function look(lens: Lens, events: readonly ChatEvent[], causality: Causality): Lensed {
  const may = (first: ChatEvent, second: ChatEvent) => maySwap(lens, first, second, causality);
  const swappable = pairs(events).filter(([first, second]) => may(first, second));
  const order = orderOf(lens, events, causality, may);
  const place = new Map(order.map(({ sequence }, index) => [sequence, index]));
  return {
    order,
    swappable,
    wrong: swappable.filter(([first, second]) => causality.precedes(first, second)),
    swapped: pairs(events).filter(([first, second]) => place.get(first.sequence)! > place.get(second.sequence)!),
  };
}

/** Whether a lens may put the second of two events, which comes later in the service's order, before the first. */
export function maySwap(lens: Lens, first: ChatEvent, second: ChatEvent, causality: Causality): boolean {
  switch (lens.name) {
    case "total":
      return false;
    case "causal":
      return causality.relation(first, second) === "concurrent";
    case "fifo":
      return first.author.id !== second.author.id;
    case "arrival": {
      const own = saysWhatWasSeen(second) && second.author.id === lens.reader;
      return own && first.author.id !== lens.reader && first.sequence > causality.known(second);
    }
    case "wall":
      return wallTime(first) > wallTime(second);
  }
}

/** The sender's wall clock, if a message states it, otherwise the service's. */
export function wallTime({ kind, recordedAt }: ChatEvent): number {
  return (kind.type === "message" ? kind.sentAt : null) ?? recordedAt ?? 0;
}

function orderOf(
  lens: Lens,
  events: readonly ChatEvent[],
  causality: Causality,
  may: (first: ChatEvent, second: ChatEvent) => boolean,
): ChatEvent[] {
  switch (lens.name) {
    case "total":
      return [...events];
    case "wall":
      return sorted(events, wallTime);
    case "arrival": {
      // The reader's own message comes where it was written: after the last event that its writer had seen.
      let before = 0;
      return sorted(events, (event) => {
        const { author, sequence } = event;
        if (author.id !== lens.reader || !saysWhatWasSeen(event)) return Number(sequence);
        return (before = Math.max(before, Number(causality.known(event)) + 0.5));
      });
    }
    case "causal":
    case "fifo":
      return latestFirst(events, may);
  }
}

function sorted(events: readonly ChatEvent[], key: (event: ChatEvent) => number): ChatEvent[] {
  const keyed = events.map((event) => ({ event, at: key(event) }));
  return keyed.sort((a, b) => a.at - b.at || Number(a.event.sequence - b.event.sequence)).map(({ event }) => event);
}

/** Always the latest event that may be put before all that are left. */
function latestFirst(events: readonly ChatEvent[], may: (first: ChatEvent, second: ChatEvent) => boolean): ChatEvent[] {
  const left = [...events];
  const order: ChatEvent[] = [];
  while (left.length > 0) {
    let at = left.length - 1;
    while (!left.slice(0, at).every((earlier) => may(earlier, left[at]!))) at -= 1;
    order.push(...left.splice(at, 1));
  }
  return order;
}

function pairs(events: readonly ChatEvent[]): Pair[] {
  return events.flatMap((first, index) => events.slice(index + 1).map((second): Pair => [first, second]));
}
