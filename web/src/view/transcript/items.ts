/** What the transcript's lists hold. Pure: events in, items out. */

import type { ChatEvent } from "../../core/event.js";
import type { Segment } from "../../core/machine/state.js";
import type { Contradiction, WallRow } from "../../core/causality/wall.js";

/** How many joins and leaves in a row are folded into one line. */
export const FOLDED_MIN = 4;

/** The name is shown again if messages of one author are further apart than this, in milliseconds. */
const PAUSE_MS = 5 * 60_000;

/** In a run of up to this many messages of one author, the name is shown once. */
const RUN_MAX = 5;

/** In a longer run the name is repeated at each sequence that is a multiple of this, so that it stays in sight. */
const NAMED_EVERY = 10n;

/** An event, and its place among the others. */
export interface EventItem {
  readonly type: "event";
  readonly key: string;
  readonly sequence: bigint;
  readonly event: ChatEvent;
  /** Whether this page's user is its author. */
  readonly own: boolean;
  /** Whether it happened before this page joined. */
  readonly earlier: boolean;
  /** Whether it follows another message of the same author, whose name need not be shown again. */
  readonly continued: boolean;
}

/** A run of joins and leaves. */
export interface FoldItem {
  readonly type: "fold";
  readonly key: string;
  readonly sequence: bigint;
  readonly rows: readonly EventItem[];
}

/**
 * What a list holds: events, folds, days, and places where the wall clock is wrong. `sequence` is that of the first event
 * in the item or after it.
 */
export type Item =
  | EventItem
  | FoldItem
  | { readonly type: "day"; readonly key: string; readonly sequence: bigint; readonly at: number }
  | { readonly type: "contradiction"; readonly key: string; readonly sequence: bigint; readonly contradiction: Contradiction };

/** The items of a list, which follows another that ends with `before`. */
export function items(rows: readonly WallRow[], before: ChatEvent | null, segment: Pick<Segment, "selfId" | "joinedAt">): Item[] {
  const found: Item[] = [];
  const days = new Days(before?.recordedAt ?? null);
  let run: EventItem[] = [];
  let previous = before;
  let streak = 0;
  const endRun = () => {
    if (run.length >= FOLDED_MIN) found.push({ type: "fold", key: `fold ${run[0]!.sequence}`, sequence: run[0]!.sequence, rows: run });
    else found.push(...run);
    run = [];
  };
  for (const { event, contradiction } of rows) {
    const { sequence } = event;
    const newDay = days.begins(event.recordedAt);
    if (newDay || contradiction !== null) endRun();
    if (newDay) found.push({ type: "day", key: `day ${sequence}`, sequence, at: event.recordedAt ?? 0 });
    if (contradiction !== null) found.push({ type: "contradiction", key: keyOf(contradiction), sequence, contradiction });
    const own = event.author.id === segment.selfId;
    const earlier = segment.joinedAt !== null && sequence < segment.joinedAt;
    const together = !newDay && contradiction === null && follows(event, previous);
    streak = together ? streak + 1 : 0;
    // By sequence, so that names stay where they are when history is loaded above them.
    const continued = together && !(streak >= RUN_MAX && sequence % NAMED_EVERY === 0n);
    const item: EventItem = {
      type: "event",
      key: `${sequence}${continued ? "c" : ""}${earlier ? "e" : ""}`,
      sequence,
      event,
      own,
      earlier,
      continued,
    };
    if (event.kind.type !== "message" && !own) {
      run.push(item);
    } else {
      endRun();
      found.push(item);
    }
    previous = event;
  }
  endRun();
  return found;
}

/** Items that are laid out together, or not at all while they are out of sight. */
export interface Group {
  readonly key: string;
  readonly items: Item[];
}

/** How many events a group holds at most. */
const GROUP_SIZE = 50n;

/** Groups items by sequence, so that groups do not change when items are added at the end or removed at the beginning. */
export function grouped(all: readonly Item[]): Group[] {
  const groups: Group[] = [];
  const times = new Map<bigint, number>();
  let present: bigint | null = null;
  for (const item of all) {
    const number = item.sequence / GROUP_SIZE;
    if (number !== present) {
      // In the order of the wall clock, a group may be in several places.
      times.set(number, (times.get(number) ?? 0) + 1);
      groups.push({ key: `${number}.${times.get(number)}`, items: [] });
      present = number;
    }
    groups[groups.length - 1]!.items.push(item);
  }
  return groups;
}

/** The event that an item ends with. */
export function lastEvent(item: Item | undefined): ChatEvent | null {
  if (item?.type === "fold") return item.rows[item.rows.length - 1]?.event ?? null;
  return item?.type === "event" ? item.event : null;
}

/** "5 joined, 2 left at 12 to 30: alice, bob and 3 more". Names come in the order of their first appearance. */
export function summary(rows: readonly EventItem[], named: (name: string) => string): string {
  const count = (type: "joined" | "left") => rows.filter(({ event }) => event.kind.type === type).length;
  const counts = (["joined", "left"] as const).flatMap((type) => (count(type) > 0 ? [`${count(type)} ${type}`] : [])).join(", ");
  const times = rows.map(({ event }) => event.logicalTime);
  const names = [...new Set(rows.map(({ event }) => event.author.name))];
  const listed = names.slice(0, names.length === NAMED_MAX + 1 ? undefined : NAMED_MAX).map(named);
  const more = names.length - listed.length;
  return `${counts} at ${times[0]} to ${times[times.length - 1]}: ${listed.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** How many names a fold shows; one more if that is the last. */
const NAMED_MAX = 4;

/** Finds where another local day begins. */
class Days {
  #from = 0;
  #to = 0;

  constructor(before: number | null) {
    this.begins(before);
  }

  /** An event without a wall clock does not begin a day. */
  begins(at: number | null): boolean {
    if (at === null || (at >= this.#from && at < this.#to)) return false;
    const day = new Date(at);
    const [year, month, date] = [day.getFullYear(), day.getMonth(), day.getDate()];
    this.#from = new Date(year, month, date).getTime();
    this.#to = new Date(year, month, date + 1).getTime();
    return true;
  }
}

function keyOf({ relation, earlier, later }: Contradiction): string {
  return `${relation} ${earlier.sequence} ${later.sequence}`;
}

function follows(event: ChatEvent, previous: ChatEvent | null): boolean {
  if (previous === null) return false;
  if (event.kind.type !== "message" || previous.kind.type !== "message") return false;
  return event.author.id === previous.author.id && (event.recordedAt ?? 0) - (previous.recordedAt ?? 0) < PAUSE_MS;
}
