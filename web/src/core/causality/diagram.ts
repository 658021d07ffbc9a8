/**
 * The conversation as a space-time diagram, as data: the positions of everything. Lamport time goes down; every
 * participant and the service have a lifeline; a message is an arrow from its writer at the time of sending to the
 * service, which receives it (L - 1) and broadcasts it (L); this page's own receipt is an arrow back.
 *
 * What the page cannot know is not in it: when others received an event, unless their logs are there, and when a
 * participant asked to join or to leave.
 */

import type { Causality } from "./causality.js";
import type { LogicalTime } from "../clock.js";
import type { ChatEvent, Person } from "../event.js";
import { type Places, columns } from "./lifelines.js";
import { SERVICE_ID, type Shade } from "./shades.js";

/** The most events that are drawn. */
export const DRAWN_MAX = 60;

/** Half the height of a moment at which the service broadcasts, in pixels: the event's text is beside it. */
export const EVENT_HALF = 11;
/** Half the height of any other moment. */
const MOMENT_HALF = 7;
/** The height of the note below a text, which names the messages that its writer had not seen. */
const NOTE = 14;
/** The height of a text of two lines. */
const TWO_LINES = 36;
/** The distance between events with the same time. Only a mistake of the service gives two events the same time. */
const SAME_TIME = 2 * EVENT_HALF + NOTE;
/** The margin beside the first and the last lifeline. */
const MARGIN = 16;
/** The padding above the first moment and below the last. */
const PADDING = 18;
/** A picture that would begin further down than this begins at the top again, so that numbers stay small. */
const TOP_MAX = 1_000_000;
/** The minimum and the maximum width of a lifeline. */
export const LANE_MIN = 26;
const LANE_MAX = 120;
/** The maximum width of the service's lifeline. */
export const SERVICE_MAX = 84;
/** Names are slanted if lifelines are narrower than this. */
const LEVEL_MIN = 62;
/** The maximum width of a horizontal name, and the width of a letter, estimated since it is not drawn yet. */
export const LEVEL_LENGTH_MAX = 102;
const LETTER = 7.6;
/** How far the last name reaches beyond its lifeline where names are slanted. */
const SLANTED_REACH = 70;
/** The width of a digit of the times, and the margin beside them. */
const DIGIT = 7.2;
const AXIS_MARGIN = 16;
/** The width of the texts: the minimum, and their share of the whole. */
const SAID_MIN = 120;
const SAID_SHARE = 0.42;
/** The same when the lifelines are at their minimum distance. */
const SAID_MIN_CROWDED = 260;
const SAID_SHARE_CROWDED = 0.26;

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
  /** Where its membership begins, and where it ends; null if that is not in the picture. */
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
  /** Where it was sent and where the service received it, if it is a message whose writer has a lifeline and a clock. */
  readonly sending: { readonly from: Spot; readonly to: Spot } | null;
  /** Where the lifeline of its author is, if there is no such arrow. */
  readonly about: number | null;
  /** Where this page received it. */
  readonly receipt: Spot | null;
  /** Where others received it, as far as their logs are known. */
  readonly others: readonly Spot[];
  /** Whether an event before it has the same time, which is a mistake: it is drawn below that one. */
  readonly sameTime: boolean;
  /** Whether it crossed another message. */
  readonly crossed: boolean;
  /** The times of the nearest messages that its writer had not seen, and how many more there are. */
  readonly unseen: readonly LogicalTime[];
  readonly unseenMore: number;
  /** Its vector clock in words; empty if it is not requested. */
  readonly vector: string;
  /** Whether its text may take two lines: there is room for them above the next text, or above the picture's end. */
  readonly wraps: boolean;
}

/** Where the faults of a lab are in force on a lifeline. */
export interface Shading {
  readonly x: number;
  readonly from: number;
  readonly to: number;
  /** The faults, each in words. */
  readonly words: readonly string[];
}

/** The whole picture, without the times on its left and the texts on its right. */
export interface Diagram {
  readonly width: number;
  readonly height: number;
  /** Where it begins: what was drawn before keeps its place when older events are no longer drawn. */
  readonly top: number;
  readonly laneWidth: number;
  /** Whether the names are slanted: lifelines are close together, or a horizontal name would have to be cut. */
  readonly slanted: boolean;
  readonly serviceX: number;
  /** How wide the times on the left are. */
  readonly axisWidth: number;
  /** How wide the texts may be. */
  readonly saidWidth: number;
  readonly lifelines: readonly Lifeline[];
  readonly shades: readonly Shading[];
  /** The moments, from top to bottom. */
  readonly rows: readonly { readonly time: LogicalTime; readonly y: number }[];
  readonly figures: readonly Figure[];
  /** Pairs of sendings that crossed. */
  readonly crossings: readonly { readonly from: Spot; readonly to: Spot; readonly sequences: readonly [bigint, bigint] }[];
  /** How many earlier events are known and not drawn. */
  readonly before: number;
  /** How many active participants have no lifeline, for lack of room. */
  readonly absent: number;
}

/** By participant id and sequence: the participant's clock after the event was delivered to it. */
export type Receipts = ReadonlyMap<string, ReadonlyMap<number, LogicalTime>>;

/** The input of a drawing. */
export interface Scene {
  readonly causality: Causality;
  /** The events to be drawn: the newest of those that are wanted. */
  readonly events: readonly ChatEvent[];
  /** Who has a lifeline. */
  readonly people: readonly Person[];
  readonly places: Places;
  /** This page's participant. */
  readonly selfId: string;
  /** How wide the picture may be, in pixels, before it has to be scrolled sideways. */
  readonly room: number;
  /** What was drawn before, if anything. */
  readonly before: Diagram | null;
  /** The faults of a lab. */
  readonly shades?: readonly Shade[] | undefined;
  /** The receipts in the logs of others. */
  readonly receipts?: Receipts | undefined;
  /** The vector clock of an event in words, if vector clocks are shown. */
  readonly vectorOf?: ((event: ChatEvent) => string) | undefined;
}

/** The newest of the events whose authors are wanted. */
export function drawnEvents(events: readonly ChatEvent[], wanted: ((id: string) => boolean) | null = null): readonly ChatEvent[] {
  if (wanted === null) return events.slice(-DRAWN_MAX);
  const found: ChatEvent[] = [];
  for (let at = events.length - 1; at >= 0 && found.length < DRAWN_MAX; at -= 1) {
    if (wanted(events[at]!.author.id)) found.push(events[at]!);
  }
  return found.reverse();
}

/** Lays out the newest events. */
export function diagram(scene: Scene): Diagram {
  const { events, causality } = scene;
  const across = columns(scene.places);
  const widths = widthsOf(scene.room, scene.people, events);
  const { laneWidth, serviceWidth } = widths;
  const x = new Map<string | null, number>();
  let left = MARGIN;
  for (const id of across) {
    const wide = id === null ? serviceWidth : laneWidth;
    x.set(id, Math.round(left + wide / 2));
    left += wide;
  }
  const serviceX = x.get(null)!;
  const rows = moments(events, x, scene);
  const y = new Map(rows.map(({ time, y }) => [time, y]));
  const spot = (at: number, time: LogicalTime): Spot => ({ x: at, y: y.get(time) ?? 0, time });
  const selfX = x.get(scene.selfId) ?? null;
  const stacked = sameTimes(events);
  const down = events.map(({ logicalTime }, index) => (y.get(logicalTime) ?? 0) + stacked[index]! * SAME_TIME);
  const top = (rows[0]?.y ?? PADDING) - PADDING;
  const height = PADDING * 2 + (rows.length === 0 ? 0 : rows[rows.length - 1]!.y - rows[0]!.y);
  const figures = events.map((event, index): Figure => {
    const authorX = x.get(event.author.id) ?? null;
    const sent = sendingTime(event);
    const crossed = causality.crossed(event);
    return {
      event,
      broadcast: { x: serviceX, y: down[index]!, time: event.logicalTime },
      sameTime: stacked[index]! > 0,
      sending: authorX === null || sent === null ? null : { from: spot(authorX, sent), to: spot(serviceX, event.logicalTime - 1n) },
      about: sent === null ? authorX : null,
      receipt: event.receipt === null || selfX === null ? null : spot(selfX, event.receipt),
      others: receiptsOf(event, x, scene).map(([id, time]) => spot(x.get(id)!, time)),
      crossed: crossed !== null,
      unseen: (crossed?.unseen ?? []).map(({ logicalTime }) => logicalTime).reverse(),
      unseenMore: crossed === null ? 0 : crossed.unseenCount - crossed.unseen.length,
      vector: scene.vectorOf?.(event) ?? "",
      wraps: roomBelow(down[index]!, down, top + height) >= TWO_LINES,
    };
  });
  return {
    width: left + (widths.slanted ? SLANTED_REACH : MARGIN),
    height,
    top,
    laneWidth,
    slanted: widths.slanted,
    serviceX,
    axisWidth: widths.axis,
    saidWidth: widths.said,
    lifelines: scene.people.map((person) => lifeline(person, x.get(person.id)!, figures)),
    shades: (scene.shades ?? []).flatMap((shade) => shading(shade, x, figures, top, top + height)),
    rows,
    figures,
    crossings: crossings(figures, causality),
    before: causality.events.length - events.length,
    absent: new Set(events.flatMap(({ author: { id } }) => (x.has(id) ? [] : [id]))).size,
  };
}

/** The room from the top of the text of an event to the next text below it, or to the end of the picture. */
function roomBelow(y: number, others: readonly number[], bottom: number): number {
  return Math.min(...others.filter((other) => other > y), bottom + EVENT_HALF) - y;
}

/** For each event, how many events before it have the same time: none, unless the service has made a mistake. */
function sameTimes(events: readonly ChatEvent[]): number[] {
  const known = new Map<LogicalTime, number>();
  return events.map(({ logicalTime }) => {
    const before = known.get(logicalTime) ?? 0;
    known.set(logicalTime, before + 1);
    return before;
  });
}

/** Where a shade is drawn: from below the last event before it to below the last event in it. */
function shading(
  { id, from, to, words }: Shade,
  x: ReadonlyMap<string | null, number>,
  figures: readonly Figure[],
  top: number,
  bottom: number,
): Shading[] {
  const at = x.get(id === SERVICE_ID ? null : id);
  const below = (sequence: bigint): number => {
    const last = figures.filter(({ event }) => event.sequence <= sequence).at(-1);
    return last === undefined ? top : last.broadcast.y + EVENT_HALF;
  };
  const begin = below(from);
  const end = to === null ? bottom : Math.max(below(to), begin + EVENT_HALF);
  const gone = to !== null && below(to) === top;
  return at === undefined || gone ? [] : [{ x: at, from: begin, to: end, words: words.split(", ") }];
}

/** Divides the width among the lifelines, the times and the texts. */
function widthsOf(room: number, people: readonly Person[], events: readonly ChatEvent[]) {
  const lanes = people.length + 1;
  const digits = `${events[events.length - 1]?.logicalTime ?? 0n}`.length;
  const axis = Math.ceil(digits * DIGIT + AXIS_MARGIN);
  const box = digits * DIGIT + 2 * EVENT_HALF;
  const wanted = Math.max(SAID_MIN, Math.min(room * SAID_SHARE, 520));
  const lane = (margins: number) => {
    if (lanes < 2) return LANE_MAX;
    const forLanes = room - axis - wanted - margins;
    // The service's lifeline is as wide as the others, within its own bounds.
    const even = forLanes / lanes;
    const service = even >= SERVICE_MAX ? SERVICE_MAX : Math.max(box, even);
    return Math.floor(Math.min(LANE_MAX, Math.max(LANE_MIN, (forLanes - service) / (lanes - 1))));
  };
  const level = lane(2 * MARGIN);
  const longest = Math.min(LEVEL_LENGTH_MAX, LETTER * Math.max(0, ...people.map(({ name }) => [...name].length)));
  const slanted = level < LEVEL_MIN || level - 14 < longest;
  const laneWidth = slanted ? Math.min(level, lane(MARGIN + SLANTED_REACH)) : level;
  const serviceWidth = Math.ceil(Math.max(box, Math.min(laneWidth, SERVICE_MAX)));
  const margins = MARGIN + (slanted ? SLANTED_REACH : MARGIN);
  const drawn = axis + laneWidth * (lanes - 1) + serviceWidth + margins;
  // The room that the lifelines leave is for the texts; if it is too little, they stay in view while the lifelines are
  // scrolled.
  return {
    axis,
    laneWidth,
    slanted,
    serviceWidth,
    said: Math.floor(Math.max(Math.min(wanted, Math.max(SAID_MIN_CROWDED, room * SAID_SHARE_CROWDED)), room - drawn)),
  };
}

function receiptsOf({ sequence }: ChatEvent, x: ReadonlyMap<string | null, number>, { receipts, selfId }: Scene): [string, LogicalTime][] {
  return [...(receipts ?? [])].flatMap(([id, times]): [string, LogicalTime][] => {
    const time = id === selfId || !x.has(id) ? undefined : times.get(Number(sequence));
    return time === undefined ? [] : [[id, time]];
  });
}

/** The figure one page below this one, or above: the last that fits into this height together with it. */
export function paged(figures: readonly Figure[], from: number, step: 1 | -1, height: number): number {
  const start = figures[from]?.broadcast.y ?? 0;
  let at = from;
  while (figures[at + step] !== undefined && (at === from || Math.abs(figures[at + step]!.broadcast.y - start) <= height)) at += step;
  return at;
}

/** When a message was sent, by its writer's clock; null if the message does not say, or what it says cannot be true. */
export function sendingTime({ kind, logicalTime }: ChatEvent): LogicalTime | null {
  if (kind.type !== "message" || kind.sentLogicalTime === 0n) return null;
  return kind.sentLogicalTime <= logicalTime - 2n ? kind.sentLogicalTime : null;
}

/** The rows: one for each moment at which something happened. */
function moments(events: readonly ChatEvent[], x: ReadonlyMap<string | null, number>, scene: Scene): Diagram["rows"] {
  const { before, causality } = scene;
  const stacked = sameTimes(events);
  /** How far a moment reaches up and down. */
  const times = new Map<LogicalTime, readonly [number, number]>();
  const add = (time: LogicalTime) => {
    if (!times.has(time)) times.set(time, [MOMENT_HALF, MOMENT_HALF]);
  };
  for (const [index, event] of events.entries()) {
    const noted = scene.vectorOf !== undefined || event.rivals !== undefined || (causality.crossed(event)?.unseenCount ?? 0) > 0;
    const below = stacked[index]! * SAME_TIME + (noted || stacked[index]! > 0 ? EVENT_HALF + NOTE : EVENT_HALF);
    times.set(event.logicalTime, [EVENT_HALF, Math.max(below, times.get(event.logicalTime)?.[1] ?? 0)]);
    const sent = sendingTime(event);
    if (sent !== null && x.has(event.author.id)) {
      add(sent);
      add(event.logicalTime - 1n);
    }
    if (event.receipt !== null) add(event.receipt);
    for (const [, time] of receiptsOf(event, x, scene)) add(time);
  }
  const sorted = [...times].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  let down = 0;
  const rows = sorted.map(([time, [up]], row) => {
    down += row === 0 ? 0 : sorted[row - 1]![1][1] + up;
    return { time, y: down };
  });
  // Rows disappear at the top and appear at the bottom, so that those in the middle stay where they are.
  const middle = rows[Math.floor(rows.length / 2)];
  const known = before?.rows.find(({ time }) => time === middle?.time)?.y;
  const first = known === undefined || known > TOP_MAX || middle === undefined ? PADDING : known - middle.y;
  return rows.map(({ time, y }) => ({ time, y: first + y }));
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
