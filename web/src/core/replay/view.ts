/** A recorded run at one of its moments, as the state that the page's own views show. Pure. */

import type { ChatEvent, Person } from "../event.js";
import type { Conversation } from "./run.js";
import { INITIAL, type Segment, type State } from "../machine/state.js";

/** How many events are shown at least, if there are that many; earlier ones can be asked for. */
export const WINDOW = 100;

/** How many are shown of a moment that is only passed through. */
export const GLANCE = 20;

/** The window moves by this many events at a time, so that most steps only add a row. */
const STRIDE = 50;

/** How many more events "Load earlier" shows. */
export const EARLIER = 100;

/** Where a replay is. */
export interface Cursor {
  /** The newest event that has happened, as an index of the conversation's events. */
  readonly index: number;
  /** Whose receipts are shown: a participant's id, or empty for none. */
  readonly reader: string;
  /** Whether the moment is only passed through, as while the slider is dragged far. */
  readonly glance: boolean;
  /** How many events before the window were asked for. */
  readonly earlier: number;
}

/** One conversation that is replayed. */
export class Replay {
  readonly conversation: Conversation;
  readonly #id: number;
  /** Events with their receipts at one reader: the same objects each time, so that the views recognize them. */
  #read: { readonly reader: string; readonly events: Map<number, ChatEvent> } = { reader: "", events: new Map() };
  readonly #memberships: readonly number[];
  #roster: readonly Person[] = [];

  /** `id` distinguishes it from other replays that the same views have shown. */
  constructor(conversation: Conversation, id: number) {
    this.conversation = conversation;
    this.#id = id;
    this.#memberships = conversation.events.flatMap(({ kind }, index) => (kind.type === "message" ? [] : [index]));
  }

  /** The index of the event with this sequence, or of the last one before it. */
  indexOf(sequence: bigint): number {
    const { events } = this.conversation;
    let [low, high] = [0, events.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (events[middle]!.sequence <= sequence) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The event at the cursor. */
  event({ index, reader }: Cursor): ChatEvent {
    return this.#event(index, reader);
  }

  /** What the views show. No event in it counts as new: the player announces the events itself. */
  state(cursor: Cursor): State {
    const { index, reader, glance, earlier } = cursor;
    const start = glance ? index + 1 - GLANCE : Math.floor((index + 1 - WINDOW) / STRIDE) * STRIDE - earlier;
    const from = Math.max(0, start);
    const past = Array.from({ length: index + 1 - from }, (_, offset) => this.#event(from + offset, reader));
    const { events, epoch, readers } = this.conversation;
    const segment: Segment = {
      id: this.#id * 1_000 + 1 + readers.findIndex(({ id }) => id === reader),
      epoch,
      cause: null,
      selfId: reader,
      joinedAt: null,
      past,
      live: [],
      floor: events[0]!.sequence - 1n,
      loading: false,
      problem: null,
    };
    return {
      ...INITIAL,
      phase: { at: "online", caughtUp: true, lastFrameAt: 0, since: 0, tries: 0 },
      session: { token: "", participantId: reader, name: readers.find(({ id }) => id === reader)?.name ?? "", epoch },
      position: events[index]!.sequence,
      roster: this.#rosterAt(index),
      segments: [segment],
    };
  }

  #event(index: number, reader: string): ChatEvent {
    const event = this.conversation.events[index]!;
    const receipts = this.conversation.receipts.get(reader);
    if (receipts === undefined) return event;
    if (this.#read.reader !== reader) this.#read = { reader, events: new Map() };
    let read = this.#read.events.get(index);
    if (read === undefined) this.#read.events.set(index, (read = { ...event, receipt: receipts.get(Number(event.sequence)) ?? null }));
    return read;
  }

  /** Who is here after an event. The same list as before if nothing has changed. */
  #rosterAt(index: number): readonly Person[] {
    const here = new Map<string, Person>();
    for (const at of this.#memberships) {
      if (at > index) break;
      const { author, kind } = this.conversation.events[at]!;
      if (kind.type === "joined") here.set(author.id, author);
      else here.delete(author.id);
    }
    const roster = [...here.values()];
    const same = roster.length === this.#roster.length && roster.every((person, at) => person === this.#roster[at]);
    if (!same) this.#roster = roster;
    return this.#roster;
  }
}
