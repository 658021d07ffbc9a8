/**
 * Earlier events: the newest of them on joining, the others on demand. They were not delivered to this membership:
 * no clock ticks for them, and the log does not call them delivered.
 */

import { credible } from "./check.js";
import type { ChatEvent } from "../event.js";
import type { Failure } from "./refusal.js";
import { type Segment, type State, presentSegment, withSegment } from "./state.js";
import { type Step, step } from "./step.js";

/** How many earlier events are loaded at a time. */
export const PAGE_SIZE = 50;

/** How many events of this page's own membership are loaded again after a reload. */
export const RELOAD_SIZE = 200;

/** The sequence of the first event that the segment shows, or would show next. */
function edge(segment: Segment, position: bigint): bigint {
  return segment.past[0]?.sequence ?? segment.live[0]?.sequence ?? position + 1n;
}

/** Whether there is anything before what the segment shows. */
export function hasEarlier(state: State): boolean {
  const segment = presentSegment(state);
  if (segment === undefined || state.session === null || state.position === null) return false;
  return edge(segment, state.position) > segment.floor + 1n;
}

/** Asks for the page of events before what is shown. */
export function loadEarlier(state: State, size: number = PAGE_SIZE): Step {
  const segment = presentSegment(state);
  const { session, position } = state;
  if (segment === undefined || session === null || position === null || segment.loading || !hasEarlier(state)) {
    return step(state);
  }
  const first = edge(segment, position);
  const from = first - 1n - BigInt(size);
  const after = from > segment.floor ? from : segment.floor;
  return step(withSegment(state, { loading: true, problem: null }), {
    do: "list",
    segment: segment.id,
    after,
    count: Number(first - 1n - after),
    session,
  });
}

/** After a reload the transcript is empty though the membership continues: fetches its newest part. */
export function refill(state: State): Step {
  const segment = presentSegment(state);
  const empty = segment !== undefined && segment.live.length === 0 && segment.past.length === 0;
  return empty ? loadEarlier(state, RELOAD_SIZE) : step(state);
}

/** A page of earlier events has arrived. */
export function earlierLoaded(state: State, id: number, events: readonly ChatEvent[]): Step {
  const segment = presentSegment(state);
  if (segment === undefined || segment.id !== id || state.position === null) return step(state);
  const first = edge(segment, state.position);
  const fresh = credible(events).filter((event) => event.sequence < first && event.sequence > segment.floor);
  const own = fresh.find((event) => event.kind.type === "joined" && event.author.id === segment.selfId);
  return step(
    withSegment(state, {
      past: [...fresh, ...segment.past],
      joinedAt: segment.joinedAt ?? own?.sequence ?? null,
      loading: false,
    }),
  );
}

/** A page of earlier events could not be loaded. */
export function earlierFailed(state: State, id: number, failure: Failure): Step {
  return presentSegment(state)?.id === id ? step(withSegment(state, { loading: false, problem: failure })) : step(state);
}
