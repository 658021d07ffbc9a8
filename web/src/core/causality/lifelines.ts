/**
 * Which participants have a lifeline in the diagram, and where: a participant keeps its place while others come and go.
 */

import { type Causality, saysWhatWasSeen } from "./causality.js";
import type { ChatEvent, Person } from "../event.js";

/** The most participants that have a lifeline: a class of thirty, and some more. */
export const LIFELINES_MAX = 36;

/**
 * The participants with a lifeline, each with its place: 0 beside the service, 1 on its other side, and so on outward.
 */
export type Places = ReadonlyMap<string, number>;

/** Whose lifelines the user wants to see. */
export interface Choice {
  /** Those that are hidden, by their ids. */
  readonly hidden: ReadonlySet<string>;
  /**
   * If set, the picture is limited to this participant and those whose messages crossed its own.
   */
  readonly only: string | null;
  /** Whether only participants whose messages crossed are shown. */
  readonly crossed: boolean;
}

/** All lifelines. */
export const EVERYBODY: Choice = { hidden: new Set(), only: null, crossed: false };

/** Whether a choice leaves anybody out. */
export function isLimited({ hidden, only, crossed }: Choice): boolean {
  return hidden.size > 0 || only !== null || crossed;
}

/** Which participants a choice leaves in; null for all of them. */
export function chooser(choice: Choice, causality: Causality): ((id: string) => boolean) | null {
  if (!isLimited(choice)) return null;
  const { hidden, only, crossed } = choice;
  const near = only === null ? null : crossers(causality, only);
  const all = crossed ? crossers(causality, null) : null;
  return (id) => !hidden.has(id) && (near === null || near.has(id)) && (all === null || all.has(id));
}

/** All whose messages crossed; with an id, this participant and those whose messages crossed its own. */
export function crossers(causality: Causality, id: string | null): ReadonlySet<string> {
  const found = new Set<string>(id === null ? [] : [id]);
  for (const event of causality.events) {
    const crossed = saysWhatWasSeen(event) ? causality.crossed(event) : null;
    if (crossed === null) continue;
    const { author } = event;
    for (const other of [...crossed.unseen, ...crossed.by]) {
      if (id === null) found.add(author.id).add(other.author.id);
      else if (author.id === id) found.add(other.author.id);
      else if (other.author.id === id) found.add(author.id);
    }
  }
  return found;
}

/**
 * The participants that get a lifeline: this page itself, those whose messages crossed, those who were active lately,
 * and those who are here.
 */
export function shownPeople(
  events: readonly ChatEvent[],
  roster: readonly Person[],
  self: Person | null,
  first: ReadonlySet<string> = new Set(),
): Person[] {
  const shown = new Map<string, Person>();
  const add = (person: Person) => {
    if (shown.size < LIFELINES_MAX && !shown.has(person.id)) shown.set(person.id, person);
  };
  if (self !== null) add(self);
  const newest = events.map(({ author }) => author).reverse();
  for (const author of newest) if (first.has(author.id)) add(author);
  for (const author of newest) add(author);
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
