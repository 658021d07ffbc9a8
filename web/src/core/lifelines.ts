/** Which participants the diagram has a lifeline for, and where: a participant keeps its place while others come and go. */

import type { ChatEvent, Person } from "./event.js";

/** The most participants that have a lifeline. */
export const LIFELINES_MAX = 12;

/** The participants with a lifeline, each with its place: 0 beside the service, 1 on its other side, and so outwards. */
export type Places = ReadonlyMap<string, number>;

/** Who is to have a lifeline: this page, those who did something lately, and those who are present. */
export function shownPeople(events: readonly ChatEvent[], roster: readonly Person[], self: Person | null): Person[] {
  const shown = new Map<string, Person>();
  const add = (person: Person) => {
    if (shown.size < LIFELINES_MAX && !shown.has(person.id)) shown.set(person.id, person);
  };
  if (self !== null) add(self);
  for (let index = events.length - 1; index >= 0; index -= 1) add(events[index]!.author);
  for (const person of roster.slice(0, LIFELINES_MAX)) add(person);
  return [...shown.values()];
}

/** Gives places to those who have none, in the order of joining, and takes them from those who are no longer shown. */
export function placed(before: Places, people: readonly Person[]): Places {
  const kept = new Map(people.flatMap(({ id }): [string, number][] => (before.has(id) ? [[id, before.get(id)!]] : [])));
  const taken = new Set(kept.values());
  let next = 0;
  for (const { id } of people) {
    if (kept.has(id)) continue;
    while (taken.has(next)) next += 1;
    taken.add(next);
    kept.set(id, next);
  }
  return kept;
}

/** The places from left to right; null is the service's. */
export function columns(places: Places): (string | null)[] {
  const side = (odd: number) =>
    [...places]
      .filter(([, place]) => place % 2 === odd)
      .sort(([, a], [, b]) => a - b)
      .map(([id]) => id);
  return [...side(0).reverse(), null, ...side(1)];
}
