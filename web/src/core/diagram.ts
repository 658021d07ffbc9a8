/**
 * The conversation as a space-time diagram, as data: what is where. Lamport time goes down; every participant and
 * the service have a lifeline; a message is an arrow from its writer at the time of sending to the service, which
 * receives it (L - 1) and broadcasts it (L); this page's own receipt is an arrow back.
 *
 * What the page cannot know is not in it: when others received, and when somebody asked to join or to leave.
 */

import type { Causality } from "./causality.js";
import type { LogicalTime } from "./clock.js";
import type { ChatEvent, Person } from "./event.js";
import { type Places, columns } from "./lifelines.js";

/** The most events that are drawn. */
export const DRAWN_MAX = 60;

/** Between two moments at which something happened, in pixels. */
export const ROW = 19;
/** Left of the first lifeline: the times. */
const AXIS = 36;
/** Right of the last lifeline. */
const MARGIN = 18;
/** Above the first moment and below the last. */
const PADDING = 18;
/** No picture is further down than this: numbers stay small. */
const TOP_MAX = 1_000_000;
/** The least and the most that a lifeline takes. */
const LANE_MIN = 44;
const LANE_MAX = 150;

/** A point of a lifeline. */
export interface Spot {
  readonly x: number;
  readonly y: number;
  /** The clock of the lifeline's participant. */
  readonly time: LogicalTime;
}

/** A participant's lifeline. */
export interface Lifeline {
  readonly person: Person;
  readonly x: number;
  /** Where its membership begins, and where it ends; null where that is not in the picture. */
  readonly from: number | null;
  readonly to: number | null;
  /** Whether its connection was gone when it left. */
  readonly gone: boolean;
}

/** One event. */
export interface Figure {
  readonly event: ChatEvent;
  /** Where the service put it into the order. */
  readonly broadcast: Spot;
  /** Where it was sent and where the service received it, of a message whose writer has a lifeline and a clock. */
  readonly sending: { readonly from: Spot; readonly to: Spot } | null;
  /** The lifeline that it is about, where there is no such arrow. */
  readonly about: number | null;
  /** Where this page received it. */
  readonly receipt: Spot | null;
  /** Whether it crossed another message. */
  readonly crossed: boolean;
}

/** The whole picture. */
export interface Diagram {
  readonly width: number;
  readonly height: number;
  /** Where it begins: what was drawn before keeps its place while older events are no longer drawn. */
  readonly top: number;
  readonly laneWidth: number;
  readonly serviceX: number;
  readonly lifelines: readonly Lifeline[];
  /** The moments, from above. */
  readonly rows: readonly { readonly time: LogicalTime; readonly y: number }[];
  readonly figures: readonly Figure[];
  /** Pairs of sendings that crossed. */
  readonly crossings: readonly { readonly from: Spot; readonly to: Spot; readonly sequences: readonly [bigint, bigint] }[];
  /** How many earlier events are known and not drawn. */
  readonly before: number;
  /** How many of those who did something have no lifeline, for want of room. */
  readonly absent: number;
}

/** What there is to draw. */
export interface Scene {
  readonly causality: Causality;
  /** Who has a lifeline. */
  readonly people: readonly Person[];
  readonly places: Places;
  /** This page's participant. */
  readonly selfId: string;
  /** How wide the picture may be, in pixels, before it has to be scrolled sideways. */
  readonly room: number;
  /** What was drawn before, if anything. */
  readonly before: Diagram | null;
}

/** The newest events. */
export function drawnEvents(causality: Causality): readonly ChatEvent[] {
  return causality.events.slice(-DRAWN_MAX);
}

/** Lays out the newest events. */
export function diagram(scene: Scene): Diagram {
  const events = drawnEvents(scene.causality);
  const across = columns(scene.places);
  const laneWidth = Math.floor(Math.min(LANE_MAX, Math.max(LANE_MIN, (scene.room - AXIS - MARGIN) / across.length)));
  const x = new Map(across.map((id, index) => [id, AXIS + laneWidth * (index + 0.5)]));
  const serviceX = x.get(null)!;
  const rows = moments(events, x, scene.before);
  const y = new Map(rows.map(({ time, y }) => [time, y]));
  const spot = (at: number, time: LogicalTime): Spot => ({ x: at, y: y.get(time) ?? 0, time });
  const selfX = x.get(scene.selfId) ?? null;
  const figures = events.map((event): Figure => {
    const authorX = x.get(event.author.id) ?? null;
    const sent = sentAt(event);
    return {
      event,
      broadcast: spot(serviceX, event.logicalTime),
      sending: authorX === null || sent === null ? null : { from: spot(authorX, sent), to: spot(serviceX, event.logicalTime - 1n) },
      about: sent === null ? authorX : null,
      receipt: event.receipt === null || selfX === null ? null : spot(selfX, event.receipt),
      crossed: scene.causality.crossed(event) !== null,
    };
  });
  return {
    width: AXIS + laneWidth * across.length + MARGIN,
    height: PADDING * 2 + ROW * Math.max(0, rows.length - 1),
    top: (rows[0]?.y ?? PADDING) - PADDING,
    laneWidth,
    serviceX,
    lifelines: scene.people.map((person) => lifeline(person, x.get(person.id)!, figures)),
    rows,
    figures,
    crossings: crossings(figures, scene.causality),
    before: scene.causality.events.length - events.length,
    absent: new Set(events.flatMap(({ author: { id } }) => (x.has(id) ? [] : [id]))).size,
  };
}

/** The figure that is a page further than this one, or back: the last that can be seen along with it in this height. */
export function paged(figures: readonly Figure[], from: number, step: 1 | -1, height: number): number {
  const start = figures[from]?.broadcast.y ?? 0;
  let at = from;
  while (figures[at + step] !== undefined && (at === from || Math.abs(figures[at + step]!.broadcast.y - start) <= height)) at += step;
  return at;
}

/** When a message was sent, where its writer's clock can be believed: not one that a later kind of event lacks. */
function sentAt({ kind, logicalTime }: ChatEvent): LogicalTime | null {
  if (kind.type !== "message" || kind.sentLogicalTime === 0n) return null;
  return kind.sentLogicalTime <= logicalTime - 2n ? kind.sentLogicalTime : null;
}

/** Every moment at which something happened has a row, and the moments at which nothing did have none. */
function moments(events: readonly ChatEvent[], x: ReadonlyMap<string | null, number>, before: Diagram | null): Diagram["rows"] {
  const times = new Set<LogicalTime>();
  for (const event of events) {
    times.add(event.logicalTime);
    const sent = sentAt(event);
    if (sent !== null && x.has(event.author.id)) times.add(sent).add(event.logicalTime - 1n);
    if (event.receipt !== null) times.add(event.receipt);
  }
  const sorted = [...times].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  // Rows go at the top and come at the bottom: what is in the middle stays where it is.
  const middle = Math.floor(sorted.length / 2);
  const known = before?.rows.find(({ time }) => time === sorted[middle])?.y;
  const first = known === undefined || known > TOP_MAX ? PADDING : known - ROW * middle;
  return sorted.map((time, row) => ({ time, y: first + ROW * row }));
}

function lifeline(person: Person, x: number, figures: readonly Figure[]): Lifeline {
  const own = (type: "joined" | "left") => figures.find(({ event }) => event.kind.type === type && event.author.id === person.id);
  const [joined, left] = [own("joined"), own("left")];
  const gone = left?.event.kind.type === "left" && left.event.kind.disconnected;
  return { person, x, from: joined?.broadcast.y ?? null, to: left?.broadcast.y ?? null, gone };
}

function crossings(figures: readonly Figure[], causality: Causality): Diagram["crossings"] {
  const sent = new Map(figures.map(({ event, sending }) => [event.sequence, sending]));
  return figures.flatMap(({ event, sending }) => {
    const unseen = sending === null ? [] : (causality.crossed(event)?.unseen ?? []);
    return unseen.flatMap((other) => {
      const from = sent.get(other.sequence)?.from;
      const pair: readonly [bigint, bigint] = [other.sequence, event.sequence];
      return from === undefined || sending === null ? [] : [{ from, to: sending.from, sequences: pair }];
    });
  });
}
