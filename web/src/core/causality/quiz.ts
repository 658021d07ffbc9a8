/** Random questions about a run, with their answers. */

import { type Causality, saysWhatWasSeen } from "./causality.js";
import type { LogicalTime } from "../clock.js";
import { type Backward, type Line, SERVICE, backwards } from "./cut.js";
import { sendingTime } from "./diagram.js";
import type { ChatEvent, Person } from "../event.js";

/** A question. */
export type Question =
  /**
   * Which logical time will a message get if a participant sends it at `sent`, and the service's clock is at
   * `service`?
   */
  | {
      readonly type: "time";
      readonly writer: Person;
      readonly sent: LogicalTime;
      readonly service: LogicalTime;
      readonly options: readonly LogicalTime[];
      readonly answer: LogicalTime;
    }
  /** Which message is concurrent with this one? */
  | { readonly type: "concurrent"; readonly event: ChatEvent; readonly answers: ReadonlySet<bigint> }
  /** May a causal order swap these two? */
  | { readonly type: "swap"; readonly first: ChatEvent; readonly second: ChatEvent; readonly answer: boolean }
  /** Is this cut consistent? */
  | { readonly type: "cut"; readonly line: Line; readonly answer: boolean; readonly backwards: readonly Backward[] };

/** How far a cut goes up or down between two lifelines, in rows of the picture. */
const BEND = 6;

/** How many cuts are tried to find one of the wanted kind. */
const TRIES = 40;

/**
 * A question about these events, which are in order and shown in a picture; null if there is no question to ask.
 */
export function question(events: readonly ChatEvent[], causality: Causality, chance: () => number): Question | null {
  const makers = [time, concurrent, swap, cut].map((make) => ({ make, at: chance() }));
  for (const { make } of makers.sort((a, b) => a.at - b.at)) {
    const made = make(events, causality, chance);
    if (made !== null) return made;
  }
  return null;
}

function pick<T>(from: readonly T[], chance: () => number): T | undefined {
  return from[Math.min(from.length - 1, Math.floor(chance() * from.length))];
}

function time(events: readonly ChatEvent[], _causality: Causality, chance: () => number): Question | null {
  const last = events[events.length - 1];
  const writer = pick(
    events.filter(({ kind }) => kind.type !== "left").map(({ author }) => author),
    chance,
  );
  if (last === undefined || writer === undefined) return null;
  const service = last.logicalTime;
  // Sometimes the writer's clock is behind the service's, sometimes ahead.
  const ahead = BigInt(Math.floor(chance() * 9)) - 5n;
  const sent = service + ahead > 0n ? service + ahead : 1n;
  const answer = (sent > service ? sent : service) + 2n;
  const others = new Set([sent + 1n, service + 1n, sent + 2n, service + 2n, sent + service].filter((one) => one !== answer));
  const options = [answer, ...[...others].slice(0, 3)].sort((a, b) => (a < b ? -1 : 1));
  return { type: "time", writer, sent, service, options, answer };
}

function concurrent(events: readonly ChatEvent[], causality: Causality, chance: () => number): Question | null {
  const told = events.filter(saysWhatWasSeen);
  const to = (event: ChatEvent) => told.filter((other) => causality.relation(other, event) === "concurrent");
  const event = pick(
    told.filter((one) => to(one).length > 0),
    chance,
  );
  return event === undefined ? null : { type: "concurrent", event, answers: new Set(to(event).map(({ sequence }) => sequence)) };
}

function swap(events: readonly ChatEvent[], causality: Causality, chance: () => number): Question | null {
  const told = events.filter(saysWhatWasSeen);
  const wanted = chance() < 0.5;
  const near = told.flatMap((second, index) => told.slice(Math.max(0, index - BEND), index).map((first) => [first, second] as const));
  const is = ([first, second]: readonly [ChatEvent, ChatEvent]) => causality.relation(first, second) === "concurrent";
  const fitting = near.filter((pair) => is(pair) === wanted);
  const pair = pick(fitting.length > 0 ? fitting : near, chance);
  return pair === undefined ? null : { type: "swap", first: pair[0], second: pair[1], answer: is(pair) };
}

function cut(events: readonly ChatEvent[], _causality: Causality, chance: () => number): Question | null {
  const times = timesOf(events);
  if (times.length < 4) return null;
  const people = [...new Map(events.map(({ author }) => [author.id, author])).values()];
  const wanted = chance() < 0.5;
  let made: Question | null = null;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const middle = Math.floor(chance() * times.length);
    const bent = () => times[Math.max(0, Math.min(times.length - 1, middle + Math.round((chance() - 0.5) * BEND)))]!;
    const line = new Map([[SERVICE, bent()], ...people.map(({ id }): [string, LogicalTime] => [id, bent()])]);
    const crossing = backwards(events, line, new Map());
    made = { type: "cut", line, answer: crossing.length === 0, backwards: crossing };
    if (made.answer === wanted) return made;
  }
  return made;
}

/** The times in the picture, in order. */
function timesOf(events: readonly ChatEvent[]): LogicalTime[] {
  const times = events.flatMap((event) => {
    const sent = sendingTime(event);
    return sent === null ? [event.logicalTime] : [sent, event.logicalTime - 1n, event.logicalTime];
  });
  return [...new Set(times)].sort((a, b) => (a < b ? -1 : 1));
}
